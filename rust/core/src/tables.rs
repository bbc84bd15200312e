//! Rows of the counts tables. Each has a key and adds up; all sums are of integers, so they merge exactly.

use serde::{Deserialize, Serialize};

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

/// Votes of a (query, document) at one place. The document is that of the pair the cell stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
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

impl Cell {
    /// A place without a vote.
    pub fn empty(position: u16, previous_click: u16, fold: u8) -> Self {
        Self { position, previous_click, fold, impressions: 0, clicks: 0, satisfied_clicks: 0 }
    }

    /// Adds a vote of these flags.
    #[inline]
    pub fn vote(&mut self, flags: u16) {
        let bit = |f: u16| u32::from(flags & f != 0);
        self.impressions = self.impressions.saturating_add(1);
        self.clicks = self.clicks.saturating_add(bit(flag::CLICKED));
        self.satisfied_clicks = self.satisfied_clicks.saturating_add(bit(flag::SATISFIED));
    }
}

impl Summed for Cell {
    type Key = u64;
    fn key(&self) -> u64 {
        u64::from(self.position) << 32 | u64::from(self.previous_click) << 8 | u64::from(self.fold)
    }
    fn add(&mut self, o: &Self) {
        self.impressions = self.impressions.saturating_add(o.impressions);
        self.clicks = self.clicks.saturating_add(o.clicks);
        self.satisfied_clicks = self.satisfied_clicks.saturating_add(o.satisfied_clicks);
    }
}

/// Everything counted of a document for a query; meanings in docs/ARCHITECTURE.md, count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "columns of the table `pairs`, described there")]
pub struct Pair {
    pub doc: u64,
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
    pub bounded_shown: u32,
    pub bounded_clicked: u32,
    pub skip_position_sum: u64,
    pub position_sum: u64,
    pub dwell_ms_sum: u64,
    pub first_seen: i64,
    pub last_seen: i64,
}

impl Pair {
    /// A pair of which nothing was seen yet.
    pub fn empty(doc: u64) -> Self {
        Self {
            doc,
            users_shown: 0,
            users_clicked: 0,
            users_satisfied: 0,
            impressions: 0,
            clicks: 0,
            satisfied_clicks: 0,
            rejections: 0,
            skips: 0,
            positioned: 0,
            examined_first: 0,
            examined_last: 0,
            last_clicks: 0,
            dwells: 0,
            bounded_shown: 0,
            bounded_clicked: 0,
            skip_position_sum: 0,
            position_sum: 0,
            dwell_ms_sum: 0,
            first_seen: NULL_TIME,
            last_seen: NULL_TIME,
        }
    }

    /// Adds one vote.
    #[inline]
    pub fn vote(&mut self, vote: &Vote) {
        let bit = |f: u16| u32::from(vote.flags & f != 0);
        let add = |to: &mut u32, n: u32| *to = to.saturating_add(n);
        add(&mut self.impressions, 1);
        add(&mut self.users_shown, bit(flag::FIRST));
        add(&mut self.positioned, u32::from(vote.position > 0));
        self.position_sum = self.position_sum.saturating_add(vote.position.into());
        self.seen(vote.time, vote.time);
        if vote.flags & !(flag::FIRST | flag::TIME) == 0 {
            return; // shown, and nothing came of it: most votes
        }
        add(&mut self.users_clicked, bit(flag::USER_CLICKED));
        add(&mut self.users_satisfied, bit(flag::USER_SATISFIED));
        add(&mut self.clicks, bit(flag::CLICKED));
        add(&mut self.satisfied_clicks, bit(flag::SATISFIED));
        add(&mut self.rejections, bit(flag::REJECTED));
        add(&mut self.skips, bit(flag::SKIPPED));
        add(&mut self.examined_first, bit(flag::EXAMINED_FIRST));
        add(&mut self.examined_last, bit(flag::EXAMINED_LAST));
        add(&mut self.last_clicks, bit(flag::LAST_CLICK));
        let bounded = bit(flag::BOUNDED);
        add(&mut self.bounded_shown, bounded);
        add(&mut self.bounded_clicked, bounded & bit(flag::USER_CLICKED));
        if vote.flags & flag::SKIPPED != 0 {
            self.skip_position_sum = self.skip_position_sum.saturating_add(vote.position.into());
        }
        if vote.dwell_ms >= 0 {
            add(&mut self.dwells, 1);
            self.dwell_ms_sum = self.dwell_ms_sum.saturating_add(vote.dwell_ms as u64);
        }
    }

    #[inline]
    fn seen(&mut self, first: i64, last: i64) {
        // The missing time sorts first, so it must not win the minimum.
        self.first_seen = match (self.first_seen, first) {
            (NULL_TIME, t) | (t, NULL_TIME) => t,
            (a, b) => a.min(b),
        };
        self.last_seen = self.last_seen.max(last);
    }
}

impl Summed for Pair {
    type Key = u64;
    fn key(&self) -> u64 {
        self.doc
    }
    fn add(&mut self, o: &Self) {
        for (to, n) in [
            (&mut self.users_shown, o.users_shown),
            (&mut self.users_clicked, o.users_clicked),
            (&mut self.users_satisfied, o.users_satisfied),
            (&mut self.impressions, o.impressions),
            (&mut self.clicks, o.clicks),
            (&mut self.satisfied_clicks, o.satisfied_clicks),
            (&mut self.rejections, o.rejections),
            (&mut self.skips, o.skips),
            (&mut self.positioned, o.positioned),
            (&mut self.examined_first, o.examined_first),
            (&mut self.examined_last, o.examined_last),
            (&mut self.last_clicks, o.last_clicks),
            (&mut self.dwells, o.dwells),
            (&mut self.bounded_shown, o.bounded_shown),
            (&mut self.bounded_clicked, o.bounded_clicked),
        ] {
            *to = to.saturating_add(n);
        }
        self.skip_position_sum = self.skip_position_sum.saturating_add(o.skip_position_sum);
        self.position_sum = self.position_sum.saturating_add(o.position_sum);
        self.dwell_ms_sum = self.dwell_ms_sum.saturating_add(o.dwell_ms_sum);
        self.seen(o.first_seen, o.last_seen);
    }
}

/// Users who preferred one document to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferenceRow {
    /// Code.
    pub query: u64,
    /// Code.
    pub preferred: u64,
    /// Code.
    pub skipped: u64,
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
    type Key = (u64, u64, u64, Rule);
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
    /// Code.
    pub query: u64,
    /// Code.
    pub next: u64,
    /// Users.
    pub users: u32,
    /// Of them, those who then clicked.
    pub users_clicked_after: u32,
}

impl Summed for SuccessionRow {
    type Key = (u64, u64);
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
    /// Code.
    pub query: u64,
    /// Code.
    pub next: u64,
    /// Code.
    pub doc: u64,
    /// Users.
    pub users: u32,
}

impl Summed for SuccessionClickRow {
    type Key = (u64, u64, u64);
    fn key(&self) -> Self::Key {
        (self.query, self.next, self.doc)
    }
    fn add(&mut self, o: &Self) {
        self.users = self.users.saturating_add(o.users);
    }
}

/// Equal pages and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// Code.
    pub query: u64,
    /// Document and click of each impression, by position.
    pub shown: Vec<(u64, bool)>,
    /// Pages.
    pub count: u64,
}

/// Sorts pages by query, documents, clicks, and adds up equal ones.
pub fn sum_pages(pages: &mut Vec<PageRow>) {
    let docs = |p: &PageRow| -> Vec<u64> { p.shown.iter().map(|s| s.0).collect() };
    let clicks = |p: &PageRow| -> Vec<bool> { p.shown.iter().map(|s| s.1).collect() };
    pages.sort_by_cached_key(|p| (p.query, docs(p), clicks(p)));
    pages.dedup_by(|next, kept| {
        let same = (next.query, &next.shown) == (kept.query, &kept.shown);
        if same {
            kept.count += next.count;
        }
        same
    });
}
