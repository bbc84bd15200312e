//! What a log can say of a model at all: what it lacks, and which positions nothing connects to the top.
//!
//! A model of examination and attraction compares a document with itself, at two positions. Positions are a graph whose edges
//! are pairs that were shown at both and clicked at least once; of a position out of the top's reach nothing follows but what
//! the model began with.

use super::log::{ClickLog, Crew, Part};
use super::{ClickModelConfig, Definition, Model};
use crate::error::{Error, Result};

/// Whether the log has what `model` reads.
pub(super) fn check(log: &ClickLog, model: Model, config: &ClickModelConfig) -> Result<()> {
    if config.tolerance.is_nan() || config.tolerance < 0.0 {
        return Err(Error::usage("click_model.tolerance must be 0 or more"));
    }
    let refuse = |lacks: &str| Err(Error::data(format!("{} {lacks}", model.name())));
    if log.impressions == 0 {
        return refuse("has nothing to learn from: the log has no row that can be used");
    }
    if matches!(model, Model::Gctr | Model::Dctr) {
        return Ok(());
    }
    if !log.known.positions {
        return refuse(
            "needs positions, and the log has none (where results are shuffled or positions are not kept, use dctr)",
        );
    }
    if model.needs_pages() && !log.known.pages {
        return refuse(
            "needs whole pages: rows with a search_id, or counts with the table pages; on cells fit pbm or ubm",
        );
    }
    if model == Model::Ubm && !log.known.previous_clicks {
        return refuse(
            "needs to know the click above each result: rows with a search_id, or cells with previous_click; without it fit \
             pbm",
        );
    }
    if model == Model::Tpbm && config.definition == Definition::PyClick {
        return Err(Error::usage("PyClick has no model of trust: tpbm is fitted by the standard definition"));
    }
    Ok(())
}

/// Positions that nothing connects to the top one.
///
/// # Errors
/// [`Error::data`] for models that split clicks into examination and attraction, where that is all of them.
pub(super) fn apart(log: &ClickLog, model: Model, crew: &mut Crew<'_>) -> Result<Vec<u16>> {
    if !model.splits() {
        return Ok(Vec::new());
    }
    let n = usize::from(log.depth) + 1;
    let mut numbers: Vec<usize> = (0..log.buckets.len()).collect();
    let found = crew.map(&mut numbers, |i, _| {
        let (cells, mut seen, mut links) = (log.buckets[i].cells(), vec![false; n], Vec::new());
        for pair in 0..cells.ends.len() {
            let of = || cells.of(pair).iter().filter(|c| c.position > 0);
            of().for_each(|c| seen[usize::from(c.position)] = true);
            if of().any(|c| c.of(Part::All).1 > 0) {
                links.extend(of().zip(of().skip(1)).map(|(a, b)| (a.position, b.position)));
            }
        }
        links.sort_unstable();
        links.dedup();
        (seen, links)
    })?;
    let mut seen = vec![false; n];
    let mut links: Vec<(u16, u16)> = Vec::new();
    for (own, more) in found {
        seen.iter_mut().zip(own).for_each(|(s, o)| *s |= o);
        links.extend(more);
    }
    links.sort_unstable();
    links.dedup();
    let mut reached = vec![false; n];
    let Some(top) = seen.iter().position(|s| *s) else { return Ok(Vec::new()) };
    reached[top] = true;
    loop {
        let before = reached.iter().filter(|r| **r).count();
        for (a, b) in &links {
            let any = reached[usize::from(*a)] || reached[usize::from(*b)];
            (reached[usize::from(*a)], reached[usize::from(*b)]) = (any, any);
        }
        let now = reached.iter().filter(|r| **r).count();
        if now == before {
            break;
        }
    }
    let apart: Vec<u16> =
        (1..=log.depth).filter(|p| seen[usize::from(*p)] && !reached[usize::from(*p)]).collect();
    if !apart.is_empty() && apart.len() + 1 == seen.iter().filter(|s| **s).count() {
        return Err(Error::data(format!(
            "{} tells examination from attraction by documents that change position, and no document with a click was shown at \
             the top and at another position for one query: randomise some traffic, take propensities from elsewhere, or fit \
             dctr",
            model.name()
        )));
    }
    Ok(apart)
}
