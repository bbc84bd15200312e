//! Impressions without raw identifiers: keyed codes for people, normalised and interned text.
//!
//! The only module of a job that sees raw identifiers. What leaves it is rows of codes.

use crate::clean::Window;
use crate::error::Result;
use crate::impressions::{Impressions, ReadStats};
use crate::intern::Interner;
use crate::normalize::{Normalizer, normalized};
use crate::pseudonym::Pseudonymizer;
use crate::records::{Row, Unit};
use crate::scalar::NONE;
use crate::seed::Seed;
use crate::text::{Entries, NULL, TextColumn};
use crate::time::NULL_TIME;

/// Keyed hashes of the three identifier fields.
pub struct Keys {
    /// Of `user_id`.
    pub user: Pseudonymizer,
    /// Of `session_id`.
    pub session: Pseudonymizer,
}

/// Turns impressions to rows; one per worker, with memories of the last dictionaries it met.
pub struct Anonymizer<'a> {
    keys: &'a Keys,
    seed: Seed,
    window: &'a Window,
    queries: &'a Interner,
    docs: &'a Interner,
    normalizer: Normalizer,
    query_memo: Memo<Option<u32>>,
    doc_memo: Memo<Option<u32>>,
    user_memo: Memo<u64>,
    session_memo: Memo<u64>,
}

/// What the entries of the last dictionary came to. Holding the column keeps its memory from being used again.
struct Memo<T>(Option<(TextColumn, Vec<T>)>);

impl<T: Clone> Memo<T> {
    fn entries(
        &mut self,
        column: &TextColumn,
        make: impl FnOnce(&Entries) -> Result<Vec<T>>,
    ) -> Result<(Entries, &[T])> {
        let entries = column.entries();
        let same = self.0.as_ref().is_some_and(|(last, _)| last.same_dictionary(column));
        if !same {
            self.0 = Some((column.clone(), make(&entries)?));
        }
        Ok((entries, self.0.as_ref().map_or(&[], |(_, made)| made)))
    }
}

impl<'a> Anonymizer<'a> {
    /// A worker's anonymizer over shared interners.
    pub fn new(
        keys: &'a Keys,
        seed: Seed,
        window: &'a Window,
        queries: &'a Interner,
        docs: &'a Interner,
    ) -> Self {
        Self {
            keys,
            seed,
            window,
            queries,
            docs,
            normalizer: Normalizer::default(),
            query_memo: Memo(None),
            doc_memo: Memo(None),
            user_memo: Memo(None),
            session_memo: Memo(None),
        }
    }

    /// Codes one batch; rows go to `emit`. Rows outside window and surfaces are counted in `dropped`.
    ///
    /// # Errors
    /// Where the interners are full.
    pub fn batch(
        &mut self,
        log: &Impressions,
        unit: Unit,
        stats: &mut ReadStats,
        dropped: &mut Dropped,
        mut emit: impl FnMut(Row),
    ) -> Result<()> {
        let (queries, normalizer) = (self.queries, &self.normalizer);
        let (query_entries, query_codes) = self.query_memo.entries(&log.query, |entries| {
            let texts = normalized(normalizer, &log.query, entries);
            queries.intern(texts.iter().map(|t| t.as_deref().map(str::as_bytes)))
        })?;
        let docs = self.docs;
        let (doc_entries, doc_codes) = self.doc_memo.entries(&log.doc, |entries| {
            docs.intern(
                (0..entries.len())
                    .map(|i| entries.get(&log.doc, i).filter(|v| std::str::from_utf8(v).is_ok())),
            )
        })?;
        let codes =
            |pseudonymizer: &Pseudonymizer, column: &TextColumn, entries: &Entries| -> Result<Vec<u64>> {
                Ok((0..entries.len())
                    .map(|i| entries.get(column, i).map_or(0, |v| pseudonymizer.code(v)))
                    .collect())
            };
        let users = match &log.user {
            Some(column) => Some(self.user_memo.entries(column, |e| codes(&self.keys.user, column, e))?),
            None => None,
        };
        let sessions = match &log.session {
            Some(column) => {
                Some(self.session_memo.entries(column, |e| codes(&self.keys.session, column, e))?)
            }
            None => None,
        };
        let searches = log.search.as_ref().map(|column| {
            let entries = column.entries();
            let keys: Vec<u64> = (0..entries.len())
                .map(|i| self.seed.hash("search", &[entries.get(column, i).unwrap_or_default()]))
                .collect();
            (entries, keys)
        });
        let surfaces = surface_mask(log, self.window);
        // Pages of logs without searches: neighbours share theirs, so the last hash is kept.
        let mut last_page: Option<((u32, u32, i64), u64)> = None;
        let mut query_text = String::new();
        for i in 0..log.rows {
            if !log.keep[i] {
                continue;
            }
            let query_entry = query_entries.rows[i];
            // Missing, or normalised to nothing.
            let Some(query) = query_codes.get(query_entry as usize).copied().flatten() else {
                *stats.quarantine.entry("null_query").or_default() += 1;
                continue;
            };
            let Some(doc) = doc_codes[doc_entries.rows[i] as usize] else { continue };
            let time = log.timestamp.as_ref().map_or(NULL_TIME, |t| t[i]);
            if self.window.since.is_some_and(|s| time < s) || self.window.until.is_some_and(|u| time >= u) {
                dropped.outside_window += 1;
                continue;
            }
            if surfaces.as_ref().is_some_and(|keep| !keep[i]) {
                dropped.other_surface += 1;
                continue;
            }
            let session_entry = sessions.as_ref().map_or(NULL, |(e, _)| e.rows[i]);
            let session = match &sessions {
                Some((_, codes)) if session_entry != NULL => codes[session_entry as usize],
                _ => 0,
            };
            let search = match &searches {
                Some((entries, keys)) => keys[entries.rows[i] as usize],
                None if unit == Unit::Row => 0,
                None => {
                    let page = (session_entry, query_entry, time);
                    match last_page {
                        Some((last, hash)) if last == page => hash,
                        _ => {
                            let raw = log.query_text(query_entry, &query_entries);
                            self.normalizer.normalize(raw, &mut query_text);
                            let session = log.session.as_ref().and_then(|c| c.row(i)).unwrap_or_default();
                            let hash = self.seed.hash(
                                "page",
                                &[session, query_text.as_bytes(), &time_bytes(time)[..time_len(time)]],
                            );
                            last_page = Some((page, hash));
                            hash
                        }
                    }
                }
            };
            let mut row = Row {
                user: 0,
                session,
                search,
                time,
                query,
                doc,
                dwell_ms: log.dwell_ms.as_ref().map_or(-1, |v| millis(v[i])),
                click_ms: log.click_ms.as_ref().map_or(-1, |v| millis(v[i])),
                position: log.position.as_ref().map_or(0, |v| v[i]),
                clicked: log.clicked[i] == 1,
            };
            row.user = match (&users, unit) {
                (Some((entries, codes)), _) => codes[entries.rows[i] as usize],
                (None, Unit::Row) => content(self.seed, &self.normalizer, log, i, time),
                (None, _) => search,
            };
            emit(row);
        }
        Ok(())
    }
}

/// A hash under which identical rows meet.
fn content(seed: Seed, normalizer: &Normalizer, log: &Impressions, i: usize, time: i64) -> u64 {
    let query = log.query.row(i).unwrap_or_default();
    let mut text = String::new();
    normalizer.normalize(std::str::from_utf8(query).unwrap_or_default(), &mut text);
    seed.hash("content", &[text.as_bytes(), log.doc.row(i).unwrap_or_default(), &time.to_be_bytes()])
}

/// Rows left out before cleaning.
#[derive(Debug, Default, Clone, Copy)]
pub struct Dropped {
    /// Before `since` or from `until` on.
    pub outside_window: u64,
    /// Of a surface not asked for.
    pub other_surface: u64,
}

impl Impressions {
    fn query_text(&self, entry: u32, entries: &Entries) -> &str {
        let bytes = entries.get(&self.query, entry as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
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

/// A time as hash input: eight bytes, or none for a missing one.
pub fn time_bytes(time: i64) -> [u8; 8] {
    time.to_be_bytes()
}

/// How many of [`time_bytes`] count.
pub fn time_len(time: i64) -> usize {
    if time == NULL_TIME { 0 } else { 8 }
}
