//! The cascade model: users look from the top and stop at the first result that attracts them.
//!
//! a = clicks / examinations, over the results down to the first click: the maximum-likelihood estimate, shrunk. Source:
//! Craswell, Zoeter, Taylor & Ramsey, WSDM 2008, section 3.4.

use super::log::{ClickLog, Crew, Part, Row};
use super::params::{Kind, Places};
use super::{ClickModelConfig, Learnt, NoClick, given_prior};
use crate::error::Result;

/// How many results of a page were examined, if examination ends at `end`, of a page with clicks.
pub(super) fn examined(rows: &[Row], no_click: NoClick, end: impl Fn(&[Row]) -> Option<usize>) -> usize {
    match (end(rows), no_click) {
        (Some(last), _) => last + 1,
        (None, NoClick::Examined) => rows.len(),
        (None, NoClick::First) => 1,
        (None, NoClick::Drop) => 0,
    }
}

/// One pass over a part of the log, added to what `from` learnt of the rest: sums are whole numbers, so their order is none.
pub(super) fn fit(
    log: &ClickLog,
    config: &ClickModelConfig,
    part: Part,
    from: Option<Learnt>,
    crew: &mut Crew<'_>,
) -> Result<Learnt> {
    let mut attraction = from.map_or_else(|| Kind::new(log), |l| l.attraction);
    crew.map(&mut attraction.buckets, |i, shares| {
        for (page, rows) in log.buckets[i].pages_of(part) {
            let weight = f64::from(page.weight);
            let end = examined(rows, config.no_click, |rows| rows.iter().position(|r| r.clicked));
            for row in &rows[..end] {
                shares.trials[row.pair as usize] += weight;
                shares.hits[row.pair as usize] += if row.clicked { weight } else { 0.0 };
            }
        }
    })?;
    attraction.settle(given_prior(config.definition));
    Ok(Learnt {
        attraction,
        satisfaction: Kind::none(log),
        places: Places::new(1),
        trusted: Places::default(),
    })
}
