//! In which order a query's negatives stand, and so which of them a cap keeps.

use crate::given::{Said, Saids};

use super::guard::Scored;
use super::{Order, SelectConfig};

/// What a model of the caller's says of one query's documents.
#[derive(Clone, Copy)]
pub(super) struct Marks<'a> {
    saids: Saids<'a>,
    least: f64,
}

impl<'a> Marks<'a> {
    /// Of a query's documents, with these positives.
    pub(super) fn new(saids: Saids<'a>, positives: &[u64]) -> Self {
        Self { saids, least: saids.least(positives) }
    }

    pub(super) fn of(&self, doc: u64) -> Scored {
        Scored { said: self.saids.doc(doc), least: self.least }
    }
}

/// What was counted of one document, as far as orders go by it.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) skip_weight: i64,
    /// As they may be shown.
    pub(super) examinations: f64,
    /// As it may be shown; NaN where it is not known.
    pub(super) p_relevant: f64,
}

impl Counted {
    /// The weight of a document in the draw: harder ones are shown more, and looked at more; what they told says how sure it is
    /// that they are negatives. benches/quality/README.md has what either is worth.
    fn examined(self) -> f64 {
        let surely = if self.p_relevant.is_nan() { 1.0 } else { self.p_relevant.max(LEAST_P) };
        self.examinations.max(LEAST_EXAMINATIONS) / surely
    }
}

/// Where a document stands among its query's: the smaller, the sooner. `hash` decides where the order goes by what is not known:
/// a score, or, of what was never shown, what was counted.
pub(super) fn place(config: &SelectConfig, of: Scored, hash: u64, counted: Option<Counted>) -> i128 {
    let by = match (config.order, counted) {
        (Order::Random, _) | (Order::SkipWeight | Order::Examined, None) => return i128::from(hash),
        (Order::SkipWeight, Some(counted)) => return -i128::from(counted.skip_weight),
        (Order::Examined, Some(counted)) => waiting(hash).ln() - counted.examined().ln(),
        (Order::Score, _) => -of.said.score,
        (Order::Ambiguous, _) => ambiguous(config, of, hash),
    };
    match by.is_nan() {
        true => UNSCORED + i128::from(hash),
        false => i128::from(ascending(by)),
    }
}

/// Behind every score.
const UNSCORED: i128 = 1 << 64;

/// Under k-users fewer than k are shown as none: they are drawn all the same.
const LEAST_EXAMINATIONS: f64 = 0.1;
/// Nothing is so sure that it alone is drawn.
const LEAST_P: f64 = 0.001;

/// An exponential waiting time of rate 1. Of times with some rates the smallest come first: that is sampling without replacement
/// with these rates for weights (Efraimidis & Spirakis 2006). Orders are of their logarithms.
fn waiting(hash: u64) -> f64 {
    let uniform = (hash as f64 + 0.5) / 2_f64.powi(64);
    // The largest hashes round to one.
    -uniform.min(1.0 - f64::EPSILON / 2.0).ln()
}

/// Weights exp(-a (s - s⁺ - b)²) (Zhou et al. 2022, SimANS, EMNLP, equation 6).
fn ambiguous(config: &SelectConfig, of: Scored, hash: u64) -> f64 {
    let Said { score, .. } = of.said;
    let away = score - of.least - config.ambiguous_b;
    waiting(hash).ln() + config.ambiguous_a * away * away
}

/// A whole number that is less where the float is.
fn ascending(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits(); // -0 becomes 0
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::ascending;

    #[test]
    fn whole_numbers_are_ordered_like_floats() {
        let all = [f64::NEG_INFINITY, -1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 7.0, 1e300, f64::INFINITY];
        assert!(all.is_sorted_by_key(|x| ascending(*x)));
        assert_eq!(ascending(-0.0), ascending(0.0));
    }
}
