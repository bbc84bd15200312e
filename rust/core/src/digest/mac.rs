//! HMAC-SHA256 of many short messages under one key (RFC 2104).

use zeroize::Zeroizing;

use super::{BATCH, Backend, Digest, LANES, Midstate, bytes, in_batches};

/// Messages of so many bytes fit one block behind the pad, with its end: one byte and eight of length.
const SHORT: usize = 55;

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
            if batch.iter().all(|value| N + value.len() <= SHORT) {
                return self.short(&header, batch, tags);
            }
            let mut inner = [[0; 32]; BATCH];
            let inner = &mut inner[..batch.len()];
            self.inner.digests(self.backend, &header, batch, inner);
            self.outer.digests(self.backend, |_| [], inner, tags);
        };
        in_batches(values, tags, use_);
    }

    /// Tags of messages of one block each, as ids are: four at a time, with nothing to keep of which lane has what.
    fn short<const N: usize>(
        &self,
        header: impl Fn(&[u8]) -> [u8; N],
        values: &[&[u8]],
        tags: &mut [Digest],
    ) {
        let mut inner = [[0; 64]; LANES];
        let mut outer = [[0; 64]; LANES];
        for block in &mut outer {
            // A digest of 32 bytes behind the pad's 64, ended as FIPS 180-4, 5.1.1 says.
            block[32] = 0x80;
            block[56..].copy_from_slice(&(8 * (64 + 32_u64)).to_be_bytes());
        }
        for (values, tags) in values.chunks(LANES).zip(tags.chunks_mut(LANES)) {
            for (block, value) in inner.iter_mut().zip(values) {
                let len = N + value.len();
                *block = [0; 64];
                block[..N].copy_from_slice(&header(value));
                block[N..len].copy_from_slice(value);
                block[len] = 0x80;
                block[56..].copy_from_slice(&(8 * (64 + len as u64)).to_be_bytes());
            }
            let mut states = [self.inner.state; LANES];
            self.backend.compress_all(&mut states, &inner);
            for (block, state) in outer.iter_mut().zip(&states) {
                block[..32].copy_from_slice(&bytes(state));
            }
            let mut states = [self.outer.state; LANES];
            self.backend.compress_all(&mut states, &outer);
            // The last of them may be fewer than the lanes.
            tags.iter_mut().zip(&states).for_each(|(tag, state)| *tag = bytes(state));
        }
    }
}
