//! Parquet files for the tests.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::builder::{BooleanBuilder, Int32Builder, ListBuilder, StringBuilder};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;

/// A path that is removed at the end.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("hardneg-input-{}-{n}.parquet", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How a file is laid out.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub v2: bool,
    pub dictionary: bool,
    /// Small: writers then fall back to plain pages in mid-chunk.
    pub dictionary_bytes: usize,
    pub page_rows: usize,
    pub group_rows: usize,
    pub codec: u8,
    pub delta: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            v2: false,
            dictionary: true,
            dictionary_bytes: 1 << 20,
            page_rows: 1000,
            group_rows: 1000,
            codec: 0,
            delta: false,
        }
    }
}

impl Arbitrary for Layout {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let flags = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.2));
        (flags, prop_oneof![Just(40_usize), Just(1 << 20)], 1_usize..200, 40_usize..500, 0_u8..6)
            .prop_map(|((v2, dictionary, delta), dictionary_bytes, page_rows, group_rows, codec)| Self {
                v2,
                dictionary,
                dictionary_bytes,
                page_rows,
                group_rows,
                codec,
                delta,
            })
            .boxed()
    }
}

pub(crate) fn write(path: &Path, log: &RecordBatch, layout: &Layout) {
    let codec = match layout.codec {
        0 => Compression::UNCOMPRESSED,
        1 => Compression::SNAPPY,
        2 => Compression::GZIP(Default::default()),
        3 => Compression::BROTLI(Default::default()),
        4 => Compression::LZ4_RAW,
        _ => Compression::ZSTD(Default::default()),
    };
    let mut properties = WriterProperties::builder()
        .set_writer_version(if layout.v2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
        .set_dictionary_enabled(layout.dictionary)
        .set_dictionary_page_size_limit(layout.dictionary_bytes)
        .set_data_page_row_count_limit(layout.page_rows)
        .set_write_batch_size(7)
        .set_max_row_group_row_count(Some(layout.group_rows))
        .set_compression(codec);
    if layout.delta {
        properties = properties
            .set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY)
            .set_column_encoding("i64".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled("text".into(), false)
            .set_column_dictionary_enabled("i64".into(), false);
    }
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, log.schema(), Some(properties.build())).unwrap();
    writer.write(log).unwrap();
    writer.close().unwrap();
}

/// Strings in a text column `t`, whatever the bytes; by dictionary, plain or in another coding.
pub(crate) fn write_bytes_as_text(path: &Path, values: &[&[u8]], dictionary: bool, coding: Option<Encoding>) {
    let leaf = Type::primitive_type_builder("t", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(parquet::basic::LogicalType::String))
        .build()
        .unwrap();
    let schema = Type::group_type_builder("log").with_fields(vec![Arc::new(leaf)]).build().unwrap();
    let mut properties = WriterProperties::builder().set_dictionary_enabled(dictionary && coding.is_none());
    if let Some(coding) = coding {
        properties = properties.set_encoding(coding);
    }
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = values.iter().map(|v| ByteArray::from(v.to_vec())).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// `rows` rows of a text column `t` with `distinct` values.
pub(crate) fn text_log(rows: usize, distinct: usize) -> RecordBatch {
    let values = StringArray::from_iter_values((0..rows).map(|i| format!("value {}", i * 7 % distinct)));
    RecordBatch::try_from_iter([("t", Arc::new(values) as ArrayRef)]).unwrap()
}

/// A text column `t` that holds numbers, a list, and a struct `s` with a field `x`.
pub(crate) fn nested_log() -> RecordBatch {
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    let x: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let s = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int32, true)), x)]);
    RecordBatch::try_from_iter([
        ("t", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ("list", Arc::new(list.finish()) as ArrayRef),
        ("s", Arc::new(s) as ArrayRef),
    ])
    .unwrap()
}

/// One row's worth of everything.
type Cell = Option<(u8, i64, bool, String)>;

/// A log with a column of each type, plain ones under names of their own and structs twice deep.
pub(crate) fn any_log() -> impl Strategy<Value = RecordBatch> {
    let cell = || {
        prop_oneof![
            // Runs and repeats, as logs have them, and things of all kinds.
            3 => (0_u8..4).prop_map(|n| Some((n, i64::from(n), n % 2 == 0, format!("text {n}")))),
            2 => (any::<u8>(), any::<i64>(), any::<bool>(), ".{0,9}").prop_map(Some),
            1 => Just(None),
        ]
    };
    (prop::collection::vec((cell(), 1_usize..20), 0..40), prop::bool::weighted(0.3)).prop_map(
        |(runs, required)| {
            let cells: Vec<Cell> = runs.into_iter().flat_map(|(cell, n)| vec![cell; n]).collect();
            log(&cells, required)
        },
    )
}

fn log(cells: &[Cell], required: bool) -> RecordBatch {
    let none = (0, 0, false, String::new());
    let cells: Vec<Cell> =
        cells.iter().map(|c| if required { c.clone().or(Some(none.clone())) } else { c.clone() }).collect();
    let text: StringArray = cells.iter().map(|c| c.as_ref().map(|c| c.3.as_str())).collect();
    let binary: BinaryArray = cells.iter().map(|c| c.as_ref().map(|c| c.3.as_bytes())).collect();
    let large: LargeStringArray = cells.iter().map(|c| c.as_ref().map(|c| c.3.as_str())).collect();
    let flag: BooleanArray = cells.iter().map(|c| c.as_ref().map(|c| c.2)).collect();
    let i64s: Int64Array = cells.iter().map(|c| c.as_ref().map(|c| c.1)).collect();
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        cells.iter().map(|c| c.as_ref().map(|c| c.1.to_le_bytes())),
        8,
    )
    .unwrap();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("text".into(), Arc::new(text.clone())),
        ("binary".into(), Arc::new(binary)),
        ("large".into(), Arc::new(large)),
        ("flag".into(), Arc::new(flag)),
        ("fixed".into(), Arc::new(fixed)),
        ("i64".into(), Arc::new(i64s)),
    ];
    macro_rules! number {
        ($($t:ty),+) => {$(
            let array: PrimitiveArray<$t> = cells.iter().map(|c| c.as_ref().map(|c| c.1 as _)).collect();
            columns.push((format!("{}", <$t>::DATA_TYPE), Arc::new(array)));
        )+};
    }
    number!(Int8Type, Int16Type, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type);
    number!(Float32Type, Float64Type, Date32Type, Time32MillisecondType, Time64MicrosecondType);
    number!(TimestampMillisecondType, TimestampMicrosecondType, TimestampNanosecondType);
    let small: Vec<Option<i128>> = cells.iter().map(|c| c.as_ref().map(|c| c.0.into())).collect();
    for precision in [5, 12, 30] {
        let array = Decimal128Array::from(small.clone()).with_precision_and_scale(precision, 0).unwrap();
        columns.push((format!("decimal{precision}"), Arc::new(array)));
    }
    let zoned: TimestampMicrosecondArray = cells.iter().map(|c| c.as_ref().map(|c| c.1)).collect();
    columns.push(("zoned".into(), Arc::new(zoned.with_timezone("UTC"))));
    let seconds: DurationMillisecondArray = cells.iter().map(|c| c.as_ref().map(|c| c.1)).collect();
    columns.push(("duration".into(), Arc::new(seconds)));
    let dates: TimestampSecondArray = cells.iter().map(|c| c.as_ref().map(|c| c.0.into())).collect();
    columns.push((format!("{:?}", TimeUnit::Second), Arc::new(dates)));
    columns.extend(nested(&cells));
    let schema: Vec<Field> =
        columns.iter().map(|(n, a)| Field::new(n, a.data_type().clone(), !required)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(schema)), columns.into_iter().map(|(_, a)| a).collect())
        .unwrap()
}

/// Lists of text, structs of them, and lists of structs; null where the cell is, with up to three items elsewhere.
fn nested(cells: &[Cell]) -> Vec<(String, ArrayRef)> {
    let (mut texts, mut flags) =
        (ListBuilder::new(StringBuilder::new()), ListBuilder::new(BooleanBuilder::new()));
    for cell in cells {
        let items = cell.as_ref().map(|c| (0..c.0 % 4).map(|i| (i != 2).then(|| format!("{i} {}", c.3))));
        texts.append_option(items);
        flags.append_option(cell.as_ref().map(|c| (0..c.0 % 4).map(|i| (i != 1).then_some(c.2))));
    }
    let (texts, flags) = (texts.finish(), flags.finish());
    // As many items in both, so that they can also be fields of one.
    let fields = [("text", texts.values()), ("flag", flags.values())];
    let fields: Vec<(FieldRef, ArrayRef)> =
        fields.map(|(n, a)| (Arc::new(Field::new(n, a.data_type().clone(), true)), a.clone())).into();
    let items: ArrayRef = Arc::new(StructArray::from(fields));
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let results = ListArray::new(item, texts.offsets().clone(), items, texts.nulls().cloned());
    let texts: ArrayRef = Arc::new(texts);
    let within = vec![(Arc::new(Field::new("texts", texts.data_type().clone(), true)), texts.clone())];
    vec![
        ("texts".into(), texts),
        ("within".into(), Arc::new(StructArray::from(within))),
        ("results".into(), Arc::new(results)),
    ]
}

/// Text `a.b.t` and number `a.b.n` in structs that are null here and there.
pub(crate) fn struct_log(rows: usize) -> RecordBatch {
    let null_every = |n: usize| Some(NullBuffer::from((0..rows).map(|i| i % n != 0).collect::<Vec<bool>>()));
    let t: ArrayRef =
        Arc::new((0..rows).map(|i| (i % 5 != 0).then(|| format!("v{}", i % 11))).collect::<StringArray>());
    let n: ArrayRef = Arc::new((0..rows).map(|i| (i % 4 != 0).then_some(i as i32)).collect::<Int32Array>());
    let f: ArrayRef = Arc::new(
        Decimal128Array::from_iter((0..rows).map(|i| (i % 4 != 0).then_some(i as i128)))
            .with_precision_and_scale(30, 0)
            .unwrap(),
    );
    let fields = |arrays: &[(&str, &ArrayRef)]| -> Fields {
        arrays.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect()
    };
    let names = fields(&[("t", &t), ("n", &n), ("f", &f)]);
    let b: ArrayRef = Arc::new(StructArray::new(names, vec![t, n, f], null_every(7)));
    let a: ArrayRef = Arc::new(StructArray::new(fields(&[("b", &b)]), vec![b], null_every(6)));
    RecordBatch::try_from_iter([("a", a)]).unwrap()
}

/// A timestamp column `t` in INT96, and what it holds in nanoseconds.
pub(crate) fn write_int96(path: &Path) -> Vec<i64> {
    let leaf = Type::primitive_type_builder("t", Physical::INT96)
        .with_repetition(Repetition::REQUIRED)
        .build()
        .unwrap();
    let schema = Type::group_type_builder("log").with_fields(vec![Arc::new(leaf)]).build().unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    // Nanoseconds of the day, low half first, and the Julian day; that of 1970-01-01 is 2,440,588.
    let values: Vec<Int96> = (0..3_u32).map(|i| Int96::from(vec![i * 7, 0, 2_440_588 + i])).collect();
    column.typed::<Int96Type>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    (0..3).map(|i| i * (86_400_000_000_000 + 7)).collect()
}
