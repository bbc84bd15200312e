//! Strings to codes: a concurrent table while the log is read, frozen afterwards into canonical order.
//!
//! Codes given while reading depend on arrival. [`Interner::freeze`] replaces them by *ranks* in canonical order (by the
//! first eight bytes of the string's SHA-256, ties by its bytes), so that nothing later depends on arrival, and comparing
//! ranks is comparing canonical order.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;

#[derive(Default)]
struct Shard {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Shard {
    fn value(&self, i: u32) -> &[u8] {
        let i = i as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    fn intern(&mut self, hash: u64, value: &[u8]) -> Option<u32> {
        if let Some(&i) =
            self.table.find(hash, |&i| self.hashes[i as usize] == hash && self.value(i) == value)
        {
            return Some(i);
        }
        let i = u32::try_from(self.ends.len()).ok().filter(|i| *i < 1 << (32 - SHARD_BITS))?;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        self.table.insert_unique(hash, i, |&i| self.hashes[i as usize]);
        Some(i)
    }
}

/// A concurrent string table.
pub struct Interner {
    // Keyed at random, so that nobody can prepare strings that collide.
    state: RandomState,
    shards: Vec<Mutex<Shard>>,
}

impl Default for Interner {
    fn default() -> Self {
        Self { state: RandomState::default(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Interner {
    /// The code of each value (None stays None); safe from any number of threads.
    ///
    /// # Errors
    /// [`Error::data`] beyond about four thousand million distinct strings.
    pub fn intern<'a>(&self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<Option<u32>>> {
        let mut codes = Vec::with_capacity(values.size_hint().0);
        // Sorted by shard, a batch takes each lock once.
        let mut by_shard: Vec<Vec<(u32, u64, &[u8])>> = vec![Vec::new(); SHARDS];
        for value in values {
            if let Some(value) = value {
                let hash = self.state.hash_one(value);
                by_shard[(hash >> (64 - SHARD_BITS)) as usize].push((codes.len() as u32, hash, value));
            }
            codes.push(None);
        }
        for (s, wanted) in by_shard.iter().enumerate().filter(|(_, w)| !w.is_empty()) {
            let mut shard = self.shards[s].lock().unwrap_or_else(PoisonError::into_inner);
            for &(at, hash, value) in wanted {
                let i = shard.intern(hash, value).ok_or_else(|| {
                    Error::data("more distinct queries or documents than this version can hold (about 4e9)")
                })?;
                codes[at as usize] = Some(i << SHARD_BITS | s as u32);
            }
        }
        Ok(codes)
    }

    /// Ends reading: the strings in canonical order, and the rank of every code.
    pub fn freeze(self) -> (Strings, Ranks) {
        let shards: Vec<Shard> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let total = shards.iter().map(|s| s.ends.len()).sum();
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(total);
        for (s, shard) in shards.iter().enumerate() {
            order.extend(
                (0..shard.ends.len() as u32).map(|i| (hash(shard.value(i)), i << SHARD_BITS | s as u32)),
            );
        }
        let value = |code: u32| shards[code as usize & (SHARDS - 1)].value(code >> SHARD_BITS);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| value(a.1).cmp(value(b.1))));
        let longest = shards.iter().map(|s| s.ends.len()).max().unwrap_or(0);
        let mut ranks = vec![0_u32; longest << SHARD_BITS];
        let mut strings = Strings::with_capacity(total, shards.iter().map(|s| s.bytes.len()).sum());
        for (rank, &(hash, code)) in order.iter().enumerate() {
            ranks[code as usize] = rank as u32;
            strings.push(hash, value(code));
        }
        (strings, Ranks(ranks))
    }
}

/// Rank of every code of a frozen interner.
pub struct Ranks(Vec<u32>);

impl Ranks {
    /// Rank of `code`.
    #[inline]
    pub fn of(&self, code: u32) -> u32 {
        self.0[code as usize]
    }
}

/// First eight bytes of the SHA-256 of `value`, big-endian: the head of its `query_id`.
pub fn hash(value: &[u8]) -> u64 {
    let digest = Sha256::digest(value);
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// Distinct UTF-8 strings in canonical order; a string's index is its rank.
#[derive(Default, Clone)]
pub struct Strings {
    hashes: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Strings {
    fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self {
            hashes: Vec::with_capacity(strings),
            ends: Vec::with_capacity(strings),
            bytes: Vec::with_capacity(bytes),
        }
    }

    fn push(&mut self, hash: u64, value: &[u8]) {
        self.hashes.push(hash);
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    /// Only the strings of these ranks, which ascend; their new rank is their place in the list.
    pub fn subset(&self, ranks: &[u32]) -> Self {
        let mut out = Self::with_capacity(ranks.len(), 0);
        for &rank in ranks {
            out.push(self.hashes[rank as usize], self.get(rank).as_bytes());
        }
        out
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string of `rank`.
    pub fn get(&self, rank: u32) -> &str {
        let i = rank as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        // Only valid UTF-8 is interned; an empty string would be a bug, not undefined behaviour.
        std::str::from_utf8(&self.bytes[start..self.ends[i]]).unwrap_or_default()
    }

    /// Head of the string's SHA-256.
    pub fn hash(&self, rank: u32) -> u64 {
        self.hashes[rank as usize]
    }

    /// Both lists as one, and where each rank of either went.
    pub fn merge(&self, other: &Self) -> (Self, Vec<u32>, Vec<u32>) {
        let mut out = Self::with_capacity(self.len() + other.len(), self.bytes.len() + other.bytes.len());
        let (mut ours, mut theirs) = (Vec::with_capacity(self.len()), Vec::with_capacity(other.len()));
        let key = |s: &Self, i: usize| (i < s.len()).then(|| s.hashes[i]);
        let (mut i, mut j) = (0, 0);
        while i < self.len() || j < other.len() {
            let order = match (key(self, i), key(other, j)) {
                (Some(a), Some(b)) => a.cmp(&b).then_with(|| self.get(i as u32).cmp(other.get(j as u32))),
                (Some(_), None) => std::cmp::Ordering::Less,
                _ => std::cmp::Ordering::Greater,
            };
            let rank = out.len() as u32;
            if order.is_le() {
                out.push(self.hashes[i], self.get(i as u32).as_bytes());
                ours.push(rank);
                i += 1;
            }
            if order.is_ge() {
                if order.is_gt() {
                    out.push(other.hashes[j], other.get(j as u32).as_bytes());
                }
                theirs.push(rank);
                j += 1;
            }
        }
        (out, ours, theirs)
    }
}
