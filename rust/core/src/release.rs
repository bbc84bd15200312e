//! What may leave: everything, or what at least K users stand behind.
//!
//! [`Released`] is the wall. It holds strings and counts of what passed and nothing else; later stages take it by
//! reference and can reach neither counts nor log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::impressions::ReadStats;
use crate::logged::Logged;
use crate::packed::{Packer, Sizes, Tables};
use crate::parts::{Nth, Parts, whole};
use crate::pulse::Pulse;
use crate::strings::Strings;
use crate::tables::Pair;

/// Rows of each table before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Before.
    pub before: Sizes,
    /// After.
    pub after: Sizes,
}

/// Released tables, in canonical order. Counts inside are exact; whoever shows them rounds by [`Released::shown`].
pub struct Released {
    /// Query strings by code.
    pub query_strings: Arc<Strings>,
    /// Document strings by code.
    pub doc_strings: Arc<Strings>,
    /// The tables.
    pub tables: Arc<Tables>,
    /// By position (0: none): users shown something there, users who clicked there.
    pub position_users: Vec<[u32; 2]>,
    /// Propensities that the log brought.
    pub logged: Logged,
    /// What the log had.
    pub has: Has,
    /// The threshold, if any.
    pub k: Option<u32>,
    /// How much passed.
    pub passed: Passed,
    /// The part of the queries that this is; None for all of them.
    pub part: Option<Nth>,
}

impl Released {
    /// A count as it may be shown: rounded down to a multiple of K.
    pub fn shown(&self, n: u64) -> u64 {
        let k = u64::from(self.k.unwrap_or(1));
        n / k * k
    }

    /// Codes of the documents that pairs name, ascending. Strings can be more: a row that was left out had a document, too.
    ///
    /// # Errors
    /// Where the spill cannot be read; what `pulse` reports.
    pub fn documents(&self, pulse: &mut Pulse<'_>) -> Result<Vec<u64>> {
        let mut docs = Vec::new();
        for part in 0..self.tables.len() {
            pulse.beat()?;
            self.tables.part(part, |group| {
                docs.extend(group.pairs.iter().map(|p| p.doc));
                thin(&mut docs);
                Ok(())
            })?;
        }
        docs.sort_unstable();
        docs.dedup();
        Ok(docs)
    }

    /// A measure that counts, rounded likewise.
    pub fn shown_measure(&self, x: f64) -> f64 {
        self.k.map_or(x, |k| (x / f64::from(k)).floor() * f64::from(k))
    }
}

/// Releases what `k` users stand behind, or everything: of all queries, or of the part `asked` for, which must be the
/// part that the counts are of.
///
/// # Errors
/// [`Error::usage`] where parts of the log are missing; else as [`k_users`].
pub fn release(
    counts: &Counts,
    k: Option<u32>,
    asked: Option<Nth>,
    pulse: &mut Pulse<'_>,
) -> Result<Released> {
    whole(counts.parts.as_ref(), asked)?;
    match k {
        Some(k) => k_users(counts, k, pulse),
        None => Ok(everything(counts)),
    }
}

/// All queries out of their parts, which are released each by itself and come in any order.
///
/// Parts are of one release where the caller says so: what they were counted with does not pass the gate.
///
/// # Errors
/// [`Error::usage`] where a part is missing or comes twice, or one was released in another way; [`Error::data`] where two of
/// them hold different documents of one code; what `pulse` reports.
pub fn gathered(mut parts: Vec<Arc<Released>>, pulse: &mut Pulse<'_>) -> Result<Released> {
    parts.sort_by_key(|p| p.part.map(Nth::number));
    let n = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let Some(first) = parts.first().cloned() else {
        return Err(Error::usage("no parts of a release were given"));
    };
    for (number, part) in (0..n).zip(&parts) {
        // All there is of one part, is whole.
        if part.part != Some(Nth::new(number, n)?).filter(|_| n > 1) {
            let found = part.part.map_or("all queries".into(), |p| p.to_string());
            return Err(Error::usage(format!(
                "of {n} parts of a release, each once, one is {found} where part {number} of {n} should be"
            )));
        }
        if (part.k, part.has) != (first.k, first.has) {
            return Err(Error::usage(
                "these parts were released in different ways; release all of them alike",
            ));
        }
    }
    let strings = |of: fn(&Released) -> &Arc<Strings>, pulse: &mut Pulse<'_>| -> Result<Arc<Strings>> {
        let mut all: Vec<Arc<Strings>> = parts.iter().map(|p| of(p).clone()).collect();
        // By twos: each string is copied as often as the parts can be halved.
        while all.len() > 1 {
            let mut sums = Vec::with_capacity(all.len().div_ceil(2));
            for two in all.chunks(2) {
                sums.push(match two {
                    [one, two] => match one.merge(two, pulse)? {
                        (sum, clashes) if clashes.is_empty() => Arc::new(sum),
                        _ => {
                            return Err(Error::data(
                                "two different queries or documents share a code (code_clash)",
                            ));
                        }
                    },
                    other => other[0].clone(),
                });
            }
            all = sums;
        }
        Ok(all.swap_remove(0))
    };
    let (query_strings, doc_strings) =
        (strings(|p| &p.query_strings, pulse)?, strings(|p| &p.doc_strings, pulse)?);
    let joined = Counts {
        query_strings,
        doc_strings,
        tables: Arc::new(Tables::joined(
            parts.iter().map(|p| &*p.tables),
            first.tables.detail(),
            first.tables.budget().clone(),
        )),
        has: first.has,
        options: BTreeMap::new(),
        read: ReadStats {
            logged: parts.iter().fold(Logged::default(), |mut sum, part| {
                sum.add(&part.logged);
                sum
            }),
            ..ReadStats::default()
        },
        dropped: BTreeMap::new(),
        users: 0,
        // Not by query: all of it is in the first part.
        position_users: first.position_users.clone(),
        disjoint: true,
        parts: None,
    };
    // Once more, for successions that name queries of other parts; all else has passed.
    let mut all = match first.k {
        Some(k) => filter(&joined, k, pulse)?,
        None => everything(&joined),
    };
    all.passed.before = parts.iter().fold(Sizes::default(), |sum, p| sum.plus(&p.passed.before));
    Ok(all)
}

/// Releases everything.
pub fn everything(counts: &Counts) -> Released {
    let sizes = counts.sizes();
    Released {
        query_strings: counts.query_strings.clone(),
        doc_strings: counts.doc_strings.clone(),
        tables: counts.tables.clone(),
        position_users: counts.position_users.clone(),
        logged: counts.read.logged.clone(),
        has: counts.has,
        k: None,
        passed: Passed { before: sizes, after: sizes },
        part: counts.parts.as_ref().and_then(Parts::queries),
    }
}

/// Releases what at least `k` users stand behind: queries that k users issued; their documents that k users were shown
/// there; preferences and successions of k users between such. Positives wait for k clicking users in `select`.
///
/// This is a threshold, not differential privacy: whoever can add users of their own, or difference two releases, gets
/// below it.
///
/// # Errors
/// [`Error::privacy`] where the log has no users, [`Error::usage`] for k below 2, and where the spill cannot be read; what `pulse`
/// reports.
pub fn k_users(counts: &Counts, k: u32, pulse: &mut Pulse<'_>) -> Result<Released> {
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
             log at once, or merge with --users disjoint (users=\"disjoint\"), if no user is in two parts",
        ));
    }
    filter(counts, k, pulse)
}

fn filter(counts: &Counts, k: u32, pulse: &mut Pulse<'_>) -> Result<Released> {
    let part = counts.parts.as_ref().and_then(Parts::queries);
    // What successions name may be of other parts: it is looked at where the parts are gathered.
    let named = if part.is_some() { None } else { Some(Named::of(counts, k, pulse)?) };
    let mut packer = Packer::new(counts.tables.detail(), counts.tables.budget().clone());
    let (mut queries, mut docs) = (Vec::new(), Vec::new());
    let mut kept = Group::default();
    for part in 0..counts.tables.len() {
        pulse.beat()?;
        counts.tables.part(part, |group| {
            if group.users < k {
                return Ok(());
            }
            passing(group, k, named.as_ref(), &mut kept);
            queries.push(kept.query);
            docs.extend(kept.pairs.iter().map(|p| p.doc));
            // Documents without a passing pair are not named at all.
            thin(&mut docs);
            packer.push(&kept)
        })?;
    }
    docs.sort_unstable();
    docs.dedup();
    let tables = packer.into_tables()?;
    Ok(Released {
        query_strings: Arc::new(counts.query_strings.subset(&queries)),
        doc_strings: Arc::new(counts.doc_strings.subset(&docs)),
        position_users: counts.position_users.clone(),
        logged: counts.read.logged.clone(),
        has: Has { page_counts: false, bounded: 0, ..counts.has },
        k: Some(k),
        passed: Passed { before: counts.sizes(), after: tables.sizes() },
        tables: Arc::new(tables),
        part,
    })
}

/// Keeps a list of documents, each named for many queries, from growing much beyond the distinct ones.
fn thin(docs: &mut Vec<u64>) {
    if docs.len() == docs.capacity() && docs.len() > 1 << 16 {
        docs.sort_unstable();
        docs.dedup();
        docs.reserve(docs.len().max(1 << 16));
    }
}

/// What successions name beyond their own query: queries, and documents clicked for the next one.
struct Named {
    queries: BTreeSet<u64>,
    clicked: BTreeSet<(u64, u64)>,
}

impl Named {
    /// Only of what enough users stand behind, so both are small.
    fn of(counts: &Counts, k: u32, pulse: &mut Pulse<'_>) -> Result<Self> {
        let (mut next, mut clicked) = (BTreeSet::new(), BTreeSet::new());
        let mut named = Self { queries: BTreeSet::new(), clicked: BTreeSet::new() };
        if counts.sizes().successions == 0 {
            return Ok(named);
        }
        for part in 0..counts.tables.len() {
            pulse.beat()?;
            counts.tables.part(part, |g| {
                next.extend(g.successions.iter().filter(|s| s.users >= k).map(|s| s.next));
                clicked.extend(g.succession_clicks.iter().filter(|s| s.users >= k).map(|s| (s.next, s.doc)));
                Ok(())
            })?;
        }
        for part in 0..counts.tables.len() {
            pulse.beat()?;
            counts.tables.part(part, |g| {
                if g.users >= k {
                    if next.contains(&g.query) {
                        named.queries.insert(g.query);
                    }
                    let shown = |p: &&Pair| p.users_shown >= k;
                    let pairs = g.pairs.iter().filter(shown).map(|p| (g.query, p.doc));
                    named.clicked.extend(pairs.filter(|pair| clicked.contains(pair)));
                }
                Ok(())
            })?;
        }
        Ok(named)
    }
}

/// What passes of a query that passes itself: pairs, their cells, preferences, successions.
fn passing(group: &Group, k: u32, named: Option<&Named>, out: &mut Group) {
    out.reset(group.query);
    (out.users, out.searches, out.searches_clicked) = (group.users, group.searches, group.searches_clicked);
    for (i, pair) in group.pairs.iter().enumerate().filter(|(_, p)| p.users_shown >= k) {
        out.pairs.push(*pair);
        out.cells.extend_from_slice(group.cells_of(i));
        out.ends.push(out.cells.len() as u32);
    }
    let has_pair = |doc: u64| out.pairs.binary_search_by_key(&doc, |p| p.doc).is_ok();
    let enough = group.preferences.iter().filter(|p| p.users >= k);
    let preferences: Vec<_> =
        enough.filter(|p| has_pair(p.preferred) && has_pair(p.skipped)).copied().collect();
    out.preferences.extend(preferences);
    let next = |query: u64| named.is_none_or(|n| n.queries.contains(&query));
    out.successions.extend(group.successions.iter().filter(|s| s.users >= k && next(s.next)));
    let clicked = |next: u64, doc: u64| named.is_none_or(|n| n.clicked.contains(&(next, doc)));
    out.succession_clicks
        .extend(group.succession_clicks.iter().filter(|s| s.users >= k && clicked(s.next, s.doc)));
}
