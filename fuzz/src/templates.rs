//! Small Parquet files whose pages an input replaces while their footers stay: what is said of the pages is then true of a
//! file, and what the pages say can be anything.

use std::sync::Arc;

use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterVersion};

/// The name of the only leaf column, as a path.
pub const PATHS: [&str; 2] = ["t", "s.t"];

const ROWS: usize = 40;
const MAGIC: usize = 4;

/// A file, and which of [`PATHS`] it has.
pub struct Template {
    bytes: Vec<u8>,
    /// Where the pages end.
    body: usize,
    pub path: &'static str,
}

impl Template {
    /// The file with `pages` in place of its own first bytes.
    pub fn with(&self, pages: &[u8]) -> Vec<u8> {
        let mut out = self.bytes.clone();
        let n = pages.len().min(self.body - MAGIC);
        out[MAGIC..MAGIC + n].copy_from_slice(&pages[..n]);
        out
    }

    /// Its own pages.
    pub fn pages(&self) -> &[u8] {
        &self.bytes[MAGIC..self.body]
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One for each layout and type.
pub fn templates() -> Vec<Template> {
    let mut out = Vec::new();
    for nullable in [true, false] {
        for column in columns(nullable) {
            for (v2, dictionary, delta) in
                [(false, true, false), (true, true, false), (false, false, false), (true, false, true)]
            {
                for nested in [false, true] {
                    if nested && !(nullable && dictionary) {
                        continue;
                    }
                    out.push(template(
                        &column,
                        nullable,
                        (v2, dictionary, delta),
                        nested,
                        Compression::UNCOMPRESSED,
                    ));
                }
            }
        }
    }
    let codecs = [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    for codec in codecs {
        let text = &columns(true)[0];
        out.extend([false, true].map(|v2| template(text, true, (v2, !v2, false), false, codec)));
    }
    for column in columns(true) {
        for (v2, dictionary, delta) in [(false, true, false), (true, true, false), (true, false, true)] {
            let how = (v2, dictionary, delta);
            out.push(template(&lists(&column), true, how, dictionary && v2, Compression::UNCOMPRESSED));
        }
    }
    out
}

/// Lists of no, one or three items, null here and there.
fn lists(items: &ArrayRef) -> ArrayRef {
    // As many items as rows, for every five of these.
    let lengths = (0..ROWS).map(|i| [1, 0, 3, 0, 1][i % 5]);
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let valid = NullBuffer::from((0..ROWS).map(|i| i % 5 != 3).collect::<Vec<_>>());
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), items.clone(), Some(valid)))
}

fn columns(nullable: bool) -> Vec<ArrayRef> {
    let valid = |i: usize| !nullable || !i.is_multiple_of(5);
    let text: Vec<Option<String>> = (0..ROWS)
        .map(|i| valid(i).then(|| if i % 7 == 6 { String::new() } else { format!("v{}", i % 3) }))
        .collect();
    let longs: Vec<Option<i64>> = (0..ROWS).map(|i| valid(i).then_some(i as i64 % 4)).collect();
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        longs.iter().map(|v| v.map(i64::to_le_bytes)),
        8,
    );
    let small: Vec<Option<i128>> = longs.iter().map(|v| v.map(i128::from)).collect();
    vec![
        Arc::new(StringArray::from(text.clone())),
        Arc::new(BinaryArray::from_iter(text.iter().map(|t| t.as_ref().map(|t| t.as_bytes())))),
        Arc::new(Int64Array::from(longs.clone())),
        Arc::new(Int32Array::from_iter(longs.iter().map(|v| v.map(|v| v as i32)))),
        Arc::new(Float64Array::from_iter(longs.iter().map(|v| v.map(|v| v as f64)))),
        Arc::new(BooleanArray::from_iter(longs.iter().map(|v| v.map(|v| v == 1)))),
        Arc::new(TimestampMicrosecondArray::from(longs).with_timezone("UTC")),
        Arc::new(fixed.expect("eight bytes each")),
        Arc::new(Decimal128Array::from(small).with_precision_and_scale(30, 0).expect("within bounds")),
    ]
}

fn template(
    column: &ArrayRef,
    nullable: bool,
    (v2, dictionary, delta): (bool, bool, bool),
    nested: bool,
    codec: Compression,
) -> Template {
    let leaf = Field::new("t", column.data_type().clone(), nullable);
    let (name, column): (_, ArrayRef) = if nested {
        let valid = NullBuffer::from((0..ROWS).map(|i| i % 6 != 0).collect::<Vec<_>>());
        ("s", Arc::new(StructArray::new(Fields::from(vec![leaf]), vec![column.clone()], Some(valid))))
    } else {
        ("t", column.clone())
    };
    let mut properties = WriterProperties::builder()
        .set_writer_version(if v2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
        .set_dictionary_enabled(dictionary)
        .set_data_page_row_count_limit(17)
        .set_write_batch_size(7)
        .set_max_row_group_row_count(Some(30))
        .set_compression(codec);
    if delta {
        let coding = match column.data_type() {
            DataType::Utf8 | DataType::Binary => Some(Encoding::DELTA_BYTE_ARRAY),
            DataType::Int32 | DataType::Int64 => Some(Encoding::DELTA_BINARY_PACKED),
            _ => None,
        };
        if let Some(coding) = coding {
            properties = properties.set_encoding(coding);
        }
    }
    let log =
        RecordBatch::try_from_iter_with_nullable([(name, column, nested || nullable)]).expect("one column");
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, log.schema(), Some(properties.build())).expect("a sound schema");
    writer.write(&log).expect("rows");
    let meta = writer.close().expect("an end");
    let chunks = meta.row_groups().iter().flat_map(|g| g.columns());
    let body =
        chunks.map(|c| c.byte_range()).map(|(at, len)| (at + len) as usize).max().expect("a row group");
    Template { bytes, body, path: PATHS[usize::from(nested)] }
}
