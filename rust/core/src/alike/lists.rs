//! Lists of alike queries at rest: packed, by some queries at a time, in memory or in the spill.

use std::sync::Arc;

use crate::blob::Blob;
use crate::budget::Budget;
use crate::error::Result;
use crate::records::{Cursor, put_varint};

use super::agreement::ByWords;

/// Queries of a block: of a full list each some 20 KB.
pub(super) const CHUNK: usize = 128;

/// An alike query: all that is asked of it later.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    /// Its number.
    pub(super) other: u32,
    /// How alike the words are.
    pub(super) words: ByWords,
    /// Whether it is of the same intent, and how much.
    pub(super) same: Same,
}

/// How far the cosine of two queries is beyond what makes them of the same intent, the stronger sign: 0 not at all, then in
/// steps to [`SAMENESS`] for the same words or clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Same(u8);

/// The most it can be.
pub(super) const SAMENESS: usize = 31;

impl Same {
    /// Of a cosine where the same is what is above `limit`.
    pub(super) fn of(cosine: f64, limit: f64) -> Self {
        let steps = SAMENESS as f64 - 1.0;
        if cosine > limit {
            Self(1 + ((cosine - limit) / (1.0 - limit) * steps).min(steps) as u8)
        } else {
            Self(0)
        }
    }

    pub(super) fn is_same(self) -> bool {
        self.0 > 0
    }

    pub(super) fn level(self) -> u8 {
        self.0
    }
}

/// Appends the list of one query; `near` ascends by number.
pub(super) fn pack(near: &[Near], out: &mut Vec<u8>) {
    put_varint(out, near.len() as u64);
    let mut before = 0;
    for one in near {
        put_varint(out, u64::from(one.other - before));
        out.push(one.words.number() << 5 | one.same.0);
        before = one.other;
    }
}

/// One list for each query, by number.
#[derive(Default)]
pub(super) struct Lists(Vec<Blob>);

impl Lists {
    /// Blocks of [`CHUNK`] queries, in order.
    pub(super) fn new(blocks: Vec<Blob>) -> Self {
        Self(blocks)
    }

    /// Lists of some queries, `len` of them, by a number of their own.
    pub(super) fn packed<'n>(len: usize, of: impl Fn(usize) -> &'n [Near]) -> Vec<Vec<u8>> {
        let block = |start: usize| {
            let mut out = Vec::new();
            (start..(start + CHUNK).min(len)).for_each(|i| pack(of(i), &mut out));
            out
        };
        (0..len).step_by(CHUNK).map(block).collect()
    }

    /// What [`Lists::packed`] made.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub(super) fn read(blocks: Vec<Vec<u8>>, budget: &Arc<Budget>) -> Result<Self> {
        Ok(Self(blocks.into_iter().map(|b| Blob::new(b, Some(budget))).collect::<Result<_>>()?))
    }

    /// Reads lists, best in order.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { lists: self, block: usize::MAX, scratch: Vec::new(), near: Vec::new(), ends: Vec::new() }
    }
}

/// Lists, of which one block is unpacked.
pub(super) struct Reader<'a> {
    lists: &'a Lists,
    block: usize,
    scratch: Vec<u8>,
    near: Vec<Near>,
    ends: Vec<usize>,
}

impl Reader<'_> {
    /// The queries alike to one, by ascending number.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn of(&mut self, query: usize) -> Result<&[Near]> {
        if query / CHUNK != self.block {
            self.unpack(query / CHUNK)?;
        }
        let i = query % CHUNK;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Ok(&self.near[start..self.ends[i]])
    }

    fn unpack(&mut self, block: usize) -> Result<()> {
        self.block = usize::MAX;
        let mut from = Cursor(self.lists.0[block].bytes(&mut self.scratch)?);
        self.near.clear();
        self.ends.clear();
        while !from.is_empty() {
            let mut other = 0;
            for _ in 0..from.varint() {
                other += from.varint() as u32;
                let sign = from.u8();
                let words = ByWords::numbered(sign >> 5);
                self.near.push(Near { other, words, same: Same(sign & SAMENESS as u8) });
            }
            self.ends.push(self.near.len());
        }
        self.block = block;
        Ok(())
    }
}
