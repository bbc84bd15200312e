//! Impressions without raw identifiers: keyed codes for people, normalised and interned text.
//!
//! The only module of a job that sees raw identifiers. What leaves it is rows of codes.

use crate::clash::{Ident, check};
use crate::clean::Window;
use crate::error::Result;
use crate::impressions::{Impressions, ReadStats};
use crate::intern::Interner;
use crate::normalize::{Normalizer, normalized};
use crate::pseudonym::Pseudonymizer;
use crate::records::{Row, RunHead, Unit};
use crate::scalar::NONE;
use crate::scrub::{Kinds, Scrubber};
use crate::seed::Seed;
use crate::text::{Entries, Rows, TextColumn};
use crate::time::NULL_TIME;

/// Rows whose documents are looked up at once; no run goes beyond them.
const AHEAD: usize = 1024;

/// Keyed hashes of the three identifier fields.
pub struct Keys {
    /// Of `user_id`.
    pub user: Pseudonymizer,
    /// Of `session_id`.
    pub session: Pseudonymizer,
}

/// Turns impressions to runs of rows; one per worker, with memories of the last dictionaries it met.
pub struct Anonymizer<'a> {
    keys: &'a Keys,
    seed: Seed,
    /// For a private release: whole codes of users, and nothing made of the codes of strings, which then tell in which order
    /// strings were met.
    private: bool,
    window: &'a Window,
    queries: &'a Interner<'a>,
    docs: &'a Interner<'a>,
    /// Rows whose query holds personal data are set aside.
    drops: bool,
    normalizer: Normalizer,
    query_memo: Memo<u64>,
    /// What was scrubbed from the entries that `query_memo` remembers; empty for nothing.
    scrubbed: Vec<Kinds>,
    doc_memo: Memo<u64>,
    user_memo: Memo<Ident>,
    session_memo: Memo<Ident>,
    search_memo: Memo<Ident>,
    /// Rows of a batch that begin a run.
    starts: Vec<bool>,
    runs: Vec<Ahead>,
    rows: Vec<Row>,
}

/// What the entries of the last dictionary came to, of null the default. Holding the column keeps its memory from being
/// used again.
struct Memo<T>(Option<(TextColumn, Vec<T>)>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Memo<T> {
    fn entries(
        &mut self,
        column: &TextColumn,
        make: impl FnOnce(&Entries) -> Result<Vec<T>>,
    ) -> Result<Coded<'_, T>> {
        let entries = column.entries();
        let same = self.0.as_ref().is_some_and(|(last, _)| last.same_dictionary(column));
        if !same {
            self.0 = Some((column.clone(), make(&entries)?));
        }
        Ok(Coded { rows: entries.rows, codes: self.0.as_ref().map_or(&[], |(_, made)| made) })
    }
}

/// A run, and what its codes are, looked up ahead.
#[derive(Clone, Copy, Default)]
struct Ahead {
    /// First row.
    start: usize,
    query: u64,
    user: Ident,
    session: Ident,
    search: Ident,
}

/// A column in codes: the entry of each row, and the code of each entry.
struct Coded<'a, T> {
    rows: Rows,
    codes: &'a [T],
}

impl<T: Copy + Default> Coded<'_, T> {
    /// 0 for null.
    #[inline]
    fn of(&self, row: usize) -> T {
        self.codes.get(self.rows[row] as usize).copied().unwrap_or_default()
    }
}

impl<'a> Anonymizer<'a> {
    /// A worker's anonymizer over shared interners.
    pub fn new(
        keys: &'a Keys,
        seed: Seed,
        private: bool,
        window: &'a Window,
        queries: &'a Interner<'a>,
        docs: &'a Interner<'a>,
        scrubber: Option<Scrubber>,
    ) -> Self {
        Self {
            drops: scrubber.as_ref().is_some_and(Scrubber::drops),
            keys,
            seed,
            private,
            window,
            queries,
            docs,
            normalizer: Normalizer::new(scrubber),
            query_memo: Memo::default(),
            scrubbed: Vec::new(),
            doc_memo: Memo::default(),
            user_memo: Memo::default(),
            session_memo: Memo::default(),
            search_memo: Memo::default(),
            starts: Vec::new(),
            runs: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Codes one batch; rows go to `emit` in runs, with what they share. Rows outside window and surfaces are counted in
    /// `dropped`.
    ///
    /// # Errors
    /// Where the interners are full; whatever `emit` reports.
    pub fn batch(
        &mut self,
        log: &Impressions,
        unit: Unit,
        stats: &mut ReadStats,
        dropped: &mut Dropped,
        mut emit: impl FnMut(&RunHead, &[Row]) -> Result<()>,
    ) -> Result<()> {
        let (seed, private, keys, docs, interner, normalizer) =
            (self.seed, self.private, self.keys, self.docs, self.queries, &self.normalizer);
        let scrubbed = &mut self.scrubbed;
        let queries = self.query_memo.entries(&log.query, |entries| {
            let texts = normalized(normalizer, &log.query, entries)?;
            scrubbed.clone_from(&texts.scrubbed);
            interner.intern(texts.len(), |i| texts.get(i).map(str::as_bytes))
        })?;
        let docs = self.doc_memo.entries(&log.doc, |entries| {
            // What is no text has been set aside already, row by row.
            docs.intern(entries.len(), |i| entries.get(&log.doc, i))
        })?;
        let coded =
            |pseudonymizer: &Pseudonymizer, column: &TextColumn, entries: &Entries| -> Result<Vec<Ident>> {
                let values: Vec<&[u8]> =
                    (0..entries.len()).map(|i| entries.get(column, i).unwrap_or_default()).collect();
                let mut codes = Vec::with_capacity(values.len());
                pseudonymizer.idents(&values, &mut codes);
                for (code, value) in codes.iter_mut().zip(&values) {
                    *code = if value.is_empty() { Ident::default() } else { *code };
                }
                Ok(codes)
            };
        let users = match &log.user {
            Some(column) => Some(self.user_memo.entries(column, |e| coded(&keys.user, column, e))?),
            None => None,
        };
        let sessions = match &log.session {
            Some(column) => Some(self.session_memo.entries(column, |e| coded(&keys.session, column, e))?),
            None => None,
        };
        let searches = match &log.search {
            Some(column) => Some(self.search_memo.entries(column, |entries| {
                let key = |i| {
                    searched(seed, ["search", "search check"], &[entries.get(column, i).unwrap_or_default()])
                };
                Ok((0..entries.len()).map(key).collect())
            })?),
            None => None,
        };
        let surfaces = surface_mask(log, self.window);
        let columns = [users.as_ref(), sessions.as_ref(), searches.as_ref()];
        let columns = columns.into_iter().flatten().map(|coded| &coded.rows[..]).chain([&queries.rows[..]]);
        starts_of(columns, log.timestamp.as_deref(), log.rows, &mut self.starts);
        let (rows, runs) = (&mut self.rows, &mut self.runs);
        // What a page is known by where searches have no names.
        let named = |row: usize| log.session.as_ref().and_then(|c| c.row(row)).unwrap_or_default();
        let mut ahead = [0_u64; AHEAD];
        for first in (0..log.rows).step_by(AHEAD) {
            let end = (first + AHEAD).min(log.rows);
            // Loops of their own: their many misses of the cache overlap, which between branches they would not.
            ahead.iter_mut().zip(first..end).for_each(|(code, row)| *code = docs.of(row));
            runs.clear();
            runs.extend(
                (first..end).filter(|row| self.starts[*row]).map(|start| Ahead { start, ..Ahead::default() }),
            );
            runs.iter_mut().for_each(|run| run.query = queries.of(run.start));
            for (coded, of) in [
                (&users, (|run| &mut run.user) as fn(&mut Ahead) -> &mut Ident),
                (&sessions, |run| &mut run.session),
                (&searches, |run| &mut run.search),
            ] {
                if let Some(coded) = coded {
                    runs.iter_mut().for_each(|run| *of(run) = coded.of(run.start));
                }
            }
            if searches.is_none() {
                let touched = runs.iter().map(|run| named(run.start).first().copied().unwrap_or(0));
                std::hint::black_box(touched.fold(0, |all, byte| all ^ byte));
            }
            for n in 0..runs.len() {
                let Ahead { start, query, user, session, search } = runs[n];
                let next = runs.get(n + 1).map_or(end, |run| run.start);
                let time = log.timestamp.as_ref().map_or(NULL_TIME, |t| t[start]);
                let personal =
                    scrubbed.get(queries.rows[start] as usize).copied().filter(|kinds| !kinds.is_empty());
                let outside = self.window.since.is_some_and(|s| time < s)
                    || self.window.until.is_some_and(|u| time >= u);
                rows.clear();
                for i in (start..next).filter(|i| log.keep[*i]) {
                    if let Some(kinds) = personal {
                        stats.scrub(kinds);
                        if self.drops {
                            *stats.quarantine.entry("personal_data").or_default() += 1;
                            continue;
                        }
                    }
                    // A query that is missing, or normalised to nothing.
                    if query == 0 {
                        *stats.quarantine.entry("null_query").or_default() += 1;
                        continue;
                    }
                    let doc = ahead[i % AHEAD];
                    if doc == 0 {
                        continue;
                    }
                    if outside {
                        dropped.outside_window += 1;
                        continue;
                    }
                    if surfaces.as_ref().is_some_and(|keep| !keep[i]) {
                        dropped.other_surface += 1;
                        continue;
                    }
                    rows.push(Row {
                        doc,
                        time,
                        dwell_ms: log.dwell_ms.as_ref().map_or(-1, |v| millis(v[i])),
                        click_ms: log.click_ms.as_ref().map_or(-1, |v| millis(v[i])),
                        position: log.position.as_ref().map_or(0, |v| v[i]),
                        clicked: log.clicked[i] == 1,
                    });
                }
                if rows.is_empty() {
                    continue;
                }
                let search = match unit {
                    _ if searches.is_some() => search,
                    Unit::Row => Ident::default(),
                    _ => {
                        let time = &time.to_be_bytes()[..if time == NULL_TIME { 0 } else { 8 }];
                        // Pages are told apart by query anyhow.
                        let query = if private { 0 } else { query };
                        searched(seed, ["page", "page check"], &[named(start), &query.to_be_bytes(), time])
                    }
                };
                let user = if users.is_some() { user } else { search };
                let mut run = RunHead {
                    user: user.code,
                    // Users of a private release are grouped by all 128 bits, and nothing is set aside for what others have.
                    rest: if private { user.check } else { 0 },
                    search: search.code,
                    query,
                    session: session.code,
                    time,
                    check: if private { 0 } else { check(user, session, search) },
                };
                if unit == Unit::Row {
                    for row in rows.iter() {
                        // Identical rows meet under one code, whatever stands next to them.
                        let content = [query.to_be_bytes(), row.doc.to_be_bytes(), time.to_be_bytes()];
                        run.user = seed.hash("content", &[&content.concat()]);
                        emit(&run, std::slice::from_ref(row))?;
                    }
                } else {
                    emit(&run, rows)?;
                }
            }
        }
        Ok(())
    }
}

/// Marks the rows that differ from the row before in any of these columns, in entries: comparing these is cheaper than making
/// codes of every row.
fn starts_of<'c>(
    columns: impl Iterator<Item = &'c [u32]>,
    times: Option<&[i64]>,
    rows: usize,
    starts: &mut Vec<bool>,
) {
    fn differ<T: PartialEq>(column: &[T], starts: &mut [bool]) {
        for (start, two) in starts.iter_mut().skip(1).zip(column.windows(2)) {
            *start |= two[0] != two[1];
        }
    }
    starts.clear();
    starts.resize(rows, false);
    columns.for_each(|column| differ(column, starts));
    if let Some(times) = times {
        differ(times, starts);
    }
    starts.iter_mut().step_by(AHEAD).for_each(|start| *start = true);
}

/// The search order key, and bits to tell two searches of one key apart.
fn searched(seed: Seed, [key, check]: [&str; 2], parts: &[&[u8]]) -> Ident {
    Ident { code: seed.hash(key, parts), check: seed.hash(check, parts) }
}

/// Rows left out before cleaning.
#[derive(Debug, Default, Clone, Copy)]
pub struct Dropped {
    /// Before `since` or from `until` on.
    pub outside_window: u64,
    /// Of a surface not asked for.
    pub other_surface: u64,
}

fn surface_mask(log: &Impressions, window: &Window) -> Option<Vec<bool>> {
    if window.surfaces.is_empty() {
        return None;
    }
    let wanted =
        |value: Option<&[u8]>| value.is_some_and(|v| window.surfaces.iter().any(|s| s.as_bytes() == v));
    Some((0..log.rows).map(|i| wanted(log.surface.as_ref().and_then(|c| c.row(i)))).collect())
}

fn millis(value: i64) -> i32 {
    if value == NONE { -1 } else { i32::try_from(value).unwrap_or(i32::MAX) }
}
