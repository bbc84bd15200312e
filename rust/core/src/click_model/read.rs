//! Logs to [`ClickLog`]: pages of an Arrow stream, cells of one, or counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;

use super::group::{Fragment, Gathered, Given, bucket_of_cells, bucket_of_fragments};
use super::log::{BUCKETS, Bucket, ClickLog, Crew, HELD_FOLD, Known, bucket_of};
use crate::batches::Batches;
use crate::budget::Budget;
use crate::coded::{Code, Codes, Queries, narrowed};
use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::impressions::ReadStats;
use crate::intern::Interner;
use crate::job::Progress;
use crate::pulse::Pulse;
use crate::scalar::{Ints, NONE, flags, ints};
use crate::seed::Seed;
use crate::strings::Strings;
use crate::text::{NULL, TextColumn};
use crate::workers::{threads as cores, workers};

/// How a log is read.
pub struct Reading {
    /// What becomes of query texts.
    pub queries: Queries,
    /// For folds.
    pub seed: Seed,
    /// 0 or 1: what the log calls the top position.
    pub position_base: i64,
    /// Results further down are left out. At most 32,767.
    pub max_position: u16,
    /// Worker threads; 0 for all cores.
    pub threads: usize,
}

const CELLS: [&str; 7] = ["query", "doc_id", "position", "previous_click", "fold", "impressions", "clicks"];
const ROWS: [&str; 5] = ["query", "doc_id", "position", "clicked", "search_id"];

impl ClickLog {
    /// Groups a stream: of rows (`query`, `doc_id`, `clicked`, and where there are, `position` and `search_id`: rows of one
    /// search_id and query are a page), or of cells (`query`, `doc_id`, `impressions`, `clicks`, and where there are,
    /// `position`, `previous_click` and `fold`). `observe` is called about ten times a second.
    ///
    /// # Errors
    /// [`Error::column`] for columns that are missing, doubled or of types that cannot be read; what the stream or `observe`
    /// reports.
    pub fn read(
        log: &dyn Batches,
        how: &Reading,
        observe: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Self> {
        let schema = log.schema();
        let cells = check_schema(&schema)?;
        let has = |name: &str| schema.column_with_name(name).is_some();
        let budget = Budget::unlimited();
        let (query_codes, doc_codes) = (Interner::new(&budget), Interner::new(&budget));
        let total: Mutex<(ReadStats, Vec<Gathered>)> = Mutex::default();
        let rows = AtomicU64::new(0);
        let threads = cores(how.threads);
        let worker = |stop: &AtomicBool| -> Result<()> {
            let mut reader = Reader {
                how,
                queries: Codes::of_queries(&query_codes, &how.queries),
                docs: Codes::of_docs(&doc_codes),
                gathered: Gathered::new(),
                stats: ReadStats::default(),
            };
            while !stop.load(Ordering::Relaxed) {
                let Some(batch) = log.next() else { break };
                let batch = batch?;
                if cells {
                    reader.cells(&batch)?
                } else {
                    reader.rows(&batch)?
                }
                rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.0.add(&reader.stats);
            total.1.push(reader.gathered);
            Ok(())
        };
        let all = log.rows().filter(|all| *all > 0);
        let mut at = || {
            let rows = rows.load(Ordering::Relaxed);
            observe(Progress { stage: "reading", rows, done: all.map(|all| rows as f64 / all as f64) })
        };
        workers(threads, worker, &mut at)?;
        let (mut read, parts) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut pulse = Pulse::new(at);
        let queries = query_codes.freeze(&mut pulse, || Ok(()))?;
        let docs = doc_codes.freeze(&mut pulse, || Ok(()))?;
        drop(pulse);
        let known = Known {
            pages: has("search_id"),
            previous_clicks: if cells { has("previous_click") && has("position") } else { has("search_id") },
            folds: if cells { has("fold") } else { true },
            ..Known::default()
        };
        let at = Progress { stage: "grouping", rows: read.rows, done: None };
        let mut crew = Crew { threads, observe, at, work: rows.into_inner() as usize };
        let grouped = crew.map(&mut (0..BUCKETS).collect::<Vec<_>>(), |_, number| {
            if cells {
                bucket_of_cells(*number, &parts, &queries, &docs)
            } else {
                bucket_of_fragments(*number, &parts, &queries, &docs, &how.seed)
            }
        })?;
        let mut buckets = Vec::new();
        for (bucket, clashes) in grouped {
            read.count("code_clash", clashes);
            if !bucket.docs.is_empty() {
                buckets.push(bucket);
            }
        }
        Ok(Self::of(Arc::new(queries), Arc::new(docs), buckets, known, read))
    }

    /// Cells and, where they were counted, pages of counts. A page's fold is drawn for each of the equal ones by itself.
    ///
    /// # Errors
    /// Where the spill cannot be read; what `pulse` reports.
    pub fn counted(counts: &Counts, seed: &Seed, pulse: &mut Pulse<'_>) -> Result<Self> {
        let mut buckets: Vec<Bucket> = Vec::new();
        let (has, detail) = (counts.has, counts.tables.detail());
        for part in 0..counts.tables.len() {
            pulse.beat()?;
            counts.tables.part(part, |group| {
                let number = bucket_of(group.query);
                if buckets.last().is_none_or(|b| usize::from(b.number) != number) {
                    let bucket = Bucket { number: number as u16, ..Bucket::default() };
                    bucket.cells.get_or_init(Default::default);
                    buckets.push(bucket);
                }
                if let Some(bucket) = buckets.last_mut() {
                    super::group::add_group(bucket, group, seed);
                }
                Ok(())
            })?;
        }
        let known = Known {
            pages: has.page_counts && has.positions,
            previous_clicks: detail && has.pages,
            folds: detail,
            ..Known::default()
        };
        let (queries, docs) = (counts.query_strings.clone(), counts.doc_strings.clone());
        Ok(Self { counted: true, ..Self::of(queries, docs, buckets, known, ReadStats::default()) })
    }

    /// Cells of pairs, in canonical order; their strings are not known.
    pub fn of_cells<'a>(
        pairs: impl Iterator<Item = (u64, u64, &'a [crate::tables::Cell])>,
        has: Has,
    ) -> Self {
        let mut buckets: Vec<Bucket> = Vec::new();
        for (query, doc, cells) in pairs {
            let number = bucket_of(query);
            if buckets.last().is_none_or(|b| usize::from(b.number) != number) {
                let bucket = Bucket { number: number as u16, ..Bucket::default() };
                bucket.cells.get_or_init(Default::default);
                buckets.push(bucket);
            }
            if let Some(bucket) = buckets.last_mut() {
                if bucket.queries.last() != Some(&query) {
                    bucket.queries.push(query);
                    bucket.ends.push(bucket.docs.len() as u32);
                }
                super::group::add_pair(bucket, doc, cells);
                if let Some(end) = bucket.ends.last_mut() {
                    *end += 1;
                }
            }
        }
        let known = Known {
            previous_clicks: has.cell_detail && has.pages,
            folds: has.cell_detail,
            ..Known::default()
        };
        Self::of(Arc::default(), Arc::default(), buckets, known, ReadStats::default())
    }

    /// A log of buckets.
    pub(super) fn of(
        query_strings: Arc<Strings>,
        doc_strings: Arc<Strings>,
        buckets: Vec<Bucket>,
        mut known: Known,
        read: ReadStats,
    ) -> Self {
        let mut out = Self {
            query_strings,
            doc_strings,
            buckets: Vec::new(),
            known,
            counted: false,
            pages: 0,
            impressions: 0,
            clicks: 0,
            depth: 0,
            read,
        };
        let mut sum = |position: u16, impressions: u64, clicks: u64| {
            known.positions |= position > 0;
            known.unpositioned += if position == 0 { impressions } else { 0 };
            out.depth = out.depth.max(position);
            out.impressions += impressions;
            out.clicks += clicks;
        };
        for bucket in &buckets {
            // Where cells came by themselves they are what counts: pages of counts hold the same rows again.
            if let Some(cells) = bucket.cells.get() {
                for cell in &cells.cells {
                    let (impressions, clicks) = cell.of(super::log::Part::All);
                    sum(cell.position, impressions, clicks);
                }
            } else {
                let mut start = 0;
                for page in &bucket.pages {
                    for row in &bucket.rows[start..page.end as usize] {
                        sum(
                            row.position,
                            page.weight.into(),
                            u64::from(row.clicked) * u64::from(page.weight),
                        );
                    }
                    start = page.end as usize;
                }
            }
        }
        out.pages = buckets.iter().flat_map(|b| &b.pages).map(|p| u64::from(p.weight)).sum();
        out.known = known;
        out.buckets = buckets;
        out
    }
}

/// Whether a stream holds cells; rows otherwise.
fn check_schema(schema: &Schema) -> Result<bool> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let times = |name: &str| names.iter().filter(|n| **n == name).count();
    let cells = times("impressions") > 0;
    let wanted: &[&str] = if cells { &CELLS } else { &ROWS };
    if let Some(name) = wanted.iter().find(|n| times(n) > 1) {
        return Err(Error::column(format!("column {name:?} occurs more than once")));
    }
    let needed: &[&str] =
        if cells { &["query", "doc_id", "impressions", "clicks"] } else { &["query", "doc_id", "clicked"] };
    let missing: Vec<&&str> = needed.iter().filter(|n| times(n) == 0).collect();
    if missing.is_empty() {
        return Ok(cells);
    }
    Err(Error::column(format!(
        "columns not found: {missing:?}; available: {names:?}; needed: query, doc_id, clicked, and for most models position \
         and search_id; or, as cells, query, doc_id, impressions, clicks, and for most models position, previous_click and \
         fold"
    )))
}

struct Reader<'a> {
    how: &'a Reading,
    queries: Codes<'a>,
    docs: Codes<'a>,
    gathered: Gathered,
    stats: ReadStats,
}

impl Reader<'_> {
    /// Rows of a batch: neighbours of one search and query are a fragment of a page.
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let n = batch.num_rows();
        self.stats.rows += n as u64;
        let (queries, docs) = (self.queries(batch)?, self.docs(batch)?);
        let clicked = flags("clicked", column(batch, "clicked")?)?;
        let positions = batch.column_by_name("position").map(|a| ints("position", a)).transpose()?;
        let searches = match batch.column_by_name("search_id") {
            None => None,
            Some(array) => {
                let column = TextColumn::new("search_id", &narrowed(array)?)?;
                let entries = column.entries();
                Some((column, entries))
            }
        };
        let mut open: Option<(u64, u32, usize)> = None;
        for i in 0..n {
            let position = positions.as_ref().map_or(Ok(0), |p| self.position(p, i));
            let search = searches.as_ref().map_or(0, |(_, entries)| entries.rows[i]);
            let (query, doc, position) = match (queries[i], docs[i], position) {
                (_, Err(reason), _) => {
                    self.stats.count(reason, 1);
                    continue;
                }
                (Ok(_) | Err("null_query"), _, _) if clicked[i] > 1 => {
                    self.stats.count(if clicked[i] == 2 { "null_clicked" } else { "clicked_impossible" }, 1);
                    continue;
                }
                (_, _, Err(reason)) | (Err(reason), _, _) => {
                    self.stats.count(reason, 1);
                    continue;
                }
                (Ok(query), Ok(doc), Ok(position)) => (query, doc, position),
            };
            if search == NULL {
                self.stats.count("null_search_id", 1);
                continue;
            }
            let bucket = &mut self.gathered.buckets[bucket_of(query)];
            // Rows without a position belong to no page that a model could walk down.
            let of_page = searches.is_some() && position > 0;
            match open {
                Some((q, s, _)) if of_page && (q, s) == (query, search) => {}
                _ => {
                    let mut key = 0;
                    if let Some((column, entries)) = searches.as_ref().filter(|_| of_page) {
                        let id = entries.get(column, search as usize).unwrap_or_default();
                        // Odd, so never that of a row of no page.
                        key = self.how.seed.hash("click_log", &[id]) | 1;
                    }
                    open = of_page.then_some((query, search, 0));
                    bucket.fragments.push(Fragment { query, search: key, rows: 0 });
                }
            }
            if let Some(fragment) = bucket.fragments.last_mut() {
                fragment.rows += 1;
            }
            bucket.docs.push(doc);
            bucket.marks.push(u32::from(position) << 1 | u32::from(clicked[i] == 1));
        }
        Ok(())
    }

    fn cells(&mut self, batch: &RecordBatch) -> Result<()> {
        let n = batch.num_rows();
        self.stats.rows += n as u64;
        let (queries, docs) = (self.queries(batch)?, self.docs(batch)?);
        let numbers = |name: &'static str| batch.column_by_name(name).map(|a| ints(name, a)).transpose();
        let (positions, above, folds) = (numbers("position")?, numbers("previous_click")?, numbers("fold")?);
        let impressions = ints("impressions", column(batch, "impressions")?)?;
        let clicks = ints("clicks", column(batch, "clicks")?)?;
        let number = |from: &Ints, i: usize, most: i64| -> Option<u32> {
            let value = if from.is_bad(i) { -1 } else { from.values[i] };
            (0..=most).contains(&value).then_some(value as u32)
        };
        for i in 0..n {
            let position = positions.as_ref().map_or(Ok(0), |p| match p.values[i] {
                // Cells say 0 for none.
                0 if !p.is_bad(i) => Ok(0),
                _ => self.position(p, i),
            });
            let found = (|| {
                let (query, doc, position) = (queries[i]?, docs[i]?, position?);
                let impressions = number(&impressions, i, u32::MAX.into()).ok_or("impressions_impossible")?;
                let clicks = number(&clicks, i, impressions.into()).ok_or("clicks_impossible")?;
                let most = i64::from(position).max(1) - 1;
                let above = above.as_ref().map_or(Some(0), |a| match a.values[i] {
                    NONE if !a.is_bad(i) => Some(0),
                    _ => number(a, i, most),
                });
                let above = above.ok_or("previous_click_impossible")?;
                let fold = folds.as_ref().map_or(Some(0), |f| number(f, i, 9)).ok_or("fold_impossible")?;
                let held = u8::from(fold == u32::from(HELD_FOLD));
                Ok(Given { query, doc, position, previous_click: above as u16, held, impressions, clicks })
            })();
            match found {
                Ok(given) if given.impressions == 0 => {}
                Ok(given) => self.gathered.buckets[bucket_of(given.query)].cells.push(given),
                Err(reason) => self.stats.count(reason, 1),
            }
        }
        Ok(())
    }

    fn queries(&mut self, batch: &RecordBatch) -> Result<Vec<Code>> {
        self.queries.of(&TextColumn::new("query", &narrowed(column(batch, "query")?)?)?)
    }

    fn docs(&mut self, batch: &RecordBatch) -> Result<Vec<Code>> {
        self.docs.of(&TextColumn::new("doc_id", &narrowed(column(batch, "doc_id")?)?)?)
    }

    /// 1-based position of row `i`, 0 for none; or why it is set aside.
    fn position(&self, from: &Ints, i: usize) -> std::result::Result<u16, &'static str> {
        if from.is_bad(i) {
            return Err("position_impossible");
        }
        if from.values[i] == NONE {
            return Ok(0);
        }
        match from.values[i].checked_add(1 - self.how.position_base) {
            Some(p) if p > i64::from(u16::MAX) || p < 1 => Err("position_impossible"),
            Some(p) if p <= i64::from(self.how.max_position) => Ok(p as u16),
            _ => Err("beyond_max_position"),
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal("a batch without a column"))
}
