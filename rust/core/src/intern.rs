//! Strings to codes. The code of a string is the head of its SHA-256, so codes are the same in every run, whatever was met
//! before, and comparing codes is comparing canonical order. The table that remembers which strings there are only
//! saves hashing them again.
//!
//! Two different strings with one code would be one query, or one document. By chance that takes some 10^9 distinct
//! strings; on purpose, some 2^32 hashes. All strings of such a code are therefore set aside ([`Strings::clashes`]):
//! whoever makes them loses them, and nobody else loses anything.
//!
//! A private release cannot set them aside: that a string of one user's own removes another would tell of it. There codes
//! are places in this table ([`Interner::exact`]), and no two strings have one; which code a string has then depends on all
//! that was met before, and nothing that leaves may depend on codes.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::Budget;
use crate::digest;
use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::strings::Strings;
use foldhash::quality::RandomState;

const SHARD_BITS: u32 = 8;
const SHARDS: usize = 1 << SHARD_BITS;

/// What an entry takes beside its bytes: code, length, and two slots of a table that is half full on average.
const ENTRY: usize = 8 + 4 + 2 * 8;

/// Strings looked for at once: their misses of the cache overlap, and there are about as many as a core can have open.
const GROUP: usize = 16;

/// Bytes of values that are brought together by shard at a time; with the tables of a shard, what a cache holds.
const BLOCK: usize = 4 << 20;

/// What stands before a value among those of its shard: its number, a part of its hash, its length.
const HEADER: usize = 12;

/// A slot of a table: a part of the string's hash, and where its record starts, plus one; 0 is free.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u32,
    at: u32,
}

/// Strings whose hash begins alike: an open-addressing table (linear probing, at most three quarters full: it is met cold, and
/// a line of the cache holds eight slots) over records of code,
/// length and bytes, so that a look-up touches two places.
#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    records: Vec<u8>,
    strings: usize,
}

impl Shard {
    fn code(&self, at: u32) -> u64 {
        let mut code = [0; 8];
        code.copy_from_slice(&self.records[at as usize..at as usize + 8]);
        u64::from_le_bytes(code)
    }

    fn value(&self, at: u32) -> &[u8] {
        let at = at as usize + 8;
        let mut len = [0; 4];
        len.copy_from_slice(&self.records[at..at + 4]);
        &self.records[at + 4..at + 4 + u32::from_le_bytes(len) as usize]
    }

    #[inline]
    fn first(&self, tag: u32) -> usize {
        tag as usize & (self.slots.len() - 1)
    }

    /// Where the record of a string is, and whether it is new; a new one's code is still to be set.
    fn intern(&mut self, tag: u32, value: &[u8]) -> Option<(u32, bool)> {
        let mask = self.slots.len() - 1;
        let mut slot = self.first(tag);
        loop {
            match self.slots[slot] {
                Slot { at: 0, .. } => break,
                found if found.tag == tag && self.value(found.at - 1) == value => {
                    return Some((found.at - 1, false));
                }
                _ => slot = (slot + 1) & mask,
            }
        }
        let at = u32::try_from(self.records.len()).ok().filter(|at| *at < u32::MAX)?;
        self.records.extend_from_slice(&[0; 8]);
        self.records.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
        self.records.extend_from_slice(value);
        self.slots[slot] = Slot { tag, at: at + 1 };
        self.strings += 1;
        Some((at, true))
    }

    /// Makes room for `more` strings.
    fn reserve(&mut self, more: usize) {
        let wanted = ((self.strings + more) * 4 / 3).next_power_of_two().max(16);
        if wanted <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted]);
        for slot in old.into_iter().filter(|s| s.at > 0) {
            let mut at = self.first(slot.tag);
            while self.slots[at].at > 0 {
                at = (at + 1) & (wanted - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// Where the records start.
    fn all(&self) -> impl Iterator<Item = u32> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let here = (at < self.records.len()).then_some(at as u32)?;
            at += 12 + self.value(here).len();
            Some(here)
        })
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

/// Half of a hash, of bits that did not choose the shard.
fn half(hash: u64) -> u32 {
    (hash >> (32 - SHARD_BITS)) as u32
}

/// A concurrent string table.
pub struct Interner<'b> {
    // Keyed at random, so that nobody can prepare strings that collide.
    state: RandomState,
    shards: Vec<Mutex<Shard>>,
    budget: &'b Arc<Budget>,
    held: AtomicUsize,
    exact: bool,
}

impl<'b> Interner<'b> {
    /// An empty table.
    pub fn new(budget: &'b Arc<Budget>) -> Self {
        Self {
            state: RandomState::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            budget,
            held: AtomicUsize::new(0),
            exact: false,
        }
    }

    /// An empty table whose codes are the strings' places in it, so that no two have the same.
    pub fn exact(budget: &'b Arc<Budget>) -> Self {
        Self { exact: true, ..Self::new(budget) }
    }

    /// The code of each value, 0 for none; safe from any number of threads.
    ///
    /// # Errors
    /// [`Error::data`] beyond about a million million bytes of distinct strings.
    pub fn intern<'a>(&self, n: usize, value: impl Fn(usize) -> Option<&'a [u8]>) -> Result<Vec<u64>> {
        let mut codes = vec![0; n];
        let (mut hashes, mut bytes) = (Vec::new(), Vec::new());
        let mut start = 0;
        while start < n {
            hashes.clear();
            let mut ends = [0; SHARDS + 1];
            let mut held = 0;
            for i in start..n {
                let hash = value(i).map_or(0, |v| {
                    held += HEADER + v.len();
                    let hash = self.state.hash_one(v) | 1;
                    ends[shard_of(hash) + 1] += HEADER + v.len();
                    hash
                });
                hashes.push(hash);
                if held >= BLOCK {
                    break;
                }
            }
            (0..SHARDS).for_each(|s| ends[s + 1] += ends[s]);
            // Brought together by shard, the bytes are then read in the order they lie in, and a block takes each lock once.
            bytes.resize(held, 0);
            let mut next = ends;
            for (i, hash) in (start..).zip(&hashes).filter(|(_, hash)| **hash != 0) {
                let v = value(i).unwrap_or_default();
                let place = &mut next[shard_of(*hash)];
                let (head, rest) = bytes[*place..].split_at_mut(HEADER);
                head[..4].copy_from_slice(&(i as u32).to_le_bytes());
                head[4..8].copy_from_slice(&half(*hash).to_le_bytes());
                head[8..].copy_from_slice(&(v.len() as u32).to_le_bytes());
                rest[..v.len()].copy_from_slice(v);
                *place += HEADER + v.len();
            }
            for (s, window) in ends.windows(2).enumerate().filter(|(_, w)| w[0] < w[1]) {
                self.block(s, &bytes[window[0]..window[1]], &mut codes)?;
            }
            start += hashes.len();
        }
        Ok(codes)
    }

    /// Interns values of one shard, each behind a [`HEADER`], and puts their codes where they belong.
    fn block(&self, s: usize, mut bytes: &[u8], codes: &mut [u64]) -> Result<()> {
        let mut shard = self.shards[s].lock().unwrap_or_else(PoisonError::into_inner);
        let shard = &mut *shard;
        let held = shard.records.len();
        let mut group: Vec<(u32, u32, &[u8])> = Vec::with_capacity(GROUP);
        // Codes of new strings are made together: (where the record is, whose code it is).
        let mut fresh: Vec<u32> = Vec::new();
        let mut waiting: Vec<(u32, u32)> = Vec::new();
        while !bytes.is_empty() {
            group.clear();
            while group.len() < GROUP && !bytes.is_empty() {
                let number =
                    |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
                let (i, tag, len) = (number(0), number(4), number(8) as usize);
                group.push((i, tag, &bytes[HEADER..HEADER + len]));
                bytes = &bytes[HEADER + len..];
            }
            shard.reserve(group.len());
            // Read ahead, slots and then records: these loads wait for nothing but each other's turn.
            let mut touched = 0;
            for (_, tag, _) in &group {
                let at = shard.slots[shard.first(*tag)].at;
                touched ^= shard.records.get(at as usize).copied().unwrap_or(0);
            }
            std::hint::black_box(touched);
            for (i, tag, value) in &group {
                let (place, new) = shard.intern(*tag, value).ok_or_else(|| {
                    Error::data(
                        "more distinct queries or documents than this version can hold (about 10^12 bytes)",
                    )
                })?;
                if new {
                    fresh.push(place);
                }
                match shard.code(place) {
                    0 => waiting.push((*i, place)),
                    code => codes[*i as usize] = code,
                }
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let mut heads = Vec::with_capacity(fresh.len());
        if self.exact {
            heads.extend(fresh.iter().map(|at| spread((s as u64) << 32 | (u64::from(*at) + 1))));
        } else {
            let values: Vec<&[u8]> = fresh.iter().map(|at| shard.value(*at)).collect();
            digest::heads(&values, &mut heads);
        }
        for (at, head) in fresh.iter().zip(heads) {
            // 0 is kept for "none": the head 0 (one string in 2^64) goes by 1.
            let at = *at as usize;
            shard.records[at..at + 8].copy_from_slice(&head.max(1).to_le_bytes());
        }
        for (i, place) in waiting {
            codes[i as usize] = shard.code(place);
        }
        let more = shard.records.len() - held + ENTRY * fresh.len();
        self.budget.hold(more);
        self.held.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    /// Ends reading: the strings in canonical order. `make_room` is called when the budget has been told what that takes.
    ///
    /// # Errors
    /// What `make_room` and `pulse` report.
    pub fn freeze(self, pulse: &mut Pulse<'_>, make_room: impl FnOnce() -> Result<()>) -> Result<Strings> {
        // Both forms of the strings, and a list to sort; for as long as it takes.
        let held = self.held.into_inner();
        self.budget.hold(held);
        make_room()?;
        let mut shards: Vec<Shard> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        shards.iter_mut().for_each(|shard| shard.slots = Vec::new());
        let n = shards.iter().map(|s| s.strings).sum();
        // Shared out by the first byte of their codes, then sorted: pieces that fit the cache, and a beat between them.
        let byte = |code: u64| (code >> 56) as usize;
        let mut ends = [0; 257];
        for shard in &shards {
            pulse.beat()?;
            shard.all().for_each(|at| ends[byte(shard.code(at)) + 1] += 1);
        }
        (0..256).for_each(|b| ends[b + 1] += ends[b]);
        let mut entries = vec![(0_u64, 0_u32, 0_u32); n];
        let mut next = ends;
        for (s, shard) in shards.iter().enumerate() {
            pulse.beat()?;
            for at in shard.all() {
                let place = &mut next[byte(shard.code(at))];
                entries[*place] = (shard.code(at), s as u32, at);
                *place += 1;
            }
        }
        let mut strings =
            Strings::with_capacity(n, shards.iter().map(|s| s.records.len() - 12 * s.strings).sum());
        for window in ends.windows(2) {
            pulse.beat()?;
            let entries = &mut entries[window[0]..window[1]];
            entries.sort_unstable();
            for same in entries.chunk_by(|a, b| a.0 == b.0) {
                if let [(code, s, i)] = same {
                    // What is no text was met in rows that are set aside, and needs no name.
                    if let Ok(value) = std::str::from_utf8(shards[*s as usize].value(*i)) {
                        strings.push(*code, value);
                    }
                } else {
                    strings.push_clash(same[0].0);
                }
            }
        }
        strings.index();
        self.budget.let_go(2 * held);
        strings.hold(self.budget);
        Ok(strings)
    }
}

/// Another number for each, and heads that are uniform where the numbers count up: Fibonacci hashing (Knuth, TAOCP 3, 6.4).
pub(crate) fn spread(n: u64) -> u64 {
    n.wrapping_mul(ODD)
}

/// What was spread.
pub(crate) fn gathered(n: u64) -> u64 {
    n.wrapping_mul(INVERSE)
}

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Of `ODD` modulo 2^64: Newton's step doubles the bits that are right, and x = ODD has three of them.
const INVERSE: u64 = {
    let (mut x, mut step) = (ODD, 0);
    while step < 5 {
        x = x.wrapping_mul(2_u64.wrapping_sub(ODD.wrapping_mul(x)));
        step += 1;
    }
    x
};

const _: () = assert!(ODD.wrapping_mul(INVERSE) == 1);

/// First eight bytes of the SHA-256 of `value`, big-endian: the head of its `query_id`. Never 0.
pub fn code(value: &[u8]) -> u64 {
    let mut head = Vec::with_capacity(1);
    digest::heads(&[value], &mut head);
    head[0].max(1)
}
