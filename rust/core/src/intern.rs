//! Strings to codes. The code of a string is the head of its SHA-256, so codes are the same in every run, whatever was met
//! before, and comparing codes is comparing canonical order. The table that remembers which strings there are only
//! saves hashing them again.
//!
//! Two different strings with one code would be one query, or one document. By chance that takes some 10^9 distinct
//! strings; on purpose, some 2^32 hashes. All strings of such a code are therefore set aside ([`Strings::clashes`]):
//! whoever makes them loses them, and nobody else loses anything.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::budget::Budget;
use crate::digest;
use crate::error::{Error, Result};
use foldhash::quality::RandomState;

const SHARD_BITS: u32 = 8;
const SHARDS: usize = 1 << SHARD_BITS;

/// What an entry takes beside its bytes: code, length, and two slots of a table that is half full.
const ENTRY: usize = 8 + 4 + 2 * 8;

/// Strings looked for at once: their misses of the cache overlap, and there are about as many as a core can have open.
const GROUP: usize = 16;

/// A slot of a table: a part of the string's hash, and where its record starts, plus one; 0 is free.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u32,
    at: u32,
}

/// Strings whose hash begins alike: an open-addressing table (linear probing, at most half full) over records of code,
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
        let wanted = ((self.strings + more) * 2).next_power_of_two().max(16);
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

/// Half of a hash, of bits that did not choose the shard.
fn half(hash: u64) -> u32 {
    (hash >> (32 - SHARD_BITS)) as u32
}

/// A concurrent string table.
pub struct Interner<'b> {
    // Keyed at random, so that nobody can prepare strings that collide.
    state: RandomState,
    shards: Vec<Mutex<Shard>>,
    budget: &'b Budget,
    held: AtomicUsize,
}

impl<'b> Interner<'b> {
    /// An empty table.
    pub fn new(budget: &'b Budget) -> Self {
        Self {
            state: RandomState::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            budget,
            held: AtomicUsize::new(0),
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
        let mut fresh: Vec<u32> = Vec::new();
        for (s, window) in ends.windows(2).enumerate().filter(|(_, w)| w[0] < w[1]) {
            let wanted = &order[window[0] as usize..window[1] as usize];
            let mut shard = self.shards[s].lock().unwrap_or_else(PoisonError::into_inner);
            let shard = &mut *shard;
            let held = shard.records.len();
            places.clear();
            fresh.clear();
            for group in wanted.chunks(GROUP) {
                shard.reserve(group.len());
                // Read ahead: these loads wait for nothing but each other's turn.
                let mut touched = 0;
                for &i in group {
                    touched ^= value(i as usize).and_then(|v| v.first().copied()).unwrap_or(0);
                    touched ^= shard.slots[shard.first(half(hashes[i as usize]))].at as u8;
                }
                std::hint::black_box(touched);
                for &i in group {
                    let Some(value) = value(i as usize) else { continue };
                    let (place, new) = shard.intern(half(hashes[i as usize]), value).ok_or_else(|| {
                        Error::data(
                            "more distinct queries or documents than this version can hold (about 10^12 bytes)",
                        )
                    })?;
                    places.push(place);
                    if new {
                        fresh.push(place);
                    }
                }
            }
            if !fresh.is_empty() {
                let values: Vec<&[u8]> = fresh.iter().map(|at| shard.value(*at)).collect();
                let mut heads = Vec::with_capacity(values.len());
                digest::heads(&values, &mut heads);
                for (at, head) in fresh.iter().zip(heads) {
                    // 0 is kept for "none": the head 0 (one string in 2^64) goes by 1.
                    let at = *at as usize;
                    shard.records[at..at + 8].copy_from_slice(&head.max(1).to_le_bytes());
                }
                let more = shard.records.len() - held + ENTRY * fresh.len();
                self.budget.hold(more);
                self.held.fetch_add(more, Ordering::Relaxed);
            }
            for (&i, &place) in wanted.iter().zip(&places) {
                codes[i as usize] = shard.code(place);
            }
        }
        Ok(codes)
    }

    /// Ends reading: the strings in canonical order. `make_room` is called when the budget has been told what that takes.
    ///
    /// # Errors
    /// What `make_room` reports.
    pub fn freeze(self, make_room: impl FnOnce() -> Result<()>) -> Result<Strings> {
        // Both forms of the strings, and a list to sort; for as long as it takes.
        let held = self.held.into_inner();
        self.budget.hold(held);
        make_room()?;
        let mut shards: Vec<Shard> =
            self.shards.into_iter().map(|s| s.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        shards.iter_mut().for_each(|shard| shard.slots = Vec::new());
        let n = shards.iter().map(|s| s.strings).sum();
        let mut entries: Vec<(u64, u32, u32)> = Vec::with_capacity(n);
        for (s, shard) in shards.iter().enumerate() {
            entries.extend(shard.all().map(|at| (shard.code(at), s as u32, at)));
        }
        entries.sort_unstable();
        let mut strings =
            Strings::with_capacity(n, shards.iter().map(|s| s.records.len() - 12 * s.strings).sum());
        for same in entries.chunk_by(|a, b| a.0 == b.0) {
            if let [(code, s, i)] = same {
                // What is no text was met in rows that are set aside, and needs no name.
                if let Ok(value) = std::str::from_utf8(shards[*s as usize].value(*i)) {
                    strings.push(*code, value);
                }
            } else {
                strings.clashes.push(same[0].0);
            }
        }
        strings.index();
        self.budget.let_go(2 * held);
        self.budget.hold(strings.memory());
        Ok(strings)
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
    text: String,
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
            text: String::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Adds a string, whose code is above those of all before; [`Strings::index`] ends it.
    pub(crate) fn push(&mut self, code: u64, value: &str) {
        self.codes.push(code);
        self.text.push_str(value);
        self.ends.push(self.text.len());
    }

    /// Makes the strings ready to be found.
    pub(crate) fn index(&mut self) {
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
        sorted.for_each(|(code, value)| out.push(code, value));
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
        &self.text[start..self.ends[i]]
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
        let mut out = Self::with_capacity(self.len() + other.len(), self.text.len() + other.text.len());
        let mut clashes = Vec::new();
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let (code, value) = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    let (a, b) = (*a, *b);
                    ours.next();
                    theirs.next();
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
            out.push(code, value);
        }
        out.index();
        (out, clashes)
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.text.capacity() + 8 * (self.codes.capacity() + self.ends.capacity()) + 4 * self.starts.capacity()
    }
}
