//! Result pages rebuilt from a user's rows, and what each impression's place on its page says.

use crate::records::Row;

/// One page: a run of rows.
#[derive(Clone, Copy)]
pub struct Page {
    /// First row.
    pub start: usize,
    /// One past the last row.
    pub end: usize,
    /// Earliest time of its rows.
    pub time: i64,
    /// Search order key.
    pub search: u64,
    /// Query rank.
    pub query: u32,
    /// Session code, 0 for none.
    pub session: u64,
    /// Whether anything was clicked.
    pub clicked: bool,
}

/// Groups a user's rows, sorted by (search, query, position, document), into pages; merges rows of one impression in
/// place. Returns the rows left and how many were merged away.
pub fn pages(rows: &mut [Row], pages: &mut Vec<Page>) -> (usize, u64) {
    pages.clear();
    let mut kept = 0;
    for i in 0..rows.len() {
        let row = rows[i];
        let same_page = pages.last().is_some_and(|p| p.search == row.search && p.query == row.query);
        if !same_page {
            pages.push(Page {
                start: kept,
                end: kept,
                time: row.time,
                search: row.search,
                query: row.query,
                session: row.session,
                clicked: false,
            });
        }
        let Some(page) = pages.last_mut() else { continue };
        page.time = page.time.min(row.time);
        if page.session != row.session {
            // Rows of one page that name different sessions are not to be believed about any.
            page.session = 0;
        }
        page.clicked |= row.clicked;
        if page.end > page.start {
            let last = &mut rows[kept - 1];
            if last.position == row.position && last.doc == row.doc {
                merge(last, &row);
                continue;
            }
        }
        rows[kept] = row;
        kept += 1;
        page.end = kept;
    }
    (kept, (rows.len() - kept) as u64)
}

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
