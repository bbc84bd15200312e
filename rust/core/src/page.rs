//! Result pages rebuilt from a user's runs, and what each impression's place on its page says.

use crate::records::{Cursor, Row, RunHead};

/// A run in a partition: what its rows share, and where they are.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What its rows share.
    pub head: RunHead,
    /// Number of the chunk.
    pub chunk: u32,
    /// Place of its rows in the chunk.
    pub at: u32,
    /// Rows.
    pub rows: u32,
}

/// One page: a range of rows.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// First row.
    pub start: usize,
    /// One past the last row.
    pub end: usize,
    /// Earliest time of its rows.
    pub time: i64,
    /// Search order key.
    pub search: u64,
    /// Query code.
    pub query: u64,
    /// Session code, 0 for none.
    pub session: u64,
    /// Whether anything was clicked.
    pub clicked: bool,
}

/// Reads the page of `runs`, which share user, search and query, behind `rows`. Its rows come to stand by position and
/// document, and rows of one impression are merged. Rows of the documents `clashes` are left out. Returns how many were
/// merged away, and how many left out.
pub fn page(runs: &[Run], chunks: &[Vec<u8>], clashes: &[u64], rows: &mut Vec<Row>) -> (Page, u64, u64) {
    let start = rows.len();
    let head = runs[0].head;
    let mut page = Page {
        start,
        end: start,
        time: head.time,
        search: head.search,
        query: head.query,
        session: head.session,
        clicked: false,
    };
    let (mut above, mut ordered, mut clashed) = (0, true, 0);
    for run in runs {
        page.time = page.time.min(run.head.time);
        if page.session != run.head.session {
            // Rows of one page that name different sessions are not to be believed about any.
            page.session = 0;
        }
        let mut from = Cursor(&chunks[run.chunk as usize][run.at as usize..]);
        for _ in 0..run.rows {
            let row = Row::read(&mut from, run.head.time);
            if !clashes.is_empty() && clashes.binary_search(&row.doc).is_ok() {
                clashed += 1;
                continue;
            }
            page.clicked |= row.clicked;
            ordered &= row.position > above;
            above = row.position;
            rows.push(row);
        }
    }
    page.end = rows.len();
    // Most logs hold pages as they were shown, from the top: nothing to sort, nothing to merge.
    let merged = if ordered || rows.len() == start { 0 } else { in_order(rows, start) };
    page.end = rows.len();
    (page, merged, clashed)
}

fn in_order(rows: &mut Vec<Row>, start: usize) -> u64 {
    rows[start..].sort_unstable_by_key(|r| (r.position, r.doc));
    let mut kept = start;
    for i in start + 1..rows.len() {
        let row = rows[i];
        if rows[kept].position == row.position && rows[kept].doc == row.doc {
            merge(&mut rows[kept], &row);
        } else {
            kept += 1;
            rows[kept] = row;
        }
    }
    let merged = rows.len() - (kept + 1).min(rows.len());
    rows.truncate(kept + 1);
    merged as u64
}

/// Commutes, so the order of equal rows does not matter.
fn merge(into: &mut Row, row: &Row) {
    into.clicked |= row.clicked;
    into.dwell_ms = into.dwell_ms.max(row.dwell_ms);
    into.time = into.time.min(row.time);
    into.click_ms = match (into.click_ms, row.click_ms) {
        (-1, b) => b,
        (a, -1) => a,
        (a, b) => a.min(b),
    };
}

/// First and last clicked positions of a page's impressions; 0 where no click has a position.
pub fn clicked_range(rows: &[Row]) -> (u16, u16) {
    let clicked = || rows.iter().filter(|r| r.clicked && r.position > 0);
    let first = clicked().map(|r| r.position).min().unwrap_or(0);
    let timed = clicked().all(|r| r.click_ms >= 0);
    let last =
        clicked().map(|r| (if timed { r.click_ms } else { 0 }, r.position)).max().map_or(0, |(_, p)| p);
    (first, last)
}

/// Whether a click satisfied: it lasted, or nothing is known against it.
pub fn satisfied(row: &Row, satisfied_dwell_ms: i32) -> bool {
    row.clicked && (row.dwell_ms < 0 || row.dwell_ms >= satisfied_dwell_ms)
}
