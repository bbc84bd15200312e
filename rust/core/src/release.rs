//! What may leave: everything, or what at least K users stand behind.
//!
//! [`Released`] is the wall. It holds strings and counts of what passed and nothing else; later stages take it by
//! reference and can reach neither counts nor log.

use std::sync::Arc;

use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::intern::Strings;
use crate::tables::{Cell, Pair, PreferenceRow, QueryRow, SuccessionClickRow, SuccessionRow, Summed};

/// How much passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Queries before and after.
    pub queries: (u64, u64),
    /// Pairs before and after.
    pub pairs: (u64, u64),
    /// Preferences before and after.
    pub preferences: (u64, u64),
    /// Successions before and after.
    pub successions: (u64, u64),
}

/// Released tables, in canonical order. Counts inside are exact; whoever shows them rounds by [`Released::shown`].
pub struct Released {
    /// Query strings by rank.
    pub query_strings: Arc<Strings>,
    /// Document strings by rank.
    pub doc_strings: Arc<Strings>,
    /// Users and searches.
    pub queries: Vec<QueryRow>,
    /// By (query, document).
    pub pairs: Vec<Pair>,
    /// By (query, document, position).
    pub cells: Vec<Cell>,
    /// By (query, preferred, skipped, rule).
    pub preferences: Vec<PreferenceRow>,
    /// By (query, next).
    pub successions: Vec<SuccessionRow>,
    /// By (query, next, document).
    pub succession_clicks: Vec<SuccessionClickRow>,
    /// By position (0: none): users shown something there, users who clicked there.
    pub position_users: Vec<[u32; 2]>,
    /// What the log had.
    pub has: Has,
    /// The threshold, if any.
    pub k: Option<u32>,
    /// How much passed.
    pub passed: Passed,
}

impl Released {
    /// A count as it may be shown: rounded down to a multiple of K.
    pub fn shown(&self, n: u64) -> u64 {
        let k = u64::from(self.k.unwrap_or(1));
        n / k * k
    }

    /// A measure that counts, rounded likewise.
    pub fn shown_measure(&self, x: f64) -> f64 {
        self.k.map_or(x, |k| (x / f64::from(k)).floor() * f64::from(k))
    }
}

/// Releases everything.
pub fn everything(counts: &Counts) -> Released {
    filter(counts, None)
}

/// Releases what at least `k` users stand behind: queries that k users issued; their documents that k users were shown
/// there; preferences and successions of k users between such. Positives wait for k clicking users in `select`.
///
/// This is a threshold, not differential privacy: whoever can add users of their own, or difference two releases, gets
/// below it.
///
/// # Errors
/// [`Error::privacy`] where the log has no users, [`Error::usage`] for k below 2.
pub fn k_users(counts: &Counts, k: u32) -> Result<Released> {
    if k < 2 {
        return Err(Error::usage("k must be at least 2: with 1, every single person's rows would pass"));
    }
    if !counts.has.users {
        return Err(Error::privacy(
            "the k-user threshold needs user ids, and the log has none: map a column to user_id (--columns user_id=…), or \
             choose --no-privacy",
        ));
    }
    if !counts.disjoint {
        return Err(Error::privacy(
            "these counts were merged from parts that may share users, so one person can pass for several: count the whole \
             log at once, or say users=\"disjoint\" when merging, if no user is in two parts",
        ));
    }
    Ok(filter(counts, Some(k)))
}

fn filter(counts: &Counts, k: Option<u32>) -> Released {
    let enough = |users: u32| users >= k.unwrap_or(0);
    let mut query_passes = vec![false; counts.query_strings.len()];
    for row in &counts.queries {
        query_passes[row.query as usize] = enough(row.users);
    }
    let pairs: Vec<Pair> = counts
        .pairs
        .iter()
        .filter(|p| query_passes[p.query as usize] && enough(p.users_shown))
        .copied()
        .collect();
    // Documents without a passing pair are not named at all.
    let mut doc_named = vec![false; counts.doc_strings.len()];
    for pair in &pairs {
        doc_named[pair.doc as usize] = true;
    }
    let (query_strings, queries_to) = subset(&counts.query_strings, &query_passes);
    let (doc_strings, docs_to) = subset(&counts.doc_strings, &doc_named);
    let has_pair = |query: u32, doc: u32| {
        let key = u64::from(query) << 32 | u64::from(doc);
        pairs.binary_search_by_key(&key, Summed::key).is_ok()
    };
    let preferences: Vec<PreferenceRow> = counts
        .preferences
        .iter()
        .filter(|p| enough(p.users) && has_pair(p.query, p.preferred) && has_pair(p.query, p.skipped))
        .map(|p| PreferenceRow {
            query: queries_to[p.query as usize],
            preferred: docs_to[p.preferred as usize],
            skipped: docs_to[p.skipped as usize],
            ..*p
        })
        .collect();
    let named = |query: u32| query_passes[query as usize];
    let successions: Vec<SuccessionRow> = counts
        .successions
        .iter()
        .filter(|s| enough(s.users) && named(s.query) && named(s.next))
        .map(|s| SuccessionRow {
            query: queries_to[s.query as usize],
            next: queries_to[s.next as usize],
            ..*s
        })
        .collect();
    let succession_clicks = counts
        .succession_clicks
        .iter()
        .filter(|s| enough(s.users) && named(s.query) && has_pair(s.next, s.doc))
        .map(|s| SuccessionClickRow {
            query: queries_to[s.query as usize],
            next: queries_to[s.next as usize],
            doc: docs_to[s.doc as usize],
            ..*s
        })
        .collect();
    let queries: Vec<QueryRow> = counts
        .queries
        .iter()
        .filter(|r| named(r.query))
        .map(|r| QueryRow { query: queries_to[r.query as usize], ..*r })
        .collect();
    let passed = Passed {
        queries: (counts.queries.len() as u64, queries.len() as u64),
        pairs: (counts.pairs.len() as u64, pairs.len() as u64),
        preferences: (counts.preferences.len() as u64, preferences.len() as u64),
        successions: (counts.successions.len() as u64, successions.len() as u64),
    };
    let cells = released_cells(counts, &pairs, &queries_to, &docs_to);
    let recode = |p: Pair| Pair { query: queries_to[p.query as usize], doc: docs_to[p.doc as usize], ..p };
    Released {
        query_strings: Arc::new(query_strings),
        doc_strings: Arc::new(doc_strings),
        queries,
        pairs: pairs.into_iter().map(recode).collect(),
        cells,
        preferences,
        successions,
        succession_clicks,
        position_users: counts.position_users.clone(),
        has: Has { cell_detail: false, page_counts: false, ..counts.has },
        k,
        passed,
    }
}

/// Cells of passing pairs, summed over previous click and fold. Both lists are in order of (query, document).
fn released_cells(counts: &Counts, pairs: &[Pair], queries_to: &[u32], docs_to: &[u32]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::with_capacity(pairs.len());
    let mut wanted = pairs.iter().peekable();
    for cell in &counts.cells {
        let key = u64::from(cell.query) << 32 | u64::from(cell.doc);
        while wanted.next_if(|p| p.key() < key).is_some() {}
        if wanted.peek().is_none_or(|p| p.key() != key) {
            continue;
        }
        let cell = Cell {
            query: queries_to[cell.query as usize],
            doc: docs_to[cell.doc as usize],
            previous_click: 0,
            fold: 0,
            ..*cell
        };
        match cells.last_mut() {
            Some(last) if last.key() == cell.key() => last.add(&cell),
            _ => cells.push(cell),
        }
    }
    cells
}

/// The named strings, and the new rank of each.
fn subset(strings: &Strings, named: &[bool]) -> (Strings, Vec<u32>) {
    let ranks: Vec<u32> = (0..strings.len() as u32).filter(|r| named[*r as usize]).collect();
    let mut to = vec![u32::MAX; strings.len()];
    for (new, old) in ranks.iter().enumerate() {
        to[*old as usize] = new as u32;
    }
    (strings.subset(&ranks), to)
}
