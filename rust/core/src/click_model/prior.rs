//! Beta priors, fitted to the data, and what a posterior says of a share: empirical Bayes.

use serde::Serialize;
use statrs::function::beta::{beta_reg, inv_beta_reg};

/// A Beta distribution, as prior hits and misses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Beta {
    /// Prior hits.
    pub hits: f64,
    /// Prior misses.
    pub misses: f64,
}

/// Laplace's: one hit in two trials.
pub(super) const LAPLACE: Beta = Beta { hits: 1.0, misses: 1.0 };

/// No probability is nearer to 0 or 1 than this, so that what a model says is impossible is only very unlikely.
pub(super) const FLOOR: f64 = 1e-6;

/// The largest share.
pub(super) const BELOW_ONE: f64 = 1.0 - FLOOR;

/// What a prior may be worth in trials.
const STRENGTH: std::ops::RangeInclusive<f64> = 0.1..=1e6;

impl Beta {
    /// Posterior mean after `hits` in `trials`.
    #[inline]
    pub fn mean(&self, hits: f64, trials: f64) -> f64 {
        ((self.hits + hits) / (self.hits + self.misses + trials)).min(BELOW_ONE)
    }

    /// Equal-tailed interval that the posterior after `hits` in `trials` gives 95 %.
    pub fn interval(&self, hits: f64, trials: f64) -> (f64, f64) {
        let (a, b) = (self.hits + hits, self.misses + (trials - hits).max(0.0));
        (quantile(a, b, 0.025), quantile(a, b, 0.975))
    }
}

/// Quantile of a Beta distribution: the library's, then bisected where it is off.
fn quantile(a: f64, b: f64, p: f64) -> f64 {
    let x = inv_beta_reg(a, b, p);
    if x.is_finite() && (0.0..=1.0).contains(&x) && (beta_reg(a, b, x) - p).abs() < 1e-9 {
        return x;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle: f64 = (low + high) / 2.0;
        if beta_reg(a, b, middle) < p { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Sums from which a Beta prior is fitted.
pub(super) const MOMENTS: usize = 5;

/// Adds a pair with `hits` in `trials` to the sums.
#[inline]
pub(super) fn note(sums: &mut [f64], hits: f64, trials: f64) {
    if trials > 0.0 {
        sums[0] += 1.0;
        sums[1] += trials;
        sums[2] += hits;
        sums[3] += hits * hits / trials;
        sums[4] += trials * trials;
    }
}

/// The Beta distribution that shares of this mean and spread come from, by moments (Kleinman 1973, weights n): with
/// p = Σ hits / Σ n and S = Σ n (hits/n − p)², E S = p (1 − p) ((1 − ρ)(m − 1) + ρ (N − Σ n²/N)), of which ρ is the share of
/// the spread that chance does not explain, and 1/ρ − 1 what the prior is worth in trials.
///
/// Laplace's where there is nothing to fit it to.
pub(super) fn fitted(sums: &[f64]) -> Beta {
    let [pairs, trials, hits, squares, weights] = sums[..MOMENTS] else { return LAPLACE };
    let p = hits / trials;
    if !(p > 0.0 && p < 1.0) || pairs < 2.0 {
        return LAPLACE;
    }
    let chance = pairs - 1.0;
    let between = trials - weights / trials;
    if between <= chance {
        return LAPLACE;
    }
    let spread = (squares - p * hits) / (p * (1.0 - p));
    let rho = ((spread - chance) / (between - chance)).clamp(0.0, 1.0);
    let strength = (1.0 / rho - 1.0).clamp(*STRENGTH.start(), *STRENGTH.end());
    Beta { hits: p * strength, misses: (1.0 - p) * strength }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_quantiles() {
        for (a, b) in
            [(1.0, 1.0), (0.05, 0.3), (0.4, 12.0), (3.0, 2.0), (250.0, 1e4), (1e5, 2e5), (0.02, 5e3)]
        {
            for p in [0.025, 0.975] {
                let x = quantile(a, b, p);
                assert!((beta_reg(a, b, x) - p).abs() < 1e-7, "Beta({a}, {b}) at {x}");
            }
        }
        let uniform = LAPLACE.interval(0.0, 0.0);
        assert!((uniform.0 - 0.025).abs() < 1e-9 && (uniform.1 - 0.975).abs() < 1e-9);
    }

    #[test]
    fn a_prior_is_found_again() {
        // Shares 0.1 and 0.5 half and half, without chance: mean 0.3, variance 0.04 = 0.3 · 0.7 / (s + 1).
        let mut sums = [0.0; MOMENTS];
        for i in 0..10_000 {
            note(&mut sums, if i % 2 == 0 { 1e5 } else { 5e5 }, 1e6);
        }
        let beta = fitted(&sums);
        assert!((beta.hits / (beta.hits + beta.misses) - 0.3).abs() < 1e-9);
        assert!((beta.hits + beta.misses - (0.3 * 0.7 / 0.04 - 1.0)).abs() < 1e-2);
        assert_eq!(fitted(&[0.0; MOMENTS]), LAPLACE);
    }
}
