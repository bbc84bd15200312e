//! HMAC-SHA256 of many short messages under one key (RFC 2104).

use zeroize::Zeroizing;

use super::{BATCH, Backend, Digest, Midstate, in_batches};

/// A key of HMAC-SHA256, its two pads absorbed: a message of up to 55 bytes then costs two compressions. Wiped when
/// dropped, without `Debug` or `Display`.
#[derive(Clone)]
pub struct Mac {
    inner: Midstate,
    outer: Midstate,
    backend: Backend,
}

impl Mac {
    /// Takes a key of any length; one of more than 64 bytes is replaced by its SHA-256, as the RFC says.
    ///
    /// ```
    /// let mut tags = Vec::new();
    /// hardneg_core::digest::Mac::new(b"Jefe").tags(&[b"what do ya want for nothing?"], &mut tags);
    /// assert_eq!(tags[0][..4], [0x5b, 0xdc, 0xc1, 0x46]); // RFC 4231, test case 2
    /// ```
    pub fn new(key: &[u8]) -> Self {
        let backend = Backend::detect();
        let mut block = Zeroizing::new([0; 64]);
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => {
                let hashed = Zeroizing::new(Midstate::START.digest([], key));
                block[..32].copy_from_slice(hashed.as_slice());
            }
        }
        let pad = |byte: u8| {
            let mut pad = block.clone();
            pad.iter_mut().for_each(|b| *b ^= byte);
            Midstate::of(&pad)
        };
        Self { inner: pad(0x36), outer: pad(0x5c), backend }
    }

    /// The same key with a backend of choice, for tests and measurements.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// Appends to `out`, for each value, its tag of 32 bytes.
    pub fn tags(&self, values: &[&[u8]], out: &mut Vec<[u8; 32]>) {
        out.reserve(values.len());
        self.each(|_| [], values, |tag| out.push(*tag));
    }

    /// The tag of `header` ‖ `value`.
    pub(crate) fn one<const N: usize>(&self, header: [u8; N], value: &[u8]) -> Digest {
        self.outer.digest([], &self.inner.digest(header, value))
    }

    /// Hands `use_` the tag of `header` of a value ‖ the value, for each in order.
    pub(crate) fn each<const N: usize>(
        &self,
        header: impl Fn(&[u8]) -> [u8; N],
        values: &[&[u8]],
        use_: impl FnMut(&Digest),
    ) {
        let tags = |batch: &[&[u8]], tags: &mut [Digest]| {
            let mut inner = [[0; 32]; BATCH];
            let inner = &mut inner[..batch.len()];
            self.inner.digests(self.backend, &header, batch, inner);
            self.outer.digests(self.backend, |_| [], inner, tags);
        };
        in_batches(values, tags, use_);
    }
}
