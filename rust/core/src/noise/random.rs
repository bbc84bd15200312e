//! Random bits: the operating system's, expanded by ChaCha20, and exact decisions made of them.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::entropy;
use crate::error::Result;

/// A stream of random bits under a fresh key of the operating system. Not to be cloned, printed or seeded: two streams
/// never hold the same bits.
pub struct Random {
    // Wiped when dropped (feature `zeroize`).
    stream: ChaCha20Rng,
}

impl Random {
    /// A stream of its own.
    ///
    /// # Errors
    /// Internal where the operating system has no randomness to give; nothing weaker takes its place.
    pub fn fresh() -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        entropy::fill(&mut *key)?;
        Ok(Self { stream: ChaCha20Rng::from_seed(*key) })
    }

    /// 32 fair bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// 64 fair bits.
    #[inline]
    pub(super) fn long_bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A fair bit.
    #[inline]
    pub(super) fn coin(&mut self) -> bool {
        self.bits() >> 31 == 1
    }

    /// A whole number below `n`, each as likely as any other: draws beyond the last whole multiple of `n` do not count.
    #[inline]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0);
        let beyond = (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.long_bits();
            if drawn <= u64::MAX - beyond {
                return drawn % n;
            }
        }
    }

    /// As `below`, from 32 bits and mostly without a division (Lemire 2019, "Fast random integer generation in an interval",
    /// section 4): of the 2^32 draws each number gets ⌊2^32/n⌋, and the rest do not count.
    #[inline]
    pub(super) fn below_short(&mut self, n: u32) -> u32 {
        debug_assert!(n > 0);
        loop {
            let product = u64::from(self.bits()) * u64::from(n);
            let low = product as u32;
            // What 2^32 leaves when divided by n is less than n: it need not be known for most draws.
            if low >= n || low >= n.wrapping_neg() % n {
                return (product >> 32) as u32;
            }
        }
    }
}

/// A number drawn uniformly between 0 and 1, of which as many binary digits are known as anybody has asked for.
pub(super) struct Uniform {
    first: u32,
    more: Vec<u32>,
}

impl Uniform {
    #[inline]
    pub(super) fn draw(random: &mut Random) -> Self {
        Self { first: random.bits(), more: Vec::new() }
    }

    /// One whose first 32 digits were drawn.
    #[inline]
    pub(super) fn known(first: u32) -> Self {
        Self { first, more: Vec::new() }
    }

    /// Its first 32 digits.
    #[inline]
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// 32 digits, the `i`th such.
    #[inline]
    pub(super) fn digits(&mut self, i: usize, random: &mut Random) -> u32 {
        if i == 0 {
            return self.first;
        }
        while self.more.len() < i {
            self.more.push(random.bits());
        }
        self.more[i - 1]
    }

    /// Whether it is below `other`. Both get digits until they differ, so it is never a tie.
    #[inline]
    pub(super) fn below(&mut self, other: &mut Self, random: &mut Random) -> bool {
        if self.first != other.first {
            return self.first < other.first;
        }
        for i in 1.. {
            let (own, theirs) = (self.digits(i, random), other.digits(i, random));
            if own != theirs {
                return own < theirs;
            }
        }
        false
    }
}
