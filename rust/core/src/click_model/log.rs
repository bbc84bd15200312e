//! A log grouped for click models: weighted pages of (query, document) pairs, or cells where only those are known.
//!
//! Queries are shared out to 4,096 logical buckets by their codes, so that a sum of doubles is always taken in the same
//! order: over the sorted rows of a bucket, then over buckets, whatever the threads and the order of the log.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::impressions::ReadStats;
use crate::job::Progress;
use crate::strings::Strings;
use crate::workers;

/// Logical buckets; a query belongs to that of the first bits of its code.
pub(super) const BUCKETS: usize = 1 << 12;

/// The fold that is held out to judge likelihoods; folds are 0 to 9.
pub(super) const HELD_FOLD: u8 = 9;

/// The bucket of a query.
pub(super) fn bucket_of(query: u64) -> usize {
    (query >> 52) as usize
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    All,
    /// All folds but the one held out.
    Train,
    /// The fold held out.
    Held,
}

impl Part {
    /// Whether a fold belongs to it.
    pub(super) fn has(self, fold: u8) -> bool {
        match self {
            Self::All => true,
            Self::Train => fold != HELD_FOLD,
            Self::Held => fold == HELD_FOLD,
        }
    }
}

/// A result on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    /// Pair in its bucket.
    pub(super) pair: u32,
    /// 1-based, 0 for none.
    pub(super) position: u16,
    pub(super) clicked: bool,
}

/// Equal pages of one fold, or several rows of no page that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Where its rows end.
    pub(super) end: u32,
    /// Query in its bucket.
    pub(super) query: u32,
    /// How many equal pages.
    pub(super) weight: u32,
    pub(super) fold: u8,
}

/// Impressions of a pair at a position, below a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// 0 for none.
    pub(super) position: u16,
    /// 0 for none.
    pub(super) previous_click: u16,
    /// Outside the fold held out, and in it.
    pub(super) impressions: [u32; 2],
    pub(super) clicks: [u32; 2],
}

impl Cell {
    /// Impressions and clicks in a part of the log.
    pub(super) fn of(&self, part: Part) -> (u64, u64) {
        let sum = |x: [u32; 2]| match part {
            Part::All => u64::from(x[0]) + u64::from(x[1]),
            Part::Train => x[0].into(),
            Part::Held => x[1].into(),
        };
        (sum(self.impressions), sum(self.clicks))
    }
}

/// Cells of the pairs of a bucket, by (position, previous click).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    /// Where each pair's cells end.
    pub(super) ends: Vec<u32>,
    pub(super) cells: Vec<Cell>,
}

impl Cells {
    /// Cells of a pair.
    pub(super) fn of(&self, pair: usize) -> &[Cell] {
        let start = if pair == 0 { 0 } else { self.ends[pair - 1] as usize };
        &self.cells[start..self.ends[pair] as usize]
    }
}

/// The queries of one logical bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Its number.
    pub(super) number: u16,
    /// Codes, ascending.
    pub(super) queries: Vec<u64>,
    /// Where each query's pairs end.
    pub(super) ends: Vec<u32>,
    /// Document of each pair, ascending within its query.
    pub(super) docs: Vec<u64>,
    pub(super) pages: Vec<Page>,
    pub(super) rows: Vec<Row>,
    pub(super) cells: OnceLock<Cells>,
}

impl Bucket {
    /// Pairs of query number `query`.
    pub(super) fn pairs_of(&self, query: usize) -> std::ops::Range<usize> {
        let start = if query == 0 { 0 } else { self.ends[query - 1] as usize };
        start..self.ends[query] as usize
    }

    /// Pages of a part of the log whose rows have positions, and their rows.
    pub(super) fn pages_of(&self, part: Part) -> impl Iterator<Item = (&Page, &[Row])> {
        let mut start = 0;
        self.pages.iter().filter_map(move |page| {
            let rows = &self.rows[start..page.end as usize];
            start = page.end as usize;
            (part.has(page.fold) && rows[0].position > 0).then_some((page, rows))
        })
    }

    /// The cells, counted from the pages where they did not come by themselves.
    pub(super) fn cells(&self) -> &Cells {
        self.cells.get_or_init(|| self.count_cells())
    }

    fn count_cells(&self) -> Cells {
        // Pair, position, previous click, held out or not, clicked or not: sorted as one number.
        let mut keys: Vec<(u64, u32)> = Vec::with_capacity(self.rows.len());
        let mut start = 0;
        for page in &self.pages {
            let held = u64::from(page.fold == HELD_FOLD);
            let (mut above, mut here, mut position) = (0_u16, 0_u16, 0_u16);
            for row in &self.rows[start..page.end as usize] {
                // Results side by side are not above each other.
                if row.position != position {
                    (above, position) = (above.max(here), row.position);
                }
                let place = u64::from(row.position) << 15 | u64::from(above);
                keys.push((
                    u64::from(row.pair) << 32 | place << 2 | held << 1 | u64::from(row.clicked),
                    page.weight,
                ));
                if row.clicked {
                    here = row.position;
                }
            }
            start = page.end as usize;
        }
        keys.sort_unstable();
        let mut out = Cells::default();
        let mut last = None;
        for (key, weight) in keys {
            let pair = (key >> 32) as usize;
            if last != Some(key >> 2) {
                last = Some(key >> 2);
                while out.ends.len() < pair {
                    out.ends.push(out.cells.len() as u32);
                }
                out.cells.push(Cell {
                    position: (key >> 17) as u16 & 0x7fff,
                    previous_click: (key >> 2) as u16 & 0x7fff,
                    impressions: [0; 2],
                    clicks: [0; 2],
                });
            }
            if let Some(cell) = out.cells.last_mut() {
                let held = (key >> 1 & 1) as usize;
                cell.impressions[held] = cell.impressions[held].saturating_add(weight);
                if key & 1 == 1 {
                    cell.clicks[held] = cell.clicks[held].saturating_add(weight);
                }
            }
        }
        out.ends.resize(self.docs.len(), out.cells.len() as u32);
        out
    }
}

/// What a log had, and so what can be fitted on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Rows with a position.
    pub positions: bool,
    /// Rows without one.
    pub unpositioned: u64,
    /// Whole pages.
    pub pages: bool,
    /// Which result above was clicked last.
    pub previous_clicks: bool,
    /// Folds, one of which can be held out.
    pub folds: bool,
}

/// A log, grouped. Exact and private, like counts.
pub struct ClickLog {
    /// Query strings by code.
    pub query_strings: Arc<Strings>,
    /// Document strings by code.
    pub doc_strings: Arc<Strings>,
    pub(super) buckets: Vec<Bucket>,
    /// What it had.
    pub known: Known,
    /// Whether cells and pages were counted apart, and so held out apart.
    pub(super) counted: bool,
    /// Pages; rows where there are none.
    pub pages: u64,
    /// Results shown.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
    /// The lowest position.
    pub depth: u16,
    /// What reading found.
    pub read: ReadStats,
}

impl ClickLog {
    /// (query, document) pairs.
    pub fn pairs(&self) -> usize {
        self.buckets.iter().map(|b| b.docs.len()).sum()
    }

    /// Queries.
    pub fn queries(&self) -> usize {
        self.buckets.iter().map(|b| b.queries.len()).sum()
    }

    /// The same pages, with cells counted from them.
    pub(super) fn recounted(&self) -> Self {
        let buckets = self.buckets.iter().map(|b| Bucket {
            number: b.number,
            queries: b.queries.clone(),
            ends: b.ends.clone(),
            docs: b.docs.clone(),
            pages: b.pages.clone(),
            rows: b.rows.clone(),
            cells: OnceLock::new(),
        });
        let (queries, docs) = (self.query_strings.clone(), self.doc_strings.clone());
        let known = Known { positions: false, unpositioned: 0, ..self.known };
        Self::of(queries, docs, buckets.collect(), known, self.read.clone())
    }
}

/// Threads, and whom to ask whether to go on.
pub(super) struct Crew<'a> {
    pub(super) threads: usize,
    pub(super) observe: &'a mut dyn FnMut(Progress) -> Result<()>,
    pub(super) at: Progress,
    /// Rows or cells of the log: little work is done by the caller's own thread.
    pub(super) work: usize,
}

/// Less work than this is done by one thread: starting more would take longer.
const ALONE: usize = 1 << 16;

impl Crew<'_> {
    /// `work` on every state of a bucket, in pieces; results in the order of the states.
    pub(super) fn map<S: Send, R: Send>(
        &mut self,
        states: &mut [S],
        work: impl Fn(usize, &mut S) -> R + Sync,
    ) -> Result<Vec<R>> {
        let at = self.at;
        if self.threads == 1 || self.work < ALONE {
            (self.observe)(at)?;
            return Ok(states.iter_mut().enumerate().map(|(i, s)| work(i, s)).collect());
        }
        let piece = states.len().div_ceil(8 * self.threads).max(1);
        let pieces: Vec<std::sync::Mutex<&mut [S]>> =
            states.chunks_mut(piece).map(std::sync::Mutex::new).collect();
        let observe = &mut self.observe;
        let done = workers::collect(
            pieces.len(),
            self.threads,
            || observe(at),
            |p| {
                let mut states = pieces[p].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                Ok(states.iter_mut().enumerate().map(|(i, s)| work(p * piece + i, s)).collect::<Vec<R>>())
            },
        )?;
        Ok(done.into_iter().flatten().collect())
    }
}

/// Sums of the buckets, added in their order.
pub(super) fn added(parts: Vec<Vec<f64>>, len: usize) -> Vec<f64> {
    let mut out = vec![0.0; len];
    for part in parts {
        for (to, x) in out.iter_mut().zip(part) {
            *to += x;
        }
    }
    out
}
