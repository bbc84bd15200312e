//! The position-based model with trust: results are clicked because they are wanted, or because of where they stand.
//!
//! At position k a user examines with θ_k; who examined clicks what they want with ε⁺_k, and what they do not with ε⁻_k. Of
//! these three only two products show, u_k = θ_k ε⁺_k and v_k = θ_k ε⁻_k:
//!
//!   P(C = 1) = v_k + (u_k − v_k) a.
//!
//! A share a that is estimated pair by pair and put in for the truth would be pulled to the mean, and the lines made too steep
//! for it. So a is summed out: it is one of 20 values, with a distribution that is learnt for each of ten strata of pairs (by
//! mean position, since rankers put better documents higher). EM over pairs: with L_j = Π P_kj^clicks (1 − P_kj)^skips, a pair
//! is at node j with w_j ∝ m_j L_j; m are means of w; and u_k, v_k are those of the sums Σ w_j clicks, Σ w_j skips by (k, j), by
//! steps in which whether a result was wanted is unknown, too: of a click u a / P, of a skip (1 − u) a / (1 − P). A pass is two
//! EM steps, a leap along them (SQUAREM) and a third, taken back where the likelihood fell.
//!
//! For any c and d, a → (a − c) / d with the lines moved along explains a log as well. Two anchors take that out: u of the top is
//! 1, as in PBM; and v of the lowest position that has a tenth of the top's impressions is 0: nobody clicks there for nothing
//! but trust. Where documents are all alike, or never change position, nothing tells u from v.
//!
//! Sources: Agarwal, Wang, Li, Bendersky & Najork, Addressing trust bias for unbiased learning-to-rank, WWW 2019 (model, EM);
//! Vardasbi, Oosterhuis & de Rijke, When inverse propensity scoring does not work, CIKM 2020 (the line in a); Laird,
//! Nonparametric maximum likelihood estimation of a mixing distribution, JASA 1978; Varadhan & Roland, Simple and globally
//! convergent methods for accelerating the convergence of any EM algorithm, Scand. J. Stat. 2008.

use super::examine::{Exposed, exposed, log_likelihood};
use super::log::{BUCKETS, ClickLog, Crew, Part, added};
use super::params::{Kind, Places};
use super::prior::{BELOW_ONE, Beta, FLOOR, LAPLACE};
use super::{Learnt, Passes, pbm};
use crate::error::{Error, Result};

/// How many values a can have.
const NODES: usize = 20;

/// Strata of pairs: mean position below 2, below 3, …, the rest.
const STRATA: usize = 10;

/// Buckets are summed in groups, so that sums by (position, node) need little memory.
const GROUPS: usize = 64;

/// The lowest position with this share of the top's impressions is the one without trust.
const BOTTOM: f64 = 0.1;

/// How much of the examination is trust before the first pass, at the top.
const FIRST_TRUST: f64 = 0.3;

/// Steps for the lines within an EM step: they walk over sums, not over the log.
const INNER: usize = 20;

/// The longest leap.
const LEAP: f64 = 50.0;

/// Passes end where as many of them raised the log-likelihood of an impression by less than `STILL`.
const PATIENCE: usize = 5;
const STILL: f64 = 1e-7;

/// Documents that differ explain a log better than ones all alike by at least so many nats: chance does by a handful.
const DIFFERENT: f64 = 20.0;

/// Squares of the middles of equal parts of 0 to 1: denser near 0, where most documents are.
fn node(j: usize) -> f64 {
    ((j as f64 + 0.5) / NODES as f64).powi(2)
}

/// What no log can tell: positions of the two anchors, and whether there is trust at all.
#[derive(Debug, Clone, Copy)]
struct Anchors {
    top: usize,
    bottom: usize,
    trusting: bool,
}

/// What is learnt: lines by position, and the distribution of a by stratum.
#[derive(Debug, Clone)]
struct Point {
    wanted: Vec<f64>,
    trusted: Vec<f64>,
    mix: Vec<f64>,
}

/// Cells of neighbouring buckets, with the stratum of each pair and what is expected of it.
#[derive(Default)]
struct Group {
    buckets: Vec<(Exposed, Vec<u8>)>,
    /// Mean and variance of a, of each pair.
    posterior: Vec<Vec<[f64; 2]>>,
}

/// A PBM with trust, on its way.
pub(super) struct Trust<'a> {
    log: &'a ClickLog,
    groups: Vec<Group>,
    now: Point,
    /// Impressions by position.
    trials: Vec<f64>,
    /// Mean and variance of a of a pair of which nothing is known.
    unseen: [f64; 2],
    /// Log-likelihood if documents are all alike.
    alike: f64,
    impressions: f64,
    anchors: Anchors,
    /// Log-likelihood after each pass.
    reached: Vec<f64>,
}

impl<'a> Trust<'a> {
    /// Before the first pass: click rates relative to the top's, of which trust takes less the lower a result stands. Not
    /// `trusting`, v stays 0: a PBM whose shares are summed out, to see what trust explains.
    pub(super) fn new(log: &'a ClickLog, part: Part, trusting: bool, crew: &mut Crew<'_>) -> Result<Self> {
        let n = usize::from(log.depth) + 1;
        let mut groups: Vec<Group> = (0..GROUPS).map(|_| Group::default()).collect();
        let sums = crew.map(&mut groups, |g, group| {
            let mut sums = vec![0.0; 2 * n];
            for (i, bucket) in log.buckets.iter().enumerate() {
                if usize::from(bucket.number) * GROUPS / BUCKETS != g {
                    continue;
                }
                let own = exposed(log, i, pbm::place, part);
                for (place, (skips, clicks)) in own.places.iter().zip(own.skips.iter().zip(&own.clicks)) {
                    sums[2 * *place as usize] += f64::from(*clicks);
                    sums[2 * *place as usize + 1] += f64::from(*clicks) + f64::from(*skips);
                }
                let strata = (0..own.ends.len()).map(|pair| stratum(&own, pair)).collect();
                group.posterior.push(vec![[0.0; 2]; own.ends.len()]);
                group.buckets.push((own, strata));
            }
            sums
        })?;
        let sums = added(sums, 2 * n);
        let trials: Vec<f64> = sums.iter().skip(1).step_by(2).copied().collect();
        let top = trials.iter().position(|t| *t > 0.0);
        let bottom = top.and_then(|top| trials.iter().rposition(|t| *t >= BOTTOM * trials[top]));
        let (Some(top), Some(bottom)) = (top, bottom.filter(|b| Some(*b) > top)) else {
            return Err(Error::data(
                "tpbm compares positions, and this log has only one: trust cannot be told from attraction; fit dctr",
            ));
        };
        let rate = |p: usize| LAPLACE.mean(sums[2 * p], trials[p]);
        let wanted: Vec<f64> = (0..n).map(|p| (rate(p) / rate(top)).clamp(0.01, 0.99)).collect();
        let below = |p: usize| (p.saturating_sub(top) as f64 / (bottom - top) as f64).min(1.0);
        let trusted = (0..n).map(|p| wanted[p] * FIRST_TRUST * (1.0 - below(p))).collect();
        let mut now = Point { wanted, trusted, mix: vec![1.0 / NODES as f64; STRATA * NODES] };
        let anchors = Anchors { top, bottom, trusting };
        now.anchor(anchors);
        let alike = (0..n).map(|p| log_likelihood(rate(p), sums[2 * p] as u64, trials[p] as u64)).sum();
        let impressions = trials.iter().sum();
        let unseen = moments(&now.mix[..NODES]);
        Ok(Self { log, groups, now, trials, unseen, alike, impressions, anchors, reached: Vec::new() })
    }

    /// An EM step from `at`: where it leads, and the log-likelihood of `at`. What is expected of pairs is that of `at`.
    fn step(&mut self, at: &Point, crew: &mut Crew<'_>) -> Result<(Point, f64)> {
        let n = at.wanted.len();
        let table = |log: fn(f64) -> f64| -> Vec<f64> {
            (0..n * NODES).map(|i| log(at.chance(i / NODES, i % NODES))).collect()
        };
        let (clicked, skipped) = (table(f64::ln), table(|p| (-p).ln_1p()));
        let mix: Vec<f64> = at.mix.iter().map(|m| m.max(f64::MIN_POSITIVE).ln()).collect();
        let (len, unseen) = (1 + STRATA + STRATA * NODES + 2 * n * NODES, self.unseen);
        let sums = crew.map(&mut self.groups, |_, group| {
            let mut sums = vec![0.0; len];
            for ((own, strata), posterior) in group.buckets.iter().zip(&mut group.posterior) {
                for pair in 0..own.ends.len() {
                    if own.shown[pair] == 0.0 {
                        posterior[pair] = unseen;
                        continue;
                    }
                    let stratum = usize::from(strata[pair]);
                    let mut w = [0.0; NODES];
                    w.copy_from_slice(&mix[stratum * NODES..][..NODES]);
                    for cell in own.of(pair) {
                        let place = own.places[cell] as usize * NODES;
                        let (c, s) = (f64::from(own.clicks[cell]), f64::from(own.skips[cell]));
                        let (yes, no) = (&clicked[place..][..NODES], &skipped[place..][..NODES]);
                        for j in 0..NODES {
                            w[j] += c * yes[j] + s * no[j];
                        }
                    }
                    let most = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    w.iter_mut().for_each(|w| *w = (*w - most).exp());
                    let whole: f64 = w.iter().sum();
                    w.iter_mut().for_each(|w| *w /= whole);
                    sums[0] += most + whole.ln();
                    sums[1 + stratum] += 1.0;
                    let (of_strata, cells) = sums[1 + STRATA..].split_at_mut(STRATA * NODES);
                    for (to, w) in of_strata[stratum * NODES..][..NODES].iter_mut().zip(&w) {
                        *to += w;
                    }
                    for cell in own.of(pair) {
                        let place = own.places[cell] as usize * 2 * NODES;
                        let (c, s) = (f64::from(own.clicks[cell]), f64::from(own.skips[cell]));
                        let (yes, no) = cells[place..][..2 * NODES].split_at_mut(NODES);
                        for j in 0..NODES {
                            yes[j] += c * w[j];
                            no[j] += s * w[j];
                        }
                    }
                    posterior[pair] = moments(&w);
                }
            }
            sums
        })?;
        let sums = added(sums, len);
        let mut next = at.clone();
        for (i, m) in next.mix.iter_mut().enumerate() {
            // One pair's worth of every node, so that none is lost for good.
            *m = (sums[1 + STRATA + i] + 1.0 / NODES as f64) / (sums[1 + i / NODES] + 1.0);
        }
        let (of_strata, cells) = sums[1 + STRATA..].split_at(STRATA * NODES);
        let pairs: f64 = sums[1..=STRATA].iter().sum();
        let all: Vec<f64> =
            (0..NODES).map(|j| of_strata.iter().skip(j).step_by(NODES).sum::<f64>() / pairs).collect();
        self.unseen = moments(&all);
        for _ in 0..INNER {
            next.lines(cells);
            next.anchor(self.anchors);
        }
        Ok((next, sums[0]))
    }
}

/// The stratum of a pair: its mean position.
fn stratum(own: &Exposed, pair: usize) -> u8 {
    let (mut sum, mut n) = (0, 0);
    for cell in own.of(pair) {
        let shown = u64::from(own.clicks[cell]) + u64::from(own.skips[cell]);
        sum += shown * u64::from(own.places[cell]);
        n += shown;
    }
    (sum.checked_div(n).unwrap_or(0).clamp(1, STRATA as u64) - 1) as u8
}

/// Mean and variance of a distribution over the nodes.
fn moments(w: &[f64]) -> [f64; 2] {
    let (mut mean, mut square, mut within) = (0.0, 0.0, 0.0);
    for (j, w) in w.iter().enumerate() {
        // A node stands for its part of 0 to 1.
        let width = (2 * j + 1) as f64 / (NODES * NODES) as f64;
        mean += w * node(j);
        square += w * node(j) * node(j);
        within += w * width * width / 12.0;
    }
    [mean, (square - mean * mean).max(0.0) + within]
}

impl Point {
    /// P(click) at a position, of a node.
    fn chance(&self, place: usize, j: usize) -> f64 {
        let (u, v) = (self.wanted[place], self.trusted[place]);
        (v + (u - v) * node(j)).clamp(FLOOR, BELOW_ONE)
    }

    fn anchor(&mut self, at: Anchors) {
        self.wanted[at.top] = 1.0;
        self.trusted[at.bottom] = 0.0;
        if !at.trusting {
            self.trusted.fill(0.0);
        }
        // What is wanted is clicked at least as often.
        self.trusted.iter_mut().zip(&self.wanted).for_each(|(v, u)| *v = v.min(*u));
    }

    /// Lines from clicks and skips by (position, node).
    fn lines(&mut self, cells: &[f64]) {
        for place in 0..self.wanted.len() {
            let (yes, no) = cells[place * 2 * NODES..][..2 * NODES].split_at(NODES);
            let u = self.wanted[place];
            let (mut hits, mut trials, mut other_hits, mut other_trials) = (0.0, 0.0, 0.0, 0.0);
            for j in 0..NODES {
                let (a, p) = (node(j), self.chance(place, j));
                let (clicked, skipped) = (u * a / p, (1.0 - u) * a / (1.0 - p));
                hits += yes[j] * clicked;
                trials += yes[j] * clicked + no[j] * skipped;
                other_hits += yes[j] * (1.0 - clicked).max(0.0);
                other_trials += yes[j] * (1.0 - clicked).max(0.0) + no[j] * (1.0 - skipped).max(0.0);
            }
            if yes.iter().chain(no).any(|x| *x > 0.0) {
                self.wanted[place] = LAPLACE.mean(hits, trials);
                self.trusted[place] = LAPLACE.mean(other_hits, other_trials);
            }
        }
    }

    /// As numbers that may be any: log-odds of lines, logarithms of distributions.
    fn free(&self) -> Vec<f64> {
        let odds = |p: &f64| (p.clamp(FLOOR, BELOW_ONE) / (1.0 - p.clamp(FLOOR, BELOW_ONE))).ln();
        let lines = self.wanted.iter().chain(&self.trusted).map(odds);
        lines.chain(self.mix.iter().map(|m| m.max(1e-12).ln())).collect()
    }

    fn of_free(free: &[f64], n: usize) -> Self {
        let share = |x: &f64| 1.0 / (1.0 + (-x).exp());
        let mut mix: Vec<f64> = free[2 * n..].iter().map(|x| x.min(0.0).exp()).collect();
        for of_stratum in mix.chunks_mut(NODES) {
            let whole: f64 = of_stratum.iter().sum();
            of_stratum.iter_mut().for_each(|m| *m /= whole);
        }
        Self {
            wanted: free[..n].iter().map(share).collect(),
            trusted: free[n..2 * n].iter().map(share).collect(),
            mix,
        }
    }
}

/// Further along where three points lead (SQUAREM's third step length).
fn leap(points: [&Point; 3]) -> Point {
    let [zero, one, two] = points.map(Point::free);
    let (mut speed, mut bend) = (0.0, 0.0);
    for i in 0..zero.len() {
        let (r, v) = (one[i] - zero[i], two[i] - 2.0 * one[i] + zero[i]);
        (speed, bend) = (speed + r * r, bend + v * v);
    }
    let far = if bend > 0.0 { (speed / bend).sqrt().clamp(1.0, LEAP) } else { 1.0 };
    let free: Vec<f64> = (0..zero.len())
        .map(|i| {
            let (r, v) = (one[i] - zero[i], two[i] - 2.0 * one[i] + zero[i]);
            zero[i] + 2.0 * far * r + far * far * v
        })
        .collect();
    Point::of_free(&free, points[0].wanted.len())
}

impl Passes for Trust<'_> {
    fn pass(&mut self, crew: &mut Crew<'_>) -> Result<()> {
        let zero = self.now.clone();
        let (one, _) = self.step(&zero, crew)?;
        let (two, reached) = self.step(&one, crew)?;
        let mut far = leap([&zero, &one, &two]);
        far.anchor(self.anchors);
        let (next, there) = self.step(&far, crew)?;
        let (next, reached) = if there >= reached { (next, there) } else { self.step(&two, crew)? };
        self.now = next;
        self.reached.push(reached);
        Ok(())
    }

    fn likelihood(&mut self, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>> {
        let (log, now) = (self.log, &self.now);
        let mut means: Vec<&Vec<[f64; 2]>> = self.groups.iter().flat_map(|g| &g.posterior).collect();
        crew.map(&mut means, |i, posterior| {
            let cells = log.buckets[i].cells();
            let mut sums = [0.0; 2];
            for (pair, [a, _]) in posterior.iter().enumerate() {
                for cell in cells.of(pair).iter().filter(|c| c.position > 0) {
                    let (impressions, clicks) = cell.of(part);
                    if impressions > 0 {
                        let place = usize::from(cell.position);
                        let (u, v) = (now.wanted[place], now.trusted[place]);
                        sums[0] += log_likelihood(v + (u - v) * a, clicks, impressions);
                        sums[1] += impressions as f64;
                    }
                }
            }
            sums
        })
    }

    fn settled(&self) -> Option<bool> {
        let n = self.reached.len();
        let enough = n > PATIENCE;
        Some(enough && self.reached[n - 1] - self.reached[n - 1 - PATIENCE] < STILL * self.impressions)
    }

    fn identified(&self) -> Result<()> {
        let reached = self.reached.last().copied().unwrap_or(self.alike);
        if reached >= self.alike + DIFFERENT {
            return Ok(());
        }
        Err(Error::data(
            "tpbm tells trust from attraction by documents of which some are wanted more than others, and in this log all look \
             alike: fit pbm or rctr",
        ))
    }

    /// A pair's posterior as a Beta distribution of the same mean and variance: the prior's, and trials beside it.
    fn learnt(self: Box<Self>) -> Learnt {
        let mut attraction = Kind::new(self.log);
        let (mut all, mut pairs) = ([0.0; 3], 0.0);
        for [mean, variance] in self.groups.iter().flat_map(|g| g.posterior.iter().flatten()) {
            pairs += 1.0;
            all = [all[0] + mean, all[1] + mean * mean, all[2] + variance];
        }
        let mean = all[0] / pairs;
        let worth = worth(mean, (all[1] + all[2]) / pairs - mean * mean);
        attraction.prior = Beta { hits: mean * worth, misses: (1.0 - mean) * worth };
        let posteriors = self.groups.iter().flat_map(|g| &g.posterior);
        for (shares, posterior) in attraction.buckets.iter_mut().zip(posteriors) {
            for (pair, [mean, variance]) in posterior.iter().enumerate() {
                let trials = (self::worth(*mean, *variance) - worth).max(0.0);
                shares.value[pair] = mean.min(BELOW_ONE);
                shares.trials[pair] = trials;
                shares.hits[pair] = mean * (worth + trials) - attraction.prior.hits;
            }
        }
        let places =
            |value: Vec<f64>| Places { hits: vec![0.0; value.len()], trials: self.trials.clone(), value };
        Learnt {
            attraction,
            satisfaction: Kind::none(self.log),
            places: places(self.now.wanted.clone()),
            trusted: places(self.now.trusted.clone()),
        }
    }
}

/// α + β of the Beta distribution of a mean and a variance.
fn worth(mean: f64, variance: f64) -> f64 {
    (mean * (1.0 - mean) / variance - 1.0).max(0.01)
}
