//! What each limit of P(relevant) would yield: how many negatives, how many of them wrong, for how many queries.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::SelectConfig;
use super::place::Stand;

/// Limits, from a thousandth to one in equal steps of the logarithm.
const POINTS: usize = 61;

/// In whole numbers of 2^-28: up to 30 million relevant negatives sums are then exact, and the same in any order and of any
/// parts.
fn whole(x: f64) -> f64 {
    const UNIT: f64 = 1.0 / (1_u64 << 28) as f64;
    (x / UNIT).round() * UNIT
}

fn limit(point: usize) -> f64 {
    1e-3_f64.powf(1.0 - point as f64 / (POINTS - 1) as f64)
}

/// What one limit yields, of each query's negatives the first in the order that they are kept in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Yield {
    /// Negatives are relevant with at most this probability.
    pub limit: f64,
    /// Negatives.
    pub negatives: f64,
    /// Those of them that are expected to be relevant.
    pub relevant: f64,
    /// The variance of their number, were every probability right and none depend on another.
    pub variance: f64,
    /// Queries with at least one negative …
    pub queries: u64,
    /// … at least four …
    pub queries_4: u64,
    /// … and as many as are kept.
    pub queries_full: u64,
    /// Searches of queries with at least four.
    pub searches_4: u64,
}

impl Yield {
    /// Share of the negatives to expect relevant.
    pub fn false_negatives(&self) -> f64 {
        if self.negatives > 0.0 { self.relevant / self.negatives } else { 0.0 }
    }
}

/// The whole curve, by ascending limit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Yields {
    /// Empty where P(relevant) is not known.
    pub points: Vec<Yield>,
    /// Searches of all queries with a positive.
    pub searches: u64,
}

impl Yields {
    /// Takes in a query: P(relevant) of its documents that passed all other guards, and where each stands in their order.
    pub(super) fn query(&mut self, passed: &mut [(f64, Stand)], searches: u64, config: &SelectConfig) {
        if self.points.is_empty() {
            self.points = (0..POINTS).map(|i| Yield { limit: limit(i), ..Yield::default() }).collect();
        }
        self.searches += searches;
        passed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let most = config.hard_negatives();
        let mut rest = passed.iter().peekable();
        // Those that are kept so far; the last of them makes room.
        let mut kept: BinaryHeap<(Stand, u64)> = BinaryHeap::new();
        let (mut relevant, mut variance) = (0.0, 0.0);
        for point in &mut self.points {
            let mut more = false;
            while let Some((p, stand)) = rest.next_if(|(p, _)| *p <= point.limit) {
                kept.push((*stand, p.to_bits()));
                more = true;
                if kept.len() > most {
                    kept.pop();
                }
            }
            if more {
                let p = || kept.iter().map(|(_, bits)| f64::from_bits(*bits));
                relevant = whole(p().sum());
                variance = whole(p().map(|p| p * (1.0 - p)).sum());
            }
            let n = kept.len();
            point.negatives += n as f64;
            point.relevant += relevant;
            point.variance += variance;
            point.queries += u64::from(n >= 1);
            point.queries_4 += u64::from(n >= 4);
            point.queries_full += u64::from(n > 0 && n == most);
            point.searches_4 += if n >= 4 { searches } else { 0 };
        }
    }

    /// Takes in what other queries yield.
    pub(crate) fn add(&mut self, other: Self) {
        self.searches += other.searches;
        if self.points.is_empty() {
            self.points = other.points;
            return;
        }
        for (to, from) in self.points.iter_mut().zip(other.points) {
            to.negatives += from.negatives;
            to.relevant += from.relevant;
            to.variance += from.variance;
            to.queries += from.queries;
            to.queries_4 += from.queries_4;
            to.queries_full += from.queries_full;
            to.searches_4 += from.searches_4;
        }
    }

    /// The highest limit whose negatives are expected to be relevant in at most this share.
    pub(crate) fn limit_for(&self, share: f64) -> f64 {
        let met = self.points.iter().rev().find(|p| p.negatives > 0.0 && p.false_negatives() <= share);
        met.map_or(0.0, |p| p.limit)
    }
}
