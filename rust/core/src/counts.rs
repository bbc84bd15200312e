//! The counts: what is left of a log when nobody's rows can be told apart any more. Mergeable, exactly, when no user is
//! split between the parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::impressions::ReadStats;
use crate::packed::{Packer, Sizes, Tables};
use crate::parts::{Nth, Parts, both as both_parts};
use crate::pulse::Pulse;
use crate::strings::Strings;
use crate::tables::{Summed, sum, sum_pages};

/// What the log had, and so what can be asked of its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Pairs were bounded per user, at most so many each.
    pub bounded: u32,
}

/// All tables, by query in canonical order.
#[derive(Clone)]
pub struct Counts {
    /// Query strings by code.
    pub query_strings: Arc<Strings>,
    /// Document strings by code.
    pub doc_strings: Arc<Strings>,
    /// The tables.
    pub tables: Arc<Tables>,
    /// What the log had.
    pub has: Has,
    /// Options they were counted with, by name; see [`CountConfig::shared`](crate::clean::CountConfig::shared).
    pub options: BTreeMap<String, String>,
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
    /// Of which parts of a log these are; None for a whole one.
    pub parts: Option<Parts>,
}

impl Counts {
    /// Rows of each table.
    pub fn sizes(&self) -> Sizes {
        self.tables.sizes()
    }

    /// Sums two counts. Exact when no user is in both; `disjoint` is the caller's word for it, without which user counts
    /// are upper bounds that no k-user threshold may rest on.
    ///
    /// # Errors
    /// [`Error::usage`] where they were counted from different columns, with different tables or with different options; [`Error::data`] where
    /// they hold different strings of one code, or cannot be read; what `pulse` reports.
    pub fn merge(&self, other: &Self, disjoint: bool, pulse: &mut Pulse<'_>) -> Result<Self> {
        if self.has.users != other.has.users
            || self.has.pages != other.has.pages
            || self.has.cell_detail != other.has.cell_detail
            || self.has.preferences != other.has.preferences
            || self.has.page_counts != other.has.page_counts
            || self.has.bounded != other.has.bounded
        {
            return Err(Error::usage(
                "these counts cannot be merged: one has users, pages or tables that the other lacks; count both with the \
                 same columns and options",
            ));
        }
        let parts = both_parts(self.parts.as_ref(), other.parts.as_ref())?;
        let names = self.options.keys().chain(other.options.keys());
        let different: BTreeSet<&str> =
            names.filter(|n| self.options.get(*n) != other.options.get(*n)).map(String::as_str).collect();
        if !different.is_empty() {
            return Err(Error::usage(format!(
                "these counts cannot be merged: they were counted with different {}; count both with the same options",
                Vec::from_iter(different).join(", ")
            )));
        }
        let (mut query_strings, query_clashes) = self.query_strings.merge(&other.query_strings, pulse)?;
        let (mut doc_strings, doc_clashes) = self.doc_strings.merge(&other.doc_strings, pulse)?;
        query_strings.hold(self.tables.budget());
        doc_strings.hold(self.tables.budget());
        if query_clashes.len() + doc_clashes.len() > 0 {
            return Err(Error::data(
                "these counts cannot be merged: two different queries or documents share a code (code_clash); count both logs \
                 at once",
            ));
        }
        let mut read = self.read.clone();
        read.add(&other.read);
        let mut dropped = self.dropped.clone();
        for (reason, n) in &other.dropped {
            *dropped.entry(reason).or_default() += n;
        }
        let mut position_users = self.position_users.clone();
        position_users.resize(position_users.len().max(other.position_users.len()), [0; 2]);
        for (mine, more) in position_users.iter_mut().zip(&other.position_users) {
            mine[0] = mine[0].saturating_add(more[0]);
            mine[1] = mine[1].saturating_add(more[1]);
        }
        Ok(Self {
            query_strings: Arc::new(query_strings),
            doc_strings: Arc::new(doc_strings),
            tables: Arc::new(merged(&self.tables, &other.tables, pulse)?),
            has: Has {
                positions: self.has.positions || other.has.positions,
                times: self.has.times && other.has.times,
                unclicked: self.has.unclicked || other.has.unclicked,
                ..self.has
            },
            options: self.options.clone(),
            read,
            dropped,
            users: self.users + other.users,
            position_users,
            // Parts share no user: each has those whose codes are its own.
            disjoint: self.disjoint && other.disjoint && (disjoint || parts.is_some()),
            parts,
        })
    }

    /// Calls `each` with the counts of each of `of` parts of the queries, in order. What is not counted by query (rows read,
    /// reasons, users) goes with the first, so that all of them together sum up to these.
    ///
    /// # Errors
    /// [`Error::usage`] where these are not counted as a part, or are split by query already; where the spill cannot be
    /// read; what `each` or `pulse` report.
    pub fn split(
        &self,
        of: u32,
        pulse: &mut Pulse<'_>,
        mut each: impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        let Some(parts) = &self.parts else {
            return Err(Error::usage(
                "these counts are of a whole log; count it as a part to split it by query: part=(0, 1)",
            ));
        };
        let mut groups = self.tables.groups();
        let mut next = groups.advance()?;
        for number in 0..of {
            pulse.beat()?;
            let part = Nth::new(number, of)?;
            let mut packer = Packer::new(self.tables.detail(), self.tables.budget().clone());
            let (mut queries, mut docs) = (Vec::new(), Vec::new());
            while let Some(group) = next.take_if(|g| part.has_query(g.query)) {
                name(&group, &mut queries, &mut docs);
                packer.push(&group)?;
                next = groups.advance()?;
            }
            for codes in [&mut queries, &mut docs] {
                codes.sort_unstable();
                codes.dedup();
            }
            let mut query_strings = self.query_strings.subset(&queries);
            let mut doc_strings = self.doc_strings.subset(&docs);
            self.query_strings.clashes().iter().for_each(|code| query_strings.push_clash(*code));
            self.doc_strings.clashes().iter().for_each(|code| doc_strings.push_clash(*code));
            let first = part.is_first();
            each(&Self {
                query_strings: Arc::new(query_strings),
                doc_strings: Arc::new(doc_strings),
                tables: Arc::new(packer.into_tables()?),
                has: self.has,
                options: self.options.clone(),
                read: if first { self.read.clone() } else { ReadStats::default() },
                dropped: if first { self.dropped.clone() } else { BTreeMap::new() },
                users: if first { self.users } else { 0 },
                position_users: if first { self.position_users.clone() } else { Vec::new() },
                disjoint: self.disjoint,
                parts: Some(parts.cut(part)?),
            })?;
        }
        Ok(())
    }
}

/// The queries and documents that a group names.
fn name(group: &Group, queries: &mut Vec<u64>, docs: &mut Vec<u64>) {
    queries.push(group.query);
    queries.extend(group.successions.iter().map(|s| s.next));
    queries.extend(group.succession_clicks.iter().map(|s| s.next));
    docs.extend(group.pairs.iter().map(|p| p.doc));
    docs.extend(group.preferences.iter().flat_map(|p| [p.preferred, p.skipped]));
    docs.extend(group.succession_clicks.iter().map(|s| s.doc));
    docs.extend(group.pages.iter().flat_map(|p| p.shown.iter().map(|s| s.0)));
}

/// Both by query, in order.
fn merged(one: &Tables, two: &Tables, pulse: &mut Pulse<'_>) -> Result<Tables> {
    let mut out = Packer::new(one.detail(), one.budget().clone());
    let (mut ours, mut theirs) = (one.groups(), two.groups());
    let (mut a, mut b) = (ours.advance()?, theirs.advance()?);
    loop {
        pulse.beat()?;
        match (&mut a, &mut b) {
            (Some(x), Some(y)) if x.query == y.query => {
                out.push(&added(x, y))?;
                (a, b) = (ours.advance()?, theirs.advance()?);
            }
            (Some(x), y) if y.as_ref().is_none_or(|y| x.query < y.query) => {
                out.push(x)?;
                a = ours.advance()?;
            }
            (_, Some(y)) => {
                out.push(y)?;
                b = theirs.advance()?;
            }
            _ => return out.into_tables(),
        }
    }
}

/// The sum of two groups of one query.
fn added(one: &Group, two: &Group) -> Group {
    let mut out = Group { query: one.query, ..Group::default() };
    out.users = one.users.saturating_add(two.users);
    out.searches = one.searches.saturating_add(two.searches);
    out.searches_clicked = one.searches_clicked.saturating_add(two.searches_clicked);
    let mut pairs: Vec<(u64, &Group, usize)> = [one, two]
        .into_iter()
        .flat_map(|g| g.pairs.iter().enumerate().map(move |(i, p)| (p.doc, g, i)))
        .collect();
    pairs.sort_by_key(|p| p.0);
    for same in pairs.chunk_by(|a, b| a.0 == b.0) {
        let mut pair = same[0].1.pairs[same[0].2];
        let mut cells = same[0].1.cells_of(same[0].2).to_vec();
        if let [_, (_, group, i)] = same {
            pair.add(&group.pairs[*i]);
            cells.extend_from_slice(group.cells_of(*i));
            sum(&mut cells);
        }
        out.pairs.push(pair);
        out.cells.extend(cells);
        out.ends.push(out.cells.len() as u32);
    }
    out.preferences = both(&one.preferences, &two.preferences);
    out.successions = both(&one.successions, &two.successions);
    out.succession_clicks = both(&one.succession_clicks, &two.succession_clicks);
    out.pages = [one.pages.as_slice(), &two.pages].concat();
    sum_pages(&mut out.pages);
    out
}

fn both<T: Summed>(ours: &[T], theirs: &[T]) -> Vec<T> {
    let mut rows = [ours, theirs].concat();
    sum(&mut rows);
    rows
}
