//! Propensities of positions: how likely a result is to be examined there, relative to the top.
//!
//! *Intervention harvesting*: the same document for the same query at different positions is an experiment that nobody
//! planned. Over the pairs seen at both k and k′, C_kk′ is the sum of their weights times click rates at k, M_kk′ that of their
//! weights. A pair that was shown N times, n of them at k and n′ at k′, weighs n n′ / N, as in the common risk ratio of Mantel &
//! Haenszel (Statistical aspects of the analysis of data from retrospective studies of disease, JNCI 1959) for more than two groups
//! (Greenland, Generalized Mantel-Haenszel estimators for K 2×J tables, Biometrics 1989): so much it knows of the ratio. In the
//! definition of Agarwal et al. all pairs weigh 1, and those shown once make most of the noise. Then
//! C_kk′ / C_k′k estimates p_k / p_k′: against the top (pivot), or step by step (adjacent chain). All pairs at once maximise
//!
//!   Σ_{k ≠ k′} C_kk′ log(p_k r_kk′) + (M_kk′ − C_kk′) log(1 − p_k r_kk′),  r_kk′ = r_k′k.
//!
//! In logarithms of p and r this is concave, and of each r only two terms are, so Newton's method on p alone, with every r at
//! its best, needs a handful of steps: its second derivatives are a weighted Laplacian of the graph of positions. Source:
//! Agarwal, Zaitsev, Wang, Li, Najork & Joachims, Estimating position bias without intrusive interventions, WSDM 2019,
//! sections 4 and 5.
//!
//! *Click rates* relative to the top's are propensities where traffic was randomised (Joachims, Swaminathan & Schnabel,
//! WSDM 2017, section 5), and confounded with ranking elsewhere.
//!
//! Intervals are percentiles of a bootstrap over queries, in groups by hash, with Poisson weights.

use std::sync::Arc;

use serde::Deserialize;

use super::log::{ClickLog, Crew, Part};
use crate::error::{Error, Result};
use crate::job::Progress;
use crate::seed::Seed;
use crate::workers;

/// How propensities are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Click rates relative to the top's.
    ClickRates,
    /// C_k1 / C_1k.
    Pivot,
    /// Products of C_k+1,k / C_k,k+1.
    AdjacentChain,
    /// Maximum likelihood of all pairs of positions.
    AllPairs,
}

/// What a pair weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighing {
    /// By how often it was shown at both positions, of all times.
    Standard,
    /// 1, as Agarwal et al. have it.
    Agarwal,
}

impl Weighing {
    fn of(self, n: u64, other: u64, all: u64) -> f64 {
        match self {
            Self::Standard => n as f64 * other as f64 / all as f64,
            Self::Agarwal => 1.0,
        }
    }
}

/// A position's propensity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Propensity {
    /// 1-based.
    pub position: u16,
    /// Relative to the top's; None where nothing connects the position to the top.
    pub propensity: Option<f64>,
    /// 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// Impressions.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
}

/// Groups of queries that the bootstrap draws from.
const GROUPS: usize = 256;

/// Newton steps at most; a handful is needed.
const STEPS: usize = 100;

/// Sums of the log from which all is estimated.
#[derive(Clone)]
struct Sums {
    /// Number of positions, from 1 on.
    n: usize,
    /// C by (k, k′), or clicks by k. Of k and k itself nothing is asked.
    clicks: Vec<f64>,
    /// M by (k, k′), or impressions by k.
    trials: Vec<f64>,
}

impl Sums {
    fn new(n: usize, len: usize) -> Self {
        Self { n, clicks: vec![0.0; len], trials: vec![0.0; len] }
    }

    fn add(&mut self, other: &Self, weight: f64) {
        let both = |to: &mut [f64], more: &[f64]| {
            to.iter_mut().zip(more).for_each(|(to, x)| *to += weight * x);
        };
        both(&mut self.clicks, &other.clicks);
        both(&mut self.trials, &other.trials);
    }

    /// C and M of two positions, from 0.
    fn at(&self, k: usize, other: usize) -> (f64, f64) {
        (self.clicks[k * self.n + other], self.trials[k * self.n + other])
    }
}

/// Propensities of the positions of a log, by `method`, pairs weighing as `weighing` says (but for click rates), with intervals of `replicates` bootstrap samples (0 for none).
///
/// # Errors
/// [`Error::data`] where the log has no positions, or nothing that the method could go by; what `observe` reports.
pub fn propensities(
    log: &Arc<ClickLog>,
    method: Method,
    weighing: Weighing,
    replicates: u32,
    seed: &Seed,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Vec<Propensity>> {
    if !log.known.positions {
        return Err(Error::data(
            "propensities need positions, and the log has none (where results are shuffled, position says nothing)",
        ));
    }
    let n = usize::from(log.depth);
    let len = if method == Method::ClickRates { n } else { n * n };
    let at = Progress { stage: "harvesting", rows: 0, done: None };
    let work = log.buckets.iter().map(|b| b.rows.len().max(b.docs.len())).sum();
    let mut crew = Crew { threads: workers::threads(threads), observe, at, work };
    // Groups of neighbouring buckets, each summed in order.
    let mut groups: Vec<(Sums, Vec<[u64; 2]>)> =
        (0..GROUPS).map(|_| (Sums::new(n, len), vec![[0; 2]; n])).collect();
    crew.map(&mut groups, |g, (sums, seen)| {
        let of = |b: &&super::log::Bucket| usize::from(b.number) * GROUPS / super::log::BUCKETS == g;
        for bucket in log.buckets.iter().filter(of) {
            sum_bucket(bucket, method, weighing, sums, seen);
        }
    })?;
    let mut all = Sums::new(n, len);
    let mut seen = vec![[0_u64; 2]; n];
    for (group, own) in &groups {
        all.add(group, 1.0);
        for (to, more) in seen.iter_mut().zip(own) {
            (to[0], to[1]) = (to[0] + more[0], to[1] + more[1]);
        }
    }
    let found = estimate(&all, method);
    if found.iter().skip(1).all(Option::is_none) && n > 1 {
        return Err(Error::data(match method {
            Method::ClickRates => "the top position has no clicks: nothing to compare with",
            _ => {
                "no document was clicked at two positions for one query: where documents never change position, propensities \
                 cannot be told from relevance; randomise some traffic, or assume a power law"
            }
        }));
    }
    let mut numbers: Vec<u32> = (0..replicates).collect();
    crew.work = usize::MAX;
    let samples = crew.map(&mut numbers, |_, replicate| {
        let mut sample = Sums::new(n, len);
        for (g, (group, _)) in groups.iter().enumerate() {
            let hash = seed.hash("bootstrap", &[&replicate.to_be_bytes(), &(g as u32).to_be_bytes()]);
            let weight = poisson(hash);
            if weight > 0 {
                sample.add(group, weight.into());
            }
        }
        estimate(&sample, method)
    })?;
    let row = |(k, propensity): (usize, &Option<f64>)| Propensity {
        position: k as u16 + 1,
        propensity: *propensity,
        interval: propensity.and_then(|_| interval(samples.iter().map(|s| s[k]))),
        impressions: seen[k][0],
        clicks: seen[k][1],
    };
    Ok(found.iter().enumerate().map(row).filter(|p| p.impressions > 0).collect())
}

fn sum_bucket(
    bucket: &super::log::Bucket,
    method: Method,
    weighing: Weighing,
    sums: &mut Sums,
    seen: &mut [[u64; 2]],
) {
    let cells = bucket.cells();
    let mut rates: Vec<(usize, u64, f64)> = Vec::new();
    for pair in 0..cells.ends.len() {
        rates.clear();
        for same in cells.of(pair).chunk_by(|a, b| a.position == b.position) {
            let Some(k) = usize::from(same[0].position).checked_sub(1) else { continue };
            let add = |sum: (u64, u64), more: (u64, u64)| (sum.0 + more.0, sum.1 + more.1);
            let (impressions, clicks) = same.iter().map(|c| c.of(Part::All)).fold((0, 0), add);
            if impressions > 0 {
                (seen[k][0], seen[k][1]) = (seen[k][0] + impressions, seen[k][1] + clicks);
                rates.push((k, impressions, clicks as f64 / impressions as f64));
                if method == Method::ClickRates {
                    sums.clicks[k] += clicks as f64;
                    sums.trials[k] += impressions as f64;
                }
            }
        }
        if method != Method::ClickRates {
            let all = rates.iter().map(|(_, n, _)| n).sum();
            for &(k, n, rate) in &rates {
                for &(other, m, _) in &rates {
                    let weight = weighing.of(n, m, all);
                    sums.clicks[k * sums.n + other] += weight * rate;
                    sums.trials[k * sums.n + other] += weight;
                }
            }
        }
    }
}

fn estimate(sums: &Sums, method: Method) -> Vec<Option<f64>> {
    let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    match method {
        Method::ClickRates => {
            let rate = |k: usize| ratio(sums.clicks[k], sums.trials[k]);
            (0..sums.n).map(|k| ratio(rate(k)?, rate(0)?)).collect()
        }
        Method::Pivot => (0..sums.n).map(|k| ratio(sums.at(k, 0).0, sums.at(0, k).0)).collect(),
        Method::AdjacentChain => {
            let mut last = Some(1.0);
            let mut step = |k: usize| {
                if k > 0 {
                    last = last.and_then(|p| Some(p * ratio(sums.at(k, k - 1).0, sums.at(k - 1, k).0)?));
                }
                last
            };
            (0..sums.n).map(&mut step).collect()
        }
        Method::AllPairs => all_pairs(sums),
    }
}

/// Two positions with the click rates of their common pairs.
struct Link {
    k: usize,
    other: usize,
    clicks: [f64; 2],
    trials: f64,
}

fn all_pairs(sums: &Sums) -> Vec<Option<f64>> {
    let n = sums.n;
    let mut links = Vec::new();
    for k in 0..n {
        for other in k + 1..n {
            let ((a, trials), (b, _)) = (sums.at(k, other), sums.at(other, k));
            // Without a click on one side the ratio has no finite estimate by this link alone; it counts where others give it.
            if a + b > 0.0 && a < trials && b < trials {
                links.push(Link { k, other, clicks: [a, b], trials });
            }
        }
    }
    // What clicks on both sides connect to the top.
    let mut known = vec![false; n];
    known[0] = true;
    loop {
        let before = known.iter().filter(|k| **k).count();
        for link in links.iter().filter(|l| l.clicks.iter().all(|c| *c > 0.0)) {
            let any = known[link.k] || known[link.other];
            (known[link.k], known[link.other]) = (any, any);
        }
        if known.iter().filter(|k| **k).count() == before {
            break;
        }
    }
    let places: Vec<usize> = (1..n).filter(|k| known[*k]).collect();
    let mut index = vec![None; n];
    places.iter().enumerate().for_each(|(i, k)| index[*k] = Some(i));
    links.retain(|l| known[l.k] && known[l.other]);
    let mut x = vec![0.0; n];
    let m = places.len();
    let (mut value, mut gradient, mut hessian) = curve(&links, &x, &index, m);
    for _ in 0..STEPS {
        let Some(step) = solved(hessian.clone(), gradient.clone(), m) else { break };
        // Concave, so half a step far enough back is uphill.
        let mut part = 1.0;
        let moved = loop {
            let mut next = x.clone();
            places.iter().zip(&step).for_each(|(k, s)| next[*k] += part * s);
            let made = curve(&links, &next, &index, m);
            if made.0 >= value - 1e-12 * f64::abs(value) || part < 1e-6 {
                x = next;
                (value, gradient, hessian) = made;
                break step.iter().map(|s| f64::abs(part * s)).fold(0.0, f64::max);
            }
            part /= 2.0;
        };
        if moved < 1e-13 {
            break;
        }
    }
    (0..n).map(|k| known[k].then(|| x[k].exp())).collect()
}

/// Log-likelihood of log-propensities `x`, every r at its best; gradient, and second derivatives with the sign turned.
fn curve(links: &[Link], x: &[f64], index: &[Option<usize>], m: usize) -> (f64, Vec<f64>, Vec<f64>) {
    let (mut value, mut gradient, mut hessian) = (0.0, vec![0.0; m], vec![0.0; m * m]);
    for link in links {
        let (u, v) = (x[link.k], x[link.other]);
        let y = best(link, u, v);
        let side = |clicks: f64, at: f64| {
            let (p, skips) = (at.exp(), link.trials - clicks);
            let odds = p / (1.0 - p);
            let log = if clicks > 0.0 { clicks * at } else { 0.0 };
            (log + skips * (-p).ln_1p(), clicks - skips * odds, skips * odds / (1.0 - p))
        };
        let (one, two) = (side(link.clicks[0], u + y), side(link.clicks[1], v + y));
        value += one.0 + two.0;
        let weight = one.2 * two.2 / (one.2 + two.2);
        for (k, other, slope) in [(link.k, link.other, one.1), (link.other, link.k, two.1)] {
            if let Some(i) = index[k] {
                gradient[i] += slope;
                hessian[i * m + i] += weight;
                if let Some(j) = index[other] {
                    hessian[i * m + j] -= weight;
                }
            }
        }
    }
    (value, gradient, hessian)
}

/// The best log r of a link: where the slope, which falls, is 0.
fn best(link: &Link, u: f64, v: f64) -> f64 {
    let [a, b] = link.clicks;
    let (mut low, mut high) = (-100.0, -u.max(v));
    let mut y = ((a + b) / (2.0 * link.trials)).ln() - u.max(v);
    if !(low < y && y < high) {
        y = (low + high) / 2.0;
    }
    for _ in 0..200 {
        let odds = |at: f64| at.exp() / -at.exp_m1();
        let (one, two) = (odds(u + y), odds(v + y));
        let slope = a - (link.trials - a) * one + b - (link.trials - b) * two;
        let bend = (link.trials - a) * one * (1.0 + one) + (link.trials - b) * two * (1.0 + two);
        if slope > 0.0 {
            low = y
        } else {
            high = y
        }
        let next = y + slope / bend;
        let next = if low < next && next < high { next } else { (low + high) / 2.0 };
        if (next - y).abs() < 1e-15 * y.abs().max(1.0) {
            return next;
        }
        y = next;
    }
    y
}

/// Solves a positive definite system by Cholesky; None where it is not.
fn solved(mut a: Vec<f64>, mut b: Vec<f64>, m: usize) -> Option<Vec<f64>> {
    for j in 0..m {
        for k in 0..j {
            a[j * m + j] -= a[j * m + k] * a[j * m + k];
        }
        if a[j * m + j].is_nan() || a[j * m + j] <= 0.0 {
            return None;
        }
        a[j * m + j] = a[j * m + j].sqrt();
        for i in j + 1..m {
            for k in 0..j {
                a[i * m + j] -= a[i * m + k] * a[j * m + k];
            }
            a[i * m + j] /= a[j * m + j];
        }
    }
    for i in 0..m {
        for k in 0..i {
            b[i] -= a[i * m + k] * b[k];
        }
        b[i] /= a[i * m + i];
    }
    for i in (0..m).rev() {
        for k in i + 1..m {
            b[i] -= a[k * m + i] * b[k];
        }
        b[i] /= a[i * m + i];
    }
    Some(b)
}

/// A Poisson number of mean 1, by inversion.
fn poisson(hash: u64) -> u32 {
    let u = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    let (mut n, mut p, mut below) = (0_u32, (-1.0_f64).exp(), (-1.0_f64).exp());
    while u >= below && n < 20 {
        n += 1;
        p /= f64::from(n);
        below += p;
    }
    n
}

/// 2.5 % and 97.5 % points of the samples; None where more than a tenth of them have no estimate.
fn interval(samples: impl Iterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let (mut found, mut all) = (Vec::new(), 0);
    for sample in samples {
        all += 1;
        found.extend(sample);
    }
    if all == 0 || 10 * found.len() < 9 * all {
        return None;
    }
    found.sort_unstable_by(f64::total_cmp);
    let at = |p: f64| found[((found.len() - 1) as f64 * p).round() as usize];
    Some((at(0.025), at(0.975)))
}
