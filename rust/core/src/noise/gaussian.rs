//! The Gaussian rounded to whole numbers, sampled exactly.
//!
//! Karney, "Sampling exactly from the normal distribution", ACM Trans. Math. Softw. 42(1), 2016, Algorithm N: the normal
//! deviate is ±(k + x) with k whole and x between 0 and 1, chosen by comparing uniform numbers digit by digit. Rounding
//! asks for digits of x until the nearest whole number is certain. For a whole number y, y + round(Z) = round(y + Z): so a
//! release of rounded noise is a release of real Gaussian noise that was rounded afterwards, and Gaussian accounting holds
//! as it stands. (The discrete Gaussian of Canonne et al. 2020 is another law, with accounting of its own.)

use super::random::{Random, Uniform};
use crate::error::{Error, Result};

/// σ larger than this could overflow sums; on a grid of 2^20 it is noise of a million users.
const LARGEST: u64 = 1 << 40;

/// ⌊σN + ½⌋ for a standard normal N.
#[derive(Debug, Clone, Copy)]
pub struct RoundedGaussian {
    sigma: u64,
}

impl RoundedGaussian {
    /// With standard deviation `sigma` before rounding.
    ///
    /// # Errors
    /// [`Error::usage`] for 0, which would be no noise at all, and beyond 2^40.
    pub fn new(sigma: u64) -> Result<Self> {
        if sigma == 0 || sigma > LARGEST {
            return Err(Error::usage(format!("sigma is {sigma}; it must be from 1 to 2^40")));
        }
        Ok(Self { sigma })
    }

    /// One sample.
    #[inline]
    pub fn sample(&self, random: &mut Random) -> i64 {
        let (k, mut x) = half_normal(random);
        let size = self.rounded(k, &mut x, random);
        // The law is symmetric, and a tie between two whole numbers has probability 0.
        if random.coin() { size } else { -size }
    }

    /// ⌊σ(k + x) + ½⌋, with as many digits of x as that takes.
    ///
    /// With n binary digits d known, in units of 2^-(n+1): w = 2σ(k·2^n + d) + 2^n, and what is not known adds less than 2σ.
    /// Once n is so large that this is less than one, the answer is ⌊w⌋ or the next. `gap` is what w misses to the next whole
    /// number; more digits take from it or settle that it stays.
    #[inline]
    fn rounded(&self, k: u32, x: &mut Uniform, random: &mut Random) -> i64 {
        let mut first = u64::from(x.digits(0, random));
        let (mut n, mut i) = (32, 1);
        if self.sigma >= 1 << 31 {
            first = first << 32 | u64::from(x.digits(1, random));
            (n, i) = (64, 2);
        }
        let (one, open) = (1_u128 << (n + 1), 2 * u128::from(self.sigma));
        let known = open * (u128::from(k) << n | u128::from(first)) + one / 2;
        let whole = (known >> (n + 1)) as i64;
        let mut gap = one - (known & (one - 1));
        while gap < open {
            let taken = open * u128::from(x.digits(i, random));
            gap <<= 32;
            if taken >= gap {
                return whole + 1;
            }
            gap -= taken;
            i += 1;
        }
        whole
    }
}

/// |N| as k + x: k with probability proportional to exp(-k²/2), then x accepted with exp(-x(2k + x)/2).
#[inline]
fn half_normal(random: &mut Random) -> (u32, Uniform) {
    loop {
        let mut k = 0;
        while exp_minus_half(random) {
            k += 1;
        }
        // exp(-k/2), times exp(-1/2) for each of k(k - 1) further trials.
        if k >= 2 && !(0..k * (k - 1)).all(|_| exp_minus_half(random)) {
            continue;
        }
        let mut x = Uniform::draw(random);
        if (0..=k).all(|_| accepted(k, &mut x, random)) {
            return (k, x);
        }
    }
}

/// True with probability exp(-1/2): how long ½ > u₁ > u₂ > … goes on is even with that (von Neumann 1951).
#[inline]
fn exp_minus_half(random: &mut Random) -> bool {
    let mut last = random.bits();
    if last >> 31 == 1 {
        return true;
    }
    let mut even = false;
    loop {
        let next = random.bits();
        if next == last {
            let mut next = Uniform::known(next);
            let falls = next.below(&mut Uniform::known(last), random);
            return descent(falls, next, even, random, |_| true);
        }
        if next > last {
            return even;
        }
        (last, even) = (next, !even);
    }
}

/// True with probability exp(-x(2k + x)/(2k + 2)): as above from x, each step with probability (2k + x)/(2k + 2) besides.
#[inline]
fn accepted(k: u32, x: &mut Uniform, random: &mut Random) -> bool {
    let (mut last, mut even, mut from_x) = (x.first(), true, true);
    loop {
        let next = random.bits();
        if next == last {
            let mut next = Uniform::known(next);
            let falls =
                if from_x { next.below(x, random) } else { next.below(&mut Uniform::known(last), random) };
            return descent(falls, next, even, random, |random| goes_on(k, x, random));
        }
        if next > last || !goes_on(k, x, random) {
            return even;
        }
        (last, even, from_x) = (next, !even, false);
    }
}

/// How a descent ends in which two numbers in a row began with the same 32 digits, as happens once in 2^32 steps: `falls` is
/// whether the second, `last`, was below the first after all.
#[cold]
fn descent(
    mut falls: bool,
    mut last: Uniform,
    mut even: bool,
    random: &mut Random,
    mut goes_on: impl FnMut(&mut Random) -> bool,
) -> bool {
    while falls && goes_on(random) {
        let mut next = Uniform::draw(random);
        falls = next.below(&mut last, random);
        (last, even) = (next, !even);
    }
    even
}

/// True with probability (2k + x)/(2k + 2).
#[inline]
fn goes_on(k: u32, x: &mut Uniform, random: &mut Random) -> bool {
    let side = random.below_short(2 * k + 2);
    match side.cmp(&(2 * k)) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => Uniform::draw(random).below(x, random),
        std::cmp::Ordering::Greater => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    /// Φ by the series of Marsaglia 2004, good to the last digits of a double for |z| < 6.
    fn phi(z: f64) -> f64 {
        let (mut sum, mut term, mut i) = (z, z, 1.0);
        while term.abs() > 1e-18 {
            i += 2.0;
            term *= z * z / i;
            sum += term;
        }
        0.5 + sum * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    /// Pearson's χ² against the exact mass of each whole number; a false alarm once in a million runs (the 1 - 10⁻⁶ point by
    /// Wilson and Hilferty's approximation).
    fn fits(sigma: u64, n: usize) {
        let (mut random, law) = (Random::fresh().unwrap(), RoundedGaussian::new(sigma).unwrap());
        let bound = 4 * sigma as i64;
        let step = (sigma as i64 / 4).max(1);
        let cells = (2 * bound / step + 2) as usize;
        let mut seen = vec![0_u64; cells];
        for _ in 0..n {
            let v = law.sample(&mut random).clamp(-bound - 1, bound);
            seen[((v + bound + 1) + step - 1).div_euclid(step) as usize] += 1;
        }
        let edge = |i: usize| (i as i64 * step - bound - 1) as f64 + 0.5;
        let mut chi2 = 0.0;
        let mut total = 0.0;
        for (i, seen) in seen.iter().enumerate() {
            let upper = if i + 1 == cells { 1.0 } else { phi(edge(i) / sigma as f64) };
            let lower = if i == 0 { 0.0 } else { phi(edge(i - 1) / sigma as f64) };
            let expected = n as f64 * (upper - lower);
            total += expected;
            chi2 += (*seen as f64 - expected).powi(2) / expected;
        }
        assert!((total - n as f64).abs() < 1e-6 * n as f64);
        let d = (cells - 1) as f64;
        let limit = d * (1.0 - 2.0 / (9.0 * d) + 4.75 * (2.0 / (9.0 * d)).sqrt()).powi(3);
        assert!(chi2 < limit, "chi2 {chi2} of {d} degrees for sigma {sigma}, limit {limit}");
    }

    #[test]
    fn it_has_the_law_that_is_stated() {
        fits(1, 200_000);
        fits(3, 200_000);
        fits(5_000_003, 200_000);
    }

    #[test]
    fn digits_are_asked_for_until_the_whole_number_is_certain() {
        // Whatever digits follow those that are certain, the answer is that of long arithmetic over all of them.
        let mut random = Random::fresh().unwrap();
        for sigma in [1, 2, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40] {
            let law = RoundedGaussian::new(sigma).unwrap();
            for _ in 0..2_000 {
                let (k, mut x) = half_normal(&mut random);
                let got = law.rounded(k, &mut x, &mut random);
                let digits = u64::from(x.digits(0, &mut random)) << 32 | u64::from(x.digits(1, &mut random));
                let w = u128::from(sigma) * u128::from(digits) + (1 << 63);
                let exact = i64::try_from(w >> 64).unwrap() + i64::from(k) * sigma as i64;
                assert!(got == exact || got == exact + 1, "sigma {sigma}: {got} for {exact}");
                // What further digits add is less than sigma in these units.
                if (w as u64) < u64::MAX - sigma {
                    assert_eq!(got, exact);
                }
            }
        }
    }

    #[test]
    fn numbers_that_begin_alike_are_told_apart_by_later_digits() {
        let mut random = Random::fresh().unwrap();
        let n = 4_000_i64;
        let below = (0..n).filter(|_| Uniform::known(7).below(&mut Uniform::known(7), &mut random)).count();
        // Half of them, within 5 standard deviations: a false alarm once in 1.7 million runs.
        assert!((2 * below as i64 - n).pow(2) < 25 * n, "{below} of {n}");
        // Next to nothing is below the least number, next to everything below the greatest.
        for even in [false, true] {
            assert_eq!(descent(false, Uniform::known(0), even, &mut random, |_| true), even);
            assert_eq!(descent(true, Uniform::known(9), even, &mut random, |_| false), even);
            assert_eq!(descent(true, Uniform::known(0), even, &mut random, |_| true), !even);
        }
        // From u a descent of length m has probability u^m / m!: it is even with probability exp(-u).
        let hits =
            (0..n).filter(|_| descent(true, Uniform::known(1 << 31), false, &mut random, |_| true)).count();
        let expected = (-0.5_f64).exp() * n as f64;
        assert!((hits as f64 - expected).powi(2) < 25.0 * expected, "{hits}, expected {expected}");
    }

    #[test]
    fn below_short_is_uniform() {
        let mut random = Random::fresh().unwrap();
        for n in [1_u32, 2, 6, 10, 3 << 30] {
            let mut low = 0;
            for _ in 0..4_000 {
                let drawn = random.below_short(n);
                assert!(drawn < n);
                low += i64::from(drawn < n.div_ceil(2));
            }
            let share = f64::from(n.div_ceil(2)) / f64::from(n);
            // 5 standard deviations: a false alarm once in 1.7 million runs.
            assert!(
                (low as f64 - 4_000.0 * share).powi(2) <= 25.0 * 4_000.0 * share * (1.0 - share),
                "{low} of {n}"
            );
        }
    }

    #[test]
    fn no_noise_is_refused() {
        assert!(RoundedGaussian::new(0).is_err());
        assert!(RoundedGaussian::new(LARGEST + 1).is_err());
    }
}
