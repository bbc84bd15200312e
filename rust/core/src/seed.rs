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
}
