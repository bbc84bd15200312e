//! Small random logs, and counting them.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::SchemaRef;
use hardneg_core::anonymize::Keys;
use hardneg_core::batches::Shared;
use hardneg_core::clean::{CountConfig, Robots};
use hardneg_core::contributions::Contributions;
use hardneg_core::counts::Counts;
use hardneg_core::error::Result;
use hardneg_core::job::{self, Job, Progress};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::seed::Seed;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Noon of 2024-01-01.
const NOON: i64 = 1_704_110_400_000_000;

/// One raw row. Few values each, so that pages, repeats and sessions happen by chance.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) user: u8,
    session: Option<u8>,
    search: u8,
    query: u8,
    doc: u8,
    position: Option<i64>,
    clicked: bool,
    dwell_ms: Option<i64>,
    click_ms: Option<i64>,
    minute: i64,
}

/// Which of the columns that a log may lack it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) user: bool,
    pub(crate) session: bool,
    pub(crate) search: bool,
    pub(crate) position: bool,
    pub(crate) time: bool,
}

pub(crate) const ALL: Columns =
    Columns { user: true, session: true, search: true, position: true, time: true };

pub(crate) fn columns() -> impl Strategy<Value = Columns> {
    any::<[bool; 5]>().prop_map(|[user, session, search, position, time]| Columns {
        user,
        session,
        search,
        position,
        time,
    })
}

pub(crate) fn events(rows: usize) -> impl Strategy<Value = Vec<Event>> {
    let who = (0..6_u8, of(0..2_u8), 0..3_u8);
    let what = (0..3_u8, 0..4_u8, of(-1..6_i64), any::<bool>());
    let measures = (of(0..2_i64), of(0..2_i64), 0..6_i64);
    let event = (who, what, measures).prop_map(
        |((user, session, search), (query, doc, position, clicked), (dwell, click, minute))| Event {
            user,
            session,
            search,
            query,
            doc,
            position,
            clicked,
            dwell_ms: dwell.map(|d| d * 40_000),
            click_ms: click.map(|c| c * 700),
            minute: minute * 8,
        },
    );
    vec(event, 0..rows)
}

/// The rows as one batch.
pub(crate) fn batch(events: &[Event], columns: Columns) -> RecordBatch {
    let text = |prefix: &str, get: &dyn Fn(&Event) -> Option<u8>| -> ArrayRef {
        Arc::new(StringArray::from_iter(events.iter().map(|e| get(e).map(|v| format!("{prefix}{v}")))))
    };
    let longs = |get: &dyn Fn(&Event) -> Option<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(events.iter().map(get)))
    };
    let times =
        TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| NOON + e.minute * 60_000_000));
    let clicked = BooleanArray::from_iter(events.iter().map(|e| Some(e.clicked)));
    let mut out: Vec<(&str, ArrayRef)> = vec![
        ("query", text("query ", &|e| Some(e.query))),
        ("doc_id", text("d", &|e| Some(e.doc))),
        ("clicked", Arc::new(clicked)),
        ("dwell_ms", longs(&|e| e.dwell_ms)),
        ("click_ms", longs(&|e| e.click_ms)),
    ];
    let optional: [(bool, &str, ArrayRef); 5] = [
        (columns.user, "user_id", text("u", &|e| Some(e.user))),
        (columns.session, "session_id", text("s", &|e| e.session)),
        (columns.search, "search_id", text("p", &|e| Some(e.search))),
        (columns.position, "position", longs(&|e| e.position)),
        (columns.time, "timestamp", Arc::new(times)),
    ];
    out.extend(optional.into_iter().filter(|(has, ..)| *has).map(|(_, name, array)| (name, array)));
    RecordBatch::try_from_iter_with_nullable(out.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// The batch cut into pieces of `size` rows.
pub(crate) fn pieces(batch: &RecordBatch, size: usize) -> Vec<RecordBatch> {
    (0..batch.num_rows()).step_by(size).map(|i| batch.slice(i, size.min(batch.num_rows() - i))).collect()
}

pub(crate) fn reader(schema: SchemaRef, batches: Vec<RecordBatch>) -> Box<dyn RecordBatchReader + Send> {
    Box::new(RecordBatchIterator::new(batches.into_iter().map(Ok), schema))
}

pub(crate) fn config() -> CountConfig {
    CountConfig {
        max_votes: 2,
        max_pairs_per_user: 3,
        satisfied_dwell_ms: 30_000,
        session_gap_minutes: 10.0,
        min_page_length: 1,
        max_position: 4,
        robots: Robots::Drop,
        max_searches_per_day: 12,
        max_click_rate: 0.9,
        min_click_rate: 0.01,
        min_median_dwell_ms: 500,
        surfaces: vec![],
        since: None,
        until: None,
        half_life_days: None,
        page_counts: true,
        preferences: true,
        cell_detail: true,
    }
}

pub(crate) fn count_from(
    reader: Box<dyn RecordBatchReader + Send>,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Counts> {
    count_with(&config(), 1, reader, threads, observe)
}

pub(crate) fn count_with(
    config: &CountConfig,
    position_base: i64,
    reader: Box<dyn RecordBatchReader + Send>,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Counts> {
    count_within(1 << 30, &std::env::temp_dir(), config, position_base, reader, threads, observe)
}

pub(crate) fn count_within(
    memory: usize,
    spill: &Path,
    config: &CountConfig,
    position_base: i64,
    reader: Box<dyn RecordBatchReader + Send>,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Counts> {
    within(memory, spill, config, position_base, threads, |job| {
        job::count(job, &Shared::new(reader), observe)
    })
}

/// Does `work` with a job of these settings.
fn within<T>(
    memory: usize,
    spill: &Path,
    config: &CountConfig,
    position_base: i64,
    threads: usize,
    work: impl FnOnce(&Job<'_>) -> Result<T>,
) -> Result<T> {
    let key = MasterKey::new(&[7; 32])?;
    let of = |field| Pseudonymizer::new(&key, field, "", "");
    let keys = Keys { user: of("user_id")?, session: of("session_id")? };
    let job = Job {
        scrubber: None,
        config,
        keys: &keys,
        seed: Seed::new(1),
        position_base,
        has_pages: true,
        sessions_stand_for_users: false,
        threads,
        memory,
        spill,
        part: None,
    };
    work(&job)
}

/// What the users of these rows contribute to a private release.
pub(crate) fn contribute(events: &[Event], shown: bool, size: usize, threads: usize) -> Contributions {
    let batch = batch(events, ALL);
    let log = Shared::new(reader(batch.schema(), pieces(&batch, size)));
    let work = |job: &Job<'_>| job::contribute(job, &log, shown, &mut |_| Ok(()));
    within(1 << 30, &std::env::temp_dir(), &config(), 1, threads, work).unwrap()
}

/// Counts of the rows, read in batches of `size` on `threads`.
pub(crate) fn count(events: &[Event], columns: Columns, size: usize, threads: usize) -> Counts {
    let batch = batch(events, columns);
    count_from(reader(batch.schema(), pieces(&batch, size)), threads, &mut |_| Ok(())).unwrap()
}

/// Everything in the counts, comparable.
pub(crate) fn content(counts: &Counts) -> Vec<(&'static str, String)> {
    let strings = |s: &hardneg_core::strings::Strings| -> Vec<String> {
        s.iter().map(|(_, value)| value.to_owned()).collect()
    };
    let mut groups = Vec::new();
    for part in 0..counts.tables.len() {
        counts
            .tables
            .part(part, |group| {
                groups.push(group.clone());
                Ok(())
            })
            .unwrap();
    }
    vec![
        ("query_strings", format!("{:?}", strings(&counts.query_strings))),
        ("doc_strings", format!("{:?}", strings(&counts.doc_strings))),
        ("groups", format!("{groups:?}")),
        ("has", format!("{:?}", counts.has)),
        ("options", format!("{:?}", counts.options)),
        ("read", format!("{:?}", counts.read)),
        ("dropped", format!("{:?}", counts.dropped)),
        ("users", format!("{:?}", counts.users)),
        ("position_users", format!("{:?}", counts.position_users)),
        ("disjoint", format!("{:?}", counts.disjoint)),
    ]
}
