//! What was seen of each document of the queries that are alike: satisfied clicks, and what its history says of its kind.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evidence::{Evidence, KINDS, Signs};
use crate::pulse::Pulse;
use crate::workers::collect;

use super::near::NearQueries;

/// Logarithms are kept as whole numbers of this fraction, and no history says more than 32 of them make.
const UNIT: f64 = 1.0 / 1000.0;

/// Where each document of a query stands, in a table that is three quarters empty: most that are asked for are not there.
#[derive(Default)]
pub(super) struct Spread {
    /// Document and row.
    slots: Vec<(u64, usize)>,
    shift: u32,
}

impl Spread {
    fn first(&self, doc: u64) -> usize {
        // Fibonacci hashing (Knuth, volume 3, 6.4): codes that follow one another fall apart.
        (doc.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline]
    fn row(&self, doc: u64) -> Option<usize> {
        let mut slot = self.first(doc);
        loop {
            match self.slots[slot] {
                (_, usize::MAX) => return None,
                (there, row) if there == doc => return Some(row),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// Documents of queries, by number of the query, in canonical order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    /// Where the rows of each query end.
    ends: Vec<usize>,
    docs: Vec<u64>,
    satisfied: Vec<u32>,
    /// P(relevant) before its history.
    prior: Vec<f32>,
    /// ln of the likelihood of its history under each kind, over that under all.
    ratios: Vec<[i16; KINDS]>,
    /// By query: sum of the squares of its satisfied clicks.
    squares: Vec<f64>,
    /// P(attractive), of documents not relevant and relevant.
    attractive: [f64; 2],
}

/// Rows of some queries, in canonical order, to be put together with those of others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Codes.
    queries: Vec<u64>,
    rows: Rows,
}

impl Rows {
    /// Of the queries that are `wanted` (codes, ascending); `shown`: by figures that may be shown.
    pub(super) fn pieces(
        evidence: &Evidence,
        wanted: &[u64],
        shown: bool,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Vec<Piece>> {
        let released = &*evidence.released;
        collect(
            released.tables.len(),
            threads,
            || pulse.beat(),
            |part| {
                let mut out = Piece::default();
                released.tables.part(part, |group| {
                    if wanted.binary_search(&group.query).is_err() {
                        return Ok(());
                    }
                    for (i, pair) in group.pairs.iter().enumerate() {
                        let signs = if shown { evidence.shown_signs(pair) } else { evidence.signs(group, i) };
                        out.rows.push(pair.doc, evidence.shown_satisfied(pair), &signs);
                    }
                    out.rows.ends.push(out.rows.docs.len());
                    out.queries.push(group.query);
                    Ok(())
                })?;
                Ok(out)
            },
        )
    }

    /// Pieces in canonical order, by the numbers of their queries.
    pub(super) fn joined(
        near: &NearQueries,
        attractive: [f64; 2],
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Self {
        let mut all = Self { attractive, ..Self::default() };
        for Piece { queries, rows } in pieces {
            let base = all.docs.len();
            for (query, end) in queries.iter().zip(&rows.ends) {
                let Some(query) = near.index(*query) else { continue };
                // Queries without rows lie between: theirs end where they begin.
                let before = all.ends.last().copied().unwrap_or_default();
                all.ends.resize(query, before);
                all.ends.push(base + end);
            }
            all.take(&rows, 0..rows.docs.len());
        }
        all.ends.resize(near.len(), all.docs.len());
        all.squared()
    }

    /// Rows of some queries, by number, as those of these alone.
    pub(super) fn excerpt(&self, queries: &[usize]) -> Self {
        let mut all = Self { attractive: self.attractive, ..Self::default() };
        for query in queries {
            all.take(self, self.range(*query));
            all.ends.push(all.docs.len());
        }
        all.squared()
    }

    fn take(&mut self, from: &Self, rows: Range<usize>) {
        self.docs.extend_from_slice(&from.docs[rows.clone()]);
        self.satisfied.extend_from_slice(&from.satisfied[rows.clone()]);
        self.prior.extend_from_slice(&from.prior[rows.clone()]);
        self.ratios.extend_from_slice(&from.ratios[rows]);
    }

    fn squared(mut self) -> Self {
        let square = |n: &u32| f64::from(*n) * f64::from(*n);
        self.squares =
            (0..self.ends.len()).map(|i| self.satisfied[self.range(i)].iter().map(square).sum()).collect();
        self
    }

    fn push(&mut self, doc: u64, satisfied: u32, signs: &Signs) {
        self.docs.push(doc);
        self.satisfied.push(satisfied);
        self.prior.push(signs.prior as f32);
        let whole = |ratio: &f64| (ratio.ln() / UNIT).round().clamp(-32_000.0, 32_000.0) as i16;
        self.ratios.push(signs.ratio.each_ref().map(whole));
    }

    /// Rows of a query.
    pub(super) fn range(&self, query: usize) -> Range<usize> {
        let start = if query == 0 { 0 } else { self.ends[query - 1] };
        start..self.ends[query]
    }

    /// Code of a row's document.
    pub(super) fn doc(&self, row: usize) -> u64 {
        self.docs[row]
    }

    /// Satisfied clicks.
    pub(super) fn satisfied(&self, row: usize) -> u32 {
        self.satisfied[row]
    }

    /// Likelihood of a row's history under each kind, over that under all.
    #[inline]
    pub(super) fn ratios(&self, row: usize) -> [f64; KINDS] {
        self.ratios[row].map(|n| (f64::from(n) * UNIT).exp())
    }

    /// Prior and history of a row.
    pub(super) fn signs(&self, row: usize) -> Signs {
        Signs { prior: f64::from(self.prior[row]), attractive: self.attractive, ratio: self.ratios(row) }
    }

    /// Spreads the documents of a query out, to be met by those of others.
    pub(super) fn spread(&self, query: usize, out: &mut Spread) {
        let rows = self.range(query);
        let slots = (4 * rows.len()).next_power_of_two().max(2);
        out.slots.clear();
        out.slots.resize(slots, (0, usize::MAX));
        out.shift = u64::BITS - slots.trailing_zeros();
        for row in rows {
            let mut slot = out.first(self.docs[row]);
            while out.slots[slot].1 != usize::MAX {
                slot = (slot + 1) & (slots - 1);
            }
            out.slots[slot] = (self.docs[row], row);
        }
    }

    /// Rows of two queries of the same document; returns the dot product of their satisfied clicks, which is exact.
    pub(super) fn meet(&self, own: &Spread, other: Range<usize>, both: &mut Vec<(usize, usize)>) -> f64 {
        let mut dot = 0.0;
        for (doc, row) in self.docs[other.clone()].iter().zip(other) {
            if let Some(mine) = own.row(*doc) {
                both.push((mine, row));
                dot += f64::from(self.satisfied[mine]) * f64::from(self.satisfied[row]);
            }
        }
        dot
    }

    /// Cosine of the satisfied clicks of two queries without those on one document, given their rows of it and the dot
    /// product of all; None where one is left without any.
    pub(super) fn cosine_without(&self, a: usize, i: usize, b: usize, j: usize, dot: f64) -> Option<f64> {
        let (own, other) = (f64::from(self.satisfied[i]), f64::from(self.satisfied[j]));
        let norms = (self.squares[a] - own * own) * (self.squares[b] - other * other);
        (norms > 0.0).then(|| ((dot - own * other) / norms.sqrt()).clamp(0.0, 1.0))
    }
}
