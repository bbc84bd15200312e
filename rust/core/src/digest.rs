//! SHA-256 of many short messages: four at once where the processor has SHA instructions (FIPS 180-4).
//!
//! One message after the other leaves such a processor waiting for its own last result. Here four
//! *lanes* each work on a message of their own, block by block; a lane that is done takes the next message, so messages
//! of any mixture of lengths keep all four busy.

use sha2::block_api::compress256;
use zeroize::Zeroize;

mod mac;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use mac::Mac;

const LANES: usize = 4;
/// Messages hashed between two rounds of using their digests: 8 KiB of digests, which stay in the first cache.
const BATCH: usize = 256;

type State = [u32; 8];
type Block = [u8; 64];

/// A whole digest.
pub(crate) type Digest = [u8; 32];

/// How blocks are compressed. Every backend gives the same digests.
#[derive(Clone, Copy)]
pub struct Backend(Kind);

#[derive(Clone, Copy)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Interleaved(x86::ShaNi),
}

impl Backend {
    /// The fastest one of this processor: four interleaved with the SHA instructions of x86, else the portable one.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(sha) = x86::ShaNi::detect() {
            return Self(Kind::Interleaved(sha));
        }
        Self::portable()
    }

    /// One message after the other through the `sha2` crate, which has instructions of its own for some processors.
    pub fn portable() -> Self {
        Self(Kind::Portable)
    }

    /// Whether it works on several messages at once.
    pub fn is_interleaved(self) -> bool {
        !matches!(self.0, Kind::Portable)
    }

    /// One block into each state.
    fn compress_all(self, states: &mut [State; LANES], blocks: &[Block; LANES]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Interleaved(sha) => sha.compress4(states, blocks),
            Kind::Portable => {
                states
                    .iter_mut()
                    .zip(blocks)
                    .for_each(|(state, block)| compress256(state, std::slice::from_ref(block)));
            }
        }
    }

    fn compress(self, states: &mut [State; LANES], blocks: &[Block; LANES], lanes: &[Option<Lane>; LANES]) {
        let busy = lanes.iter().flatten().count();
        match self.0 {
            // An idle lane costs what a busy one does; a single message is faster alone.
            #[cfg(target_arch = "x86_64")]
            Kind::Interleaved(sha) if busy > 1 => sha.compress4(states, blocks),
            _ => {
                for l in (0..LANES).filter(|l| lanes[*l].is_some()) {
                    compress256(&mut states[l], &[blocks[l]]);
                }
            }
        }
    }
}

/// SHA-256 that has absorbed a number of whole blocks; wiped when dropped, since for HMAC it is as good as the key.
#[derive(Clone)]
pub(crate) struct Midstate {
    state: State,
    absorbed: u64,
}

impl Midstate {
    /// Nothing absorbed yet (FIPS 180-4, 5.3.3).
    pub(crate) const START: Self = Self {
        state: [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ],
        absorbed: 0,
    };

    /// One block absorbed.
    pub(crate) fn of(block: &Block) -> Self {
        let mut made = Self::START;
        compress256(&mut made.state, std::slice::from_ref(block));
        made.absorbed = 64;
        made
    }

    /// The digest of what was absorbed ‖ `header` of a value ‖ the value, for every value, into the same place of `out`.
    pub(crate) fn digests<const N: usize, V: AsRef<[u8]>>(
        &self,
        backend: Backend,
        header: impl Fn(&[u8]) -> [u8; N],
        values: &[V],
        out: &mut [Digest],
    ) {
        let mut states = [[0; 8]; LANES];
        let mut blocks = [[0; 64]; LANES];
        let mut lanes: [Option<Lane>; LANES] = [None; LANES];
        let mut waiting = values.iter().zip(0..);
        loop {
            for l in 0..LANES {
                if lanes[l].is_none()
                    && let Some((value, place)) = waiting.next()
                {
                    lanes[l] = Some(Lane { place, done: 0, blocks: blocks_of(N + value.as_ref().len()) });
                    states[l] = self.state;
                }
                if let Some(lane) = &lanes[l] {
                    let value = values[lane.place].as_ref();
                    fill(&mut blocks[l], &header(value), value, lane, self.absorbed);
                }
            }
            if lanes.iter().all(Option::is_none) {
                return;
            }
            backend.compress(&mut states, &blocks, &lanes);
            for (lane, state) in lanes.iter_mut().zip(&states) {
                let Some(at) = lane else { continue };
                at.done += 1;
                if at.done == at.blocks {
                    out[at.place] = bytes(state);
                    *lane = None;
                }
            }
        }
    }

    /// [`Midstate::digests`] of one value: without lanes, which one message cannot use.
    pub(crate) fn digest<const N: usize>(&self, header: [u8; N], value: &[u8]) -> Digest {
        let (mut state, mut block) = (self.state, [0; 64]);
        let blocks = blocks_of(N + value.len());
        for done in 0..blocks {
            fill(&mut block, &header, value, &Lane { place: 0, done, blocks }, self.absorbed);
            compress256(&mut state, std::slice::from_ref(&block));
        }
        bytes(&state)
    }
}

impl Drop for Midstate {
    fn drop(&mut self) {
        self.state.zeroize();
    }
}

fn bytes(state: &State) -> Digest {
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// A message on its way: its place among the values, and how many of its blocks are done.
#[derive(Clone, Copy)]
struct Lane {
    place: usize,
    done: usize,
    blocks: usize,
}

/// Blocks of a message of `len` bytes: after it come one byte 0x80 and eight of length (FIPS 180-4, 5.1.1).
fn blocks_of(len: usize) -> usize {
    (len + 9).div_ceil(64)
}

/// The next block of `header ‖ value ‖ padding`.
fn fill<const N: usize>(block: &mut Block, header: &[u8; N], value: &[u8], lane: &Lane, absorbed: u64) {
    let (start, len) = (64 * lane.done, N + value.len());
    *block = [0; 64];
    let (at, from) = if start == 0 { (N, 0) } else { (0, start - N) };
    block[..at].copy_from_slice(&header[..at]);
    // From the last block on there may be padding alone.
    let rest = value.get(from..).unwrap_or_default();
    let n = rest.len().min(64 - at);
    block[at..at + n].copy_from_slice(&rest[..n]);
    if (start..start + 64).contains(&len) {
        block[len - start] = 0x80;
    }
    if lane.done + 1 == lane.blocks {
        block[56..].copy_from_slice(&(8 * (absorbed + len as u64)).to_be_bytes());
    }
}

/// Hands `use_` the digests of the values in order, a batch at a time.
pub(crate) fn in_batches<V: AsRef<[u8]>>(
    values: &[V],
    digests: impl Fn(&[V], &mut [Digest]),
    mut use_: impl FnMut(&Digest),
) {
    let mut out = [[0; 32]; BATCH];
    for batch in values.chunks(BATCH) {
        let out = &mut out[..batch.len()];
        digests(batch, out);
        out.iter().for_each(&mut use_);
    }
}

/// The first eight bytes of a digest, big-endian.
pub(crate) fn head(digest: &Digest) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// Appends to `out`, for each value, the first eight bytes of its SHA-256, big-endian: the head of its `query_id`.
///
/// Source: FIPS 180-4. Same as [`crate::intern::hash`] of each; the example `hash_speed` measures how much faster.
///
/// ```
/// let mut heads = Vec::new();
/// hardneg_core::digest::heads(&[b"abc", b""], &mut heads);
/// assert_eq!(heads, [0xba78_16bf_8f01_cfea, 0xe3b0_c442_98fc_1c14]);
/// ```
pub fn heads(values: &[&[u8]], out: &mut Vec<u64>) {
    heads_by(Backend::detect(), values, out);
}

/// [`heads`] by a backend of choice, for tests and measurements.
pub fn heads_by(backend: Backend, values: &[&[u8]], out: &mut Vec<u64>) {
    out.reserve(values.len());
    in_batches(
        values,
        |batch, digests| Midstate::START.digests(backend, |_| [], batch, digests),
        |digest| out.push(head(digest)),
    );
}
