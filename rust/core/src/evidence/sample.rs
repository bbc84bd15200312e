//! The pairs from which is estimated what all pairs have in common: a sample, so that estimating takes the same time and
//! memory for a log of any size. Chosen by seed hash of query and document, so by no order, thread or memory.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::seed::Seed;
use crate::tables::Cell;
use crate::workers::collect;

/// Pairs to choose, about: P(relevant) of pairs that nobody clicked hangs on priors, which few pairs tell.
const PAIRS: u64 = 1 << 18;

/// Those of them that click models are fitted to, which learn from every impression.
const FEWER: usize = 1 << 16;

/// Pairs with what was counted of them at positions; without positions, with all of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Query and document, in canonical order.
    pub(super) pairs: Vec<(u64, u64)>,
    /// Where each pair's cells end.
    pub(super) ends: Vec<u32>,
    pub(super) cells: Vec<Cell>,
}

impl Sample {
    /// Chooses pairs of a release, or of a part of one that has `all` pairs.
    pub(crate) fn of(
        released: &Released,
        all: u64,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let below = if all <= PAIRS { u64::MAX } else { (PAIRS as f64 / all as f64 * 2_f64.powi(64)) as u64 };
        let parts = collect(
            released.tables.len(),
            threads,
            || pulse.beat(),
            |part| {
                let mut out = Self::default();
                released.tables.part(part, |group| {
                    let hashes = seed.begin("evidence", group.query);
                    for (i, pair) in group.pairs.iter().enumerate() {
                        if below < u64::MAX && hashes.hash(pair.doc) >= below {
                            continue;
                        }
                        let before = out.cells.len();
                        let known = |c: &&Cell| c.position > 0 || !released.has.positions;
                        out.cells.extend(group.cells_of(i).iter().filter(known));
                        if out.cells.len() > before {
                            out.pairs.push((group.query, pair.doc));
                            out.ends.push(out.cells.len() as u32);
                        }
                    }
                    Ok(())
                })?;
                Ok(out)
            },
        )?;
        Ok(Self::joined(parts))
    }

    /// Samples of queries that follow each other.
    pub(crate) fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut out = Self::default();
        for part in parts {
            let before = out.cells.len() as u32;
            out.pairs.extend(part.pairs);
            out.cells.extend(part.cells);
            out.ends.extend(part.ends.iter().map(|end| end + before));
        }
        out
    }

    /// Fewer of its pairs: each so many-th.
    pub(super) fn thinned(&self) -> Self {
        let mut out = Self::default();
        for i in (0..self.pairs.len()).step_by(self.pairs.len().div_ceil(FEWER).max(1)) {
            out.cells.extend_from_slice(self.cells_of(i));
            out.pairs.push(self.pairs[i]);
            out.ends.push(out.cells.len() as u32);
        }
        out
    }

    /// Cells of pair number `i`.
    pub(super) fn cells_of(&self, i: usize) -> &[Cell] {
        &self.cells[self.range(i)]
    }

    fn range(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        start..self.ends[i] as usize
    }
}
