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
use crate::text::{Entries, NULL, Rows, TextColumn};
use crate::time::NULL_TIME;

/// Rows whose documents are looked up at once.
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
        }
    }

    /// Codes one batch; rows go to `emit` with what they share with the row before, and whether it is the same. Rows
    /// outside window and surfaces are counted in `dropped`.
    ///
    /// # Errors
    /// Where the interners are full; whatever `emit` reports.
    pub fn batch(
        &mut self,
        log: &Impressions,
        unit: Unit,
        stats: &mut ReadStats,
        dropped: &mut Dropped,
        mut emit: impl FnMut(&RunHead, bool, &Row) -> Result<()>,
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
        // What tells a run from the next, in entries: comparing these is cheaper than making codes of every row.
        let entry = |column: &Option<Coded<'_, Ident>>, i: usize| column.as_ref().map_or(NULL, |c| c.rows[i]);
        let mut last: Option<(u32, u32, u32, u32, i64)> = None;
        let mut run =
            RunHead { user: 0, rest: 0, search: 0, query: 0, session: 0, time: NULL_TIME, check: 0 };
        let mut ahead = [0_u64; AHEAD];
        for i in 0..log.rows {
            if i % AHEAD == 0 {
                // A loop of its own: its many misses of the cache overlap, which between branches they would not.
                let rows = i..(i + AHEAD).min(log.rows);
                ahead.iter_mut().zip(rows).for_each(|(code, row)| *code = docs.of(row));
            }
            if !log.keep[i] {
                continue;
            }
            let time = log.timestamp.as_ref().map_or(NULL_TIME, |t| t[i]);
            let here = (entry(&users, i), entry(&sessions, i), entry(&searches, i), queries.rows[i], time);
            let same = last == Some(here);
            if !scrubbed.is_empty()
                && let Some(kinds) = scrubbed.get(queries.rows[i] as usize).filter(|k| !k.is_empty())
            {
                stats.scrub(*kinds);
                if self.drops {
                    *stats.quarantine.entry("personal_data").or_default() += 1;
                    continue;
                }
            }
            // A query that is missing, or normalised to nothing.
            if !same && queries.of(i) == 0 {
                *stats.quarantine.entry("null_query").or_default() += 1;
                continue;
            }
            let doc = ahead[i % AHEAD];
            if doc == 0 {
                continue;
            }
            if self.window.since.is_some_and(|s| time < s) || self.window.until.is_some_and(|u| time >= u) {
                dropped.outside_window += 1;
                continue;
            }
            if surfaces.as_ref().is_some_and(|keep| !keep[i]) {
                dropped.other_surface += 1;
                continue;
            }
            let row = Row {
                doc,
                time,
                dwell_ms: log.dwell_ms.as_ref().map_or(-1, |v| millis(v[i])),
                click_ms: log.click_ms.as_ref().map_or(-1, |v| millis(v[i])),
                position: log.position.as_ref().map_or(0, |v| v[i]),
                clicked: log.clicked[i] == 1,
            };
            if !same {
                run.query = queries.of(i);
                run.time = time;
                let session = sessions.as_ref().map_or(Ident::default(), |s| s.of(i));
                let search = match &searches {
                    Some(searches) => searches.of(i),
                    None if unit == Unit::Row => Ident::default(),
                    None => {
                        let session = log.session.as_ref().and_then(|c| c.row(i)).unwrap_or_default();
                        let time = &time.to_be_bytes()[..if time == NULL_TIME { 0 } else { 8 }];
                        // Pages are told apart by query anyhow.
                        let query = if private { 0 } else { run.query };
                        searched(seed, ["page", "page check"], &[session, &query.to_be_bytes(), time])
                    }
                };
                let user = users.as_ref().map_or(search, |u| u.of(i));
                (run.user, run.session, run.search) = (user.code, session.code, search.code);
                if private {
                    // Users are grouped by all 128 bits, and nothing is set aside for what others have.
                    run.rest = user.check;
                } else {
                    run.check = check(user, session, search);
                }
                last = Some(here);
            }
            if unit == Unit::Row {
                // Identical rows meet under one code, whatever stands next to them.
                let content = [run.query.to_be_bytes(), doc.to_be_bytes(), time.to_be_bytes()];
                run.user = seed.hash("content", &[&content.concat()]);
                emit(&run, false, &row)?;
            } else {
                emit(&run, same, &row)?;
            }
        }
        Ok(())
    }
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
