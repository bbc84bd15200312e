//! Propensities that a log itself brings, one for each impression, as sums by position: whole numbers, so the same for any
//! order of rows, and exact in merged parts.

use serde::{Deserialize, Serialize};

use crate::impressions::Impressions;

/// A probability of 1.
const ONE: f64 = (1_u64 << 30) as f64;

/// Of one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    rows: u64,
    /// In parts of 2^-30, as the others.
    sum: u64,
    least: u64,
    most: u64,
}

impl Sum {
    const NONE: Self = Self { rows: 0, sum: 0, least: u64::MAX, most: 0 };

    fn add(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.sum = self.sum.saturating_add(other.sum);
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }
}

/// Logged propensities by position.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logged(Vec<Sum>);

impl Logged {
    /// Whether the log brought none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of the rows of a batch that stay; returns how many cannot be: not above 0, or above 1.
    pub(crate) fn batch(&mut self, log: &Impressions) -> u64 {
        let (Some(propensity), Some(position)) = (&log.propensity, &log.position) else { return 0 };
        let mut bad = 0;
        for (i, (p, position)) in propensity.iter().zip(position).enumerate() {
            if !log.keep[i] || p.is_nan() {
                continue;
            }
            let parts = (p * ONE).round();
            if !(1.0..=ONE).contains(&parts) {
                bad += 1;
            } else if *position > 0 {
                let parts = parts as u64;
                self.at(*position).add(&Sum { rows: 1, sum: parts, least: parts, most: parts });
            }
        }
        bad
    }

    /// Adds those of another part.
    pub(crate) fn add(&mut self, other: &Self) {
        for (position, sum) in other.0.iter().enumerate() {
            self.at(position as u16).add(sum);
        }
    }

    /// The mean at a position; None where the log has none.
    pub fn mean(&self, position: u16) -> Option<f64> {
        let sum = self.0.get(usize::from(position)).filter(|sum| sum.rows > 0)?;
        Some(sum.sum as f64 / sum.rows as f64 / ONE)
    }

    /// Whether a position has propensities of its own that differ: by more than a hundredth.
    pub fn vary(&self) -> bool {
        self.0.iter().any(|sum| sum.rows > 0 && (sum.most - sum.least) as f64 > 0.01 * ONE)
    }

    /// Whether this can be: what a file holds.
    pub(crate) fn sound(&self) -> bool {
        let one = ONE as u64;
        let of = |s: &Sum| {
            let within =
                s.rows < 1 << 48 && (1..=one).contains(&s.least) && s.least <= s.most && s.most <= one;
            // Sums stop at what 64 bits hold.
            let all = |each: u64| (u128::from(s.rows) * u128::from(each)).min(u128::from(u64::MAX));
            let mean = || (all(s.least)..=all(s.most)).contains(&u128::from(s.sum));
            *s == Sum::NONE || (s.rows > 0 && within && mean())
        };
        self.0.len() <= 1 << 16 && self.0.iter().all(of)
    }

    fn at(&mut self, position: u16) -> &mut Sum {
        let position = usize::from(position);
        if self.0.len() <= position {
            self.0.resize(position + 1, Sum::NONE);
        }
        &mut self.0[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_no_rows_have_are_not_sound() {
        let of = |rows, sum, least, most| Logged(vec![Sum::NONE, Sum { rows, sum, least, most }]).sound();
        assert!(of(3, 60, 10, 30) && of(3, 30, 10, 10) && of(3, 90, 10, 30));
        assert!(!of(3, 29, 10, 30) && !of(3, 91, 10, 30));
        let one = ONE as u64;
        assert!(of(1 << 40, u64::MAX, one, one), "sums stop at what 64 bits hold");
        assert!(!of(1 << 40, 1 << 50, one, one));
    }
}
