//! How likely a result is to be looked at where it stands: by a click model fitted to a sample of pairs, by propensities
//! given, or, where nothing is known of positions, taken for certain.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EvidenceConfig;
use super::sample::Sample;
use crate::click_model::{ClickLog, ClickModelConfig, Definition, Fitted, Model, NoClick, fit};
use crate::counts::Has;
use crate::error::{Error, ErrorKind, Result};
use crate::pulse::Pulse;
use crate::release::Released;
use crate::tables::Cell;

/// Where examination comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Debias {
    /// The model that explains held-out impressions best.
    Auto,
    /// Depends on the position and on that of the last click above.
    Ubm,
    /// Depends on the position.
    Pbm,
    /// Is given by position.
    Propensities,
    /// Is in the log, a propensity of each impression: their mean by position.
    Logged,
    /// Everything is looked at.
    None,
}

impl Debias {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ubm => "ubm",
            Self::Pbm => "pbm",
            Self::Propensities => "propensities",
            Self::Logged => "logged",
            Self::None => "none",
        }
    }
}

/// Places of UBM grow with the square of the lowest position.
const UBM_DEPTH: u16 = 100;

/// The click above is not told.
pub(super) const ANY: u16 = u16::MAX;

/// No result is looked at more or less surely than this, so that no history is impossible.
const LOOKED_AT: std::ops::RangeInclusive<f64> = 1e-6..=1.0 - 1e-6;

/// Examination by place, which is a position, or a position and a click above.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Curve {
    /// What was chosen; never `Auto`.
    pub debias: Debias,
    /// Why.
    pub reason: String,
    /// Models that were compared, and the mean log-likelihood of a held-out impression under each.
    pub held_out: Vec<(String, f64)>,
    /// The lowest position that is told apart; 0 where none is.
    pub depth: u16,
    /// By place.
    theta: Vec<f64>,
    /// By position, over all clicks above.
    marginal: Vec<f64>,
    /// 95 % interval of this, by position; empty where examination was not fitted.
    interval: Vec<Option<(f64, f64)>>,
}

impl Curve {
    /// The place of a cell.
    #[inline]
    pub(super) fn place(&self, position: u16, previous_click: u16) -> usize {
        let p = usize::from(self.position(position));
        match self.debias {
            Debias::Ubm if previous_click == ANY => self.theta.len() - self.marginal.len() + p,
            Debias::Ubm => p * p.saturating_sub(1) / 2 + usize::from(previous_click).min(p.saturating_sub(1)),
            _ => p,
        }
    }

    /// The position by which a cell is told apart: lower ones are like the lowest.
    #[inline]
    pub(super) fn position(&self, position: u16) -> u16 {
        position.min(self.depth)
    }

    /// P(looked at) at a place.
    #[inline]
    pub(super) fn at(&self, place: usize) -> f64 {
        self.theta[place]
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.theta.len()
    }

    /// Whether what was counted there says anything.
    #[inline]
    pub(super) fn counts(&self, cell: &Cell) -> bool {
        cell.position > 0 || self.depth == 0
    }

    /// P(looked at) at a position, whatever was clicked above.
    pub fn examination(&self, position: u16) -> f64 {
        self.marginal[usize::from(self.position(position))]
    }

    /// What chance leaves of this, 95 %; None where examination was not fitted, or a position says nothing of the top.
    pub fn interval(&self, position: u16) -> Option<(f64, f64)> {
        self.interval.get(usize::from(self.position(position))).copied().flatten()
    }

    /// Position, click above (0 for none, and where it does not matter), P(looked at).
    pub fn by_place(&self) -> Vec<(u16, u16, f64)> {
        if self.depth == 0 {
            return vec![(0, 0, self.at(0))];
        }
        let above = |p: u16| if self.debias == Debias::Ubm { 0..p } else { 0..1 };
        let of = |p: u16| above(p).map(move |a| (p, a, self.at(self.place(p, a))));
        (1..=self.depth).flat_map(of).collect()
    }

    fn flat(reason: &str) -> Self {
        let sure = vec![*LOOKED_AT.end()];
        Self {
            debias: Debias::None,
            reason: reason.to_owned(),
            held_out: Vec::new(),
            depth: 0,
            theta: sure.clone(),
            marginal: sure,
            interval: Vec::new(),
        }
    }

    /// Places of a model; those that the sample lacks are like their position, and those like the one above.
    fn new(debias: Debias, sample: &Sample, depth: u16, value: impl Fn(u16, u16) -> f64) -> Self {
        let mut out = Self { debias, depth, ..Self::flat("") };
        let last = out.place(depth, depth - 1);
        let (mut shown, mut looked) = (vec![0.0; last + 1], vec![0.0; usize::from(depth) + 1]);
        let mut rows = vec![0.0; usize::from(depth) + 1];
        for cell in sample.cells.iter().filter(|c| c.position > 0) {
            let n = f64::from(cell.impressions);
            shown[out.place(cell.position, cell.previous_click)] += n;
            rows[usize::from(out.position(cell.position))] += n;
            looked[usize::from(out.position(cell.position))] += n * value(cell.position, cell.previous_click);
        }
        let clamped = |x: f64| x.clamp(*LOOKED_AT.start(), *LOOKED_AT.end());
        out.marginal = vec![*LOOKED_AT.end(); usize::from(depth) + 1];
        out.theta = vec![*LOOKED_AT.end(); last + 1];
        for position in 1..=depth {
            let p = usize::from(position);
            out.marginal[p] = if rows[p] > 0.0 { clamped(looked[p] / rows[p]) } else { out.marginal[p - 1] };
            for above in 0..position {
                let place = out.place(position, above);
                let seen = shown[place] > 0.0;
                out.theta[place] = if seen { clamped(value(position, above)) } else { out.marginal[p] };
            }
        }
        if debias == Debias::Ubm {
            out.theta.extend_from_slice(&out.marginal);
        }
        out
    }

    /// Intervals of the model that it was made from, of the mean over the clicks above as in the sample. On the scale of the
    /// logarithm, so that no end is below 0.
    fn with_intervals(mut self, model: &Fitted, sample: &Sample) -> Self {
        let Some(known) = model.certainty() else { return self };
        let mut shown: Vec<BTreeMap<u16, f64>> = vec![BTreeMap::new(); usize::from(self.depth) + 1];
        for cell in sample.cells.iter().filter(|c| c.position > 0) {
            *shown[usize::from(cell.position)].entry(cell.previous_click).or_default() +=
                f64::from(cell.impressions);
        }
        let interval = |position: u16| {
            let shown = &shown[usize::from(position)];
            let all: f64 = shown.values().sum();
            if all == 0.0 || model.apart.contains(&position) {
                return None;
            }
            let value = self.examination(position);
            let off = known.deviation(shown.iter().map(|(above, n)| (position, *above, n / all)));
            let times = (1.96 * off / value).exp();
            // The top is looked at by definition.
            (off > 0.0).then(|| (value / times, (value * times).min(1.0)))
        };
        self.interval = (0..=self.depth).map(|p| if p == 0 { None } else { interval(p) }).collect();
        self
    }
}

fn fitting() -> ClickModelConfig {
    ClickModelConfig {
        definition: Definition::Standard,
        no_click: NoClick::Examined,
        gamma: "free".to_owned(),
        max_iterations: 100,
        tolerance: 1e-6,
    }
}

/// Chooses and fits.
pub(super) fn curve(
    config: &EvidenceConfig,
    released: &Released,
    sample: &Sample,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Curve> {
    let (debias, given) = (config.debias, &config.propensities);
    if let Some(wrong) = given.iter().position(|p| !(*p > 0.0 && *p <= 1.0)) {
        return Err(Error::usage(format!(
            "evidence.propensities: that of position {} is {}; propensities are above 0 and at most 1",
            wrong + 1,
            given[wrong]
        )));
    }
    if given.is_empty() == (debias == Debias::Propensities) {
        return Err(Error::usage(
            "evidence.debias propensities and evidence.propensities, by position from the top, are given together",
        ));
    }
    if debias == Debias::None {
        return Ok(Curve::flat("asked for"));
    }
    let depth = sample.cells.iter().map(|c| c.position).max().unwrap_or(0);
    if depth == 0 {
        if debias == Debias::Auto {
            return Ok(Curve::flat(
                "the log has no positions, or shuffled ones: every result counts as looked at",
            ));
        }
        return Err(Error::data(format!(
            "evidence.debias {} needs positions, and the log has none (results are shuffled, or positions were not kept); \
             choose none, or auto",
            debias.name()
        )));
    }
    if debias == Debias::Propensities {
        let depth = depth.min(given.len().min(usize::from(u16::MAX)) as u16);
        let mut made =
            Curve::new(debias, sample, depth, |position, _| given[usize::from(position.min(depth)) - 1]);
        made.reason = "given".to_owned();
        return Ok(made);
    }
    if debias == Debias::Logged {
        return logged(released, sample, depth);
    }
    fitted(debias, released.has, sample, depth, threads, pulse)
}

fn logged(released: &Released, sample: &Sample, depth: u16) -> Result<Curve> {
    let (logged, k) = (&released.logged, released.k.unwrap_or(0));
    if logged.is_empty() {
        return Err(Error::data(
            "evidence.debias logged goes by a propensity of each impression, and none was counted: map a column to propensity \
             (--columns propensity=NAME), or choose another",
        ));
    }
    let mut lacking: Vec<u16> =
        sample.cells.iter().map(|c| c.position).filter(|p| *p > 0 && logged.mean(*p).is_none()).collect();
    lacking.sort_unstable();
    lacking.dedup();
    if !lacking.is_empty() {
        lacking.truncate(20);
        return Err(Error::data(format!(
            "evidence.debias logged: no impression at positions {lacking:?} has a propensity; fill the column, or leave these \
             positions out (count.max_position)"
        )));
    }
    // Under k-users a position that fewer were shown something at is like the one above.
    let users = |p: &u16| released.position_users.get(usize::from(*p)).is_some_and(|users| users[0] >= k);
    let value = |position: u16, _| {
        let above = (1..=position).rev().filter(users).find_map(|p| logged.mean(p));
        above.unwrap_or(*LOOKED_AT.end())
    };
    let mut made = Curve::new(Debias::Logged, sample, depth, value);
    // One row of one person makes them differ: under k-users that is not told.
    made.reason = match released.k.is_none() && logged.vary() {
        true => "in the log; they differ within a position, and count by their mean",
        false => "in the log",
    }
    .to_owned();
    Ok(made)
}

fn fitted(
    debias: Debias,
    has: Has,
    sample: &Sample,
    depth: u16,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Curve> {
    let rows = sample.pairs.iter().enumerate().map(|(i, (query, doc))| (*query, *doc, sample.cells_of(i)));
    let log = Arc::new(ClickLog::of_cells(rows, has));
    // A click above matters where pages were kept together, and the cells still say which it was.
    let above = has.cell_detail && has.pages;
    if debias == Debias::Ubm && !above {
        return Err(Error::data(
            "evidence.debias ubm needs to know the click above each result: pages (search_id), and counts with the table cells; \
             choose pbm, or auto",
        ));
    }
    if debias == Debias::Ubm && depth > UBM_DEPTH {
        return Err(Error::data(format!(
            "evidence.debias ubm goes down to position {UBM_DEPTH}, and the log to {depth}; choose pbm, or a smaller \
             count.max_position"
        )));
    }
    let mut tried = match debias {
        Debias::Ubm => vec![(Debias::Ubm, Model::Ubm)],
        Debias::Pbm => vec![(Debias::Pbm, Model::Pbm)],
        _ if !has.cell_detail => vec![(Debias::Pbm, Model::Pbm)],
        _ => vec![(Debias::None, Model::Dctr), (Debias::Pbm, Model::Pbm)],
    };
    if debias == Debias::Auto && above && depth <= UBM_DEPTH {
        tried.push((Debias::Ubm, Model::Ubm));
    }
    let auto = debias == Debias::Auto;
    let (mut fits, mut refused) = (Vec::new(), None);
    for (debias, model) in tried {
        match fit(&log, model, &fitting(), threads, None, &mut |_| pulse.beat()) {
            Ok(made) => fits.push((debias, made)),
            // Documents that never change position tell a model nothing: the others are still compared.
            Err(why) if auto && why.kind() == ErrorKind::Data => refused = Some(why),
            Err(why) => return Err(why),
        }
    }
    if let Some(why) = refused
        && fits.iter().all(|(d, _)| *d == Debias::None)
    {
        return Ok(Curve::flat(&format!("every result counts as looked at: {why}")));
    }
    let held_out: Vec<(String, f64)> =
        fits.iter().filter_map(|(d, f)| Some((d.name().to_owned(), f.held_out?))).collect();
    // The simplest of equals; without a held-out fold, the position-based model.
    let judged = |f: &Fitted| f.held_out.unwrap_or(f64::NEG_INFINITY);
    let mut best = 0;
    for (i, (d, f)) in fits.iter().enumerate().skip(1) {
        if judged(f) > judged(&fits[best].1) || (held_out.is_empty() && *d == Debias::Pbm) {
            best = i;
        }
    }
    let (chosen, model) = &fits[best];
    let mut made = match chosen {
        Debias::None => Curve::flat(""),
        _ => Curve::new(*chosen, sample, depth, |position, above| {
            model.examination(position, above).unwrap_or(*LOOKED_AT.end())
        })
        .with_intervals(model, sample),
    };
    made.reason = match debias {
        Debias::Auto if !has.cell_detail => {
            "counts without the table cells keep no folds to compare models by"
        }
        Debias::Auto if held_out.is_empty() => "nothing could be held out to compare models by",
        Debias::Auto => "explains held-out impressions best",
        _ => "asked for",
    }
    .to_owned();
    made.held_out = held_out;
    Ok(made)
}
