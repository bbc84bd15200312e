//! What the released counts say about a document for a query, with position bias taken out of its clicks.

mod debias;
mod relevance;
mod sample;
mod signs;
mod surface;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::click_model::Beta;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::seed::Seed;
use crate::tables::{Cell, Pair};

pub use debias::{Curve, Debias};
pub use relevance::{EXPOSURES, Kinds, Relevance, Unknown};
pub(crate) use sample::Sample;
pub use signs::{Chances, KINDS, Signs};

/// Options; see docs/ARCHITECTURE.md, evidence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// Prior clicks, and prior expected clicks.
    pub shrinkage: f64,
    /// A skip at position r weighs page_depth + 1 - r.
    pub page_depth: u32,
    /// Where examination comes from.
    pub debias: Debias,
    /// Given propensities, by position from the top.
    pub propensities: Vec<f64>,
    /// P(attractiveness is below its upper bound), and above its lower.
    pub bound: f64,
}

/// Impressions and clicks at a position (0: none) over everything released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PositionRow {
    /// 1-based, 0 for none.
    pub position: u16,
    /// Votes.
    pub impressions: u64,
    /// Clicked ones.
    pub clicks: u64,
}

impl PositionRow {
    /// Clicks per impression.
    pub fn ctr(&self) -> f64 {
        if self.impressions == 0 { 0.0 } else { self.clicks as f64 / self.impressions as f64 }
    }
}

/// Evidence of one (query, document).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvidenceRow {
    /// Clicks that its positions alone explain: sum over positions of impressions times the CTR of the position.
    pub expected_clicks: f64,
    /// Clicks over expected clicks, shrunk.
    pub coec: f64,
    /// P(Poisson(expected clicks) <= clicks).
    pub p_zero: f64,
    /// Satisfied clicks at known positions.
    pub satisfied: f64,
    /// Expected number of times it was looked at.
    pub examinations: f64,
    /// P(looked at at least once).
    pub p_examined: f64,
    /// P(relevant | what was shown, clicked and stayed with); NaN where the log cannot tell.
    pub p_relevant: f64,
}

/// Evidence of everything released. Its rows are worked out where they are wanted: they follow from the released counts
/// and the few figures here, and keeping them would take more memory than the counts.
pub struct Evidence {
    /// What it is made from.
    pub released: Arc<Released>,
    /// CTR by position.
    pub positions: Vec<PositionRow>,
    /// CTR of each position, 0 first.
    ctr: Vec<f64>,
    shrinkage: f64,
    /// For `skip_weight`.
    page_depth: u32,
    /// Examination.
    pub curve: Curve,
    /// Of satisfied clicks in examinations.
    pub attractiveness: Beta,
    /// What tells relevant pairs from others, or why nothing does.
    pub relevance: std::result::Result<Relevance, &'static str>,
    /// For the bounds of attractiveness.
    pub bound: f64,
}

impl Evidence {
    /// (page_depth + 1) · skips − sum of the positions where it was skipped.
    pub fn skip_weight(&self, pair: &Pair) -> i64 {
        let weight = (i64::from(self.page_depth) + 1).saturating_mul(i64::from(pair.skips));
        weight.saturating_sub_unsigned(pair.skip_position_sum)
    }

    /// Evidence of pair number `i` of a released query.
    ///
    /// The sum of expected clicks runs over all positions at which the pair was shown, in ascending order: the variant
    /// that takes the best position only lets several times as many relevant documents through.
    pub fn row(&self, group: &Group, i: usize) -> EvidenceRow {
        self.row_and_signs(group, i).0
    }

    /// The same with what the history says of its kind, from which P(relevant) is.
    pub(crate) fn row_and_signs(&self, group: &Group, i: usize) -> (EvidenceRow, Signs) {
        let clicks = group.pairs[i].clicks;
        let mut expected_clicks = 0.0;
        for (position, impressions, _) in group.by_position(i) {
            expected_clicks += impressions as f64 * self.ctr[usize::from(position)];
        }
        let a = self.shrinkage;
        let mut row = self.looked_at(group.cells_of(i));
        row.expected_clicks = expected_clicks;
        row.coec = (f64::from(clicks) + a) / (expected_clicks + a);
        row.p_zero = poisson_cdf(clicks, expected_clicks);
        let signs = self.signs(group, i);
        row.p_relevant = self.posterior(&signs);
        (row, signs)
    }

    /// P(relevant) of a history; NaN where it is not known.
    fn posterior(&self, signs: &Signs) -> f64 {
        if self.relevance.is_ok() { signs.posterior().relevant() } else { f64::NAN }
    }

    /// What examination says of these cells of a pair; nothing of relevance.
    ///
    /// Of a skip, examination has the posterior θ (1 − a) / (1 − θ a) (Chuklin, Markov & de Rijke 2015, section 4.2), a being
    /// the posterior mean of attractiveness: two rounds of both settle them.
    fn looked_at(&self, cells: &[Cell]) -> EvidenceRow {
        let known = || cells.iter().filter(|c| self.curve.counts(c));
        let theta = |c: &Cell| self.curve.at(self.curve.place(c.position, c.previous_click));
        let skips = |c: &Cell| f64::from(c.impressions.saturating_sub(c.clicks));
        let clicks: f64 = known().map(|c| f64::from(c.clicks)).sum();
        let satisfied = known().map(|c| f64::from(c.satisfied_clicks.min(c.clicks))).sum();
        let mut examinations = clicks + known().map(|c| skips(c) * theta(c)).sum::<f64>();
        let mut a = 0.0;
        let looked = |c: &Cell, a: f64| {
            let theta = theta(c);
            theta * (1.0 - a) / (1.0 - theta * a)
        };
        for _ in 0..2 {
            a = self.attractiveness.mean(clicks, examinations);
            examinations = known().fold(clicks, |sum, c| sum + skips(c) * looked(c, a));
        }
        let unseen = || known().fold(0.0, |sum, c| sum + skips(c) * (-looked(c, a)).ln_1p());
        EvidenceRow {
            expected_clicks: 0.0,
            coec: 0.0,
            p_zero: 0.0,
            satisfied,
            examinations,
            p_examined: if clicks > 0.0 { 1.0 } else { -f64::exp_m1(unseen()) },
            p_relevant: f64::NAN,
        }
    }

    /// What attractiveness, satisfied clicks per examination, lies below with probability `p`, row by row. Few histories are
    /// the history of one pair alone, and a quantile costs a microsecond or more.
    pub fn attractiveness_below(&self, p: f64) -> impl FnMut(&EvidenceRow) -> f64 {
        let (prior, mut known) = (self.attractiveness, HashMap::new());
        move |row| {
            let history = (row.satisfied.to_bits(), row.examinations.to_bits());
            *known.entry(history).or_insert_with(|| prior.quantile(row.satisfied, row.examinations, p))
        }
    }

    /// Positions of which figures may be shown: under k-users those at which K users clicked.
    pub fn shown_positions(&self) -> impl Iterator<Item = u16> {
        let k = self.released.k.unwrap_or(0);
        let users = |p: u16| self.released.position_users.get(usize::from(p)).copied().unwrap_or_default();
        let first = u16::from(self.curve.depth > 0);
        (first..=self.curve.depth).filter(move |p| k == 0 || self.curve.depth == 0 || users(*p)[1] >= k)
    }

    /// A figure that all pairs have in common, as it may be shown: under k-users to the hundredth.
    pub fn rounded(&self, x: f64) -> f64 {
        if self.released.k.is_some() { (x * 100.0).round() / 100.0 } else { x }
    }

    /// The same of what is shown of a pair under k-users, and of nothing else: impressions, clicks, satisfied clicks and
    /// the mean position, each rounded.
    pub fn shown_row(&self, pair: &Pair) -> EvidenceRow {
        EvidenceRow { p_relevant: self.posterior(&self.shown_signs(pair)), ..self.shown_look(pair) }
    }

    /// The same but for relevance.
    fn shown_look(&self, pair: &Pair) -> EvidenceRow {
        self.looked_at(&[self.shown_cell(pair)])
    }

    /// Expected examinations of a pair with this row, as they may be shown.
    pub fn shown_examinations(&self, pair: &Pair, row: &EvidenceRow) -> f64 {
        let open = self.released.k.is_none();
        self.released.shown_measure(if open { row.examinations } else { self.shown_look(pair).examinations })
    }

    fn shown_cell(&self, pair: &Pair) -> Cell {
        let (released, k) = (&*self.released, self.released.k.unwrap_or(0));
        let shown = |n: u32| released.shown(n.into()) as u32;
        let clicks = if pair.users_clicked < k { 0 } else { shown(pair.clicks) };
        let position = mean_position(pair).map_or(0, |m| (m + 0.5).floor().min(f64::from(u16::MAX)) as u16);
        Cell {
            position,
            previous_click: debias::ANY,
            fold: 0,
            impressions: shown(pair.impressions).max(clicks),
            clicks,
            satisfied_clicks: self.shown_satisfied(pair).min(clicks),
        }
    }

    /// Satisfied clicks of a pair as they may be shown.
    pub fn shown_satisfied(&self, pair: &Pair) -> u32 {
        let enough = pair.users_satisfied >= self.released.k.unwrap_or(0);
        if enough { self.released.shown(pair.satisfied_clicks.into()) as u32 } else { 0 }
    }

    /// What the history of pair number `i` of a released query says of its kind.
    pub fn signs(&self, group: &Group, i: usize) -> Signs {
        self.relevance.as_ref().map_or(Signs::NONE, |r| r.signs(group.cells_of(i), &self.curve))
    }

    /// The same of what is shown of a pair under k-users.
    pub fn shown_signs(&self, pair: &Pair) -> Signs {
        self.relevance.as_ref().map_or(Signs::NONE, |r| r.signs(&[self.shown_cell(pair)], &self.curve))
    }

    /// P(attractive), of pairs not relevant and relevant.
    pub fn attractive(&self) -> [f64; 2] {
        self.relevance.as_ref().map_or(Signs::NONE.attractive, |r| r.attractive)
    }
}

/// Mean position; None where no impression had one.
pub fn mean_position(pair: &Pair) -> Option<f64> {
    (pair.positioned > 0).then(|| pair.position_sum as f64 / f64::from(pair.positioned))
}

/// Upper end of the Wilson score interval of `clicks` of `impressions` (Wilson 1927), z = 1.96.
pub fn wilson_upper(clicks: u32, impressions: u32) -> f64 {
    let (n, z2) = (f64::from(impressions), 1.96 * 1.96);
    let p = f64::from(clicks) / n;
    (p + z2 / (2.0 * n) + 1.96 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt()) / (1.0 + z2 / n)
}

/// What all pairs have in common: worked out once, whether their evidence is weighed here or part by part elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Common {
    /// Impressions and clicks by position, 0 (none) first.
    by_position: Vec<[u64; 2]>,
    curve: Curve,
    attractiveness: Beta,
    relevance: std::result::Result<Relevance, Unknown>,
    shrinkage: f64,
    page_depth: u32,
    bound: f64,
}

impl Common {
    /// From a sample of all pairs, and impressions and clicks by position of all of them; of `released` what is not by
    /// query is looked at.
    ///
    /// # Errors
    /// As [`evidence`].
    pub(crate) fn of(
        sample: &Sample,
        by_position: Vec<[u64; 2]>,
        released: &Released,
        config: &EvidenceConfig,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let curve = debias::curve(config, released, &sample.thinned(), threads, pulse)?;
        let exposed = (0..sample.pairs.len()).map(|i| {
            let (mut hits, mut trials, mut squares) = (0.0, 0.0, 0.0);
            for cell in sample.cells_of(i).iter().filter(|c| curve.counts(c)) {
                let theta = curve.at(curve.place(cell.position, cell.previous_click));
                hits += f64::from(cell.satisfied_clicks.min(cell.clicks));
                trials += theta * f64::from(cell.impressions);
                squares += theta * theta * f64::from(cell.impressions);
            }
            (hits, trials, squares)
        });
        let attractiveness = Beta::fitted_to(exposed);
        let relevance = relevance::relevance(sample, &curve, pulse)?;
        let EvidenceConfig { shrinkage, page_depth, bound, .. } = *config;
        Ok(Self { by_position, curve, attractiveness, relevance, shrinkage, page_depth, bound })
    }

    /// Whether relevance is known.
    pub(crate) fn tells_relevance(&self) -> bool {
        self.relevance.is_ok()
    }
}

impl EvidenceConfig {
    /// # Errors
    /// [`Error::usage`] for options that cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.shrinkage.is_nan() || self.shrinkage <= 0.0 {
            return Err(Error::usage("evidence.shrinkage must be above 0"));
        }
        if !(self.bound > 0.5 && self.bound < 1.0) {
            return Err(Error::usage("evidence.bound must be above 0.5 and below 1"));
        }
        Ok(())
    }
}

impl Evidence {
    /// Of a release, or of a part of the queries, by what all pairs have in common.
    pub fn of(released: Arc<Released>, common: Common) -> Self {
        let row = |(p, [impressions, clicks]): (usize, [u64; 2])| PositionRow {
            position: p as u16,
            impressions,
            clicks,
        };
        let mut positions: Vec<PositionRow> = common.by_position.into_iter().enumerate().map(row).collect();
        let ctr = positions.iter().map(PositionRow::ctr).collect();
        positions.retain(|p| p.impressions > 0);
        Self {
            released,
            positions,
            ctr,
            shrinkage: common.shrinkage,
            page_depth: common.page_depth,
            curve: common.curve,
            attractiveness: common.attractiveness,
            relevance: common.relevance.map_err(Unknown::why),
            bound: common.bound,
        }
    }
}

/// Evidence of everything released: expected clicks (Zhang & Jones 2007), COEC and zero-click significance; examination,
/// attractiveness and relevance, whose common figures are estimated from a sample of the pairs.
///
/// # Errors
/// [`Error::usage`] for options that cannot be, and for a part of the queries; [`Error::data`] where the log lacks what a
/// click model needs; what `pulse` reports.
pub fn evidence(
    released: Arc<Released>,
    config: &EvidenceConfig,
    seed: Seed,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Evidence> {
    if let Some(part) = released.part {
        return Err(Error::usage(format!(
            "this is {part} of the queries of a release, and what all pairs have in common is estimated from all: gather \
             the parts first, or have all of them answer (whole)"
        )));
    }
    config.check()?;
    let sample = Sample::of(&released, released.tables.sizes().pairs, seed, threads, pulse)?;
    let by_position = released.tables.by_position().0;
    let common = Common::of(&sample, by_position, &released, config, threads, pulse)?;
    Ok(Evidence::of(released, common))
}

/// P(Poisson(mean) <= n): terms summed downwards from n, relative to the last, so that nothing under- or overflows.
pub fn poisson_cdf(n: u32, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=n).rev() {
        term *= f64::from(k) / mean;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    (f64::from(n) * mean.ln() - mean - ln_factorial(n) + f64::ln(sum)).exp().min(1.0)
}

/// ln n!: by product up to 20, by Stirling's series beyond (error below 1e-13).
fn ln_factorial(n: u32) -> f64 {
    if n <= 20 {
        return (2..=n).map(f64::from).product::<f64>().ln();
    }
    let x = f64::from(n) + 1.0;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5))
        - 1.0 / (1680.0 * x.powi(7));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}
