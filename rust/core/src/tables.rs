//! Rows of the counts tables. Each has a key and adds up; all sums are of integers, so they merge exactly.

use crate::records::{Rule, Vote, flag};
use crate::time::NULL_TIME;

/// A row that is summed by key.
pub trait Summed: Copy {
    /// What rows are summed by; its order is canonical order.
    type Key: Ord;
    /// The key.
    fn key(&self) -> Self::Key;
    /// Adds a row of the same key. Counts stop at their type's end rather than wrap or panic: saturating sums, too, are the
    /// same in any order.
    fn add(&mut self, other: &Self);
}

/// Sorts by key and sums rows of one key.
pub fn sum<T: Summed>(rows: &mut Vec<T>) {
    rows.sort_unstable_by_key(T::key);
    rows.dedup_by(|next, kept| {
        let same = next.key() == kept.key();
        if same {
            kept.add(next);
        }
        same
    });
}

/// Users and searches of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryRow {
    /// Rank.
    pub query: u32,
    /// Users who issued it.
    pub users: u32,
    /// Pages.
    pub searches: u64,
    /// Pages with a click.
    pub searches_clicked: u64,
}

impl Summed for QueryRow {
    type Key = u32;
    fn key(&self) -> u32 {
        self.query
    }
    fn add(&mut self, o: &Self) {
        self.users = self.users.saturating_add(o.users);
        self.searches = self.searches.saturating_add(o.searches);
        self.searches_clicked = self.searches_clicked.saturating_add(o.searches_clicked);
    }
}

/// Votes of a (query, document) at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub doc: u32,
    /// 0 for none.
    pub position: u16,
    /// 0 for none.
    pub previous_click: u16,
    /// 0–9.
    pub fold: u8,
    /// Votes.
    pub impressions: u32,
    /// Clicked ones.
    pub clicks: u32,
    /// Satisfied ones.
    pub satisfied_clicks: u32,
}

impl Summed for Cell {
    type Key = u128;
    fn key(&self) -> u128 {
        u128::from(self.query) << 96
            | u128::from(self.doc) << 64
            | u128::from(self.position) << 32
            | u128::from(self.previous_click) << 8
            | u128::from(self.fold)
    }
    fn add(&mut self, o: &Self) {
        self.impressions = self.impressions.saturating_add(o.impressions);
        self.clicks = self.clicks.saturating_add(o.clicks);
        self.satisfied_clicks = self.satisfied_clicks.saturating_add(o.satisfied_clicks);
    }
}

/// Everything counted of a (query, document); meanings in docs/ARCHITECTURE.md, count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "columns of the table `pairs`, described there")]
pub struct Pair {
    pub query: u32,
    pub doc: u32,
    pub users_shown: u32,
    pub users_clicked: u32,
    pub users_satisfied: u32,
    pub impressions: u32,
    pub clicks: u32,
    pub satisfied_clicks: u32,
    pub rejections: u32,
    pub skips: u32,
    pub positioned: u32,
    pub examined_first: u32,
    pub examined_last: u32,
    pub last_clicks: u32,
    pub dwells: u32,
    pub skip_position_sum: u64,
    pub position_sum: u64,
    pub dwell_ms_sum: u64,
    pub first_seen: i64,
    pub last_seen: i64,
}

impl Pair {
    /// The pair of one vote.
    pub fn of(vote: &Vote) -> Self {
        let bit = |f: u16| u32::from(vote.flags & f != 0);
        let skipped = bit(flag::SKIPPED);
        Self {
            query: vote.query,
            doc: vote.doc,
            users_shown: bit(flag::FIRST),
            users_clicked: bit(flag::USER_CLICKED),
            users_satisfied: bit(flag::USER_SATISFIED),
            impressions: 1,
            clicks: bit(flag::CLICKED),
            satisfied_clicks: bit(flag::SATISFIED),
            rejections: bit(flag::REJECTED),
            skips: skipped,
            positioned: u32::from(vote.position > 0),
            examined_first: bit(flag::EXAMINED_FIRST),
            examined_last: bit(flag::EXAMINED_LAST),
            last_clicks: bit(flag::LAST_CLICK),
            dwells: u32::from(vote.dwell_ms >= 0),
            skip_position_sum: u64::from(skipped) * u64::from(vote.position),
            position_sum: u64::from(vote.position),
            dwell_ms_sum: vote.dwell_ms.max(0) as u64,
            first_seen: vote.time,
            last_seen: vote.time,
        }
    }
}

impl Summed for Pair {
    type Key = u64;
    fn key(&self) -> u64 {
        u64::from(self.query) << 32 | u64::from(self.doc)
    }
    fn add(&mut self, o: &Self) {
        self.users_shown = self.users_shown.saturating_add(o.users_shown);
        self.users_clicked = self.users_clicked.saturating_add(o.users_clicked);
        self.users_satisfied = self.users_satisfied.saturating_add(o.users_satisfied);
        self.impressions = self.impressions.saturating_add(o.impressions);
        self.clicks = self.clicks.saturating_add(o.clicks);
        self.satisfied_clicks = self.satisfied_clicks.saturating_add(o.satisfied_clicks);
        self.rejections = self.rejections.saturating_add(o.rejections);
        self.skips = self.skips.saturating_add(o.skips);
        self.positioned = self.positioned.saturating_add(o.positioned);
        self.examined_first = self.examined_first.saturating_add(o.examined_first);
        self.examined_last = self.examined_last.saturating_add(o.examined_last);
        self.last_clicks = self.last_clicks.saturating_add(o.last_clicks);
        self.dwells = self.dwells.saturating_add(o.dwells);
        self.skip_position_sum = self.skip_position_sum.saturating_add(o.skip_position_sum);
        self.position_sum = self.position_sum.saturating_add(o.position_sum);
        self.dwell_ms_sum = self.dwell_ms_sum.saturating_add(o.dwell_ms_sum);
        // The missing time sorts first, so it must not win the minimum.
        self.first_seen = match (self.first_seen, o.first_seen) {
            (NULL_TIME, t) | (t, NULL_TIME) => t,
            (a, b) => a.min(b),
        };
        self.last_seen = self.last_seen.max(o.last_seen);
    }
}

/// Users who preferred one document to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferenceRow {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub preferred: u32,
    /// Rank.
    pub skipped: u32,
    /// Why.
    pub rule: Rule,
    /// Users.
    pub users: u32,
    /// Over users.
    pub position_preferred_sum: u64,
    /// Over users.
    pub position_skipped_sum: u64,
}

impl Summed for PreferenceRow {
    type Key = (u32, u32, u32, Rule);
    fn key(&self) -> Self::Key {
        (self.query, self.preferred, self.skipped, self.rule)
    }
    fn add(&mut self, o: &Self) {
        self.users = self.users.saturating_add(o.users);
        self.position_preferred_sum = self.position_preferred_sum.saturating_add(o.position_preferred_sum);
        self.position_skipped_sum = self.position_skipped_sum.saturating_add(o.position_skipped_sum);
    }
}

/// Users who went from one query to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessionRow {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub next: u32,
    /// Users.
    pub users: u32,
    /// Of them, those who then clicked.
    pub users_clicked_after: u32,
}

impl Summed for SuccessionRow {
    type Key = (u32, u32);
    fn key(&self) -> Self::Key {
        (self.query, self.next)
    }
    fn add(&mut self, o: &Self) {
        self.users = self.users.saturating_add(o.users);
        self.users_clicked_after = self.users_clicked_after.saturating_add(o.users_clicked_after);
    }
}

/// Users who clicked a document after such a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessionClickRow {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub next: u32,
    /// Rank.
    pub doc: u32,
    /// Users.
    pub users: u32,
}

impl Summed for SuccessionClickRow {
    type Key = (u32, u32, u32);
    fn key(&self) -> Self::Key {
        (self.query, self.next, self.doc)
    }
    fn add(&mut self, o: &Self) {
        self.users = self.users.saturating_add(o.users);
    }
}

/// Equal pages and how many there were: query, then (document, click) words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// Rank.
    pub query: u32,
    /// Document ranks and clicks, alternating, by position.
    pub words: Vec<u32>,
    /// Pages.
    pub count: u64,
}

/// Sorts pages and adds up equal ones.
pub fn sum_pages(pages: &mut Vec<PageRow>) {
    let docs = |p: &PageRow| -> Vec<u32> { p.words.iter().copied().step_by(2).collect() };
    let clicks = |p: &PageRow| -> Vec<u32> { p.words.iter().copied().skip(1).step_by(2).collect() };
    pages.sort_by_cached_key(|p| (p.query, docs(p), clicks(p)));
    pages.dedup_by(|next, kept| {
        let same = (next.query, &next.words) == (kept.query, &kept.words);
        if same {
            kept.count += next.count;
        }
        same
    });
}
