//! A column chunk with a dictionary that nobody had to search: a dictionary page, and one data page of keys.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, DictionaryArray, Int64Array};
use bytes::Bytes;
use parquet::basic::{CompressionCodec, Encoding, LogicalType, PageType, Repetition, Type as Physical};
use parquet::column::page::{CompressedPage, Page};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::{ColumnDescriptor, ColumnPath, PrimitiveTypeBuilder, Type};

use super::hybrid;
use crate::checked::write_page;

/// Level of compression: what the `parquet` crate takes for all other columns.
const LEVEL: i32 = 1;

/// Whole numbers below this are found by a table.
const SMALL: i64 = 1 << 16;

/// Pages in a row, and what the footer says of them.
pub(super) struct CodedChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

impl CodedChunk {
    /// The chunk of a column of texts without nulls.
    ///
    /// # Errors
    /// Where a value is longer than Parquet can say.
    pub(super) fn texts(name: &str, optional: bool, array: &DictionaryArray<UInt32Type>) -> Result<Self> {
        let values = array.values().as_string::<i32>();
        if array.keys().null_count() > 0 {
            return Err(ParquetError::General("a coded column with nulls".into()));
        }
        let mut plain = Vec::with_capacity(values.value_data().len() + 4 * values.len());
        for value in values.iter().flatten() {
            plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
            plain.extend_from_slice(value.as_bytes());
        }
        let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String));
        Self::new(column, name, optional, &plain, values.len(), array.keys().values(), None)
    }

    /// The chunk of a column of small whole numbers without nulls, as counts mostly are; None for any other.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn numbers(name: &str, optional: bool, array: &Int64Array) -> Result<Option<Self>> {
        let values = array.values();
        let (Some(least), Some(most)) = (values.iter().min(), values.iter().max()) else { return Ok(None) };
        if array.null_count() > 0 || *least < 0 || *most >= SMALL {
            return Ok(None);
        }
        let mut known = vec![u32::MAX; *most as usize + 1];
        let (mut plain, mut distinct) = (Vec::new(), 0);
        let keys: Vec<u32> = values
            .iter()
            .map(|value| {
                let key = &mut known[*value as usize];
                if *key == u32::MAX {
                    *key = distinct;
                    distinct += 1;
                    plain.extend_from_slice(&value.to_le_bytes());
                }
                *key
            })
            .collect();
        let column = Type::primitive_type_builder(name, Physical::INT64);
        let bounds = Statistics::int64(Some(*least), Some(*most), None, Some(0), false);
        Self::new(column, name, optional, &plain, distinct as usize, &keys, Some(bounds)).map(Some)
    }

    /// `plain`: the distinct values as a dictionary page holds them; `keys`: which of them each row has.
    fn new(
        column: PrimitiveTypeBuilder<'_>,
        name: &str,
        optional: bool,
        plain: &[u8],
        distinct: usize,
        keys: &[u32],
        statistics: Option<Statistics>,
    ) -> Result<Self> {
        let rows = u32::try_from(keys.len()).map_err(|_| ParquetError::General("too many rows".into()))?;
        let mut out = TrackedWrite::new(Vec::new());
        let dictionary = write_page(
            &mut out,
            &compressed(plain, |buf| Page::DictionaryPage {
                buf,
                num_values: distinct as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            })?,
        )?;
        let mut body = Vec::with_capacity(keys.len() * 2);
        if optional {
            // Definition levels, all 1: their length, then one run.
            let mut levels = Vec::new();
            hybrid::repeat(1, keys.len(), 1, &mut levels);
            body.extend_from_slice(&(levels.len() as u32).to_le_bytes());
            body.append(&mut levels);
        }
        let width = hybrid::width((distinct as u32).saturating_sub(1));
        body.push(width as u8);
        hybrid::encode(keys, width, &mut body);
        let data = write_page(
            &mut out,
            &compressed(&body, |buf| Page::DataPage {
                buf,
                num_values: rows,
                encoding: Encoding::RLE_DICTIONARY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            })?,
        )?;
        let bytes = Bytes::from(out.into_inner()?);
        let stats = |page_type, encoding| PageEncodingStats { page_type, encoding, count: 1 };
        let mut metadata = ColumnChunkMetaData::builder(Arc::new(descriptor(column, name, optional)?))
            .set_compression_codec(CompressionCodec::ZSTD)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_page_encoding_stats(vec![
                stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN),
                stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY),
            ])
            .set_num_values(i64::from(rows))
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(dictionary.uncompressed + data.uncompressed)
            .set_dictionary_page_offset(Some(dictionary.offset))
            .set_data_page_offset(data.offset);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: u64::from(rows),
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(Self { bytes, close })
    }
}

fn compressed(body: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<CompressedPage> {
    let buf = zstd::bulk::compress(body, LEVEL).map_err(|e| ParquetError::External(Box::new(e)))?;
    Ok(CompressedPage::new(page(buf.into()), body.len()))
}

fn descriptor(column: PrimitiveTypeBuilder<'_>, name: &str, optional: bool) -> Result<ColumnDescriptor> {
    let repetition = if optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let column = column.with_repetition(repetition).build()?;
    Ok(ColumnDescriptor::new(Arc::new(column), i16::from(optional), 0, ColumnPath::from(name)))
}
