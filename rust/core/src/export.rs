//! Tables as Arrow, in canonical order: utf8, integers, floats and booleans only, which every consumer reads.
//!
//! Batches are made when they are asked for, so that a table takes the memory of one. Inside, texts are dictionaries: the
//! codes that stand for them say what is equal, so that no string is hashed or compared.

mod counts;
mod evidence;
mod selected;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::packed::{Sizes, Tables};
use crate::strings::Strings;
use crate::time::NULL_TIME;

pub use evidence::EVIDENCE_COLUMNS;

/// Rows per batch: large enough to amortise, small enough to weigh little.
const BATCH: usize = 1 << 17;

type Make = dyn Fn(Range<usize>, Wanted<'_>) -> Result<RecordBatch> + Send + Sync;

/// A table: its schema, how many rows, and how to make its batches.
#[derive(Clone)]
pub struct Table {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub rows: usize,
    ranges: Arc<Vec<Range<usize>>>,
    make: Arc<Make>,
    /// Columns to make; empty for all.
    wanted: Arc<Vec<String>>,
}

impl Table {
    pub(crate) fn new(
        rows: usize,
        ranges: Vec<Range<usize>>,
        make: impl Fn(Range<usize>, Wanted<'_>) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> Result<Self> {
        let schema = plain(&make(0..0, &[])?)?.schema();
        Ok(Self {
            schema,
            rows,
            ranges: Arc::new(ranges),
            make: Arc::new(make),
            wanted: Arc::new(Vec::new()),
        })
    }

    /// Only these columns, in the order that they have here; the others are not made.
    ///
    /// # Errors
    /// [`Error::usage`] for a column that the table does not have.
    pub fn select(&self, columns: &[String]) -> Result<Self> {
        let fields = self.schema.fields();
        if let Some(unknown) = columns.iter().find(|c| fields.iter().all(|f| f.name() != *c)) {
            return Err(not_found(unknown, fields.iter().map(|f| f.name().as_str())));
        }
        let kept = fields.iter().filter(|f| columns.contains(f.name())).cloned().collect::<Vec<_>>();
        let schema = Arc::new(Schema::new_with_metadata(kept, self.schema.metadata().clone()));
        Ok(Self { schema, wanted: Arc::new(columns.to_vec()), ..self.clone() })
    }

    /// The batches, each made when its turn comes.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let table = self.clone();
        (0..self.ranges.len()).map(move |i| plain(&table.coded(i)?))
    }

    /// How many batches.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Batch `i` with texts as dictionaries of what it holds.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub fn coded(&self, i: usize) -> Result<RecordBatch> {
        let batch = (self.make)(self.ranges[i].clone(), &self.wanted)?;
        let names = self.schema.fields().iter().map(|f| batch.schema_ref().index_of(f.name()));
        let places = names.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(batch.project(&places)?)
    }
}

/// The same batch without dictionaries.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|array| match array.as_dictionary_opt::<UInt32Type>() {
        Some(coded) => Ok(arrow_select::take::take(coded.values(), coded.keys(), None)?),
        None => Ok(array.clone()),
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, text) => Field::new(field.name(), (**text).clone(), field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?)
}

/// Columns by name, each made only where it is wanted.
#[derive(Default)]
pub(crate) struct Columns<'a>(Vec<(&'static str, Make1<'a>)>);

type Make1<'a> = Box<dyn Fn() -> ArrayRef + 'a>;

impl<'a> Columns<'a> {
    /// One more.
    pub(crate) fn add(&mut self, name: &'static str, make: impl Fn() -> ArrayRef + 'a) {
        self.0.push((name, Box::new(make)));
    }
}

/// Which columns to make; empty for all.
pub(crate) type Wanted<'a> = &'a [String];

/// Whether a column is among these.
fn is_wanted(name: &str, wanted: Wanted<'_>) -> bool {
    wanted.is_empty() || wanted.iter().any(|w| w == name)
}

fn not_found<'n>(unknown: &str, names: impl Iterator<Item = &'n str>) -> Error {
    let names: Vec<&str> = names.collect();
    Error::usage(format!("columns not found: [{unknown:?}]; available: {names:?}"))
}

pub(crate) fn batch(columns: Columns<'_>, wanted: Wanted<'_>) -> Result<RecordBatch> {
    let made: Vec<(&str, ArrayRef)> = columns
        .0
        .iter()
        .filter(|(name, _)| is_wanted(name, wanted))
        .map(|(name, make)| (*name, make()))
        .collect();
    let fields: Vec<Field> =
        made.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = made.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Parts of `tables`, gathered to batches of about [`BATCH`] rows.
fn part_ranges(tables: &Tables, rows: impl Fn(Sizes) -> u64) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut held) = (Vec::new(), 0, 0);
    for part in 0..tables.len() {
        held += rows(tables.sizes_of(part)) as usize;
        if held >= BATCH {
            ranges.push(start..part + 1);
            (start, held) = (part + 1, 0);
        }
    }
    if held > 0 {
        ranges.push(start..tables.len());
    }
    ranges
}

pub(crate) fn row_ranges(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(BATCH).map(|start| start..(start + BATCH).min(rows)).collect()
}

/// What `each` gathers from the groups of these parts.
fn gathered<T>(
    tables: &Tables,
    parts: Range<usize>,
    mut each: impl FnMut(&mut Group, &mut Vec<T>),
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    for part in parts {
        tables.part(part, |group| {
            each(group, &mut out);
            Ok(())
        })?;
    }
    Ok(out)
}

/// Texts of codes.
fn text(strings: &Strings, codes: impl Iterator<Item = u64>) -> ArrayRef {
    coded(codes, |code| strings.find(code), |place| strings.at(place))
}

/// Texts as a dictionary, in the order of their codes: texts lie in that order, too, and so are read one after another.
pub(crate) fn coded<'a>(
    codes: impl Iterator<Item = u64>,
    place: impl Fn(u64) -> Option<usize>,
    text: impl Fn(usize) -> &'a str,
) -> ArrayRef {
    let mut order: Vec<(u64, u32)> = codes.zip(0..).collect();
    order.sort_unstable();
    let (mut distinct, mut keys) = (Vec::new(), vec![0; order.len()]);
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        same.iter().for_each(|(_, row)| keys[*row as usize] = distinct.len() as u32);
        distinct.push(same[0].0);
    }
    let texts = distinct.iter().map(|code| place(*code).map_or("", &text));
    let values = StringArray::from_iter_values(texts);
    Arc::new(DictionaryArray::<UInt32Type>::new(UInt32Array::from(keys), Arc::new(values)))
}

pub(crate) fn int(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|v| v as i64)))
}

fn int32(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values.map(i32::from)))
}

/// 0 is null.
fn position(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values.map(|p| (p > 0).then(|| i32::from(p)))))
}

pub(crate) fn float(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

fn time(values: impl Iterator<Item = i64>) -> ArrayRef {
    let values = values.map(|t| (t != NULL_TIME).then_some(t));
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
}

/// First 16 hex digits of the SHA-256 of a query.
pub fn query_id(code: u64) -> String {
    format!("{code:016x}")
}

macro_rules! column {
    ($out:expr, $name:expr, $make:expr) => {
        $out.add($name, move || $make)
    };
}
pub(crate) use column;
