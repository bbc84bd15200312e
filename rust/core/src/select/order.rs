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

/// Where a document stands among its query's: the smaller, the sooner. `hash` decides where the order does not look at scores, and
/// among documents without.
pub(super) fn place(config: &SelectConfig, of: Scored, hash: u64, skip_weight: i64) -> i128 {
    let by = match config.order {
        Order::Random => return i128::from(hash),
        Order::SkipWeight => return -i128::from(skip_weight),
        Order::Score => -of.said.score,
        Order::Ambiguous => ambiguous(config, of, hash),
    };
    match by.is_nan() {
        true => UNSCORED + i128::from(hash),
        false => i128::from(ascending(by)),
    }
}

/// Behind every score.
const UNSCORED: i128 = 1 << 64;

/// Sampling without replacement by weights exp(-a (s - s⁺ - b)²) (Zhou et al. 2022, SimANS, EMNLP, equation 6): the smallest of
/// exponential waiting times with these rates come first (Efraimidis & Spirakis 2006), here as their logarithms.
fn ambiguous(config: &SelectConfig, of: Scored, hash: u64) -> f64 {
    let Said { score, .. } = of.said;
    let uniform = (hash as f64 + 0.5) / 2_f64.powi(64);
    let away = score - of.least - config.ambiguous_b;
    // The largest hashes round to one.
    (-uniform.min(1.0 - f64::EPSILON / 2.0).ln()).ln() + config.ambiguous_a * away * away
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
