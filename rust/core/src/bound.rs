//! One user's contribution: robots left out, pages ordered, votes and preferences bounded.
//!
//! Everything here reads the rows of one user and public constants only, so adding a user changes no other user's
//! contribution.

use std::collections::BTreeMap;

use crate::clean::{self, CountConfig};
use crate::intern::Strings;
use crate::page::{Page, clicked_range, pages, satisfied};
use crate::partition::{Scatter, Store};
use crate::records::{PageRecord, Preference, QueryVote, Rule, Succession, SuccessionClick, Vote, flag};
use crate::records::{Row, Unit};
use crate::seed::Seed;
use crate::time::NULL_TIME;

/// More impressions than this are no page that anybody saw, but ids that do not tell searches apart; the preferences of
/// such a page would grow with its square.
const MAX_PAGE: usize = 1_000;

/// Stores of everything a user contributes, by query partition.
pub struct Contributions {
    /// Bounded impressions.
    pub votes: Store<Vote>,
    /// Users and searches of a query.
    pub queries: Store<QueryVote>,
    /// Pair preferences.
    pub preferences: Store<Preference>,
    /// Reformulations.
    pub successions: Store<Succession>,
    /// Documents clicked after a reformulation.
    pub succession_clicks: Store<SuccessionClick>,
    /// Whole pages, flattened ([`PageRecord`]).
    pub pages: Store<u32>,
}

impl Contributions {
    /// Empty stores.
    pub fn new(partitions: usize) -> Self {
        Self {
            votes: Store::new(partitions),
            queries: Store::new(partitions),
            preferences: Store::new(partitions),
            successions: Store::new(partitions),
            succession_clicks: Store::new(partitions),
            pages: Store::new(partitions),
        }
    }
}

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
    queries: &'a Strings,
    docs: &'a Strings,
    out: Out<'a>,
    /// Reason → rows left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Users that contributed.
    pub users: u64,
    /// By position: users shown something there, users who clicked there.
    pub position_users: Vec<[u32; 2]>,
    /// By position: the last user counted in either of the two.
    position_stamps: Vec<[u64; 2]>,
    page_buffer: Vec<Page>,
    impressions: Vec<Impression>,
    preferences: Vec<(Preference, u32)>,
    successions: Vec<Succession>,
    succession_clicks: Vec<SuccessionClick>,
    query_votes: Vec<QueryVote>,
    session_pages: Vec<Page>,
}

struct Out<'a> {
    partition_of: PartitionOf,
    votes: Scatter<'a, Vote>,
    queries: Scatter<'a, QueryVote>,
    preferences: Scatter<'a, Preference>,
    successions: Scatter<'a, Succession>,
    succession_clicks: Scatter<'a, SuccessionClick>,
    pages: &'a Store<u32>,
}

/// Partitions are ranges of query ranks, so that they follow one another in canonical order.
#[derive(Clone, Copy)]
pub struct PartitionOf {
    /// How many partitions.
    pub partitions: usize,
    /// How many queries.
    pub queries: usize,
}

impl PartitionOf {
    /// Partition of a query rank.
    #[inline]
    pub fn of(self, query: u32) -> usize {
        (query as u64 * self.partitions as u64 / self.queries.max(1) as u64) as usize
    }
}

/// A vote in the making, with what orders it among the user's others.
struct Impression {
    key: (u64, bool, u32, u16),
    vote: Vote,
}

/// `flag` where `set`, else nothing.
fn only(flag: u16, set: bool) -> u16 {
    flag * u16::from(set)
}

impl<'a> Bounder<'a> {
    /// A worker's bounder into shared stores.
    pub fn new(
        config: &'a CountConfig,
        shape: Shape,
        seed: Seed,
        queries: &'a Strings,
        docs: &'a Strings,
        out: &'a Contributions,
    ) -> Self {
        let partition_of = PartitionOf { partitions: out.votes.partitions(), queries: queries.len() };
        Self {
            config,
            shape,
            seed,
            queries,
            docs,
            out: Out {
                partition_of,
                votes: out.votes.scatter(),
                queries: out.queries.scatter(),
                preferences: out.preferences.scatter(),
                successions: out.successions.scatter(),
                succession_clicks: out.succession_clicks.scatter(),
                pages: &out.pages,
            },
            dropped: BTreeMap::new(),
            users: 0,
            position_users: Vec::new(),
            position_stamps: Vec::new(),
            page_buffer: Vec::new(),
            impressions: Vec::new(),
            preferences: Vec::new(),
            successions: Vec::new(),
            succession_clicks: Vec::new(),
            query_votes: Vec::new(),
            session_pages: Vec::new(),
        }
    }

    fn drop_rows(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.dropped.entry(reason).or_default() += n;
        }
    }

    /// Bounds one user. `rows` are all rows with one user code, sorted by (search, query, position, document, clicked,
    /// time, dwell, click), with query and document already ranks.
    pub fn user(&mut self, rows: &mut [Row]) {
        if self.shape.unit == Unit::Row {
            self.number_rows(rows);
            rows.chunks_mut(1).for_each(|row| self.one(row));
        } else {
            self.one(rows);
        }
    }

    fn one(&mut self, rows: &mut [Row]) {
        let mut page_buffer = std::mem::take(&mut self.page_buffer);
        let (kept, merged) = pages(rows, &mut page_buffer);
        self.drop_rows("duplicate_impression", merged);
        let rows = &mut rows[..kept];
        page_buffer.sort_unstable_by_key(|p| (p.time, p.search, p.query));
        self.decay(&mut page_buffer);
        if !page_buffer.is_empty() && self.not_robot(&page_buffer, rows) {
            self.shorten(&mut page_buffer, rows);
            if !page_buffer.is_empty() {
                self.users += 1;
                self.contribute(&page_buffer, rows);
            }
        }
        self.page_buffer = page_buffer;
    }

    /// Gives every row of a log without users and searches a page of its own, identical rows told apart by number.
    fn number_rows(&mut self, rows: &mut [Row]) {
        let (mut ordinal, mut last) = (0_u64, None);
        for row in rows.iter_mut() {
            let content = (row.query, row.doc, row.position, row.clicked, row.time);
            ordinal = if last == Some(content) { ordinal + 1 } else { 0 };
            last = Some(content);
            let position = u64::from(row.position).to_be_bytes();
            let time = row.time.to_be_bytes();
            row.search = self.seed.hash(
                "row",
                &[
                    self.queries.get(row.query).as_bytes(),
                    self.docs.get(row.doc).as_bytes(),
                    if row.position == 0 { &[] } else { &position },
                    &[u8::from(row.clicked)],
                    if row.time == NULL_TIME { &[] } else { &time },
                    &ordinal.to_be_bytes(),
                ],
            );
        }
    }

    fn decay(&mut self, page_buffer: &mut Vec<Page>) {
        let Some(decay) = self.config.decay() else { return };
        let mut gone = 0;
        page_buffer.retain(|page| {
            let keep = decay.keeps(page.time, self.seed.hash("decay", &[&page.search.to_be_bytes()]));
            gone += if keep { 0 } else { (page.end - page.start) as u64 };
            keep
        });
        self.drop_rows("decayed", gone);
    }

    fn not_robot(&mut self, page_buffer: &[Page], rows: &[Row]) -> bool {
        if self.shape.unit != Unit::User {
            return true;
        }
        let Some(reason) = clean::robot(self.config, self.shape.times, page_buffer, rows) else {
            return true;
        };
        self.drop_rows(reason, page_buffer.iter().map(|p| (p.end - p.start) as u64).sum());
        false
    }

    /// Cuts positions beyond the limit, then pages that are too short. Rows of a page are sorted by position.
    fn shorten(&mut self, page_buffer: &mut Vec<Page>, rows: &[Row]) {
        let (mut beyond, mut short, mut oversized) = (0, 0, 0);
        let (limit, least) = (self.config.max_position, self.config.min_page_length);
        let judge_length = self.shape.has_pages;
        page_buffer.retain_mut(|page| {
            let keep = rows[page.start..page.end].partition_point(|r| u32::from(r.position) <= limit);
            beyond += (page.end - page.start - keep) as u64;
            page.end = page.start + keep;
            page.clicked = rows[page.start..page.end].iter().any(|r| r.clicked);
            if keep > MAX_PAGE {
                oversized += keep as u64;
                return false;
            }
            let long_enough = keep > 0 && (!judge_length || keep >= least);
            short += if long_enough { 0 } else { keep as u64 };
            long_enough
        });
        self.drop_rows("beyond_max_position", beyond);
        self.drop_rows("oversized_page", oversized);
        self.drop_rows("short_page", short);
    }

    /// Counts a user once for each position seen, and once for each clicked.
    fn positions_of(&mut self, rows: &[Row]) {
        for row in rows {
            let p = usize::from(row.position);
            if self.position_users.len() <= p {
                self.position_users.resize(p + 1, [0; 2]);
                self.position_stamps.resize(p + 1, [0; 2]);
            }
            for (what, happened) in [(0, true), (1, row.clicked)] {
                if happened && self.position_stamps[p][what] != self.users {
                    self.position_stamps[p][what] = self.users;
                    self.position_users[p][what] = self.position_users[p][what].saturating_add(1);
                }
            }
        }
    }

    fn contribute(&mut self, page_buffer: &[Page], rows: &[Row]) {
        for (order, page) in page_buffer.iter().enumerate() {
            let rows = &rows[page.start..page.end];
            self.positions_of(rows);
            self.impressions_of(order as u32, page, rows);
            self.preferences_of(order as u32, page, rows);
            self.query_votes.push(QueryVote {
                query: page.query,
                searches: 1,
                clicked: u32::from(page.clicked),
            });
            if self.config.page_counts {
                PageRecord::append(self.out.pages, self.out.partition_of.of(page.query), page.query, rows);
            }
        }
        self.emit_votes();
        self.emit_preferences();
        self.emit_queries();
        if self.config.preferences && self.shape.times && self.shape.unit == Unit::User {
            self.successions_of(page_buffer, rows);
        }
    }

    fn impressions_of(&mut self, order: u32, page: &Page, rows: &[Row]) {
        let (first, last) = clicked_range(rows);
        let fold = (self.seed.hash("fold", &[&page.search.to_be_bytes()]) % 10) as u8;
        // Rows are sorted by position: the greatest clicked position above is the last clicked one at a smaller position.
        let (mut above, mut here, mut at) = (0, 0, 0);
        for row in rows {
            if row.position != at {
                above = if here > 0 { here } else { above };
                (here, at) = (0, row.position);
            }
            let p = row.position;
            let flags = only(flag::CLICKED, row.clicked)
                | only(flag::SATISFIED, satisfied(row, self.config.satisfied_dwell_ms))
                | only(flag::REJECTED, !row.clicked && page.clicked)
                | only(flag::SKIPPED, !row.clicked && p > 0 && p < last)
                | only(flag::EXAMINED_FIRST, p > 0 && p <= first)
                | only(flag::EXAMINED_LAST, p > 0 && p <= last)
                | only(flag::LAST_CLICK, row.clicked && p > 0 && p == last);
            let pair = u64::from(row.query) << 32 | u64::from(row.doc);
            self.impressions.push(Impression {
                key: (pair, !row.clicked, order, p),
                vote: Vote {
                    query: row.query,
                    doc: row.doc,
                    time: row.time,
                    dwell_ms: if row.clicked { row.dwell_ms } else { -1 },
                    position: p,
                    previous_click: above,
                    flags,
                    fold,
                },
            });
            if row.clicked && p > 0 {
                here = p;
            }
        }
    }

    fn emit_votes(&mut self) {
        self.impressions.sort_unstable_by_key(|i| i.key);
        let limit = match self.config.max_votes {
            0 => usize::MAX,
            n => n,
        };
        let mut unvoted = 0;
        for pair in self.impressions.chunk_by(|a, b| a.key.0 == b.key.0) {
            let any = |f: u16| pair.iter().any(|i| i.vote.flags & f != 0);
            let user = flag::FIRST
                | only(flag::USER_CLICKED, any(flag::CLICKED))
                | only(flag::USER_SATISFIED, any(flag::SATISFIED));
            for (n, impression) in pair.iter().take(limit).enumerate() {
                let mut vote = impression.vote;
                vote.flags |= if n == 0 { user } else { 0 };
                self.out.votes.push(self.out.partition_of.of(vote.query), vote);
            }
            unvoted += pair.len().saturating_sub(limit) as u64;
        }
        self.impressions.clear();
        self.drop_rows("beyond_max_votes", unvoted);
    }

    fn preferences_of(&mut self, order: u32, page: &Page, rows: &[Row]) {
        if !page.clicked || !self.config.preferences {
            return;
        }
        let (_, last) = clicked_range(rows);
        let mut prefer = |rule: Rule, preferred: &Row, skipped: &Row| {
            if preferred.doc != skipped.doc {
                let preference = Preference {
                    query: page.query,
                    preferred: preferred.doc,
                    skipped: skipped.doc,
                    rule,
                    position_preferred: preferred.position,
                    position_skipped: skipped.position,
                };
                self.preferences.push((preference, order));
            }
        };
        for clicked in rows.iter().filter(|r| r.clicked && r.position > 0) {
            for skipped in
                rows.iter().filter(|r| !r.clicked && r.position > 0 && r.position < clicked.position)
            {
                prefer(Rule::SkipAbove, clicked, skipped);
                if clicked.position == last {
                    prefer(Rule::LastClickSkipAbove, clicked, skipped);
                }
            }
            let next = rows.iter().map(|r| r.position).filter(|p| *p > clicked.position).min();
            for below in rows.iter().filter(|r| !r.clicked && Some(r.position) == next) {
                prefer(Rule::ClickNoClickNext, clicked, below);
            }
        }
    }

    /// One vote a user: the earliest, then by the two positions.
    fn emit_preferences(&mut self) {
        self.preferences
            .sort_unstable_by_key(|(p, order)| (p.key(), *order, p.position_preferred, p.position_skipped));
        self.preferences.dedup_by_key(|(p, _)| p.key());
        for (preference, _) in self.preferences.drain(..) {
            self.out.preferences.push(self.out.partition_of.of(preference.query), preference);
        }
    }

    fn emit_queries(&mut self) {
        self.query_votes.sort_unstable_by_key(|q| q.query);
        for same in self.query_votes.chunk_by(|a, b| a.query == b.query) {
            let vote = QueryVote {
                query: same[0].query,
                searches: same.len() as u32,
                clicked: same.iter().map(|q| q.clicked).sum(),
            };
            self.out.queries.push(self.out.partition_of.of(vote.query), vote);
        }
        self.query_votes.clear();
    }

    fn successions_of(&mut self, page_buffer: &[Page], rows: &[Row]) {
        let gap = self.config.session_gap();
        self.session_pages.clear();
        self.session_pages.extend_from_slice(page_buffer);
        if self.shape.sessions {
            // Stable: within a session pages stay in their order, whatever other sessions ran beside it.
            self.session_pages.sort_by_key(|p| p.session);
        }
        for pair in self.session_pages.windows(2) {
            let [a, b] = pair else { continue };
            let same_session = if self.shape.sessions {
                a.session == b.session
            } else {
                b.time.saturating_sub(a.time) <= gap
            };
            if !same_session || a.query == b.query || a.time == NULL_TIME {
                continue;
            }
            self.successions.push(Succession { query: a.query, next: b.query, clicked: b.clicked });
            let clicked = rows[b.start..b.end].iter().filter(|r| r.clicked);
            self.succession_clicks.extend(clicked.map(|r| SuccessionClick {
                query: a.query,
                next: b.query,
                doc: r.doc,
            }));
        }
        self.successions.sort_unstable_by_key(|s| (s.query, s.next, !s.clicked));
        self.successions.dedup_by_key(|s| (s.query, s.next));
        self.succession_clicks.sort_unstable_by_key(|s| (s.query, s.next, s.doc));
        self.succession_clicks.dedup_by_key(|s| (s.query, s.next, s.doc));
        for s in self.successions.drain(..) {
            self.out.successions.push(self.out.partition_of.of(s.query), s);
        }
        for s in self.succession_clicks.drain(..) {
            self.out.succession_clicks.push(self.out.partition_of.of(s.query), s);
        }
    }
}
