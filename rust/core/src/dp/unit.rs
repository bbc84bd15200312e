//! Vectors of at most unit length in whole numbers.
//!
//! The unit is 2^20. Scaling rounds down, so a norm never exceeds it; sums of squares of whole numbers do not depend on the
//! order of the items, which sums of floats do: there a new user who changes the order in which another's items are numbered
//! could change that other's vector as well.

/// One, on the grid.
pub const UNIT: u64 = 1 << 20;

/// What a vector is divided by to have unit length; shorter ones may be left as they are.
#[derive(Debug, Clone, Copy)]
pub struct Scale(u128);

impl Scale {
    /// For weights whose squares sum to `squares`; None for a vector of zeros.
    ///
    /// With R = ⌈√(squares · 2^40)⌉, which is at least 2^20 times the norm, each weight w becomes ⌊w · 2^40 / R⌋, and
    /// Σ ⌊w · 2^40 / R⌋² <= squares · 2^80 / R² <= 2^40 = UNIT².
    pub fn to_unit(squares: u128) -> Option<Self> {
        (squares > 0).then(|| Self(ceil_sqrt(squares << 40)))
    }

    /// The same for a vector longer than `length`; a shorter one is divided as one of `length` is, so that it stays short.
    pub fn clip(squares: u128, length: u64) -> Self {
        let least = u128::from(length.max(1)) * u128::from(UNIT);
        Self(ceil_sqrt(squares << 40).max(least))
    }

    /// Weights that sum to `sum`, so that their sum is at most the unit: each becomes ⌊w · 2^20 / max(sum, length)⌋.
    pub fn clip_sum(sum: u128, length: u64) -> Self {
        Self(sum.max(u128::from(length.max(1))) << 20)
    }

    /// A weight, scaled.
    #[inline]
    pub fn of(self, weight: u64) -> i64 {
        ((u128::from(weight) << 40) / self.0) as i64
    }
}

fn ceil_sqrt(n: u128) -> u128 {
    let root = n.isqrt();
    root + u128::from(root * root < n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn norm2(scale: Scale, weights: &[u64]) -> u128 {
        weights.iter().map(|w| scale.of(*w).unsigned_abs() as u128).map(|v| v * v).sum()
    }

    proptest! {
        #[test]
        fn no_vector_is_longer_than_one(weights in proptest::collection::vec(0_u64..1 << 40, 1..60), length in 1_u64..1 << 42) {
            let squares = weights.iter().map(|w| u128::from(*w) * u128::from(*w)).sum();
            let unit = u128::from(UNIT) * u128::from(UNIT);
            let clipped = norm2(Scale::clip(squares, length), &weights);
            prop_assert!(clipped <= unit);
            let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
            let scale = Scale::clip_sum(sum, length);
            let scaled: u128 = weights.iter().map(|w| scale.of(*w).unsigned_abs() as u128).sum();
            prop_assert!(scaled <= u128::from(UNIT) && scaled + weights.len() as u128 >= u128::from(UNIT) * sum / sum.max(u128::from(length)));
            if let Some(scale) = Scale::to_unit(squares) {
                let long = norm2(scale, &weights);
                prop_assert!(long <= unit && clipped <= long);
                // Rounding takes at most one from each item.
                let slack = 2 * u128::from(UNIT) * weights.len() as u128 + 1;
                prop_assert!(long + slack >= unit);
            }
        }
    }

    #[test]
    fn a_vector_of_zeros_has_no_scale() {
        assert!(Scale::to_unit(0).is_none());
        assert_eq!(Scale::clip(0, 5).of(0), 0);
    }
}
