//! One user's contribution: robots left out, pages ordered, votes and preferences bounded.
//!
//! Everything here reads the rows of one user and public constants only, so adding a user changes no other user's
//! contribution.

use std::collections::BTreeMap;

use crate::clash::sound;
use crate::clean::{self, CountConfig};
use crate::contributions::Contributor;
use crate::error::Result;
use crate::page::{Page, Run, page};
use crate::partition::{Scatter, Store};
use crate::records::{Cursor, Row, Unit, kind, write_page};
use crate::seed::Seed;
use crate::steps::Steps;
use crate::time::NULL_TIME;
use crate::votes::Votes;

/// More impressions than this are no page that anybody saw, but ids that do not tell searches apart; the preferences of
/// such a page would grow with its square.
const MAX_PAGE: usize = 1_000;

/// What is known of the log as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How people and pages are told apart.
    pub unit: Unit,
    /// `search_id` or page rows: pages have a length worth judging.
    pub has_pages: bool,
    /// The log names sessions.
    pub sessions: bool,
    /// The log has timestamps.
    pub times: bool,
}

/// Bounds users one after another; one per worker.
pub struct Bounder<'a> {
    config: &'a CountConfig,
    shape: Shape,
    seed: Seed,
    clashes: Clashes<'a>,
    out: Out<'a>,
    /// What was found, to be added up over workers.
    pub found: Found,
    /// By position: the last user counted in either of the two.
    position_stamps: Vec<[u64; 2]>,
    checks: Vec<(u64, u16)>,
    rows: Vec<Row>,
    page_buffer: Vec<Page>,
    votes: Votes,
    steps: Steps,
    /// Takes what counts would get, where a differentially private release is to be made.
    pub contributor: Option<Contributor<'a>>,
}

/// Codes that more than one string has: their rows are set aside.
#[derive(Clone, Copy)]
pub struct Clashes<'a> {
    /// Of queries, ascending.
    pub queries: &'a [u64],
    /// Of documents, ascending.
    pub docs: &'a [u64],
}

/// What bounding found.
#[derive(Default)]
pub struct Found {
    /// Reason → rows left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Users that contributed.
    pub users: u64,
    /// By position: users shown something there, users who clicked there.
    pub position_users: Vec<[u32; 2]>,
}

impl Found {
    /// Counts rows left out.
    pub fn drop_rows(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.dropped.entry(reason).or_default() += n;
        }
    }

    /// Adds what another worker found.
    pub fn add(&mut self, other: &Self) {
        for (reason, n) in &other.dropped {
            self.drop_rows(reason, *n);
        }
        self.users += other.users;
        self.position_users.resize(self.position_users.len().max(other.position_users.len()), [0; 2]);
        for (sum, own) in self.position_users.iter_mut().zip(&other.position_users) {
            sum[0] = sum[0].saturating_add(own[0]);
            sum[1] = sum[1].saturating_add(own[1]);
        }
    }
}

/// Where a user's contributions go, by query partition.
pub struct Out<'a> {
    /// Leading bits of a query's code that choose its partition.
    bits: u32,
    scatters: Vec<Scatter<'a, 'a>>,
    record: Vec<u8>,
}

impl<'a> Out<'a> {
    /// Entrances to `store` for all kinds but rows.
    pub fn new(store: &'a Store<'a>) -> Self {
        let scatters = (kind::VOTES..kind::ALL).map(|k| store.scatter(k)).collect();
        Self { bits: store.partitions().ilog2(), scatters, record: Vec::new() }
    }

    /// Sends what `write` writes to the partition of `query`.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    #[inline]
    pub fn send(&mut self, kind: usize, query: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        write(&mut self.record);
        self.scatters[kind - kind::VOTES].push((query >> (64 - self.bits)) as usize, &self.record)
    }

    /// Where a record of at most `len` bytes for the partition of `query` is to be appended.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    #[inline]
    pub fn room(&mut self, kind: usize, query: u64, len: usize) -> Result<&mut Vec<u8>> {
        self.scatters[kind - kind::VOTES].room((query >> (64 - self.bits)) as usize, len)
    }
}

impl<'a> Bounder<'a> {
    /// A worker's bounder.
    pub fn new(
        config: &'a CountConfig,
        shape: Shape,
        seed: Seed,
        clashes: Clashes<'a>,
        store: &'a Store<'a>,
    ) -> Self {
        Self {
            config,
            shape,
            seed,
            clashes,
            out: Out::new(store),
            found: Found::default(),
            position_stamps: Vec::new(),
            checks: Vec::new(),
            rows: Vec::new(),
            page_buffer: Vec::new(),
            votes: Votes::default(),
            steps: Steps::default(),
            contributor: None,
        }
    }

    /// Hands over what is still in buffers.
    pub fn finish(&mut self) {
        self.out.scatters.iter_mut().for_each(Scatter::finish);
    }

    /// Bounds one user. `runs` are all runs with one user code, sorted by (search, query).
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub fn user(&mut self, runs: &[Run], chunks: &[Vec<u8>]) -> Result<()> {
        if self.shape.unit == Unit::Row {
            return self.rows_as_pages(runs, chunks);
        }
        let user = [runs[0].head.user, runs[0].head.rest];
        let sound = sound(runs, &mut self.checks);
        self.found.drop_rows("code_clash", sound.as_ref().map_or(0, |(_, gone)| *gone));
        let runs = sound.as_ref().map_or(runs, |(left, _)| left);
        let (mut rows, mut pages) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.page_buffer));
        rows.clear();
        pages.clear();
        for same in runs.chunk_by(|a, b| (a.head.search, a.head.query) == (b.head.search, b.head.query)) {
            if self.clashes.queries.binary_search(&same[0].head.query).is_ok() {
                self.found.drop_rows("code_clash", same.iter().map(|r| u64::from(r.rows)).sum());
                continue;
            }
            let (page, merged, clashed) = page(same, chunks, self.clashes.docs, &mut rows);
            self.found.drop_rows("duplicate_impression", merged);
            self.found.drop_rows("code_clash", clashed);
            if page.start < page.end {
                pages.push(page);
            }
        }
        let done = if self.shape.unit == Unit::Page {
            // Runs of one search id may hold several queries, and each page is its own user.
            let each = |page: &Page| self.one([0; 2], &mut vec![*page], &rows);
            pages.iter().try_for_each(each)
        } else {
            self.one(user, &mut pages, &rows)
        };
        (self.rows, self.page_buffer) = (rows, pages);
        done
    }

    /// Gives every row of a log without users and searches a page of its own, identical rows told apart by number.
    fn rows_as_pages(&mut self, runs: &[Run], chunks: &[Vec<u8>]) -> Result<()> {
        let mut rows: Vec<(u64, Row)> = Vec::new();
        for run in runs {
            let mut from = Cursor(&chunks[run.chunk as usize][run.at as usize..]);
            rows.extend((0..run.rows).map(|_| (run.head.query, Row::read(&mut from, run.head.time))));
        }
        let all = rows.len();
        rows.retain(|(query, row)| {
            self.clashes.queries.binary_search(query).is_err()
                && self.clashes.docs.binary_search(&row.doc).is_err()
        });
        self.found.drop_rows("code_clash", (all - rows.len()) as u64);
        let content = |(query, r): &(u64, Row)| (*query, r.doc, r.position, r.clicked, r.time);
        rows.sort_unstable_by_key(|row| (content(row), row.1.dwell_ms, row.1.click_ms));
        for same in rows.chunk_by(|a, b| content(a) == content(b)) {
            for (ordinal, (query, row)) in same.iter().enumerate() {
                let page = Page {
                    start: 0,
                    end: 1,
                    time: row.time,
                    search: self.row_key(*query, row, ordinal as u64),
                    query: *query,
                    session: 0,
                    clicked: row.clicked,
                };
                self.one([0; 2], &mut vec![page], std::slice::from_ref(row))?;
            }
        }
        Ok(())
    }

    fn row_key(&self, query: u64, row: &Row, ordinal: u64) -> u64 {
        let (position, time) = (u64::from(row.position).to_be_bytes(), row.time.to_be_bytes());
        self.seed.hash(
            "row",
            &[
                &query.to_be_bytes(),
                &row.doc.to_be_bytes(),
                if row.position == 0 { &[] } else { &position },
                &[u8::from(row.clicked)],
                if row.time == NULL_TIME { &[] } else { &time },
                &ordinal.to_be_bytes(),
            ],
        )
    }

    fn one(&mut self, user: [u64; 2], pages: &mut Vec<Page>, rows: &[Row]) -> Result<()> {
        pages.sort_unstable_by_key(|p| (p.time, p.search, p.query));
        self.decay(pages);
        if pages.is_empty() || !self.not_robot(pages, rows) {
            return Ok(());
        }
        self.shorten(pages, rows);
        if pages.is_empty() {
            return Ok(());
        }
        self.found.users += 1;
        if let Some(contributor) = &mut self.contributor {
            contributor.user(user, pages, rows);
            return Ok(());
        }
        self.contribute(pages, rows)
    }

    fn decay(&mut self, pages: &mut Vec<Page>) {
        let Some(decay) = self.config.decay() else { return };
        let mut gone = 0;
        pages.retain(|page| {
            let keep = decay.keeps(page.time, self.seed.hash("decay", &[&page.search.to_be_bytes()]));
            gone += if keep { 0 } else { (page.end - page.start) as u64 };
            keep
        });
        self.found.drop_rows("decayed", gone);
    }

    fn not_robot(&mut self, pages: &[Page], rows: &[Row]) -> bool {
        if self.shape.unit != Unit::User {
            return true;
        }
        let Some(reason) = clean::robot(self.config, self.shape.times, pages, rows) else {
            return true;
        };
        self.found.drop_rows(reason, pages.iter().map(|p| (p.end - p.start) as u64).sum());
        false
    }

    /// Cuts positions beyond the limit, then pages that are too short. Rows of a page are sorted by position.
    fn shorten(&mut self, pages: &mut Vec<Page>, rows: &[Row]) {
        let (mut beyond, mut short, mut oversized) = (0, 0, 0);
        let (limit, least) = (self.config.max_position, self.config.min_page_length);
        let judge_length = self.shape.has_pages;
        pages.retain_mut(|page| {
            let all = page.end - page.start;
            let fits = u32::from(rows[page.end - 1].position) <= limit;
            let keep = if fits {
                all
            } else {
                rows[page.start..page.end].partition_point(|r| u32::from(r.position) <= limit)
            };
            if keep < all {
                beyond += (all - keep) as u64;
                page.end = page.start + keep;
                page.clicked = rows[page.start..page.end].iter().any(|r| r.clicked);
            }
            if keep > MAX_PAGE {
                oversized += keep as u64;
                return false;
            }
            let long_enough = keep > 0 && (!judge_length || keep >= least);
            short += if long_enough { 0 } else { keep as u64 };
            long_enough
        });
        self.found.drop_rows("beyond_max_position", beyond);
        self.found.drop_rows("oversized_page", oversized);
        self.found.drop_rows("short_page", short);
    }

    /// Counts a user once for each position seen, and once for each clicked.
    fn positions_of(&mut self, rows: &[Row]) {
        let users = self.found.users;
        for row in rows {
            let p = usize::from(row.position);
            if self.position_stamps.len() <= p {
                self.found.position_users.resize(p + 1, [0; 2]);
                self.position_stamps.resize(p + 1, [0; 2]);
            }
            let (stamps, counts) = (&mut self.position_stamps[p], &mut self.found.position_users[p]);
            if stamps[0] != users {
                stamps[0] = users;
                counts[0] = counts[0].saturating_add(1);
            }
            if row.clicked && stamps[1] != users {
                stamps[1] = users;
                counts[1] = counts[1].saturating_add(1);
            }
        }
    }

    fn contribute(&mut self, pages: &[Page], rows: &[Row]) -> Result<()> {
        for (order, page) in pages.iter().enumerate() {
            let rows = &rows[page.start..page.end];
            self.positions_of(rows);
            if self.config.preferences && page.clicked {
                self.steps.page(order as u32, page.query, rows);
            }
            if self.config.page_counts {
                self.out.send(kind::PAGES, page.query, |out| write_page(page.query, rows, out))?;
            }
        }
        let unvoted =
            self.votes.user(self.config, self.shape.times, self.seed, pages, rows, &mut self.out)?;
        self.found.drop_rows("beyond_max_votes", unvoted);
        if self.config.preferences {
            self.steps.preferences(&mut self.out)?;
            if self.shape.times && self.shape.unit == Unit::User {
                let gap = if self.shape.sessions { None } else { Some(self.config.session_gap()) };
                self.steps.successions(gap, pages, rows, &mut self.out)?;
            }
        }
        Ok(())
    }
}
