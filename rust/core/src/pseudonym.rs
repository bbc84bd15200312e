//! Keyed pseudonyms of identifiers: HMAC-SHA256 cut to 16 bytes, a key of its own per field, epoch and dataset.
//!
//! RFC 2104 (HMAC), RFC 5869 (HKDF). Fields of variable length are prefixed by their length, so that no two
//! different inputs make the same message (`ab`,`c` against `a`,`bc`).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clash::Ident;
use crate::digest::{Backend, Mac, head};
use crate::entropy;
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

    /// A key that nobody else has, and that is gone when it is dropped.
    ///
    /// # Errors
    /// [`Error::internal`] where the operating system has no randomness to give.
    pub fn fresh() -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        entropy::fill(&mut *key)?;
        Ok(Self(key))
    }
}

/// Pseudonymises the values of one field. Its key is wiped when dropped.
#[derive(Clone)]
pub struct Pseudonymizer {
    /// In a box: where a value is moved, as by a vector that grows, its bytes stay behind in what nobody wipes.
    mac: Box<Mac>,
    /// Fewer bits make codes that clash.
    #[cfg(test)]
    code_mask: u64,
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
        Ok(Self {
            mac: Box::new(Mac::new(derived.as_slice())),
            #[cfg(test)]
            code_mask: u64::MAX,
        })
    }

    /// The same key with codes of so few bits that they clash.
    #[cfg(test)]
    pub(crate) fn with_code_bits(self, bits: u32) -> Self {
        Self { code_mask: u64::MAX >> (64 - bits), ..self }
    }

    /// The same key with a backend of choice, for tests and measurements.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        *self.mac = self.mac.clone().with_backend(backend);
        self
    }

    /// The pseudonym of `value`. For many, [`Pseudonymizer::pseudonyms`] is faster.
    pub fn pseudonym(&self, value: &[u8]) -> Pseudonym {
        cut(&self.mac.one(header(value), value))
    }

    /// The pseudonym of each value, in order.
    pub fn pseudonyms(&self, values: &[&[u8]]) -> Vec<Pseudonym> {
        let mut out = Vec::with_capacity(values.len());
        self.mac.each(header, values, |tag| out.push(cut(tag)));
        out
    }

    /// The first eight bytes of the pseudonym: the code under which the core groups. Never 0, which means none.
    pub fn code(&self, value: &[u8]) -> u64 {
        self.ident(&self.mac.one(header(value), value)).code
    }

    /// Appends to `out` the code of each value, in order.
    pub fn codes(&self, values: &[&[u8]], out: &mut Vec<u64>) {
        out.reserve(values.len());
        self.mac.each(header, values, |tag| out.push(self.ident(tag).code));
    }

    /// Appends to `out` the code of each value with its check, the second half of its pseudonym, in order.
    pub fn idents(&self, values: &[&[u8]], out: &mut Vec<Ident>) {
        out.reserve(values.len());
        self.mac.each(header, values, |tag| out.push(self.ident(tag)));
    }

    fn ident(&self, tag: &[u8; 32]) -> Ident {
        let code = head(tag);
        #[cfg(test)]
        let code = code & self.code_mask;
        let mut check = [0; 8];
        check.copy_from_slice(&tag[8..16]);
        Ident { code: code.max(1), check: u64::from_be_bytes(check) }
    }
}

/// What stands before a value in the message.
fn header(value: &[u8]) -> [u8; 5] {
    let [a, b, c, d] = (value.len() as u32).to_be_bytes();
    [b's', a, b, c, d]
}

fn cut(tag: &[u8; 32]) -> Pseudonym {
    let mut out = [0; 16];
    out.copy_from_slice(&tag[..16]);
    out
}
