//! Columns in types and encodings that are rare in logs: the Parquet library's own Arrow reader decodes them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, make_array};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::DataType;
use hardneg_core::error::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};

use super::file::{FileBytes, LogFile, broken, damaged, said};
use super::leaf::Column;
use super::node::Node;
use super::one_group::OneGroup;

/// A column that the library decodes.
pub(super) struct Other {
    name: String,
    reader: ParquetRecordBatchReader,
    /// Structs that it is in.
    depth: usize,
    text: Option<bool>,
    /// Rows of the library's batch that were not taken yet: its batches need not end where ours do.
    rest: Option<ArrayRef>,
}

impl Other {
    /// A column of row group `group`; `text` says whether it is text, and then whether of UTF-8, and `told` whether the Arrow
    /// schema in the file counts.
    pub(super) fn new(
        file: &LogFile,
        bytes: &FileBytes,
        (group, node): (usize, &Node),
        (text, told): (Option<bool>, bool),
        batch_rows: usize,
    ) -> Result<Self> {
        let open = || -> parquet::errors::Result<ParquetRecordBatchReader> {
            let metadata = file.metadata.clone();
            let said = metadata.file_metadata();
            // The library fails on text that is not UTF-8; binary it takes as it is.
            let (schema, first) = node.schema(&said.schema_descr_ptr(), text.is_some())?;
            let told = said.key_value_metadata().filter(|_| told && text.is_none() && node.alone.is_none());
            let fields = parquet_to_arrow_schema(&schema, told)?.fields;
            let mask = ProjectionMask::leaves(&schema, node.leaves.clone().map(|leaf| leaf - first));
            let levels = parquet_to_arrow_field_levels(&schema, mask, Some(&fields))?;
            let leaves = node.leaves.len();
            let one = OneGroup { bytes: bytes.clone(), metadata, group, batch_rows, leaves, first };
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &one, batch_rows, None)
        };
        let reader = open().map_err(|e| damaged(file.name(), &e))?;
        Ok(Self { name: file.name().into(), reader, depth: node.depth, text, rest: None })
    }

    fn read(&mut self) -> Result<ArrayRef> {
        match self.reader.next() {
            Some(Ok(batch)) => within(&batch, self.depth),
            Some(Err(e)) => Err(broken(&self.name, said(&e))),
            None => Err(broken(&self.name, "a column ends before its rows do")),
        }
    }
}

impl Column for Other {
    fn batch(&mut self, rows: usize) -> Result<ArrayRef> {
        let mut parts: Vec<ArrayRef> = Vec::new();
        let mut left = rows;
        while left > 0 {
            let array = match self.rest.take() {
                Some(rest) => rest,
                None => self.read()?,
            };
            let n = left.min(array.len());
            if n < array.len() {
                self.rest = Some(array.slice(n, array.len() - n));
            }
            left -= n;
            parts.push(array.slice(0, n));
        }
        let array = match parts.len() {
            1 => parts.swap_remove(0),
            _ => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                arrow_select::concat::concat(&parts)?
            }
        };
        match self.text {
            Some(utf8) => as_text(&array, utf8),
            None => Ok(array),
        }
    }
}

/// As [`super::text`] yields plain values.
fn as_text(array: &ArrayRef, utf8: bool) -> Result<ArrayRef> {
    let array = cast(array, &DataType::Binary)?;
    let (offsets, bytes, nulls) = array.as_binary::<i32>().clone().into_parts();
    if utf8 && let Ok(text) = StringArray::try_new(offsets.clone(), bytes.clone(), nulls.clone()) {
        return Ok(Arc::new(text));
    }
    Ok(Arc::new(BinaryArray::new(offsets, bytes, nulls)))
}

/// The one column of a batch that is `depth` structs down; a field of a null struct is null.
fn within(batch: &RecordBatch, depth: usize) -> Result<ArrayRef> {
    let mut array =
        batch.columns().first().ok_or_else(|| Error::internal("a batch without columns"))?.clone();
    let mut nulls: Option<NullBuffer> = None;
    for _ in 0..depth {
        let fields = array.as_struct_opt().ok_or_else(|| Error::internal("a field of what is no struct"))?;
        nulls = NullBuffer::union(nulls.as_ref(), fields.nulls());
        let field = fields.columns().first();
        array = field.ok_or_else(|| Error::internal("a struct without fields"))?.clone();
    }
    if nulls.is_none() || array.data_type() == &DataType::Null {
        return Ok(array);
    }
    let nulls = NullBuffer::union(nulls.as_ref(), array.nulls());
    Ok(make_array(array.to_data().into_builder().nulls(nulls).build()?))
}
