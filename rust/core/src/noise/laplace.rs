//! The discrete Laplace law, sampled exactly.
//!
//! Canonne, Kamath & Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020, Algorithms 1 and 2, for a
//! whole scale.

use super::random::Random;
use crate::error::{Error, Result};

/// Larger scales could overflow sums.
const LARGEST: u64 = 1 << 40;

/// P(z) proportional to exp(-|z| / scale).
#[derive(Debug, Clone, Copy)]
pub struct DiscreteLaplace {
    scale: u64,
}

impl DiscreteLaplace {
    /// Of a scale in whole units.
    ///
    /// # Errors
    /// [`Error::usage`] for 0, which would be no noise at all, and beyond 2^40.
    pub fn new(scale: u64) -> Result<Self> {
        if scale == 0 || scale > LARGEST {
            return Err(Error::usage(format!("scale is {scale}; it must be from 1 to 2^40")));
        }
        Ok(Self { scale })
    }

    /// One sample.
    pub fn sample(&self, random: &mut Random) -> i64 {
        loop {
            // Of a geometric law with ratio exp(-1/scale): what is left of whole scales, then whole scales.
            let rest = random.below(self.scale);
            if !exp_minus(rest, self.scale, random) {
                continue;
            }
            let mut scales = 0;
            while exp_minus(1, 1, random) {
                scales += 1;
            }
            let size = (rest + self.scale * scales) as i64;
            let negative = random.coin();
            // Zero would come up twice as often as it should.
            if size != 0 || !negative {
                return if negative { -size } else { size };
            }
        }
    }
}

/// True with probability exp(-n/d) for n <= d: the first k at which a trial of probability n/(d·k) fails is odd.
fn exp_minus(n: u64, d: u64, random: &mut Random) -> bool {
    let mut k = 1;
    while random.below(d * k) < n {
        k += 1;
    }
    k % 2 == 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    /// Every whole number within five scales within five standard errors of its exact mass: a false alarm in some 20,000 runs.
    #[test]
    fn it_has_the_law_that_is_stated() {
        let n = 400_000;
        for scale in [1_u64, 3] {
            let (mut random, law) = (Random::fresh().unwrap(), DiscreteLaplace::new(scale).unwrap());
            let bound = 5 * scale as i64;
            let mut seen = vec![0_u32; 2 * bound as usize + 1];
            for _ in 0..n {
                let v = law.sample(&mut random);
                if v.abs() <= bound {
                    seen[(v + bound) as usize] += 1;
                }
            }
            let ratio = (-1.0 / scale as f64).exp();
            for (i, seen) in seen.iter().enumerate() {
                let p = (1.0 - ratio) / (1.0 + ratio) * ratio.powi((i as i64 - bound).abs() as i32);
                let (mean, sd) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
                assert!(
                    (f64::from(*seen) - mean).abs() < 5.0 * sd,
                    "scale {scale} at {i}: {seen} for {mean}"
                );
            }
        }
    }
}
