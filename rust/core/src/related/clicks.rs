//! Clicks by (query, document): out of what was released, or of any Arrow stream that has them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::Schema;
use arrow_select::filter::{FilterBuilder, FilterPredicate, prep_null_mask_filter};

use super::order::sort_by_code;
use crate::batches::Batches;
use crate::budget::Budget;
use crate::coded::{Codes, Queries};
use crate::error::{Error, Result};
use crate::impressions::ReadStats;
use crate::intern::Interner;
use crate::job::Progress;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::scalar::{NONE, flags, ints};
use crate::strings::Strings;
use crate::text::TextColumn;
use crate::workers::{threads as cores, workers};

/// Pairs that a worker gathers before it sums them for the first time.
const GATHERED: usize = 1 << 20;

/// Clicks by (query, document), ascending; codes are those of the strings.
pub struct Clicks {
    /// Query strings by code.
    pub query_strings: Arc<Strings>,
    /// Document strings by code.
    pub doc_strings: Arc<Strings>,
    /// Code of the query of each row.
    pub queries: Vec<u64>,
    /// Code of its document.
    pub docs: Vec<u64>,
    /// Clicks; they stop at the type's end.
    pub clicks: Vec<u32>,
    /// What reading found. Of rows without a click nothing else is looked at.
    pub read: ReadStats,
}

impl Clicks {
    /// The clicks that a release shows: under k-users rounded down to multiples of K, and 0 where fewer than K users
    /// clicked, so that whatever is computed from them says no more than the released table.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn shown(released: &Released, pulse: &mut Pulse<'_>) -> Result<Self> {
        let mut out = Self::new(released.query_strings.clone(), released.doc_strings.clone());
        for part in 0..released.tables.len() {
            pulse.beat()?;
            released.tables.part(part, |group| {
                for pair in &group.pairs {
                    let clicks = released.shown(pair.clicks.into()) as u32;
                    // Most pairs have none: they are not held.
                    if clicks > 0 && pair.users_clicked >= released.k.unwrap_or(0) {
                        out.push(group.query, pair.doc, clicks);
                    }
                }
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// Sums the clicks of a stream with columns `query`, `doc_id` and either `clicks` (whole numbers) or `clicked`
    /// (booleans, each a click). `observe` is called about ten times a second. Memory: the distinct queries and documents
    /// that were clicked, 24 bytes for each of their pairs and thread, and the batches in work.
    ///
    /// # Errors
    /// [`Error::column`] for columns that are missing, doubled or of types that cannot be read; what the stream or `observe`
    /// reports.
    pub fn read(
        log: &dyn Batches,
        queries: Queries,
        threads: usize,
        observe: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Self> {
        check_schema(&log.schema())?;
        // No record is kept that could spill: what is held are strings and sums.
        let budget = Budget::unlimited();
        let (query_codes, doc_codes) = (Interner::new(&budget), Interner::new(&budget));
        let total: Mutex<(ReadStats, Vec<Pairs>)> = Mutex::default();
        let rows = AtomicU64::new(0);
        let worker = |stop: &AtomicBool| -> Result<()> {
            let mut gathered = Gathered {
                queries: Codes::of_queries(&query_codes, &queries),
                docs: Codes::of_docs(&doc_codes),
                pairs: Pairs::default(),
                stats: ReadStats::default(),
            };
            while !stop.load(Ordering::Relaxed) {
                let Some(batch) = log.next() else { break };
                let batch = batch?;
                gathered.batch(&batch)?;
                rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.0.add(&gathered.stats);
            total.1.push(gathered.pairs);
            Ok(())
        };
        let all = log.rows().filter(|all| *all > 0);
        let mut at = || {
            let rows = rows.load(Ordering::Relaxed);
            let done = all.map(|all| rows as f64 / all as f64);
            observe(Progress { stage: "reading", rows, done })
        };
        workers(cores(threads), worker, &mut at)?;
        let (read, parts) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut pulse = Pulse::new(at);
        let queries = query_codes.freeze(&mut pulse, || Ok(()))?;
        let docs = doc_codes.freeze(&mut pulse, || Ok(()))?;
        Ok(Self::summed(queries, docs, parts, read))
    }

    /// All parts as one, in canonical order.
    fn summed(queries: Strings, docs: Strings, parts: Vec<Pairs>, mut read: ReadStats) -> Self {
        let mut all = Pairs::default();
        parts.into_iter().for_each(|mut part| all.pairs.append(&mut part.pairs));
        all.sum();
        let mut out = Self::new(Arc::new(queries), Arc::new(docs));
        let (queries, docs) = (out.query_strings.clone(), out.doc_strings.clone());
        let clashes = |strings: &Strings, code| strings.clashes().binary_search(&code).is_ok();
        for ((query, doc), clicks) in all.pairs {
            if clashes(&queries, query) || clashes(&docs, doc) {
                read.count("code_clash", clicks.into());
            } else {
                out.push(query, doc, clicks);
            }
        }
        Self { read, ..out }
    }

    fn new(query_strings: Arc<Strings>, doc_strings: Arc<Strings>) -> Self {
        let read = ReadStats::default();
        Self { query_strings, doc_strings, queries: Vec::new(), docs: Vec::new(), clicks: Vec::new(), read }
    }

    fn push(&mut self, query: u64, doc: u64, clicks: u32) {
        self.queries.push(query);
        self.docs.push(doc);
        self.clicks.push(clicks);
    }
}

/// `query`, `doc_id`, and one of `clicks` and `clicked`, each once.
fn check_schema(schema: &Schema) -> Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let times = |name: &str| names.iter().filter(|n| **n == name).count();
    if let Some(name) = ["query", "doc_id", "clicks", "clicked"].into_iter().find(|n| times(n) > 1) {
        return Err(Error::column(format!("column {name:?} occurs more than once")));
    }
    let mut missing: Vec<&str> = ["query", "doc_id"].into_iter().filter(|n| times(n) == 0).collect();
    match times("clicks") + times("clicked") {
        0 => missing.push("clicks"),
        1 => {}
        _ => {
            return Err(Error::column(
                "there are columns \"clicks\" and \"clicked\": leave one aside, so that it is clear what counts",
            ));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::column(format!(
        "columns not found: {missing:?}; available: {names:?}; needed: query, doc_id, and clicks (whole numbers) or clicked \
         (booleans)"
    )))
}

/// Clicks by (query code, document code).
#[derive(Default)]
struct Pairs {
    pairs: Vec<((u64, u64), u32)>,
    /// How many there were when they were summed last.
    summed: usize,
}

impl Pairs {
    /// Sums now and then, so that what is held stays in proportion to the distinct pairs.
    fn push(&mut self, query: u64, doc: u64, clicks: u32) {
        self.pairs.push(((query, doc), clicks));
        if self.pairs.len() >= GATHERED.max(2 * self.summed) {
            self.sum();
        }
    }

    fn sum(&mut self) {
        sort_by_code(&mut self.pairs, |((query, _), _)| *query, |(key, _)| *key);
        self.pairs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        self.summed = self.pairs.len();
    }
}

/// What one worker has gathered.
struct Gathered<'a> {
    queries: Codes<'a>,
    docs: Codes<'a>,
    pairs: Pairs,
    stats: ReadStats,
}

impl Gathered<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        self.stats.rows += batch.num_rows() as u64;
        let column = |name: &str| batch.column_by_name(name);
        let (mask, counts) = match (column("clicks"), column("clicked")) {
            (Some(array), _) => self.counted(array)?,
            (None, Some(array)) => (self.clicked(array)?, None),
            (None, None) => return Err(Error::internal("a batch without clicks")),
        };
        // Most rows of a log end here, before anything is done to their texts; of a dictionary only keys are copied.
        let clicked = FilterBuilder::new(&mask).optimize().build();
        if clicked.count() == 0 {
            return Ok(());
        }
        let queries = self.queries.of(&text(batch, "query", &clicked)?)?;
        let docs = self.docs.of(&text(batch, "doc_id", &clicked)?)?;
        let mut counts = counts.into_iter().flatten();
        for (query, doc) in queries.into_iter().zip(docs) {
            let clicks = counts.next().unwrap_or(1);
            match (query, doc) {
                (Ok(query), Ok(doc)) => self.pairs.push(query, doc, clicks),
                // A row without a query is told last: it may have other faults.
                (Err(reason), Ok(_)) => self.stats.count(reason, 1),
                (Err("null_query") | Ok(_), Err(reason)) | (Err(reason), Err(_)) => {
                    self.stats.count(reason, 1);
                }
            }
        }
        Ok(())
    }

    /// Where a row was clicked.
    fn clicked(&mut self, array: &ArrayRef) -> Result<BooleanArray> {
        if let Some(clicked) = array.as_boolean_opt() {
            self.stats.count("null_clicked", clicked.null_count() as u64);
            return Ok(match clicked.null_count() {
                0 => clicked.clone(),
                _ => prep_null_mask_filter(clicked),
            });
        }
        let flags = flags("clicked", array)?;
        let of = |flag: u8| flags.iter().filter(|f| **f == flag).count() as u64;
        self.stats.count("null_clicked", of(2));
        self.stats.count("clicked_impossible", of(3));
        Ok(flags.iter().map(|f| Some(*f == 1)).collect())
    }

    /// Where a row has clicks, and how many those rows have.
    fn counted(&mut self, array: &ArrayRef) -> Result<(BooleanArray, Option<Vec<u32>>)> {
        let read = ints("clicks", array)?;
        let bad = |(v, bad): &(&i64, bool)| *bad || (**v < 0 && **v != NONE);
        let rows = || read.values.iter().enumerate().map(|(i, v)| (v, read.is_bad(i)));
        self.stats.count("null_clicks", rows().filter(|r| !bad(r) && *r.0 == NONE).count() as u64);
        self.stats.count("clicks_impossible", rows().filter(bad).count() as u64);
        let has = |r: &(&i64, bool)| !bad(r) && *r.0 > 0;
        let counts = rows().filter(has).map(|(v, _)| u32::try_from(*v).unwrap_or(u32::MAX)).collect();
        Ok((rows().map(|r| Some(has(&r))).collect(), Some(counts)))
    }
}

fn text(batch: &RecordBatch, name: &str, rows: &FilterPredicate) -> Result<TextColumn> {
    let array = batch.column_by_name(name).ok_or_else(|| Error::internal("a batch without a column"))?;
    TextColumn::new(name, &rows.filter(array)?)
}
