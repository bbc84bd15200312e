//! The counting job: read, anonymize, bound, sum, on all cores, within a memory budget. The one place in the core that
//! knows the order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::Schema;

use crate::anonymize::{Anonymizer, Dropped, Keys};
use crate::batches::Batches;
use crate::blob::Blob;
use crate::bound::{Bounder, Clashes, Found, Shape};
use crate::budget::Budget;
use crate::clean::CountConfig;
use crate::contributions::{Contributions, Contributor};
use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::impressions::{ReadStats, Verdicts, canonical, check_schema};
use crate::intern::Interner;
use crate::packed::Tables;
use crate::page::Run;
use crate::partition::{Scatter, Store};
use crate::parts::Parts;
use crate::pulse::Pulse;
use crate::records::{Cursor, Layout, RUN, Row, RunHead, Unit, kind};
use crate::scrub::Scrubber;
use crate::seed::Seed;
use crate::tally::Tally;
use crate::workers::{each, threads, workers};

/// Partitions of users, and of queries, where memory is no concern: 10M rows make 20k a partition.
const PARTITIONS: usize = 512;

/// Budget for each partition, so that the open blocks of small budgets do not fill them.
const BUDGET_PER_PARTITION: usize = 1 << 20;

/// A counting job.
pub struct Job<'a> {
    /// Options.
    pub config: &'a CountConfig,
    /// Keyed hashes of identifiers.
    pub keys: &'a Keys,
    /// Of personal data in queries; None leaves it in.
    pub scrubber: Option<Scrubber>,
    /// For sampling.
    pub seed: Seed,
    /// 0 or 1.
    pub position_base: i64,
    /// The log has search ids or page rows.
    pub has_pages: bool,
    /// User ids are session ids: a threshold of users is one of sessions.
    pub sessions_stand_for_users: bool,
    /// Worker threads; 0 for all cores.
    pub threads: usize,
    /// Bytes of memory for records, dictionaries and tables.
    pub memory: usize,
    /// Folder of the spill.
    pub spill: &'a Path,
    /// The part of a log that this is, by user; None for a whole log.
    pub part: Option<Parts>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// What it does.
    pub stage: &'static str,
    /// Rows read so far.
    pub rows: u64,
    /// How much of the stage is done, 0 to 1; None where nobody knows.
    pub done: Option<f64>,
}

/// Counts a log.
///
/// `observe` is called about ten times a second; its error stops the job.
///
/// # Errors
/// Whatever reading, coding, the spill or `observe` reports; the first of them.
pub fn count(
    job: &Job<'_>,
    log: &dyn Batches,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Counts> {
    let schema = log.schema();
    check_schema(&schema)?;
    let shape = shape(job, &schema);
    job.config.check(shape.times, schema.column_with_name("surface").is_some())?;
    if job.part.is_some() && shape.unit != Unit::User {
        return Err(Error::usage(
            "parts of a log are made by user, and this one has no users: map a column to user_id (--columns user_id=…)",
        ));
    }
    let threads = threads(job.threads);
    let budget = Arc::new(Budget::new(job.memory, job.spill));
    let partitions = (job.memory / BUDGET_PER_PARTITION).clamp(16, PARTITIONS).next_power_of_two();
    let store = Store::new(&budget, kind::ALL, partitions);
    let layout = Layout {
        user: shape.unit != Unit::Page,
        whole: false,
        session: shape.sessions,
        time: shape.times,
        check: shape.unit != Unit::Row,
    };
    let Read { queries, docs, stats, dropped: left_out, seen } =
        read(job, shape, layout, log, &store, &budget, threads, observe)?;
    let mut pulse = Pulse::new(|| observe(Progress { stage: "reading", rows: stats.rows, done: Some(1.0) }));
    let queries = queries.freeze(&mut pulse, || store.fit())?;
    let docs = docs.freeze(&mut pulse, || store.fit())?;
    drop(pulse);
    let clashes = Clashes { queries: queries.clashes(), docs: docs.clashes() };
    let bounder = || Bounder::new(job.config, shape, job.seed, clashes, &store);
    let mut found = bound(layout, &store, threads, stats.rows, observe, bounder, |_, _| Ok(()))?;
    found.drop_rows("outside_window", left_out.outside_window);
    found.drop_rows("other_surface", left_out.other_surface);
    let mut parts = Vec::new();
    let made = Mutex::new(&mut parts);
    each(
        store.partitions(),
        threads,
        || {
            let done = made.lock().unwrap_or_else(PoisonError::into_inner).len() as f64;
            let done = Some(done / store.partitions() as f64);
            observe(Progress { stage: "counting", rows: stats.rows, done })
        },
        || Tally::new(job.config, shape.times, &store, &budget),
        |tally, p| {
            let part = tally.partition(p)?;
            made.lock().unwrap_or_else(PoisonError::into_inner).push((p, part));
            Ok(())
        },
        |_| Ok(()),
    )?;
    parts.sort_by_key(|(p, _)| *p);
    Ok(Counts {
        query_strings: Arc::new(queries),
        doc_strings: Arc::new(docs),
        tables: Arc::new(Tables::new(
            parts.into_iter().map(|(_, t)| t).collect(),
            job.config.cell_detail,
            budget.clone(),
        )),
        has: Has {
            users: shape.unit == Unit::User,
            pages: shape.unit != Unit::Row,
            positions: seen.positions,
            times: shape.times,
            unclicked: seen.unclicked,
            cell_detail: job.config.cell_detail,
            preferences: job.config.preferences,
            page_counts: job.config.page_counts,
            bounded: u32::try_from(job.config.max_pairs_per_user).unwrap_or(u32::MAX),
        },
        options: options(job)?,
        read: stats,
        dropped: found.dropped,
        users: found.users,
        position_users: found.position_users,
        disjoint: true,
        parts: job.part.clone(),
    })
}

/// What each user of a log contributes to a differentially private release; `shown` keeps what was not clicked, too.
///
/// Nothing here depends on more than one user. Codes of strings are places of a table here, so no two strings share one; a
/// user's code is 128 bits of an HMAC.
///
/// # Errors
/// [`Error::privacy`] where the log has no users; else as [`count`].
pub fn contribute(
    job: &Job<'_>,
    log: &dyn Batches,
    shown: bool,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Contributions> {
    let schema = log.schema();
    check_schema(&schema)?;
    let shape = shape(job, &schema);
    if shape.unit != Unit::User {
        return Err(Error::privacy(
            "differential privacy protects users, and the log has none: map a column to user_id (--columns user_id=…)",
        ));
    }
    job.config.check(shape.times, schema.column_with_name("surface").is_some())?;
    let threads = threads(job.threads);
    let budget = Arc::new(Budget::new(job.memory, job.spill));
    let partitions = (job.memory / BUDGET_PER_PARTITION).clamp(16, PARTITIONS).next_power_of_two();
    let store = Store::new(&budget, kind::VOTES, partitions);
    // No checks: setting two users of one code aside would make one user's rows hang on another's.
    let layout = Layout { user: true, whole: true, session: shape.sessions, time: shape.times, check: false };
    let Read { queries, docs, stats, dropped: left_out, .. } =
        read(job, shape, layout, log, &store, &budget, threads, observe)?;
    let mut pulse = Pulse::new(|| observe(Progress { stage: "reading", rows: stats.rows, done: Some(1.0) }));
    let queries = queries.freeze(&mut pulse, || store.fit())?;
    let docs = docs.freeze(&mut pulse, || store.fit())?;
    drop(pulse);
    let sample = Seed::secret()?;
    let clashes = Clashes { queries: &[], docs: &[] };
    let parts = Mutex::new(Vec::new());
    let bounder = || {
        let mut bounder = Bounder::new(job.config, shape, job.seed, clashes, &store);
        bounder.contributor = Some(Contributor::new(sample, shown, [&queries, &docs]));
        bounder
    };
    let after = |_, bounder: &mut Bounder<'_>| {
        let records = bounder.contributor.as_mut().map(Contributor::take).unwrap_or_default();
        if !records.is_empty() {
            let blob = Blob::new(records, Some(&budget))?;
            parts.lock().unwrap_or_else(PoisonError::into_inner).push(blob);
        }
        Ok(())
    };
    let mut found = bound(layout, &store, threads, stats.rows, observe, bounder, after)?;
    found.drop_rows("outside_window", left_out.outside_window);
    found.drop_rows("other_surface", left_out.other_surface);
    drop(store);
    Ok(Contributions {
        budget,
        parts: parts.into_inner().unwrap_or_else(PoisonError::into_inner),
        query_strings: Arc::new(queries),
        doc_strings: Arc::new(docs),
        read: stats,
        dropped: found.dropped,
        users: found.users,
    })
}

/// Options that counts share where they can be merged.
fn options(job: &Job<'_>) -> Result<BTreeMap<String, String>> {
    let mut options = job.config.shared()?;
    options.insert("scrub".into(), job.scrubber.as_ref().map_or("off".into(), ToString::to_string));
    if job.sessions_stand_for_users {
        options.insert("users".into(), "sessions".into());
    }
    // Folds and samples are drawn by it: sums of two draws would be of none.
    if let Some(seed) = job.seed.number() {
        options.insert("seed".into(), seed.to_string());
    }
    Ok(options)
}

fn shape(job: &Job<'_>, schema: &Schema) -> Shape {
    let has = |name: &str| schema.column_with_name(name).is_some();
    let unit = match (has("user_id"), has("search_id") || has("session_id")) {
        (true, _) => Unit::User,
        (false, true) => Unit::Page,
        (false, false) => Unit::Row,
    };
    Shape { unit, has_pages: job.has_pages, sessions: has("session_id"), times: has("timestamp") }
}

struct Read<'b> {
    queries: Interner<'b>,
    docs: Interner<'b>,
    stats: ReadStats,
    dropped: Dropped,
    seen: Seen,
}

/// Facts of the rows that the schema does not tell.
#[derive(Default, Clone, Copy)]
struct Seen {
    positions: bool,
    unclicked: bool,
}

/// First pass: batches to runs of coded rows, by user partition.
#[allow(clippy::too_many_arguments, reason = "a stage of the job: it gets what the job has")]
fn read<'b>(
    job: &Job<'_>,
    shape: Shape,
    layout: Layout,
    log: &dyn Batches,
    store: &Store<'_>,
    budget: &'b Arc<Budget>,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Read<'b>> {
    let interner = || if layout.whole { Interner::exact(budget) } else { Interner::new(budget) };
    let (queries, docs) = (interner(), interner());
    let window = job.config.window();
    let part = job.part.as_ref().and_then(Parts::users);
    let total = Mutex::new((ReadStats::default(), Dropped::default(), Seen::default()));
    let progress = AtomicU64::new(0);
    let worker = |stop: &AtomicBool| -> Result<()> {
        let mut anonymizer =
            Anonymizer::new(job.keys, job.seed, layout.whole, &window, &queries, &docs, job.scrubber.clone());
        let mut runs = Runs::new(store, layout);
        let mut verdicts = Verdicts::default();
        let (mut stats, mut dropped, mut seen) = (ReadStats::default(), Dropped::default(), Seen::default());
        while !stop.load(Ordering::Relaxed) {
            let Some(batch) = log.next() else { break };
            let log = canonical(&batch?, job.position_base, &mut stats, &mut verdicts)?;
            progress.fetch_add(log.rows as u64, Ordering::Relaxed);
            if !layout.whole {
                let bad = stats.logged.batch(&log);
                stats.count("propensity_impossible", bad);
            }
            anonymizer.batch(&log, shape.unit, &mut stats, &mut dropped, |head, rows| {
                if let Some(part) = part.filter(|p| !p.has_user(head.user)) {
                    return Err(Error::data(format!(
                        "the log has a user who is not of {part}: whole users go to the part that split gives them, under \
                         the same key"
                    )));
                }
                seen.positions |= rows.iter().any(|row| row.position > 0);
                seen.unclicked |= rows.iter().any(|row| !row.clicked);
                runs.send(head, rows)
            })?;
        }
        runs.finish();
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.0.add(&stats);
        total.1.outside_window += dropped.outside_window;
        total.1.other_surface += dropped.other_surface;
        total.2.positions |= seen.positions;
        total.2.unclicked |= seen.unclicked;
        Ok(())
    };
    workers(threads, worker, || {
        let rows = progress.load(Ordering::Relaxed);
        let done = log.rows().map(|all| rows as f64 / all.max(1) as f64);
        observe(Progress { stage: "reading", rows, done })
    })?;
    let (stats, dropped, seen) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Read { queries, docs, stats, dropped, seen })
}

/// Sends runs of rows to their user's partition.
struct Runs<'s, 'b> {
    scatter: Scatter<'s, 'b>,
    layout: Layout,
    bits: u32,
    head_len: usize,
}

impl<'s, 'b> Runs<'s, 'b> {
    fn new(store: &'s Store<'b>, layout: Layout) -> Self {
        Self {
            scatter: store.scatter(kind::ROWS),
            layout,
            bits: store.partitions().ilog2(),
            head_len: RunHead::len(layout),
        }
    }

    fn send(&mut self, head: &RunHead, rows: &[Row]) -> Result<()> {
        let partition = (head.user >> (64 - self.bits)) as usize;
        for rows in rows.chunks(RUN) {
            let out = self.scatter.room(partition, self.head_len + rows.len() * Row::MOST)?;
            head.write(self.layout, rows.len(), out);
            rows.iter().for_each(|row| row.write(out));
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.scatter.finish();
    }
}

/// Second pass: whole users cleaned and bounded, their contributions by query partition. `after` is called at the end of
/// each user partition.
fn bound<'a>(
    layout: Layout,
    store: &'a Store<'a>,
    threads: usize,
    rows: u64,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
    bounder: impl Fn() -> Bounder<'a> + Sync,
    after: impl Fn(usize, &mut Bounder<'a>) -> Result<()> + Sync,
) -> Result<Found> {
    let total: Mutex<Found> = Mutex::default();
    let done = AtomicU64::new(0);
    each(
        store.partitions(),
        threads,
        || {
            let done = done.load(Ordering::Relaxed) as f64 / store.partitions() as f64;
            observe(Progress { stage: "bounding", rows, done: Some(done) })
        },
        || (Vec::new(), bounder()),
        |(runs, bounder), p| {
            let mut chunks = store.take(kind::ROWS, p)?;
            runs_of(&chunks, layout, runs);
            runs.sort_unstable_by_key(|r| (r.head.user, r.head.rest, r.head.search, r.head.query));
            for user in runs.chunk_by(|a, b| (a.head.user, a.head.rest) == (b.head.user, b.head.rest)) {
                bounder.user(user, &chunks)?;
            }
            store.recycle(&mut chunks);
            done.fetch_add(1, Ordering::Relaxed);
            after(p, bounder)
        },
        |(_, mut bounder)| {
            bounder.finish();
            total.lock().unwrap_or_else(PoisonError::into_inner).add(&bounder.found);
            Ok(())
        },
    )?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Where the runs in `chunks` are.
fn runs_of(chunks: &[Vec<u8>], layout: Layout, out: &mut Vec<Run>) {
    out.clear();
    for (chunk, bytes) in chunks.iter().enumerate() {
        let mut from = Cursor(bytes);
        while !from.is_empty() {
            let (head, rows) = RunHead::read(layout, &mut from);
            let at = bytes.len() - from.0.len();
            Row::skip(&mut from, rows);
            out.push(Run { head, chunk: chunk as u32, at: at as u32, rows: rows as u32 });
        }
    }
}
