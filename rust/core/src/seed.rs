//! Every decision by chance: a keyed hash of its subject, never of iteration order.
//!
//! SipHash-2-4 (Aumasson & Bernstein 2012) under a key made from the public seed. Each use has a domain of its own.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use crate::entropy;
use crate::error::Result;

/// Messages up to this need no memory of their own; nearly all are shorter.
const SHORT: usize = 128;

/// Hashes subjects under the seed.
#[derive(Clone, Copy)]
pub struct Seed {
    key: [u8; 16],
    /// What it was made from; None where nobody is to know.
    number: Option<u64>,
    /// Fewer bits make search order keys that clash.
    #[cfg(test)]
    search_mask: u64,
}

impl Seed {
    /// The hash family of `seed`.
    pub fn new(seed: u64) -> Self {
        let digest =
            Sha256::new().chain_update(b"hardneg_fast/seed/v1").chain_update(seed.to_be_bytes()).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self::of(key, Some(seed))
    }

    /// A family that this run alone knows, and nobody after it.
    ///
    /// # Errors
    /// Internal where the operating system has no randomness to give.
    pub fn secret() -> Result<Self> {
        let mut key = [0; 16];
        entropy::fill(&mut key)?;
        Ok(Self::of(key, None))
    }

    /// The seed of the family; None of a secret one.
    pub fn number(&self) -> Option<u64> {
        self.number
    }

    fn of(key: [u8; 16], number: Option<u64>) -> Self {
        Self {
            key,
            number,
            #[cfg(test)]
            search_mask: u64::MAX,
        }
    }

    /// The same family with search order keys of so few bits that they clash.
    #[cfg(test)]
    pub(crate) fn with_search_bits(self, bits: u32) -> Self {
        Self { search_mask: u64::MAX >> (64 - bits), ..self }
    }

    /// 64 bits for `parts` within `domain`; parts are length-prefixed.
    #[inline]
    pub fn hash(&self, domain: &str, parts: &[&[u8]]) -> u64 {
        let hasher = SipHasher24::new_with_key(&self.key);
        let len = domain.len() + 1 + parts.iter().map(|part| 4 + part.len()).sum::<usize>();
        let mut short = [0; SHORT];
        let mut long = Vec::new();
        // In one piece: the hasher takes many small ones at several times the price.
        let message = match short.get_mut(..len) {
            Some(short) => short,
            None => {
                long.resize(len, 0);
                &mut long[..]
            }
        };
        message[..domain.len()].copy_from_slice(domain.as_bytes());
        let mut at = domain.len() + 1;
        for part in parts {
            message[at..at + 4].copy_from_slice(&(part.len() as u32).to_be_bytes());
            message[at + 4..at + 4 + part.len()].copy_from_slice(part);
            at += 4 + part.len();
        }
        let hash = hasher.hash(message);
        #[cfg(test)]
        let hash = if domain == "search" { hash & self.search_mask } else { hash };
        hash
    }

    /// For many subjects of two numbers of which they share the first: what stands before the second is taken in once.
    pub fn begin(&self, domain: &str, first: u64) -> Begun {
        let mut message = Vec::with_capacity(SHORT);
        message.extend_from_slice(domain.as_bytes());
        message.extend_from_slice(&[0, 0, 0, 0, 8]);
        message.extend_from_slice(&first.to_be_bytes());
        message.extend_from_slice(&8_u32.to_be_bytes());
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        let [k0, k1] = [word(&self.key[..8]), word(&self.key[8..])];
        let mut state = Sip([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let words = message.chunks_exact(8);
        let tail = word(words.remainder());
        words.for_each(|bytes| state.take(word(bytes)));
        Begun { state, tail, len: message.len() as u32 }
    }
}

/// A message up to the second of two numbers.
#[derive(Clone, Copy)]
pub struct Begun {
    state: Sip,
    /// What of it did not fill a word.
    tail: u64,
    len: u32,
}

impl Begun {
    /// What [`Seed::hash`] makes of both numbers, each as 8 bytes big-endian.
    #[inline]
    pub fn hash(&self, second: u64) -> u64 {
        let (mut state, second, bits) = (self.state, second.swap_bytes(), self.len % 8 * 8);
        state.take(self.tail | second << bits);
        let rest = second.checked_shr(64 - bits).unwrap_or(0);
        state.take(rest | u64::from(self.len + 8) << 56);
        state.end()
    }
}

/// SipHash-2-4 word by word.
#[derive(Clone, Copy)]
struct Sip([u64; 4]);

impl Sip {
    #[inline]
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v2 = v2.wrapping_add(v3);
        v1 = v1.rotate_left(13) ^ v0;
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.rotate_left(32).wrapping_add(v3);
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v3 = v3.rotate_left(21) ^ v0;
        self.0 = [v0, v1, v2.rotate_left(32), v3];
    }

    #[inline]
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn end(mut self) -> u64 {
        self.0[2] ^= 0xff;
        (0..4).for_each(|_| self.round());
        self.0.into_iter().fold(0, |all, v| all ^ v)
    }
}
