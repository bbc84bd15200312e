//! Every decision by chance: a keyed hash of its subject, never of iteration order.
//!
//! SipHash-2-4 (Aumasson & Bernstein 2012) under a key made from the public seed. Each use has a domain of its own.

use std::hash::Hasher;

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

/// Hashes subjects under the seed.
#[derive(Clone, Copy)]
pub struct Seed {
    key: [u8; 16],
}

impl Seed {
    /// The hash family of `seed`.
    pub fn new(seed: u64) -> Self {
        let digest =
            Sha256::new().chain_update(b"hardneg_fast/seed/v1").chain_update(seed.to_be_bytes()).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self { key }
    }

    /// 64 bits for `parts` within `domain`; parts are length-prefixed.
    pub fn hash(&self, domain: &str, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(domain.as_bytes());
        hasher.write(&[0]);
        for part in parts {
            hasher.write(&(part.len() as u32).to_be_bytes());
            hasher.write(part);
        }
        hasher.finish()
    }
}
