//! Heads of SHA-256 digests.

use sha2::{Digest, Sha256};

/// First eight bytes, big-endian, of the SHA-256 of each value.
pub fn heads(values: &[&[u8]], out: &mut Vec<u64>) {
    out.extend(values.iter().map(|value| {
        let digest = Sha256::digest(value);
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(head)
    }));
}
