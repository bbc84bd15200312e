//! Beta priors, fitted to the data, and what a posterior says of a share: empirical Bayes.

use serde::{Deserialize, Serialize};
use statrs::function::beta::{beta_reg, inv_beta_reg};

/// A Beta distribution, as prior hits and misses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
const WORTH: std::ops::RangeInclusive<f64> = 0.1..=1e6;

impl Beta {
    /// Posterior mean after `hits` in `trials`.
    #[inline]
    pub fn mean(&self, hits: f64, trials: f64) -> f64 {
        ((self.hits + hits) / (self.hits + self.misses + trials)).min(BELOW_ONE)
    }

    /// What the posterior after `hits` in `trials` lies below with probability `p`.
    pub fn quantile(&self, hits: f64, trials: f64, p: f64) -> f64 {
        quantile(self.hits + hits, self.misses + (trials - hits).max(0.0), p)
    }

    /// Fitted to pairs, of each its hits, Σ e and Σ e² of its trials: see [`fitted`].
    pub fn fitted_to(pairs: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let mut sums = [0.0; MOMENTS];
        for (hits, trials, squares) in pairs {
            note(&mut sums, Noted { hits, variance: 0.0, trials, squares });
        }
        fitted(&sums)
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
    // To neighbouring doubles: with few hits a quantile can be far below what a fixed number of halvings reaches.
    loop {
        let middle: f64 = (low + high) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if beta_reg(a, b, middle) < p { low = middle } else { high = middle }
    }
}

/// Sums from which a Beta prior is fitted.
pub(super) const MOMENTS: usize = 3;

/// What is known of a pair's share before it is shrunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    /// Hits, or the number expected.
    pub(super) hits: f64,
    /// Variance of the number of hits where it is only expected; 0 where it is known.
    pub(super) variance: f64,
    /// Trials, or the number expected before their outcome is known: Σ e.
    pub(super) trials: f64,
    /// Σ e² over the same trials, each with chance e to have taken place; the same as `trials` where all did.
    pub(super) squares: f64,
}

impl Noted {
    /// Hits in trials, both known.
    pub(super) fn known(hits: f64, trials: f64) -> Self {
        Self { hits, variance: 0.0, trials, squares: trials }
    }
}

/// A pair with n expected trials weighs n / (n + this) in the prior: more trials say more, but by n alone the prior would be that
/// of the few documents that were shown most, and best.
const EVEN: f64 = 10.0;

/// Adds a pair to the sums.
#[inline]
pub(super) fn note(sums: &mut [f64], pair: Noted) {
    let n = pair.trials;
    if n > 0.0 {
        let w_n2 = 1.0 / ((n + EVEN) * n);
        let apart = n * n - pair.squares;
        sums[0] += w_n2 * apart;
        sums[1] += w_n2 * apart * pair.hits / n;
        sums[2] += w_n2 * (pair.hits * (pair.hits - 1.0) + pair.variance);
    }
}

/// The Beta distribution with the mean and the spread of the shares.
///
/// Of two trials of one pair, with chances e and e′ to have taken place, both are hits with probability e e′ a². So
/// hits (hits − 1) / ((Σ e)² − Σ e²) is an unbiased estimate of a², and hits / Σ e of a; weighted means of both over the pairs
/// give mean and variance, whatever chance adds to the rates, and whether or not documents shown more often are better (the
/// factorial moments of the beta-binomial distribution: Skellam 1948).
///
/// Laplace's where there is nothing to fit it to.
pub(super) fn fitted(sums: &[f64]) -> Beta {
    let [weight, rates, squares] = sums[..MOMENTS] else { return LAPLACE };
    let mean = rates / weight;
    if !(mean > 0.0 && mean < 1.0) {
        return LAPLACE;
    }
    let variance = (squares / weight - mean * mean).max(0.0);
    let worth = (mean * (1.0 - mean) / variance - 1.0).clamp(*WORTH.start(), *WORTH.end());
    Beta { hits: mean * worth, misses: (1.0 - mean) * worth }
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
            note(&mut sums, Noted::known(if i % 2 == 0 { 1e5 } else { 5e5 }, 1e6));
        }
        let beta = fitted(&sums);
        assert!((beta.hits / (beta.hits + beta.misses) - 0.3).abs() < 1e-9);
        assert!((beta.hits + beta.misses - (0.3 * 0.7 / 0.04 - 1.0)).abs() < 1e-2);
        assert_eq!(fitted(&[0.0; MOMENTS]), LAPLACE);
    }
}
