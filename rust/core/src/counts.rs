//! The counts: what is left of a log when nobody's rows can be told apart any more. Mergeable, exactly, when no user is
//! split between the parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::impressions::ReadStats;
use crate::intern::Strings;
use crate::tables::{
    Cell, PageRow, Pair, PreferenceRow, QueryRow, SuccessionClickRow, SuccessionRow, Summed, sum, sum_pages,
};
use crate::tally::Tally;

/// What the log had, and so what can be asked of its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Has {
    /// User ids: user counts mean users, and k-users can be judged.
    pub users: bool,
    /// Searches, sessions or users: impressions belong to pages.
    pub pages: bool,
    /// At least one position.
    pub positions: bool,
    /// Timestamps.
    pub times: bool,
    /// At least one impression that was not clicked.
    pub unclicked: bool,
    /// `cells` keep previous_click and fold apart.
    pub cell_detail: bool,
    /// Preferences and successions were counted.
    pub preferences: bool,
    /// Whole pages were counted.
    pub page_counts: bool,
}

/// All tables, in canonical order.
#[derive(Clone)]
pub struct Counts {
    /// Query strings by rank.
    pub query_strings: Arc<Strings>,
    /// Document strings by rank.
    pub doc_strings: Arc<Strings>,
    /// Table `queries`.
    pub queries: Vec<QueryRow>,
    /// Table `cells`.
    pub cells: Vec<Cell>,
    /// Table `pairs`.
    pub pairs: Vec<Pair>,
    /// Table `preferences`.
    pub preferences: Vec<PreferenceRow>,
    /// Table `successions`.
    pub successions: Vec<SuccessionRow>,
    /// Table `succession_clicks`.
    pub succession_clicks: Vec<SuccessionClickRow>,
    /// Table `pages`.
    pub pages: Vec<PageRow>,
    /// What the log had.
    pub has: Has,
    /// What reading found.
    pub read: ReadStats,
    /// Reason → rows left out by cleaning and bounding.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Users (or pages standing for them) that contributed.
    pub users: u64,
    /// By position (0: none): users shown something there, users who clicked there.
    pub position_users: Vec<[u32; 2]>,
    /// Whether a user is known to be counted once: in one log, or in parts that the caller said share no user.
    pub disjoint: bool,
}

impl Counts {
    /// Sums two counts. Exact when no user is in both; `disjoint` is the caller's word for it, without which user counts
    /// are upper bounds that no k-user threshold may rest on.
    ///
    /// # Errors
    /// [`Error::usage`] where they were counted from different columns or with different tables.
    pub fn merge(self, other: Self, disjoint: bool) -> Result<Self> {
        if self.has.users != other.has.users
            || self.has.pages != other.has.pages
            || self.has.cell_detail != other.has.cell_detail
            || self.has.preferences != other.has.preferences
            || self.has.page_counts != other.has.page_counts
        {
            return Err(Error::usage(
                "these counts cannot be merged: one has users, pages or tables that the other lacks; count both with the \
                 same columns and options",
            ));
        }
        let (query_strings, our_queries, their_queries) = self.query_strings.merge(&other.query_strings);
        let (doc_strings, our_docs, their_docs) = self.doc_strings.merge(&other.doc_strings);
        let mut ours = self.recoded(&our_queries, &our_docs);
        let theirs = other.recoded(&their_queries, &their_docs);
        ours.query_strings = Arc::new(query_strings);
        ours.doc_strings = Arc::new(doc_strings);
        both(&mut ours.queries, theirs.queries);
        both(&mut ours.cells, theirs.cells);
        both(&mut ours.pairs, theirs.pairs);
        both(&mut ours.preferences, theirs.preferences);
        both(&mut ours.successions, theirs.successions);
        both(&mut ours.succession_clicks, theirs.succession_clicks);
        ours.pages.extend(theirs.pages);
        sum_pages(&mut ours.pages);
        ours.has.positions |= theirs.has.positions;
        ours.has.times &= theirs.has.times;
        ours.has.unclicked |= theirs.has.unclicked;
        ours.read.add(&theirs.read);
        for (reason, n) in theirs.dropped {
            *ours.dropped.entry(reason).or_default() += n;
        }
        ours.users += theirs.users;
        ours.disjoint &= theirs.disjoint && disjoint;
        if ours.position_users.len() < theirs.position_users.len() {
            ours.position_users.resize(theirs.position_users.len(), [0; 2]);
        }
        for (mine, more) in ours.position_users.iter_mut().zip(&theirs.position_users) {
            mine[0] = mine[0].saturating_add(more[0]);
            mine[1] = mine[1].saturating_add(more[1]);
        }
        Ok(ours)
    }

    /// Takes in the tables of partitions that follow one another. Partitions are ranges of query ranks, so appending keeps
    /// canonical order.
    pub fn append(&mut self, tallies: Vec<Tally>) {
        self.queries.reserve_exact(tallies.iter().map(|t| t.queries.len()).sum());
        self.cells.reserve_exact(tallies.iter().map(|t| t.cells.len()).sum());
        self.pairs.reserve_exact(tallies.iter().map(|t| t.pairs.len()).sum());
        self.preferences.reserve_exact(tallies.iter().map(|t| t.preferences.len()).sum());
        for one in tallies {
            self.queries.extend(one.queries);
            self.cells.extend(one.cells);
            self.pairs.extend(one.pairs);
            self.preferences.extend(one.preferences);
            self.successions.extend(one.successions);
            self.succession_clicks.extend(one.succession_clicks);
            self.pages.extend(one.pages);
        }
    }

    /// With ranks replaced; the maps ascend, so order stays canonical.
    fn recoded(mut self, queries: &[u32], docs: &[u32]) -> Self {
        let (q, d) =
            (|rank: &mut u32| *rank = queries[*rank as usize], |rank: &mut u32| *rank = docs[*rank as usize]);
        self.queries.iter_mut().for_each(|r| q(&mut r.query));
        for row in &mut self.cells {
            q(&mut row.query);
            d(&mut row.doc);
        }
        for row in &mut self.pairs {
            q(&mut row.query);
            d(&mut row.doc);
        }
        for row in &mut self.preferences {
            q(&mut row.query);
            d(&mut row.preferred);
            d(&mut row.skipped);
        }
        for row in &mut self.successions {
            q(&mut row.query);
            q(&mut row.next);
        }
        for row in &mut self.succession_clicks {
            q(&mut row.query);
            q(&mut row.next);
            d(&mut row.doc);
        }
        for row in &mut self.pages {
            q(&mut row.query);
            row.words.iter_mut().step_by(2).for_each(d);
        }
        self
    }
}

fn both<T: Summed>(ours: &mut Vec<T>, theirs: Vec<T>) {
    ours.extend(theirs);
    sum(ours);
}
