//! What alike queries tell of the documents of a query: at once, where all of them can be looked up, or gathered from one
//! range of them after the other.

use std::sync::Arc;

use crate::blob::Blob;
use crate::budget::Budget;
use crate::error::Result;
use crate::evidence::KINDS;
use crate::pulse::Pulse;
use crate::records::{Cursor, put_varint};
use crate::workers::collect;

use super::agreement::{self, Agreement};
use super::lists::{Near, Reader};
use super::near::NearQueries;
use super::piece::Seen;
use super::rows::{Look, Own, Rows};

/// Sums of logarithms are of whole numbers of this fraction: exact, so that no order or range of queries shows.
const UNIT: f64 = 1.0 / (1_u64 << 40) as f64;

/// What alike queries tell of one document of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// ln of what they make of the chance of each kind, in [`UNIT`]s.
    sums: [i64; KINDS],
    /// How many of them were shown the document.
    pub queries: u32,
    /// How many of them it satisfied somebody for.
    pub satisfied: u32,
    /// Whether one of these is of the same intent.
    pub same_intent: bool,
}

impl Told {
    /// ln of what they make of the chance of each kind.
    pub(super) fn sums(&self) -> [f64; KINDS] {
        self.sums.map(|sum| sum as f64 * UNIT)
    }

    fn add(&mut self, more: &Self) {
        self.sums.iter_mut().zip(more.sums).for_each(|(sum, more)| *sum += more);
        self.queries += more.queries;
        self.satisfied += more.satisfied;
        self.same_intent |= more.same_intent;
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.sums.iter().for_each(|sum| out.extend(sum.to_le_bytes()));
        put_varint(out, self.queries.into());
        put_varint(out, self.satisfied.into());
        out.push(self.same_intent.into());
    }

    fn read(from: &mut Cursor<'_>) -> Self {
        Self {
            sums: std::array::from_fn(|_| from.i64()),
            queries: from.varint() as u32,
            satisfied: from.varint() as u32,
            same_intent: from.u8() > 0,
        }
    }
}

/// Where each document of a query stands, in a table that is three quarters empty: most that are asked for are not there.
#[derive(Default)]
struct Spread {
    /// Document and row.
    slots: Vec<(u32, u32)>,
    shift: u32,
}

/// No document, and no row.
const NONE: u32 = u32::MAX;

impl Spread {
    fn of(&mut self, seen: &Seen<'_>) {
        let slots = (4 * seen.len()).next_power_of_two().max(2);
        self.slots.clear();
        self.slots.resize(slots, (0, NONE));
        self.shift = u32::BITS - slots.trailing_zeros();
        for (row, doc) in seen.docs().enumerate() {
            let mut slot = self.first(doc);
            while self.slots[slot].1 != NONE {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = (doc, row as u32);
        }
    }

    #[inline]
    fn first(&self, doc: u32) -> usize {
        // Fibonacci hashing (Knuth, volume 3, 6.4): numbers that follow one another fall apart.
        (doc.wrapping_mul(0x9e37_79b9) >> self.shift) as usize
    }

    #[inline]
    fn row(&self, doc: u32) -> Option<u32> {
        let mut slot = self.first(doc);
        loop {
            match self.slots[slot] {
                (_, NONE) => return None,
                (there, row) if there == doc => return Some(row),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// One worker's scratch for comparing a query with those alike.
#[derive(Default)]
pub(super) struct Meeting {
    spread: Spread,
    docs: Vec<[u8; 4]>,
    both: Vec<(u32, u32)>,
}

impl Meeting {
    /// Calls `take` with (document of the query, an alike query's documents, which of them it is, that query, sign) for each
    /// document that both were shown. The document itself is left out of the cosine of clicks: that both clicked it is what is
    /// asked.
    pub(super) fn each<'n>(
        &mut self,
        own: &Seen<'_>,
        near: &'n [Near],
        look: &Look<'_>,
        mut take: impl FnMut(usize, &Seen<'_>, usize, &Near, usize),
    ) {
        let numbers = look.numbers();
        let start = near.partition_point(|n| (n.other as usize) < numbers.start);
        let end = near.partition_point(|n| (n.other as usize) < numbers.end);
        if start == end {
            return;
        }
        self.spread.of(own);
        // Documents stand all over memory: those of all alike queries are fetched first, for then no wait is for one alone.
        let seen = |near: &'n Near| Some((near, look.seen(near.other as usize)?));
        let others: Vec<(&Near, Seen<'_>)> = near[start..end].iter().filter_map(seen).collect();
        self.docs.clear();
        others.iter().for_each(|(_, other)| other.append_docs(&mut self.docs));
        let mut rest = &self.docs[..];
        for (near, other) in &others {
            let docs;
            (docs, rest) = rest.split_at(other.len());
            // Exact: of whole numbers.
            let mut dot = 0.0;
            self.both.clear();
            for (row, doc) in docs.iter().enumerate() {
                if let Some(mine) = self.spread.row(u32::from_le_bytes(*doc)) {
                    self.both.push((mine, row as u32));
                    dot += f64::from(own.satisfied(mine as usize)) * f64::from(other.satisfied(row));
                }
            }
            for (i, row) in &self.both {
                let (i, row) = (*i as usize, *row as usize);
                let clicks = own.cosine_without(i, other, row, dot);
                take(i, other, row, near, agreement::sign(near.words, clicks));
            }
        }
    }

    /// Adds what is told of each document of a query.
    fn tell(
        &mut self,
        own: &Seen<'_>,
        near: &[Near],
        look: &Look<'_>,
        agreement: &Agreement,
        told: &mut [Told],
    ) {
        self.each(own, near, look, |i, other, row, near, sign| {
            let one = &mut told[i];
            let agree = agreement.of(sign);
            for (sum, ratio) in one.sums.iter_mut().zip(other.ratios(row)) {
                *sum += ((agree * ratio + (1.0 - agree)).ln() / UNIT) as i64;
            }
            one.queries += 1;
            if other.satisfied(row) > 0 {
                one.satisfied += 1;
                one.same_intent |= near.same.is_same();
            }
        });
    }
}

/// Number of a query, which of its documents, and what is told of it, where anything is: ascending.
pub(super) type Sparse = Vec<(u32, u32, Told)>;

/// What those that can be looked up tell of some queries.
pub(super) struct Sweep<'a> {
    pub(super) near: Reader<'a>,
    pub(super) own: Own<'a>,
    look: Look<'a>,
    meeting: Meeting,
    told: Vec<Told>,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(near: &'a NearQueries, rows: &'a Rows, look: Look<'a>) -> Self {
        let meeting = Meeting::default();
        Self { near: near.reader(), own: rows.own(), look, meeting, told: Vec::new() }
    }

    /// As [`Meeting::each`], of a query by number.
    pub(super) fn each(
        &mut self,
        query: usize,
        mut take: impl FnMut(&Seen<'_>, usize, &Seen<'_>, usize, usize),
    ) -> Result<()> {
        let Some(own) = self.own.seen(query)? else { return Ok(()) };
        let near = self.near.of(query)?;
        self.meeting.each(&own, near, &self.look, |i, other, row, _, sign| take(&own, i, other, row, sign));
        Ok(())
    }

    /// What is told of the documents of a query, in canonical order of these.
    pub(super) fn told(&mut self, query: usize, agreement: &Agreement) -> Result<&[Told]> {
        self.told.clear();
        let near = self.near.of(query)?;
        if !near.is_empty()
            && let Some(own) = self.own.seen(query)?
        {
            self.told.resize(own.len(), Told::default());
            self.meeting.tell(&own, near, &self.look, agreement, &mut self.told);
        }
        Ok(&self.told)
    }

    /// The same, where anything is told.
    pub(super) fn sparse(&mut self, query: usize, agreement: &Agreement, out: &mut Sparse) -> Result<()> {
        let told = self.told(query, agreement)?.iter().enumerate();
        out.extend(
            told.filter(|(_, told)| told.queries > 0).map(|(i, told)| (query as u32, i as u32, *told)),
        );
        Ok(())
    }
}

/// What is told of all queries, gathered range by range: by piece of the rows, what each range told.
#[derive(Default)]
pub(super) struct Gathered(Vec<Vec<Blob>>);

impl Gathered {
    pub(super) fn new(
        near: &NearQueries,
        rows: &Rows,
        agreement: &Agreement,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let mut all: Vec<Vec<Blob>> = (0..rows.pieces()).map(|_| Vec::new()).collect();
        for range in rows.ranges(budget.left()) {
            let loaded = rows.load(range, budget, threads, pulse)?;
            let told = collect(
                rows.pieces(),
                threads,
                || pulse.beat(),
                |piece| {
                    let (mut sweep, mut sparse) = (Sweep::new(near, rows, loaded.look()), Sparse::new());
                    let mut out = Vec::new();
                    for query in rows.queries(piece)? {
                        sparse.clear();
                        sweep.sparse(query, agreement, &mut sparse)?;
                        for (query, row, told) in &sparse {
                            put_varint(&mut out, u64::from(*query));
                            put_varint(&mut out, u64::from(*row));
                            told.write(&mut out);
                        }
                    }
                    if out.is_empty() { Ok(None) } else { Blob::new(out, Some(budget)).map(Some) }
                },
            )?;
            all.iter_mut().zip(told).for_each(|(all, told)| all.extend(told));
        }
        Ok(Self(all))
    }

    fn piece(&self, piece: usize) -> Result<Sparse> {
        let (mut out, mut scratch) = (Sparse::new(), Vec::new());
        for blob in &self.0[piece] {
            let mut from = Cursor(blob.bytes(&mut scratch)?);
            while !from.is_empty() {
                let at = (from.varint() as u32, from.varint() as u32);
                out.push((at.0, at.1, Told::read(&mut from)));
            }
        }
        summed(&mut out);
        Ok(out)
    }
}

/// Sums what several ranges told of one document.
pub(super) fn summed(told: &mut Sparse) {
    told.sort_by_key(|(query, row, _)| (*query, *row));
    told.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2.add(&next.2);
        }
        same
    });
}

/// What is told of the documents of one query after the other, best in canonical order.
pub struct Teller<'a> {
    near: &'a NearQueries,
    lists: Reader<'a>,
    agreement: &'a Agreement,
    from: From<'a>,
}

/// Where it comes from.
enum From<'a> {
    /// All alike queries can be looked up.
    Rows(Box<Sweep<'a>>),
    /// It was gathered; of one piece it is here.
    Gathered { rows: &'a Rows, all: &'a Gathered, piece: usize, told: Sparse },
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        near: &'a NearQueries,
        rows: &'a Rows,
        agreement: &'a Agreement,
        gathered: &'a Gathered,
    ) -> Self {
        let from = match rows.at_once() {
            true => From::Rows(Box::new(Sweep::new(near, rows, rows.look()))),
            false => From::Gathered { rows, all: gathered, piece: usize::MAX, told: Sparse::new() },
        };
        Self { near, lists: near.reader(), agreement, from }
    }

    /// What is told of the documents of a query (a code), of which there are `docs`, in canonical order.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn told(&mut self, query: u64, docs: usize, out: &mut Vec<Told>) -> Result<()> {
        out.clear();
        if let Some(query) = self.near.index(query) {
            match &mut self.from {
                From::Rows(sweep) => out.extend_from_slice(sweep.told(query, self.agreement)?),
                From::Gathered { rows, all, piece, told } => {
                    if let Some(here) = rows.piece(query) {
                        if here != *piece {
                            *piece = usize::MAX;
                            *told = all.piece(here)?;
                            *piece = here;
                        }
                        out.resize(docs, Told::default());
                        let start = told.partition_point(|(q, ..)| (*q as usize) < query);
                        for (_, row, told) in told[start..].iter().take_while(|(q, ..)| *q as usize == query)
                        {
                            out[*row as usize] = *told;
                        }
                    }
                }
            }
        }
        out.resize(docs, Told::default());
        Ok(())
    }

    /// Documents that satisfied somebody for an alike query, ascending.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn satisfied_elsewhere(&mut self, query: u64, docs: &mut Vec<u64>) -> Result<()> {
        docs.clear();
        if let Some(own) = self.near.index(query) {
            for near in self.lists.of(own)? {
                docs.extend(self.near.satisfied(near.other as usize));
            }
        }
        docs.sort_unstable();
        docs.dedup();
        Ok(())
    }
}
