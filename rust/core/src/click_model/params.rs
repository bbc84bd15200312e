//! What a model has learnt: shares of pairs, by bucket, and of positions.

use super::log::{Bucket, ClickLog};
use super::prior::{BELOW_ONE, Beta, LAPLACE, MOMENTS, Noted, fitted, note};

/// Of each pair of a bucket: hits in trials (a click of each examination, say), and what share that makes.
#[derive(Debug, Default, Clone)]
pub(super) struct Shares {
    pub(super) hits: Vec<f64>,
    pub(super) trials: Vec<f64>,
    pub(super) value: Vec<f64>,
}

impl Shares {
    pub(super) fn new(pairs: usize) -> Self {
        Self { hits: vec![0.0; pairs], trials: vec![0.0; pairs], value: vec![0.0; pairs] }
    }

    /// Values under a prior.
    pub(super) fn settle(&mut self, prior: Beta) {
        for (value, (hits, trials)) in self.value.iter_mut().zip(self.hits.iter().zip(&self.trials)) {
            *value = prior.mean(*hits, *trials);
        }
    }

    /// Sums for fitting a prior.
    pub(super) fn moments(&self) -> Vec<f64> {
        let mut sums = vec![0.0; MOMENTS];
        for (hits, trials) in self.hits.iter().zip(&self.trials) {
            note(&mut sums, Noted::known(*hits, *trials));
        }
        sums
    }
}

/// One kind of shares over all buckets, and their prior.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) buckets: Vec<Shares>,
    pub(super) prior: Beta,
}

impl Kind {
    /// Nothing learnt.
    pub(super) fn new(log: &ClickLog) -> Self {
        let shares = |b: &Bucket| Shares::new(b.docs.len());
        Self { buckets: log.buckets.iter().map(shares).collect(), prior: LAPLACE }
    }

    /// Nothing to be learnt.
    pub(super) fn none(log: &ClickLog) -> Self {
        Self { buckets: vec![Shares::default(); log.buckets.len()], prior: LAPLACE }
    }

    /// Fits the prior, unless it is given, and values with it.
    pub(super) fn settle(&mut self, prior: Option<Beta>) {
        self.prior = prior.unwrap_or_else(|| {
            fitted(&super::log::added(self.buckets.iter().map(Shares::moments).collect(), MOMENTS))
        });
        self.buckets.iter_mut().for_each(|b| b.settle(self.prior));
    }

    /// What is expected of a pair that was never seen.
    pub(super) fn unseen(&self) -> f64 {
        self.prior.mean(0.0, 0.0)
    }
}

/// Shares by position, or by position and previous click.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Places {
    /// Hits in trials of each place.
    pub hits: Vec<f64>,
    /// Trials.
    pub trials: Vec<f64>,
    /// The share.
    pub value: Vec<f64>,
}

impl Places {
    pub(super) fn new(n: usize) -> Self {
        Self { hits: vec![0.0; n], trials: vec![0.0; n], value: vec![LAPLACE.mean(0.0, 0.0); n] }
    }

    pub(super) fn settle(&mut self) {
        for (value, (hits, trials)) in self.value.iter_mut().zip(self.hits.iter().zip(&self.trials)) {
            *value = LAPLACE.mean(*hits, *trials).min(BELOW_ONE);
        }
    }

    /// The value at a place; that of one never seen is the last one's.
    #[inline]
    pub(super) fn at(&self, place: usize) -> f64 {
        self.value.get(place).or(self.value.last()).copied().unwrap_or(0.5)
    }
}

/// Place of a position and a previous click above it: positions from 1, previous clicks from 0 (none).
#[inline]
pub(super) fn place(position: u16, previous_click: u16) -> usize {
    let p = usize::from(position);
    p * p.saturating_sub(1) / 2 + usize::from(previous_click)
}
