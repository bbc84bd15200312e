//! What was seen of each document of some queries that are alike: as it travels, and packed.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evidence::{Evidence, KINDS, Signs};
use crate::group::Group;

use super::docs::Docs;

/// Logarithms are kept as whole numbers of this fraction, and no history says more than 32 of them make.
const UNIT: f64 = 1.0 / 1000.0;

/// Documents of some queries, both in canonical order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Codes.
    queries: Vec<u64>,
    /// Where the documents of each query end.
    ends: Vec<u32>,
    /// Codes.
    docs: Vec<u64>,
    satisfied: Vec<u32>,
    /// P(relevant) before its history.
    prior: Vec<f32>,
    /// ln of the likelihood of its history under each kind, over that under all.
    ratios: Vec<[i16; KINDS]>,
}

impl Piece {
    /// Of the queries of a part of the release that are `wanted`; `shown`: by figures that may be shown.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn of(
        evidence: &Evidence,
        part: usize,
        wanted: impl Fn(u64) -> bool,
        shown: bool,
    ) -> Result<Self> {
        let mut out = Self::default();
        evidence.released.tables.part(part, |group| {
            if wanted(group.query) {
                out.push(evidence, group, shown);
            }
            Ok(())
        })?;
        Ok(out)
    }

    fn push(&mut self, evidence: &Evidence, group: &Group, shown: bool) {
        let whole = |ratio: &f64| (ratio.ln() / UNIT).round().clamp(-32_000.0, 32_000.0) as i16;
        for (i, pair) in group.pairs.iter().enumerate() {
            let signs = if shown { evidence.shown_signs(pair) } else { evidence.signs(group, i) };
            self.docs.push(pair.doc);
            self.satisfied.push(evidence.shown_satisfied(pair));
            self.prior.push(signs.prior as f32);
            self.ratios.push(signs.ratio.each_ref().map(whole));
        }
        self.queries.push(group.query);
        self.ends.push(self.docs.len() as u32);
    }

    /// Codes of the documents.
    pub(super) fn docs(&self) -> &[u64] {
        &self.docs
    }

    /// Packed, by numbers of queries and documents; queries without a number are left out.
    pub(super) fn packed(&self, query: impl Fn(u64) -> Option<usize>, docs: &Docs) -> Packing {
        let (mut out, mut start) = (Packing::default(), 0);
        for (code, end) in self.queries.iter().zip(&self.ends) {
            let rows = start..*end as usize;
            start = *end as usize;
            let Some(number) = query(*code) else { continue };
            let square = |n: &u32| f64::from(*n) * f64::from(*n);
            let satisfied = &self.satisfied[rows.clone()];
            out.docs.extend(
                self.docs[rows.clone()]
                    .iter()
                    .flat_map(|code| docs.number(*code).unwrap_or(u32::MAX).to_le_bytes()),
            );
            out.satisfied.extend(satisfied.iter().flat_map(|n| n.to_le_bytes()));
            out.prior.extend(self.prior[rows.clone()].iter().flat_map(|p| p.to_le_bytes()));
            out.ratios.extend(self.ratios[rows].as_flattened().iter().flat_map(|n| n.to_le_bytes()));
            out.end(number as u32, satisfied.iter().map(square).sum());
        }
        out
    }
}

/// Documents of queries as bytes, column by column.
#[derive(Default)]
pub(super) struct Packing {
    /// Of the queries, ascending.
    pub(super) numbers: Vec<u32>,
    ends: Vec<u8>,
    squares: Vec<u8>,
    docs: Vec<u8>,
    satisfied: Vec<u8>,
    prior: Vec<u8>,
    ratios: Vec<u8>,
}

impl Packing {
    /// Takes the documents of a query.
    pub(super) fn push(&mut self, number: u32, seen: &Seen<'_>) {
        self.docs.extend_from_slice(seen.docs.as_flattened());
        self.satisfied.extend_from_slice(seen.satisfied.as_flattened());
        self.prior.extend_from_slice(seen.prior.as_flattened());
        self.ratios.extend_from_slice(seen.ratios.as_flattened());
        self.end(number, seen.square());
    }

    fn end(&mut self, number: u32, square: f64) {
        self.numbers.push(number);
        self.ends.extend_from_slice(&((self.docs.len() / 4) as u32).to_le_bytes());
        self.squares.extend_from_slice(&square.to_le_bytes());
    }

    /// What [`View::new`] reads.
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD * self.numbers.len() + self.docs.len() / 4 * ROW);
        out.extend(self.numbers.iter().flat_map(|n| n.to_le_bytes()));
        for column in [self.ends, self.squares, self.docs, self.satisfied, self.prior, self.ratios] {
            out.extend(column);
        }
        out
    }
}

/// Bytes of a query and of a row, packed.
const HEAD: usize = 16;
const ROW: usize = 20;

/// A packed piece, looked at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// By query: its number, ascending …
    pub(super) numbers: &'a [[u8; 4]],
    ends: &'a [[u8; 4]],
    squares: &'a [[u8; 8]],
    docs: &'a [[u8; 4]],
    satisfied: &'a [[u8; 4]],
    prior: &'a [[u8; 4]],
    ratios: &'a [[u8; 2 * KINDS]],
}

impl<'a> View<'a> {
    /// Of so many queries.
    pub(super) fn new(bytes: &'a [u8], queries: usize) -> Self {
        let rows = (bytes.len() - HEAD * queries) / ROW;
        let mut rest = bytes;
        let mut next = |len: usize| {
            let (head, tail) = rest.split_at(len);
            rest = tail;
            head
        };
        Self {
            numbers: next(4 * queries).as_chunks().0,
            ends: next(4 * queries).as_chunks().0,
            squares: next(8 * queries).as_chunks().0,
            docs: next(4 * rows).as_chunks().0,
            satisfied: next(4 * rows).as_chunks().0,
            prior: next(4 * rows).as_chunks().0,
            ratios: next(2 * KINDS * rows).as_chunks().0,
        }
    }

    /// Which of its queries has this number.
    pub(super) fn find(&self, number: usize) -> Option<usize> {
        self.numbers.binary_search_by_key(&(number as u32), |n| u32::from_le_bytes(*n)).ok()
    }

    /// Which rows are those of its query number `i`.
    pub(super) fn rows(&self, i: usize) -> Range<u32> {
        let end = |i: usize| u32::from_le_bytes(self.ends[i]);
        if i == 0 { 0..end(0) } else { end(i - 1)..end(i) }
    }

    /// Documents of its query number `i`, which are these rows.
    #[inline]
    pub(super) fn seen(&self, i: usize, rows: &Range<u32>) -> Seen<'a> {
        let rows = rows.start as usize..rows.end as usize;
        Seen {
            docs: &self.docs[rows.clone()],
            satisfied: &self.satisfied[rows.clone()],
            prior: &self.prior[rows.clone()],
            ratios: &self.ratios[rows],
            square: &self.squares[i],
        }
    }
}

/// Documents of one query.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    docs: &'a [[u8; 4]],
    satisfied: &'a [[u8; 4]],
    prior: &'a [[u8; 4]],
    ratios: &'a [[u8; 2 * KINDS]],
    /// Sum of the squares of its satisfied clicks. Read where it is asked for: most that are looked up share no document.
    square: &'a [u8; 8],
}

impl Seen<'_> {
    fn square(&self) -> f64 {
        f64::from_le_bytes(*self.square)
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.docs.len()
    }

    /// Numbers of the documents.
    pub(super) fn docs(&self) -> impl Iterator<Item = u32> {
        self.docs.iter().map(|n| u32::from_le_bytes(*n))
    }

    /// The same, as they stand.
    pub(super) fn append_docs(&self, out: &mut Vec<[u8; 4]>) {
        out.extend_from_slice(self.docs);
    }

    /// Satisfied clicks.
    #[inline]
    pub(super) fn satisfied(&self, row: usize) -> u32 {
        u32::from_le_bytes(self.satisfied[row])
    }

    /// Likelihood of a row's history under each kind, over that under all.
    #[inline]
    pub(super) fn ratios(&self, row: usize) -> [f64; KINDS] {
        let (whole, _) = self.ratios[row].as_chunks();
        std::array::from_fn(|kind| (f64::from(i16::from_le_bytes(whole[kind])) * UNIT).exp())
    }

    /// Prior and history of a row.
    pub(super) fn signs(&self, row: usize, attractive: [f64; 2]) -> Signs {
        let prior = f64::from(f32::from_le_bytes(self.prior[row]));
        Signs { prior, attractive, ratio: self.ratios(row) }
    }

    /// Cosine of the satisfied clicks of two queries without those on one document, given their rows of it and the dot
    /// product of all; None where one is left without any.
    pub(super) fn cosine_without(&self, i: usize, other: &Seen<'_>, j: usize, dot: f64) -> Option<f64> {
        let (own, theirs) = (f64::from(self.satisfied(i)), f64::from(other.satisfied(j)));
        let norms = (self.square() - own * own) * (other.square() - theirs * theirs);
        (norms > 0.0).then(|| ((dot - own * theirs) / norms.sqrt()).clamp(0.0, 1.0))
    }
}
