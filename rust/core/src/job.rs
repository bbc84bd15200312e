//! The counting job: read, anonymize, bound, sum, on all cores. The one place in the core that knows the order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use arrow_array::RecordBatchReader;
use arrow_schema::Schema;

use crate::anonymize::{Anonymizer, Dropped, Keys};
use crate::bound::{Bounder, Contributions, Shape};
use crate::clean::CountConfig;
use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::impressions::{ReadStats, canonical, check_schema};
use crate::intern::{Interner, Ranks, Strings};
use crate::partition::Store;
use crate::records::{Row, Unit};
use crate::seed::Seed;
use crate::tally::{Tally, tally};

/// Partitions of users, and of queries. Powers of two near the square root of large logs: 10M rows make 20k a partition.
const PARTITIONS: usize = 512;

/// How often the caller hears of progress and may stop the job.
const POLL: Duration = Duration::from_millis(100);

/// A counting job.
pub struct Job<'a> {
    /// Options.
    pub config: &'a CountConfig,
    /// Keyed hashes of identifiers.
    pub keys: &'a Keys,
    /// For sampling.
    pub seed: Seed,
    /// 0 or 1.
    pub position_base: i64,
    /// The log has search ids or page rows.
    pub has_pages: bool,
    /// Worker threads; 0 for all cores.
    pub threads: usize,
}

/// How far a job is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What it does.
    pub stage: &'static str,
    /// Rows read so far.
    pub rows: u64,
}

/// Counts a log.
///
/// `observe` is called about ten times a second; its error stops the job.
///
/// # Errors
/// Whatever reading, coding or `observe` reports; the first of them.
pub fn count(
    job: &Job<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Counts> {
    let schema = reader.schema();
    check_schema(&schema)?;
    let shape = shape(job, &schema);
    job.config.check(shape.times, schema.column_with_name("surface").is_some())?;
    let threads = match job.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let read = read(job, shape, reader, threads, observe)?;
    let Read { rows, queries, docs, stats, dropped: left_out, seen } = read;
    let (query_strings, query_ranks) = queries.freeze();
    let (doc_strings, doc_ranks) = docs.freeze();
    let contributions = Contributions::new(PARTITIONS);
    let frozen = Frozen { queries: &query_strings, docs: &doc_strings, query_ranks, doc_ranks };
    let (mut dropped, users, position_users) =
        bound(job, shape, &rows, &frozen, &contributions, threads, observe)?;
    drop(rows);
    for (reason, n) in
        [("outside_window", left_out.outside_window), ("other_surface", left_out.other_surface)]
    {
        if n > 0 {
            dropped.insert(reason, n);
        }
    }
    let tallies = Mutex::new((0..PARTITIONS).map(|_| None).collect::<Vec<Option<Tally>>>());
    each_partition(
        PARTITIONS,
        threads,
        "counting",
        stats.rows,
        observe,
        |_| Vec::new(),
        |scratch, p| {
            let one = tally(&contributions, p, job.config.cell_detail, scratch);
            tallies.lock().unwrap_or_else(PoisonError::into_inner)[p] = Some(one);
        },
    )?;
    let has = Has {
        users: shape.unit == Unit::User,
        pages: shape.unit != Unit::Row,
        positions: seen.positions,
        times: shape.times,
        unclicked: seen.unclicked,
        cell_detail: job.config.cell_detail,
        preferences: job.config.preferences,
        page_counts: job.config.page_counts,
    };
    let mut counts = Counts {
        query_strings: Arc::new(query_strings),
        doc_strings: Arc::new(doc_strings),
        queries: Vec::new(),
        cells: Vec::new(),
        pairs: Vec::new(),
        preferences: Vec::new(),
        successions: Vec::new(),
        succession_clicks: Vec::new(),
        pages: Vec::new(),
        has,
        read: stats,
        dropped,
        users,
        position_users,
        disjoint: true,
    };
    let tallies: Vec<Tally> =
        tallies.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect();
    counts.append(tallies);
    Ok(counts)
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

struct Read {
    rows: Store<Row>,
    queries: Interner,
    docs: Interner,
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

/// First pass: batches to coded rows, by user partition.
fn read(
    job: &Job<'_>,
    shape: Shape,
    reader: Box<dyn RecordBatchReader + Send>,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Read> {
    let (queries, docs, rows) = (Interner::default(), Interner::default(), Store::new(PARTITIONS));
    let window = job.config.window();
    let source = Mutex::new(reader);
    let total = Mutex::new((ReadStats::default(), Dropped::default(), Seen::default()));
    let progress = AtomicU64::new(0);
    let worker = |stop: &AtomicBool| -> Result<()> {
        let mut anonymizer = Anonymizer::new(job.keys, job.seed, &window, &queries, &docs);
        let mut out = rows.scatter();
        let (mut stats, mut dropped, mut seen) = (ReadStats::default(), Dropped::default(), Seen::default());
        while !stop.load(Ordering::Relaxed) {
            let next = source.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(batch) = next else { break };
            let log = canonical(&batch?, job.position_base, &mut stats)?;
            progress.fetch_add(log.rows as u64, Ordering::Relaxed);
            anonymizer.batch(&log, shape.unit, &mut stats, &mut dropped, |row| {
                seen.positions |= row.position > 0;
                seen.unclicked |= !row.clicked;
                out.push((row.user >> 32) as usize % PARTITIONS, row);
            })?;
        }
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.0.add(&stats);
        total.1.outside_window += dropped.outside_window;
        total.1.other_surface += dropped.other_surface;
        total.2.positions |= seen.positions;
        total.2.unclicked |= seen.unclicked;
        Ok(())
    };
    workers(threads, worker, || {
        observe(Progress { stage: "reading", rows: progress.load(Ordering::Relaxed) })
    })?;
    let (stats, dropped, seen) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Read { rows, queries, docs, stats, dropped, seen })
}

struct Frozen<'a> {
    queries: &'a Strings,
    docs: &'a Strings,
    query_ranks: Ranks,
    doc_ranks: Ranks,
}

/// Rows left out by reason, users, and users by position.
type Bounded = (BTreeMap<&'static str, u64>, u64, Vec<[u32; 2]>);

/// Second pass: whole users cleaned and bounded, their contributions by query partition.
fn bound(
    job: &Job<'_>,
    shape: Shape,
    rows: &Store<Row>,
    frozen: &Frozen<'_>,
    contributions: &Contributions,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Bounded> {
    let total: Mutex<Bounded> = Mutex::default();
    let finish = |bounder: &Bounder<'_>| {
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, n) in &bounder.dropped {
            *total.0.entry(*reason).or_default() += n;
        }
        total.1 += bounder.users;
        let positions = bounder.position_users.len().max(total.2.len());
        total.2.resize(positions, [0; 2]);
        for (sum, own) in total.2.iter_mut().zip(&bounder.position_users) {
            sum[0] = sum[0].saturating_add(own[0]);
            sum[1] = sum[1].saturating_add(own[1]);
        }
    };
    each_partition(
        rows.partitions(),
        threads,
        "bounding",
        0,
        observe,
        |_| Finishing {
            rows: Vec::new(),
            bounder: Bounder::new(job.config, shape, job.seed, frozen.queries, frozen.docs, contributions),
            finish: &finish,
        },
        |worker, p| {
            rows.take(p, &mut worker.rows);
            let rows = &mut worker.rows;
            for row in rows.iter_mut() {
                row.query = frozen.query_ranks.of(row.query);
                row.doc = frozen.doc_ranks.of(row.doc);
            }
            rows.sort_unstable_by_key(|r| {
                (r.user, r.search, r.query, r.position, r.doc, r.clicked, r.time, r.dwell_ms, r.click_ms)
            });
            for user in rows.chunk_by_mut(|a, b| a.user == b.user) {
                worker.bounder.user(user);
            }
        },
    )?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A bounder that reports when its worker ends.
struct Finishing<'a, F: Fn(&Bounder<'_>)> {
    rows: Vec<Row>,
    bounder: Bounder<'a>,
    finish: &'a F,
}

impl<F: Fn(&Bounder<'_>)> Drop for Finishing<'_, F> {
    fn drop(&mut self) {
        (self.finish)(&self.bounder);
    }
}

/// Runs `work` over partitions 0..n on `threads` workers, each with a state of its own.
fn each_partition<S>(
    n: usize,
    threads: usize,
    stage: &'static str,
    rows: u64,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
    state: impl Fn(usize) -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = |stop: &AtomicBool| -> Result<()> {
        let mut own = state(0);
        while !stop.load(Ordering::Relaxed) {
            let p = next.fetch_add(1, Ordering::Relaxed);
            if p >= n {
                break;
            }
            work(&mut own, p);
        }
        Ok(())
    };
    workers(threads, worker, || observe(Progress { stage, rows }))
}

/// Runs workers to their end while this thread keeps the caller informed.
///
/// The first error wins and stops the others. A panic becomes an internal error whose message carries nothing of it:
/// panic payloads can hold data.
pub fn workers(
    threads: usize,
    worker: impl Fn(&AtomicBool) -> Result<()> + Sync,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, PARTITIONS);
    let stop = AtomicBool::new(false);
    let first: Mutex<Option<Error>> = Mutex::new(None);
    let fail = |e: Error| {
        stop.store(true, Ordering::Relaxed);
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
    };
    let left = AtomicUsize::new(threads);
    std::thread::scope(|scope| {
        let caller = std::thread::current();
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let leaving = Leaving { caller: caller.clone(), left: &left, stop: &stop };
                let (fail, worker, stop) = (&fail, &worker, &stop);
                scope.spawn(move || {
                    let _leaving = leaving;
                    if let Err(e) = worker(stop) {
                        fail(e);
                    }
                })
            })
            .collect();
        while left.load(Ordering::Acquire) > 0 {
            std::thread::park_timeout(POLL);
            if !stop.load(Ordering::Relaxed)
                && let Err(e) = observe()
            {
                fail(e);
            }
        }
        for worker in running {
            if worker.join().is_err() {
                fail(Error::internal("a worker thread failed; this is a bug, please report it"));
            }
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Wakes the caller when a worker ends, and stops the others where it panicked.
struct Leaving<'a> {
    caller: Thread,
    left: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.left.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}
