//! Impressions as Arrow again: canonical as they are, or without raw identifiers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchReader, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::take::take;

use crate::error::{Error, Result};
use crate::impressions::{COLUMNS, Impressions, ReadStats, Verdicts, canonical, check_schema};
use crate::normalize::{Normalizer, normalized};
use crate::pseudonym::{Pseudonym, Pseudonymizer};
use crate::scalar::NONE;
use crate::scrub::Scrubber;
use crate::text::{Entries, NULL, TextColumn};
use crate::time::start_of_day;

/// Rows pseudonymised at once, so that what is in work stays in the cache.
const ROWS: usize = 1024;

/// What replaces raw identifiers and text.
pub struct Rewrite {
    /// Of `user_id`.
    pub user: Pseudonymizer,
    /// Of `session_id`.
    pub session: Pseudonymizer,
    /// Of `search_id`.
    pub search: Pseudonymizer,
    /// Coarsen timestamps to the day, UTC.
    pub day: bool,
    /// Normalise queries, and set rows aside where nothing is left; false leaves the texts as they are.
    pub normalise: bool,
    /// Of personal data in normalised queries; None leaves it in.
    pub scrubber: Option<Scrubber>,
    /// Columns that come along as they are, beyond the canonical ones.
    pub keep: Vec<String>,
    /// Identifiers that stay raw, for a caller that replaces them.
    pub plain: Vec<String>,
}

/// Schema of the canonical table for a log with these columns; with `rewrite`, of the anonymized one.
pub fn schema(log: &Schema, rewrite: Option<&Rewrite>) -> SchemaRef {
    let anonymized = |name: &str| rewrite.is_some_and(|r| !r.plain.iter().any(|plain| plain == name));
    let has = |name: &str| log.column_with_name(name);
    let fields: Vec<Field> = COLUMNS
        .iter()
        .filter_map(|name| {
            let (_, field) = has(name)?;
            let text = if is_binary(field.data_type()) { DataType::Binary } else { DataType::Utf8 };
            let data_type = match *name {
                "user_id" | "session_id" | "search_id" if anonymized(name) => DataType::FixedSizeBinary(16),
                "user_id" | "session_id" | "search_id" => text,
                "position" | "n_clicks" => DataType::Int32,
                "clicked" | "visible" => DataType::Boolean,
                "dwell_ms" | "click_ms" => DataType::Int64,
                "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                "propensity" => DataType::Float64,
                _ => DataType::Utf8,
            };
            Some(Field::new(*name, data_type, true))
        })
        .collect();
    let kept = rewrite.into_iter().flat_map(|r| &r.keep).filter_map(|name| {
        let (_, field) = has(name)?;
        Some(Field::new(name, field.data_type().clone(), true))
    });
    Arc::new(Schema::new(fields.into_iter().chain(kept).collect::<Vec<_>>()))
}

fn is_binary(t: &DataType) -> bool {
    match t {
        DataType::Dictionary(_, values) => is_binary(values),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            true
        }
        _ => false,
    }
}

/// The kept rows of a batch, canonical; without raw identifiers where `rewrite` says how. `raw` is the batch that `log` was
/// read from.
///
/// # Errors
/// Only where Arrow refuses, which would be a bug.
pub fn batch(
    raw: &RecordBatch,
    log: &Impressions,
    schema: &SchemaRef,
    rewrite: Option<&Rewrite>,
    stats: &mut ReadStats,
) -> Result<RecordBatch> {
    let mut keep = log.keep.clone();
    let mut queries = None;
    if let Some(r) = rewrite.filter(|r| r.normalise) {
        let entries = log.query.entries();
        let drops = r.scrubber.as_ref().is_some_and(Scrubber::drops);
        let texts = normalized(&Normalizer::new(r.scrubber.clone()), &log.query, &entries)?;
        for (i, entry) in entries.rows.iter().enumerate().filter(|(i, _)| log.keep[*i]) {
            let kinds = texts.scrubbed.get(*entry as usize).copied().unwrap_or_default();
            stats.scrub(kinds);
            let reason = match texts.get(*entry as usize) {
                _ if drops && !kinds.is_empty() => "personal_data",
                None => "null_query",
                Some(_) => continue,
            };
            keep[i] = false;
            *stats.quarantine.entry(reason).or_default() += 1;
        }
        queries = Some((entries, texts));
    }
    let mut rows: Vec<usize> = (0..log.rows).filter(|i| keep[*i]).collect();
    if let Some(rewrite) = rewrite.filter(|r| r.day) {
        unorder(log, rewrite, &mut rows);
    }
    let mut columns: Vec<ArrayRef> = Vec::new();
    let taken = UInt64Array::from_iter_values(rows.iter().map(|i| *i as u64));
    for field in schema.fields() {
        if let Some(kept) =
            rewrite.filter(|r| r.keep.contains(field.name())).and(raw.column_by_name(field.name()))
        {
            columns.push(take(kept, &taken, None)?);
            continue;
        }
        let id = |column: &Option<TextColumn>, pseudonymizer: Option<&Pseudonymizer>| -> Result<ArrayRef> {
            let plain = rewrite.is_some_and(|r| r.plain.contains(field.name()));
            match (column, pseudonymizer.filter(|_| !plain)) {
                (Some(column), Some(p)) => pseudonyms(column, p, &rows),
                (Some(column), None) => Ok(copied(column, field.data_type(), &rows)),
                (None, _) => Ok(arrow_array::new_null_array(field.data_type(), rows.len())),
            }
        };
        columns.push(match field.name().as_str() {
            "user_id" => id(&log.user, rewrite.map(|r| &r.user))?,
            "session_id" => id(&log.session, rewrite.map(|r| &r.session))?,
            "search_id" => id(&log.search, rewrite.map(|r| &r.search))?,
            "query" => match &queries {
                Some((entries, texts)) => {
                    let mut out = StringBuilder::new();
                    rows.iter().for_each(|i| out.append_option(texts.get(entries.rows[*i] as usize)));
                    Arc::new(out.finish())
                }
                None => copied(&log.query, &DataType::Utf8, &rows),
            },
            "doc_id" => copied(&log.doc, &DataType::Utf8, &rows),
            "surface" => id(&log.surface, None)?,
            "action" => id(&log.action, None)?,
            "position" => {
                let p = log.position.as_deref().unwrap_or_default();
                Arc::new(Int32Array::from_iter(rows.iter().map(|i| (p[*i] > 0).then(|| i32::from(p[*i])))))
            }
            "n_clicks" => {
                let values = log.n_clicks.as_deref().unwrap_or_default();
                let value = |i: &usize| i32::try_from(values[*i]).ok();
                Arc::new(Int32Array::from_iter(rows.iter().map(value)))
            }
            "clicked" => Arc::new(BooleanArray::from_iter(rows.iter().map(|i| Some(log.clicked[*i] == 1)))),
            "visible" => {
                let values = log.visible.as_deref().unwrap_or_default();
                Arc::new(BooleanArray::from_iter(
                    rows.iter().map(|i| (values[*i] < 2).then(|| values[*i] == 1)),
                ))
            }
            "dwell_ms" => longs(log.dwell_ms.as_deref().unwrap_or_default(), &rows),
            "click_ms" => longs(log.click_ms.as_deref().unwrap_or_default(), &rows),
            "timestamp" => {
                let values = log.timestamp.as_deref().unwrap_or_default();
                let coarse = rewrite.is_some_and(|r| r.day);
                let value = |i: &usize| if coarse { start_of_day(values[*i]) } else { values[*i] };
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(rows.iter().map(value)).with_timezone("UTC"),
                )
            }
            _ => {
                let values = log.propensity.as_deref().unwrap_or_default();
                Arc::new(Float64Array::from_iter(
                    rows.iter().map(|i| Some(values[*i]).filter(|x| !x.is_nan())),
                ))
            }
        });
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Takes the order of events out of a batch whose times were coarsened: pages by pseudonym, rows of a page by position.
fn unorder(log: &Impressions, rewrite: &Rewrite, rows: &mut [usize]) {
    let (column, pseudonymizer) = match (&log.search, &log.user) {
        (Some(search), _) => (search, &rewrite.search),
        (None, Some(user)) => (user, &rewrite.user),
        (None, None) => return,
    };
    let entries = column.entries();
    let (present, values) = present(column, &entries);
    let mut made = Vec::new();
    pseudonymizer.codes(&values, &mut made);
    let mut codes = vec![0; entries.len()];
    present.iter().zip(made).for_each(|(i, code)| codes[*i] = code);
    let position = |i: usize| log.position.as_ref().map_or(0, |p| p[i]);
    rows.sort_by_key(|i| (codes.get(entries.rows[*i] as usize).copied().unwrap_or(0), position(*i)));
}

fn longs(values: &[i64], rows: &[usize]) -> ArrayRef {
    Arc::new(Int64Array::from_iter(rows.iter().map(|i| Some(values[*i]).filter(|v| *v != NONE))))
}

fn copied(column: &TextColumn, to: &DataType, rows: &[usize]) -> ArrayRef {
    if to == &DataType::Binary {
        let mut out = BinaryBuilder::new();
        rows.iter().for_each(|i| out.append_option(column.row(*i)));
        return Arc::new(out.finish());
    }
    let mut out = StringBuilder::new();
    rows.iter().for_each(|i| out.append_option(column.row(*i).and_then(|v| std::str::from_utf8(v).ok())));
    Arc::new(out.finish())
}

/// The entries that are not null, and their values.
fn present<'a>(column: &'a TextColumn, entries: &Entries) -> (Vec<usize>, Vec<&'a [u8]>) {
    (0..entries.len()).filter_map(|i| Some((i, entries.get(column, i)?))).unzip()
}

fn pseudonyms(column: &TextColumn, pseudonymizer: &Pseudonymizer, rows: &[usize]) -> Result<ArrayRef> {
    let entries = column.entries();
    let (present, values) = present(column, &entries);
    let mut made = vec![None; entries.len()];
    present.iter().zip(pseudonymizer.pseudonyms(&values)).for_each(|(i, p)| made[*i] = Some(p));
    let mut out = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for i in rows {
        match entries.rows[*i] {
            NULL => out.append_null(),
            entry => match &made[entry as usize] {
                Some(p) => out.append_value(p)?,
                None => out.append_null(),
            },
        }
    }
    Ok(Arc::new(out.finish()))
}

/// What a stream has found so far.
#[derive(Default)]
pub struct Seen {
    /// Rows and reasons.
    pub stats: ReadStats,
    /// What it broke off with: of an error, consumers behind a C interface learn no more than that there was one.
    pub failed: Option<Error>,
}

/// A log as a stream of canonical batches, with what was found on the way.
pub struct Canonical {
    reader: Box<dyn RecordBatchReader + Send>,
    position_base: i64,
    rewrite: Option<Rewrite>,
    schema: SchemaRef,
    seen: Arc<Mutex<Seen>>,
}

impl Canonical {
    /// Canonical impressions of `reader`; without raw identifiers where `rewrite` says how. The second value fills while
    /// the stream is read.
    ///
    /// # Errors
    /// As [`check_schema`]; a canonical name among the columns to keep.
    pub fn new(
        reader: Box<dyn RecordBatchReader + Send>,
        position_base: i64,
        rewrite: Option<Rewrite>,
    ) -> Result<(Self, Arc<Mutex<Seen>>)> {
        check_schema(&reader.schema())?;
        // Kept as it is, an identifier would be kept raw.
        if let Some(name) = rewrite.iter().flat_map(|r| &r.keep).find(|n| COLUMNS.contains(&n.as_str())) {
            return Err(Error::usage(format!(
                "column {name:?} cannot be kept as it is: it has a meaning here"
            )));
        }
        let schema = schema(&reader.schema(), rewrite.as_ref());
        let seen = Arc::new(Mutex::new(Seen::default()));
        Ok((Self { reader, position_base, rewrite, schema, seen: seen.clone() }, seen))
    }

    /// What producers say of their errors can quote cells, so it goes through ours.
    fn next_batch(&mut self) -> Option<std::result::Result<RecordBatch, ArrowError>> {
        let raw = self.reader.next()?;
        let made = raw.map_err(Error::from).and_then(|raw| self.one(&raw));
        if let Err(e) = &made {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(e.clone());
        }
        Some(made.map_err(ArrowError::from))
    }

    fn one(&self, raw: &RecordBatch) -> Result<RecordBatch> {
        // Not locked while a detector is asked: it may wait for whoever asks for these figures.
        let mut stats = ReadStats::default();
        let log = canonical(raw, self.position_base, &mut stats, &mut Verdicts::default())?;
        let made = batch(raw, &log, &self.schema, self.rewrite.as_ref(), &mut stats)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).stats.add(&stats);
        Ok(made)
    }
}

impl Iterator for Canonical {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The consumer of the stream sits behind a C interface, where a panic would end the process.
        let next = catch_unwind(AssertUnwindSafe(|| self.next_batch()));
        next.unwrap_or_else(|_| {
            Some(Err(Error::internal("reading the log failed; this is a bug, please report it").into()))
        })
    }
}

impl RecordBatchReader for Canonical {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Pseudonyms of a whole array: `hn.pseudonymize`.
///
/// # Errors
/// As [`TextColumn::new`].
pub fn pseudonymize(array: &ArrayRef, pseudonymizer: &Pseudonymizer) -> Result<ArrayRef> {
    let column = TextColumn::new("ids", array)?;
    let mut out = vec![[0; 16]; column.len()];
    let mut valid = BooleanBufferBuilder::new(column.len());
    if column.dictionary().is_some() {
        let entries = column.entries();
        let (present, values) = present(&column, &entries);
        let mut made = vec![None; entries.len()];
        present.iter().zip(pseudonymizer.pseudonyms(&values)).for_each(|(i, p)| made[*i] = Some(p));
        for (place, entry) in out.iter_mut().zip(entries.rows.iter()) {
            let p = made.get(*entry as usize).copied().flatten();
            valid.append(p.is_some());
            *place = p.unwrap_or_default();
        }
    } else {
        each_row(&column, pseudonymizer, &mut out, &mut valid);
    }
    let nulls = Some(NullBuffer::new(valid.finish())).filter(|nulls| nulls.null_count() > 0);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from_vec(out.into_flattened()), nulls)?))
}

/// Pseudonyms row by row: to look for equal values takes longer than to hash them, but where they are neighbours.
fn each_row(
    column: &TextColumn,
    pseudonymizer: &Pseudonymizer,
    out: &mut [Pseudonym],
    valid: &mut BooleanBufferBuilder,
) {
    let (mut values, mut places) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    for (piece, out) in out.chunks_mut(ROWS).enumerate() {
        values.clear();
        places.clear();
        for i in 0..out.len() {
            let value = column.row(piece * ROWS + i);
            valid.append(value.is_some());
            if let Some(value) = value {
                if values.last() != Some(&value) {
                    values.push(value);
                }
                places.push((i as u32, values.len() as u32 - 1));
            }
        }
        let made = pseudonymizer.pseudonyms(&values);
        places.iter().for_each(|(i, value)| out[*i as usize] = made[*value as usize]);
    }
}

/// Texts of a whole array with what `scrubber` finds replaced: `hn.scrub`. Where it drops texts, null.
///
/// # Errors
/// As [`TextColumn::new`].
pub fn scrub(array: &ArrayRef, scrubber: Scrubber) -> Result<ArrayRef> {
    let column = TextColumn::new("queries", array)?;
    let normalizer = Normalizer::new(Some(scrubber));
    let mut out = StringBuilder::new();
    if column.dictionary().is_none() && !normalizer.asks() {
        // To find equal texts would take longer than to look at them.
        normalizer.scrub_all((0..column.len()).map(|i| text(column.row(i))), |one| out.append_option(one))?;
        return Ok(Arc::new(out.finish()));
    }
    let entries = column.entries();
    let distinct = (0..entries.len()).map(|i| text(entries.get(&column, i)));
    normalizer.scrub_all(distinct, |one| out.append_option(one))?;
    let keys = UInt32Array::from_iter(entries.rows.iter().map(|key| (*key != NULL).then_some(*key)));
    Ok(take(&out.finish(), &keys, None)?)
}

fn text(value: Option<&[u8]>) -> Option<&str> {
    value.and_then(|v| std::str::from_utf8(v).ok())
}

/// Normalised texts of a whole array: `hn.normalize`. Null, or nothing left, is null.
///
/// # Errors
/// As [`TextColumn::new`].
pub fn normalize(array: &ArrayRef, scrubber: Option<Scrubber>) -> Result<ArrayRef> {
    let column = TextColumn::new("queries", array)?;
    let entries = column.entries();
    let texts = normalized(&Normalizer::new(scrubber), &column, &entries)?;
    let mut out = StringBuilder::new();
    for entry in entries.rows.iter() {
        out.append_option(texts.get(*entry as usize));
    }
    Ok(Arc::new(out.finish()))
}
