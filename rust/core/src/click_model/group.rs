//! Rows, cells and counted groups of one bucket, brought to pages and pairs.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::OnceLock;

use super::log::{BUCKETS, Bucket, Cell, Cells, HELD_FOLD, Page, Row};
use crate::group::Group;
use crate::seed::Seed;
use crate::strings::Strings;

/// Neighbouring rows of one page; of a row of no page, it alone.
#[derive(Clone, Copy)]
pub(super) struct Fragment {
    pub(super) query: u64,
    /// Hash of the search id; 0 for a row of no page.
    pub(super) search: u64,
    pub(super) rows: u32,
}

/// A cell as it was given.
#[derive(Clone, Copy)]
pub(super) struct Given {
    pub(super) query: u64,
    pub(super) doc: u64,
    pub(super) position: u16,
    pub(super) previous_click: u16,
    pub(super) held: u8,
    pub(super) impressions: u32,
    pub(super) clicks: u32,
}

/// What one worker gathered for one bucket.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) fragments: Vec<Fragment>,
    /// Document of each row.
    pub(super) docs: Vec<u64>,
    /// Position and click of each row.
    pub(super) marks: Vec<u32>,
    pub(super) cells: Vec<Given>,
}

/// What one worker gathered.
pub(super) struct Gathered {
    pub(super) buckets: Vec<Entry>,
}

impl Gathered {
    pub(super) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Entry::default()).collect() }
    }
}

/// Pages are sorted by query and hash, equal hashes by content: the order says nothing, and is always the same.
struct Content;

impl BuildHasher for Content {
    type Hasher = siphasher::sip::SipHasher13;
    fn build_hasher(&self) -> Self::Hasher {
        Self::Hasher::new()
    }
}

fn content(rows: &[Row]) -> u64 {
    let mut hasher = Content.build_hasher();
    for row in rows {
        (u64::from(row.pair) << 17 | u64::from(row.position) << 1 | u64::from(row.clicked)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Pages of a bucket before they are sorted.
#[derive(Default)]
struct Draft {
    rows: Vec<Row>,
    pages: Vec<Page>,
}

impl Draft {
    fn page(&mut self, query: u32, fold: u8, weight: u32) {
        self.pages.push(Page { end: self.rows.len() as u32, query, weight, fold });
    }

    /// Sorts pages and adds up equal ones of one fold.
    fn settle(self, bucket: &mut Bucket) {
        let mut start = 0;
        let mut order: Vec<(u32, u8, u64, u32, u32)> = Vec::with_capacity(self.pages.len());
        for (i, page) in self.pages.iter().enumerate() {
            let rows = &self.rows[start as usize..page.end as usize];
            order.push((page.query, page.fold, content(rows), i as u32, start));
            start = page.end;
        }
        let rows_of =
            |o: &(u32, u8, u64, u32, u32)| &self.rows[o.4 as usize..self.pages[o.3 as usize].end as usize];
        order.sort_unstable_by(|a, b| {
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| rows_of(a).cmp(rows_of(b)))
        });
        bucket.rows.reserve_exact(self.rows.len());
        bucket.pages.reserve_exact(self.pages.len());
        for same in order.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2) && rows_of(a) == rows_of(b)) {
            bucket.rows.extend_from_slice(rows_of(&same[0]));
            let weight =
                same.iter().fold(0_u32, |sum, o| sum.saturating_add(self.pages[o.3 as usize].weight));
            let page = self.pages[same[0].3 as usize];
            bucket.pages.push(Page { end: bucket.rows.len() as u32, weight, ..page });
        }
        bucket.rows.shrink_to_fit();
        bucket.pages.shrink_to_fit();
    }
}

/// A bucket of pages; and how many rows were left out because their code is that of several strings.
pub(super) fn bucket_of_fragments(
    number: usize,
    parts: &[Gathered],
    queries: &Strings,
    docs: &Strings,
    seed: &Seed,
) -> (Bucket, u64) {
    let mut bucket = Bucket { number: number as u16, ..Bucket::default() };
    let mut clashed = 0;
    // Fragments by query and search, with the place of their rows.
    let mut order: Vec<(u64, u64, u32, u32, u32)> = Vec::new();
    for (p, part) in parts.iter().enumerate() {
        let mut at = 0;
        for fragment in &part.buckets[number].fragments {
            if clashes(queries, fragment.query) {
                clashed += u64::from(fragment.rows);
            } else {
                order.push((fragment.query, fragment.search, p as u32, at, fragment.rows));
            }
            at += fragment.rows;
        }
    }
    order.sort_unstable();
    let mut draft = Draft::default();
    // Rows of one page: position, document, clicked.
    let mut page: Vec<(u16, u64, bool)> = Vec::new();
    let mut singles: Vec<Row> = Vec::new();
    let mut distinct: Vec<u64> = Vec::new();
    for of_query in order.chunk_by(|a, b| a.0 == b.0) {
        let rows = |&(_, _, part, at, n): &(u64, u64, u32, u32, u32)| {
            let entry = &parts[part as usize].buckets[number];
            let range = at as usize..(at + n) as usize;
            entry.docs[range.clone()].iter().copied().zip(entry.marks[range].iter().copied())
        };
        distinct.clear();
        for fragment in of_query {
            distinct.extend(rows(fragment).map(|r| r.0));
        }
        let all = distinct.len();
        distinct.retain(|doc| !clashes(docs, *doc));
        clashed += (all - distinct.len()) as u64;
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.is_empty() {
            continue;
        }
        let (query, first) = (bucket.queries.len() as u32, bucket.docs.len() as u32);
        let find = |doc: u64| distinct.binary_search(&doc).ok().map(|i| first + i as u32);
        singles.clear();
        for of_page in of_query.chunk_by(|a, b| a.1 == b.1) {
            page.clear();
            for fragment in of_page {
                page.extend(rows(fragment).map(|(doc, mark)| ((mark >> 1) as u16, doc, mark & 1 == 1)));
            }
            let row = |&(position, doc, clicked): &(u16, u64, bool)| {
                find(doc).map(|pair| Row { pair, position, clicked })
            };
            if of_page[0].1 == 0 {
                singles.extend(page.iter().filter_map(row));
                continue;
            }
            if !page.is_sorted() {
                page.sort_unstable();
            }
            // One result twice is one result, clicked if either was.
            page.dedup_by(|next, kept| {
                let same = (next.0, next.1) == (kept.0, kept.1);
                kept.2 |= same && next.2;
                same
            });
            let before = draft.rows.len();
            draft.rows.extend(page.iter().filter_map(row));
            if draft.rows.len() > before {
                draft.page(query, (of_page[0].1 / 2 % 10) as u8, 1);
            }
        }
        singles.sort_unstable();
        for same in singles.chunk_by(|a, b| a == b) {
            let row = same[0];
            let doc = distinct[(row.pair - first) as usize];
            let what = [u8::from(row.clicked)];
            let parts = [
                &of_query[0].0.to_be_bytes()[..],
                &doc.to_be_bytes()[..],
                &row.position.to_be_bytes()[..],
                &what[..],
            ];
            let held = drawn(seed, &parts, same.len() as u64) as u32;
            for (fold, weight) in [(0, same.len() as u32 - held), (HELD_FOLD, held)] {
                if weight > 0 {
                    draft.rows.push(row);
                    draft.page(query, fold, weight);
                }
            }
        }
        bucket.queries.push(of_query[0].0);
        bucket.docs.extend_from_slice(&distinct);
        bucket.ends.push(bucket.docs.len() as u32);
    }
    draft.settle(&mut bucket);
    (bucket, clashed)
}

/// Of `n` things that are alike, how many go to the fold held out: each is drawn by itself, by the hash of its number.
fn drawn(seed: &Seed, what: &[&[u8]], n: u64) -> u64 {
    let mut held = 0;
    for i in 0..n {
        let number = i.to_be_bytes();
        let mut parts = what.to_vec();
        parts.push(&number);
        held += u64::from(seed.hash("click_log", &parts) % 10 == u64::from(HELD_FOLD));
    }
    held
}

/// A bucket of cells.
pub(super) fn bucket_of_cells(
    number: usize,
    parts: &[Gathered],
    queries: &Strings,
    docs: &Strings,
) -> (Bucket, u64) {
    let mut bucket = Bucket { number: number as u16, ..Bucket::default() };
    let mut clashed = 0;
    let mut all: Vec<Given> = Vec::new();
    for cell in parts.iter().flat_map(|p| &p.buckets[number].cells) {
        if clashes(queries, cell.query) || clashes(docs, cell.doc) {
            clashed += 1;
        } else {
            all.push(*cell);
        }
    }
    all.sort_unstable_by_key(|c| (c.query, c.doc, c.position, c.previous_click));
    let mut cells = Cells::default();
    for of_query in all.chunk_by(|a, b| a.query == b.query) {
        for of_pair in of_query.chunk_by(|a, b| a.doc == b.doc) {
            let place = |c: &Given| (c.position, c.previous_click);
            for same in of_pair.chunk_by(|a, b| place(a) == place(b)) {
                let mut sum = Cell {
                    position: same[0].position,
                    previous_click: same[0].previous_click,
                    impressions: [0; 2],
                    clicks: [0; 2],
                };
                for cell in same {
                    add(&mut sum, cell.held.into(), cell.impressions, cell.clicks);
                }
                cells.cells.push(sum);
            }
            cells.ends.push(cells.cells.len() as u32);
            bucket.docs.push(of_pair[0].doc);
        }
        bucket.queries.push(of_query[0].query);
        bucket.ends.push(bucket.docs.len() as u32);
    }
    bucket.cells = OnceLock::from(cells);
    (bucket, clashed)
}

fn add(to: &mut Cell, held: usize, impressions: u32, clicks: u32) {
    to.impressions[held] = to.impressions[held].saturating_add(impressions);
    to.clicks[held] = to.clicks[held].saturating_add(clicks);
}

/// Adds the next query of counts.
pub(super) fn add_group(bucket: &mut Bucket, group: &Group, seed: &Seed) {
    let first = bucket.docs.len() as u32;
    let query = bucket.queries.len() as u32;
    for (i, pair) in group.pairs.iter().enumerate() {
        add_pair(bucket, pair.doc, group.cells_of(i));
    }
    bucket.queries.push(group.query);
    bucket.ends.push(bucket.docs.len() as u32);
    let mut draft = Draft::default();
    for page in &group.pages {
        // Counted pages are in the order they were shown in, and keep no positions beside it.
        let rows: Option<Vec<Row>> = page
            .shown
            .iter()
            .enumerate()
            .map(|(i, (doc, clicked))| {
                let pair = group.pairs.binary_search_by_key(doc, |p| p.doc).ok()? as u32;
                let position = u16::try_from(i + 1).ok()?;
                Some(Row { pair: first + pair, position, clicked: *clicked })
            })
            .collect();
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { continue };
        let what: Vec<u8> =
            page.shown.iter().flat_map(|(doc, clicked)| (doc ^ u64::from(*clicked)).to_be_bytes()).collect();
        let held = drawn(seed, &[&group.query.to_be_bytes(), &what], page.count);
        for (fold, weight) in [(0, page.count - held), (HELD_FOLD, held)] {
            if weight > 0 {
                draft.rows.extend_from_slice(&rows);
                draft.page(query, fold, weight as u32);
            }
        }
    }
    let mut own = Bucket::default();
    draft.settle(&mut own);
    let before = bucket.rows.len() as u32;
    bucket.rows.extend(own.rows);
    bucket.pages.extend(own.pages.into_iter().map(|p| Page { end: p.end + before, ..p }));
}

/// Adds a pair's cells to a bucket that has no other.
pub(super) fn add_pair(bucket: &mut Bucket, doc: u64, counted: &[crate::tables::Cell]) {
    let mut cells = bucket.cells.take().unwrap_or_default();
    bucket.docs.push(doc);
    let place = |c: &crate::tables::Cell| (c.position, c.previous_click);
    for same in counted.chunk_by(|a, b| place(a) == place(b)) {
        let mut sum = Cell {
            position: same[0].position,
            previous_click: same[0].previous_click,
            impressions: [0; 2],
            clicks: [0; 2],
        };
        for cell in same {
            add(&mut sum, usize::from(cell.fold == HELD_FOLD), cell.impressions, cell.clicks);
        }
        cells.cells.push(sum);
    }
    cells.ends.push(cells.cells.len() as u32);
    bucket.cells = OnceLock::from(cells);
}

fn clashes(strings: &Strings, code: u64) -> bool {
    !strings.clashes().is_empty() && strings.clashes().binary_search(&code).is_ok()
}
