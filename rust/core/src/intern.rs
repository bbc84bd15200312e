//! Strings to codes. The code of a string is the head of its SHA-256, so codes are the same in every run, whatever was met
//! before, and comparing codes is comparing canonical order. The table that remembers which strings there are only
//! saves hashing them again.
//!
//! Two different strings with one code would be one query, or one document. By chance that takes some 10^9 distinct
//! strings; on purpose, some 2^32 hashes. All strings of such a code are therefore set aside ([`Strings::clashes`]):
//! whoever makes them loses them, and nobody else loses anything.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::budget::Budget;
use crate::digest;
use crate::error::{Error, Result};

const SHARD_BITS: u32 = 8;
const SHARDS: usize = 1 << SHARD_BITS;

/// What an entry takes beside its bytes: code, hash, end and table slot.
const ENTRY: usize = 8 + 4 + 4 + 6;

#[derive(Default)]
struct Shard {
    table: HashTable<u32>,
    /// High halves of the table's hashes: they tell strings apart before their bytes do, and grow the table.
    hashes: Vec<u32>,
    codes: Vec<u64>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Shard {
    fn value(&self, i: u32) -> &[u8] {
        let i = i as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }

    /// The place of a string, and whether it is new; the code of a new one is still to be set.
    fn intern(&mut self, hash: u64, value: &[u8]) -> Option<(u32, bool)> {
        let short = half(hash);
        let found =
            self.table.find(slot(short), |&i| self.hashes[i as usize] == short && self.value(i) == value);
        if let Some(&i) = found {
            return Some((i, false));
        }
        let i = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.bytes.len() + value.len()).ok()?;
        self.bytes.extend_from_slice(value);
        self.ends.push(end);
        self.hashes.push(short);
        self.codes.push(0);
        let hashes = &self.hashes;
        self.table.insert_unique(slot(short), i, |&i| slot(hashes[i as usize]));
        Some((i, true))
    }
}

/// Half of a hash, of bits that did not choose the shard.
fn half(hash: u64) -> u32 {
    (hash >> (32 - SHARD_BITS)) as u32
}

/// A half as the table wants it, which takes its slot from the bottom and its control byte from the top of 64 bits.
fn slot(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A concurrent string table.
pub struct Interner<'b> {
    // Keyed at random, so that nobody can prepare strings that collide.
    state: RandomState,
    shards: Vec<Mutex<Shard>>,
    budget: &'b Budget,
}

impl<'b> Interner<'b> {
    /// An empty table.
    pub fn new(budget: &'b Budget) -> Self {
        Self {
            state: RandomState::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            budget,
        }
    }

    /// The code of each value, 0 for none; safe from any number of threads.
    ///
    /// # Errors
    /// [`Error::data`] beyond about a million million bytes of distinct strings.
    pub fn intern<'a>(&self, n: usize, value: impl Fn(usize) -> Option<&'a [u8]>) -> Result<Vec<u64>> {
        let mut codes = vec![0; n];
        // Sorted by shard, a batch takes each lock once, and a shard stays in the cache while it is looked through.
        let hashes: Vec<u64> = (0..n).map(|i| value(i).map_or(0, |v| self.state.hash_one(v) | 1)).collect();
        let mut ends = [0_u32; SHARDS + 1];
        for hash in hashes.iter().filter(|h| **h != 0) {
            ends[(hash >> (64 - SHARD_BITS)) as usize + 1] += 1;
        }
        for s in 0..SHARDS {
            ends[s + 1] += ends[s];
        }
        let mut order = vec![0_u32; ends[SHARDS] as usize];
        let mut next = ends;
        for (i, hash) in hashes.iter().enumerate().filter(|(_, h)| **h != 0) {
            let place = &mut next[(hash >> (64 - SHARD_BITS)) as usize];
            order[*place as usize] = i as u32;
            *place += 1;
        }
        let mut places: Vec<u32> = Vec::new();
        for (s, window) in ends.windows(2).enumerate().filter(|(_, w)| w[0] < w[1]) {
            let wanted = &order[window[0] as usize..window[1] as usize];
            let mut shard = self.shards[s].lock().unwrap_or_else(PoisonError::into_inner);
            let known = shard.codes.len();
            let bytes = shard.bytes.len();
            places.clear();
            for &i in wanted {
                let Some(value) = value(i as usize) else { continue };
                let (place, _) = shard.intern(hashes[i as usize], value).ok_or_else(|| {
                    Error::data(
                        "more distinct queries or documents than this version can hold (about 10^12 bytes)",
                    )
                })?;
                places.push(place);
            }
            if shard.codes.len() > known {
                let fresh: Vec<&[u8]> = (known..shard.codes.len()).map(|i| shard.value(i as u32)).collect();
                let mut heads = Vec::with_capacity(fresh.len());
                digest::heads(&fresh, &mut heads);
                self.budget.hold(shard.bytes.len() - bytes + ENTRY * heads.len());
                // 0 is kept for "none": the head 0 (one string in 2^64) goes by 1.
                shard.codes.truncate(known);
                shard.codes.extend(heads.into_iter().map(|h| h.max(1)));
            }
            for (&i, &place) in wanted.iter().zip(&places) {
                codes[i as usize] = shard.codes[place as usize];
            }
        }
        Ok(codes)
    }

    /// Ends reading: the strings in canonical order.
    pub fn freeze(self) -> Strings {
        let shards: Vec<Shard> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let n = shards.iter().map(|s| s.codes.len()).sum();
        let mut entries: Vec<(u64, u32, u32)> = Vec::with_capacity(n);
        for (s, shard) in shards.iter().enumerate() {
            entries.extend(shard.codes.iter().enumerate().map(|(i, code)| (*code, s as u32, i as u32)));
        }
        entries.sort_unstable();
        let mut strings = Strings::with_capacity(n, shards.iter().map(|s| s.bytes.len()).sum());
        for same in entries.chunk_by(|a, b| a.0 == b.0) {
            if let [(code, s, i)] = same {
                strings.push(*code, shards[*s as usize].value(*i));
            } else {
                strings.clashes.push(same[0].0);
            }
        }
        strings.index();
        strings
    }
}

/// First eight bytes of the SHA-256 of `value`, big-endian: the head of its `query_id`. Never 0.
pub fn code(value: &[u8]) -> u64 {
    let mut head = Vec::with_capacity(1);
    digest::heads(&[value], &mut head);
    head[0].max(1)
}

/// Distinct UTF-8 strings in canonical order, to be found by code.
#[derive(Default, Clone)]
pub struct Strings {
    codes: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    /// Where the codes with each head of `bits` bits begin: codes are uniform, so a head has one or two.
    starts: Vec<u32>,
    bits: u32,
    clashes: Vec<u64>,
}

impl Strings {
    fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self {
            codes: Vec::with_capacity(strings),
            ends: Vec::with_capacity(strings),
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    fn push(&mut self, code: u64, value: &[u8]) {
        self.codes.push(code);
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn index(&mut self) {
        self.bits = self.codes.len().max(2).ilog2().min(28);
        self.starts = vec![0; (1 << self.bits) + 1];
        for code in &self.codes {
            self.starts[(code >> (64 - self.bits)) as usize + 1] += 1;
        }
        for i in 1..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
    }

    /// The strings of these (code, value)s, which ascend by code.
    pub fn of<'a>(sorted: impl Iterator<Item = (u64, &'a str)>) -> Self {
        let mut out = Self::default();
        sorted.for_each(|(code, value)| out.push(code, value.as_bytes()));
        out.index();
        out
    }

    /// Only the strings of these codes, which ascend.
    pub fn subset(&self, codes: &[u64]) -> Self {
        Self::of(codes.iter().map(|c| (*c, self.get(*c))))
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Codes, ascending.
    pub fn codes(&self) -> &[u64] {
        &self.codes
    }

    /// Codes that different strings share; their rows are set aside.
    pub fn clashes(&self) -> &[u64] {
        &self.clashes
    }

    /// Place of a code among the codes.
    #[inline]
    pub fn find(&self, code: u64) -> Option<usize> {
        let head = (code >> (64 - self.bits)) as usize;
        let (start, end) = (*self.starts.get(head)? as usize, *self.starts.get(head + 1)? as usize);
        self.codes[start..end].iter().position(|c| *c == code).map(|i| start + i)
    }

    /// String number `i` in canonical order.
    #[inline]
    pub fn at(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        // Only valid UTF-8 is interned; an empty string would be a bug, not undefined behaviour.
        std::str::from_utf8(&self.bytes[start..self.ends[i]]).unwrap_or_default()
    }

    /// The string of a code.
    #[inline]
    pub fn get(&self, code: u64) -> &str {
        self.find(code).map_or("", |i| self.at(i))
    }

    /// (code, string)s in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        self.codes.iter().enumerate().map(|(i, code)| (*code, self.at(i)))
    }

    /// Both lists as one. Codes that name different strings in the two are returned beside it, without a string.
    pub fn merge(&self, other: &Self) -> (Self, Vec<u64>) {
        let mut out = Self::with_capacity(self.len() + other.len(), self.bytes.len() + other.bytes.len());
        let mut clashes = Vec::new();
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let (code, value) = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    let (a, b) = (*a, *b);
                    (ours.next(), theirs.next());
                    if a.1 != b.1 {
                        clashes.push(a.0);
                        continue;
                    }
                    a
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                    let a = *a;
                    ours.next();
                    a
                }
                (_, Some(b)) => {
                    let b = *b;
                    theirs.next();
                    b
                }
                _ => break,
            };
            out.push(code, value.as_bytes());
        }
        out.index();
        (out, clashes)
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
            + 8 * (self.codes.capacity() + self.ends.capacity())
            + 4 * self.starts.capacity()
    }
}
