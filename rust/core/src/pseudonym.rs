//! Keyed pseudonyms of identifiers: HMAC-SHA256 cut to 16 bytes, a key of its own per field, epoch and dataset.
//!
//! RFC 2104 (HMAC), RFC 5869 (HKDF). Fields of variable length are prefixed by their length, so that no two
//! different inputs make the same message (`ab`,`c` against `a`,`bc`).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Version of the derivation: part of every key, so that a change of rule can never collide with this one.
const VERSION: &[u8] = b"hardneg_fast/v1";

/// A pseudonym.
pub type Pseudonym = [u8; 16];

/// The 32-byte master key; wiped when dropped, without `Debug` or `Display`.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes exactly 32 bytes.
    ///
    /// # Errors
    /// [`Error::usage`] for any other length.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let key: [u8; 32] = bytes.try_into().map_err(|_| Error::usage("a key has exactly 32 bytes"))?;
        Ok(Self(Zeroizing::new(key)))
    }
}

/// Pseudonymises the values of one field.
#[derive(Clone)]
pub struct Pseudonymizer {
    // The two pads are absorbed once; each value starts from a copy.
    mac: Hmac<Sha256>,
}

impl Pseudonymizer {
    /// Derives the key of `field` in `epoch` of `dataset` from the master key.
    ///
    /// # Errors
    /// [`Error::usage`] where a name is longer than 4 GiB.
    ///
    /// ```
    /// use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
    /// let key = MasterKey::new(&[7; 32])?;
    /// let users = Pseudonymizer::new(&key, "user_id", "", "")?;
    /// assert_eq!(users.pseudonym(b"alice"), users.pseudonym(b"alice"));
    /// # Ok::<(), hardneg_core::error::Error>(())
    /// ```
    pub fn new(key: &MasterKey, field: &str, epoch: &str, dataset: &str) -> Result<Self> {
        let mut info = VERSION.to_vec();
        for part in [field, epoch, dataset] {
            let len = u32::try_from(part.len())
                .map_err(|_| Error::usage("a field, epoch or dataset name is too long"))?;
            info.extend_from_slice(&len.to_be_bytes());
            info.extend_from_slice(part.as_bytes());
        }
        let mut derived = Zeroizing::new([0_u8; 32]);
        Hkdf::<Sha256>::new(None, key.0.as_slice())
            .expand(&info, derived.as_mut_slice())
            .map_err(|_| Error::internal("HKDF refused 32 bytes"))?;
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(derived.as_slice())
            .map_err(|_| Error::internal("HMAC refused a 32-byte key"))?;
        Ok(Self { mac })
    }

    /// The pseudonym of `value`.
    pub fn pseudonym(&self, value: &[u8]) -> Pseudonym {
        let mut mac = self.mac.clone();
        mac.update(b"s");
        mac.update(&(value.len() as u32).to_be_bytes());
        mac.update(value);
        let tag = mac.finalize().into_bytes();
        let mut out = [0; 16];
        out.copy_from_slice(&tag[..16]);
        out
    }

    /// The first eight bytes of the pseudonym: the code under which the core groups. Never 0, which means none.
    pub fn code(&self, value: &[u8]) -> u64 {
        let p = self.pseudonym(value);
        let mut head = [0; 8];
        head.copy_from_slice(&p[..8]);
        u64::from_be_bytes(head).max(1)
    }
}
