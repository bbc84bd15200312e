//! P(relevant | what was shown, clicked and stayed with): a mixture of four kinds of (query, document), fitted by EM.
//!
//! A document is relevant or not, and its snippet attracts or not; examined, it is clicked at a rate that attraction and
//! position decide (which covers trust bias: Agarwal, Wang, Li, Bendersky & Najork, Addressing trust bias for unbiased
//! learning-to-rank, WWW 2019), and a click satisfies at a rate that relevance decides. Relevance has a prior by position,
//! estimated from what was shown there, and by how often a pair was shown: what a ranker keeps at a position it is surer of.
//! docs/ARCHITECTURE.md, evidence, has the formulas.
//!
//! Passes (Dempster, Laird & Rubin 1977) are made over distinct histories and extrapolated (SQUAREM: Varadhan & Roland 2008).

use serde::{Deserialize, Serialize};

use super::debias::{ANY, Curve};
use super::sample::Sample;
use super::signs::Signs;
use super::surface::{FIGURES, smoothed};
use crate::error::Result;
use crate::pulse::Pulse;
use crate::tables::Cell;

/// Exposure: pairs shown once; 2 or 3 times; 4 to 7 times; more often.
pub const EXPOSURES: usize = 4;

/// Probabilities are kept this far from 0 and 1.
const EDGE: f64 = 1e-6;

/// Examinations that the rate of all positions is worth in that of one.
const EXAMINATIONS: f64 = 50.0;

/// Rounds of three passes, at most.
const ROUNDS: u32 = 60;

/// A round that gains less log-likelihood than this is the last.
const GAIN: f64 = 1e-3;

/// What relevance and attraction may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kinds {
    /// Every pair alike: nothing tells relevant ones from others.
    One,
    /// Relevant pairs attract, others do not.
    Two,
    /// Relevance shows in satisfied clicks, and attraction is something else.
    Four,
}

/// The bin of a number of impressions.
#[inline]
fn exposure(impressions: f64) -> usize {
    match impressions {
        n if n < 2.0 => 0,
        n if n < 4.0 => 1,
        n if n < 8.0 => 2,
        _ => 3,
    }
}

/// Why nothing is said of relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unknown {
    /// There are none.
    NoClicks,
    /// There are too few.
    FewClicks,
}

impl Unknown {
    /// In words.
    pub fn why(self) -> &'static str {
        match self {
            Self::NoClicks => "no clicks",
            Self::FewClicks => "too few clicks to tell relevant results from others",
        }
    }
}

/// What all pairs have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relevance {
    /// Which kinds there are.
    pub kinds: Kinds,
    /// P(click | examined), not attractive and attractive, by position.
    pub attraction: [Vec<f64>; 2],
    /// P(satisfied | click), not relevant and relevant.
    pub satisfied: [f64; 2],
    /// P(attractive), of pairs not relevant and relevant.
    pub attractive: [f64; 2],
    /// P(relevant), by position and exposure.
    pub prior: Vec<[f64; EXPOSURES]>,
    /// ln P(click | examined), and ln P(no click) by place.
    hit: [Vec<f64>; 2],
    miss: [Vec<f64>; 2],
}

/// Impressions of a pair at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    place: u32,
    position: u16,
    skips: u32,
    clicks: u32,
}

/// Distinct histories.
#[derive(Default)]
struct Histories {
    seen: Vec<Seen>,
    ends: Vec<u32>,
    satisfied: Vec<u32>,
    /// Pairs with this history.
    pairs: Vec<f64>,
}

impl Histories {
    fn of(sample: &Sample, curve: &Curve) -> Self {
        let mut all: Vec<(Vec<Seen>, u32)> = (0..sample.pairs.len())
            .map(|i| {
                let cells = sample.cells_of(i);
                let satisfied =
                    cells.iter().fold(0_u32, |n, c| n.saturating_add(c.satisfied_clicks.min(c.clicks)));
                (seen(cells, curve).collect(), satisfied)
            })
            .collect();
        all.sort_unstable();
        let mut out = Self::default();
        for same in all.chunk_by(|a, b| a == b) {
            out.seen.extend_from_slice(&same[0].0);
            out.ends.push(out.seen.len() as u32);
            out.satisfied.push(same[0].1);
            out.pairs.push(same.len() as f64);
        }
        out
    }
}

/// Cells that count, those at one place together.
fn seen<'a>(cells: &'a [Cell], curve: &'a Curve) -> impl Iterator<Item = Seen> + Clone + 'a {
    let place = |cell: &Cell| curve.place(cell.position, cell.previous_click) as u32;
    let mut rest = cells.iter().filter(|c| curve.counts(c)).peekable();
    std::iter::from_fn(move || {
        let cell = rest.next()?;
        let skips = |cell: &Cell| cell.impressions.saturating_sub(cell.clicks);
        let position = curve.position(cell.position);
        let mut out = Seen { place: place(cell), position, skips: skips(cell), clicks: cell.clicks };
        while let Some(cell) = rest.next_if(|cell| place(cell) == out.place) {
            out.skips = out.skips.saturating_add(skips(cell));
            out.clicks = out.clicks.saturating_add(cell.clicks);
        }
        Some(out)
    })
}

/// Of one history: the chance of each kind, as [attractive][relevant], and the prior of relevance.
struct Weighed {
    kinds: [[f64; 2]; 2],
    prior: f64,
    /// Its likelihood over the greatest of the parts that go into it, and the logarithms of these.
    sum: f64,
    most: [f64; 2],
}

impl Weighed {
    /// Logarithm of the likelihood.
    fn likelihood(&self) -> f64 {
        self.sum.ln() + self.most[0] + self.most[1]
    }
}

impl Relevance {
    fn new(kinds: Kinds, depth: u16) -> Self {
        let n = usize::from(depth) + 1;
        Self {
            kinds,
            attraction: [vec![0.08; n], vec![0.4; n]],
            satisfied: [0.4, 0.9],
            attractive: match kinds {
                Kinds::Four => [0.05, 0.9],
                _ => [EDGE, 1.0 - EDGE],
            },
            prior: vec![[if kinds == Kinds::One { EDGE } else { 0.2 }; EXPOSURES]; n],
            hit: [Vec::new(), Vec::new()],
            miss: [Vec::new(), Vec::new()],
        }
    }

    /// Logarithms of what is looked up for every history.
    fn look_up(&mut self, curve: &Curve, position_of: &[u16]) {
        for kind in 0..2 {
            self.hit[kind] = self.attraction[kind].iter().map(|a| a.ln()).collect();
            let miss = position_of
                .iter()
                .enumerate()
                .map(|(place, p)| (-curve.at(place) * self.attraction[kind][usize::from(*p)]).ln_1p());
            self.miss[kind] = miss.collect();
        }
    }

    fn weigh(&self, seen: impl Iterator<Item = Seen> + Clone, satisfied: u32) -> Weighed {
        let (mut a, mut prior, mut clicks, mut shown) = ([0.0; 2], 0.0, 0.0, 0.0);
        for s in seen.clone() {
            shown += f64::from(s.skips) + f64::from(s.clicks);
        }
        let bin = exposure(shown);
        for s in seen {
            let (skipped, clicked) = (f64::from(s.skips), f64::from(s.clicks));
            let (place, position) = (s.place as usize, usize::from(s.position));
            for (kind, sum) in a.iter_mut().enumerate() {
                *sum += clicked * self.hit[kind][position] + skipped * self.miss[kind][place];
            }
            prior += (skipped + clicked) * self.prior[position][bin];
            clicks += clicked;
        }
        let prior = if shown > 0.0 { (prior / shown).clamp(EDGE, 1.0 - EDGE) } else { self.unseen() };
        let (good, short) = (f64::from(satisfied), clicks - f64::from(satisfied));
        // Most pairs have no clicks: then nobody stayed or left.
        let stay = match clicks > 0.0 {
            true => self.satisfied.map(|s| good * s.ln() + short * (-s).ln_1p()),
            false => [0.0; 2],
        };
        let (top, longest) = (a[0].max(a[1]), stay[0].max(stay[1]));
        // One of the two is the greatest, and its power is one.
        let power = |x: f64| if x == 0.0 { 1.0 } else { x.exp() };
        let stayed = stay.map(|x| power(x - longest));
        let mut kinds = [[0.0; 2]; 2];
        let mut sum = 0.0;
        for (attractive, row) in kinds.iter_mut().enumerate() {
            let clicked = power(a[attractive] - top);
            for (relevant, kind) in row.iter_mut().enumerate() {
                let share = self.attractive[relevant];
                *kind = clicked
                    * stayed[relevant]
                    * if attractive == 1 { share } else { 1.0 - share }
                    * if relevant == 1 { prior } else { 1.0 - prior };
                sum += *kind;
            }
        }
        // Far from both kinds everything can round to nothing; then the prior is what is left.
        let sum = if sum > 0.0 { sum } else { f64::MIN_POSITIVE };
        kinds.as_flattened_mut().iter_mut().for_each(|k| *k /= sum);
        Weighed { kinds, prior, sum, most: [top, longest] }
    }

    /// Mean prior: of a pair of which nothing was counted at a position.
    fn unseen(&self) -> f64 {
        let all = self.prior.as_flattened();
        (all.iter().sum::<f64>() / all.len() as f64).clamp(EDGE, 1.0 - EDGE)
    }

    /// What these cells of a pair say of its kind.
    pub(super) fn signs(&self, cells: &[Cell], curve: &Curve) -> Signs {
        let satisfied = cells
            .iter()
            .filter(|c| curve.counts(c))
            .fold(0_u32, |n, c| n.saturating_add(c.satisfied_clicks.min(c.clicks)));
        let Weighed { kinds, prior, .. } = self.weigh(seen(cells, curve), satisfied);
        Signs::of(prior, self.attractive, kinds.as_flattened())
    }

    /// Parameters in one row, for extrapolation.
    fn flat(&self) -> Vec<f64> {
        let mut out: Vec<f64> = self.attraction.concat();
        out.extend(self.satisfied);
        out.extend(self.attractive);
        out.extend(self.prior.as_flattened());
        out
    }

    fn set(&mut self, flat: &[f64]) {
        let mut values = flat.iter().map(|x| x.clamp(EDGE, 1.0 - EDGE));
        let slots = self.attraction.iter_mut().flatten();
        let slots = slots.chain(&mut self.satisfied).chain(&mut self.attractive);
        slots.chain(self.prior.as_flattened_mut()).zip(&mut values).for_each(|(slot, x)| *slot = x);
    }

    /// One pass of EM; returns the log-likelihood before it.
    fn pass(&mut self, histories: &Histories, curve: &Curve, position_of: &[u16]) -> f64 {
        self.look_up(curve, position_of);
        let n = self.prior.len();
        // P(examined | no click) of both kinds, by place.
        let looked: [Vec<f64>; 2] = [0, 1].map(|kind| {
            let of = |(place, p): (usize, &u16)| {
                let (theta, a) = (curve.at(place), self.attraction[kind][usize::from(*p)]);
                theta * (1.0 - a) / (1.0 - theta * a)
            };
            position_of.iter().enumerate().map(of).collect()
        });
        let mut clicks = [vec![0.0; n], vec![0.0; n]];
        let mut examined = [vec![0.0; n], vec![0.0; n]];
        let mut relevant = vec![[0.0; EXPOSURES]; n];
        let mut shown = vec![[0.0; EXPOSURES]; n];
        let (mut good, mut clicked) = ([0.0; 2], [0.0; 2]);
        let (mut attracts, mut pairs) = ([0.0; 2], [0.0; 2]);
        let mut total = 0.0;
        let mut start = 0;
        for (h, end) in histories.ends.iter().enumerate() {
            let seen = &histories.seen[start..*end as usize];
            start = *end as usize;
            let (satisfied, weight) = (histories.satisfied[h], histories.pairs[h]);
            let weighed = self.weigh(seen.iter().copied(), satisfied);
            total += weight * weighed.likelihood();
            let Weighed { kinds, prior, .. } = weighed;
            let posterior = kinds[0][1] + kinds[1][1];
            let rows = seen.iter().map(|s| f64::from(s.skips) + f64::from(s.clicks)).sum::<f64>().max(1.0);
            let bin = exposure(rows);
            let mut all = 0.0;
            for s in seen {
                let (place, position) = (s.place as usize, usize::from(s.position));
                let (skips, n) = (f64::from(s.skips), f64::from(s.clicks));
                for kind in 0..2 {
                    let chance = weight * (kinds[kind][0] + kinds[kind][1]);
                    clicks[kind][position] += chance * n;
                    examined[kind][position] += chance * (n + skips * looked[kind][place]);
                }
                let share = weight * (skips + n) / rows;
                let here = self.prior[position][bin];
                let yes = share * here / prior * posterior;
                relevant[position][bin] += yes;
                shown[position][bin] += yes + share * (1.0 - here) / (1.0 - prior) * (1.0 - posterior);
                all += n;
            }
            for k in 0..2 {
                let chance = weight * (kinds[0][k] + kinds[1][k]);
                good[k] += chance * f64::from(satisfied);
                clicked[k] += chance * all;
                attracts[k] += weight * kinds[1][k];
                pairs[k] += chance;
            }
        }
        for kind in 0..2 {
            let (c, e) = (clicks[kind].iter().sum::<f64>(), examined[kind].iter().sum::<f64>());
            let rate = (c + EDGE) / (e + 2.0 * EDGE);
            for (p, a) in self.attraction[kind].iter_mut().enumerate() {
                *a = clamped((clicks[kind][p] + EXAMINATIONS * rate) / (examined[kind][p] + EXAMINATIONS));
            }
        }
        for k in 0..2 {
            if clicked[k] > 0.0 {
                self.satisfied[k] = clamped(good[k] / clicked[k]);
            }
            if self.kinds == Kinds::Four && pairs[k] > 0.0 {
                self.attractive[k] = clamped(attracts[k] / pairs[k]);
            }
        }
        if self.kinds != Kinds::One {
            self.prior = smoothed(&relevant, &shown);
            self.prior.as_flattened_mut().iter_mut().for_each(|x| *x = clamped(*x));
        }
        total
    }

    /// Passes to where more gain nothing; returns the log-likelihood.
    fn converge(
        &mut self,
        histories: &Histories,
        curve: &Curve,
        position_of: &[u16],
        pulse: &mut Pulse<'_>,
    ) -> Result<f64> {
        let mut best = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            pulse.beat()?;
            let zero = self.flat();
            let start = self.pass(histories, curve, position_of);
            let one = self.flat();
            let next = self.pass(histories, curve, position_of);
            let two = self.flat();
            if next - start < GAIN && start - best < GAIN {
                best = next.max(best);
                break;
            }
            best = start;
            let (mut r2, mut v2) = (0.0, 0.0);
            for ((x, y), z) in zero.iter().zip(&one).zip(&two) {
                r2 += (y - x) * (y - x);
                v2 += (z - 2.0 * y + x) * (z - 2.0 * y + x);
            }
            if v2 > 0.0 {
                let step = -(r2 / v2).sqrt().max(1.0);
                let leap = zero.iter().zip(&one).zip(&two);
                let leap: Vec<f64> = leap
                    .map(|((x, y), z)| x - 2.0 * step * (y - x) + step * step * (z - 2.0 * y + x))
                    .collect();
                self.set(&leap);
                if self.pass(histories, curve, position_of) < next {
                    self.set(&two);
                }
            }
        }
        self.look_up(curve, position_of);
        Ok(best)
    }

    /// P(click | examined) over all positions, weighted by nothing but their number.
    fn mean_attraction(&self, kind: usize) -> f64 {
        self.attraction[kind].iter().sum::<f64>() / self.attraction[kind].len() as f64
    }
}

fn clamped(x: f64) -> f64 {
    x.clamp(EDGE, 1.0 - EDGE)
}

/// Fits as many kinds as the sample tells apart, by the Bayesian information criterion (Schwarz 1978): relevance apart from
/// attraction where dwell times show it, else one with it, else nothing, and why.
pub(super) fn relevance(
    sample: &Sample,
    curve: &Curve,
    pulse: &mut Pulse<'_>,
) -> Result<std::result::Result<Relevance, Unknown>> {
    let histories = Histories::of(sample, curve);
    let position_of = positions(curve);
    let pairs: f64 = histories.pairs.iter().sum();
    let clicks: u64 = histories.seen.iter().map(|s| u64::from(s.clicks)).sum();
    let satisfied: u64 = histories.satisfied.iter().map(|s| u64::from(*s)).sum();
    if clicks == 0 {
        return Ok(Err(Unknown::NoClicks));
    }
    let mut fit = |kinds: Kinds| -> Result<(Relevance, f64)> {
        let mut out = Relevance::new(kinds, curve.depth);
        let likelihood = out.converge(&histories, curve, &position_of, pulse)?;
        Ok((out, likelihood))
    };
    let (_, none) = fit(Kinds::One)?;
    let (two, some) = fit(Kinds::Two)?;
    // Half the logarithm of the sample for each figure more: a rate at each position, and a prior there or the figures of its
    // surface, whichever are more.
    let positions = histories.seen.iter().map(|s| s.position).collect::<std::collections::BTreeSet<_>>();
    let worth = 0.5 * pairs.max(2.0).ln();
    let figures = (positions.len() + positions.len().max(FIGURES)) as f64;
    if some - none < worth * figures || two.mean_attraction(1) <= two.mean_attraction(0) {
        return Ok(Err(Unknown::FewClicks));
    }
    if satisfied < clicks {
        let (four, all) = fit(Kinds::Four)?;
        let ordered = four.satisfied[1] > four.satisfied[0]
            && four.attractive[1] > 0.5
            && four.attractive[0] < 0.5
            && four.mean_attraction(1) > four.mean_attraction(0);
        if ordered && all - some > worth * 2.0 {
            return Ok(Ok(four));
        }
    }
    Ok(Ok(two))
}

/// Position of each place.
fn positions(curve: &Curve) -> Vec<u16> {
    let mut out = vec![0; curve.places()];
    for position in 1..=curve.depth {
        for above in 0..position {
            out[curve.place(position, above)] = position;
        }
        out[curve.place(position, ANY)] = position;
    }
    out
}
