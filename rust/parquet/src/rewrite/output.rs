//! The output file: chunks in order, then a footer with nothing in it but what is said here.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::ColumnOrder;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, TypePtr};
use std::io::Write;

use super::chunk::{Chunk, encodings};
use crate::checked::write_page;

const MAGIC: &[u8; 4] = b"PAR1";

/// A Parquet file that is being written.
pub(super) struct Output {
    file: TrackedWrite<File>,
    schema: SchemaDescPtr,
    chunks: Vec<ColumnChunkMetaData>,
}

impl Output {
    /// Begins a file of this schema.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn new(file: File, schema: TypePtr) -> Result<Self> {
        let mut file = TrackedWrite::new(file);
        file.write_all(MAGIC)?;
        Ok(Self { file, schema: Arc::new(SchemaDescriptor::new(schema)), chunks: Vec::new() })
    }

    /// Leaf columns.
    pub(super) fn schema(&self) -> &SchemaDescPtr {
        &self.schema
    }

    /// Appends a chunk of leaf column `leaf`; chunks come row group by row group, in the order of leaves.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn append(&mut self, leaf: usize, chunk: Chunk) -> Result<()> {
        let (mut dictionary, mut data, mut compressed, mut uncompressed) = (None, None, 0, 0);
        let (encodings, encoding_stats) = encodings(&chunk.pages);
        for page in &chunk.pages {
            let written = write_page(&mut self.file, page)?;
            let is_dictionary = page.compressed_page().is_dictionary_page();
            let first = if is_dictionary { &mut dictionary } else { &mut data };
            first.get_or_insert(written.offset);
            compressed += written.compressed;
            uncompressed += written.uncompressed;
        }
        let mut meta = ColumnChunkMetaData::builder(self.schema.column(leaf))
            .set_compression_codec(chunk.codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(encoding_stats)
            .set_num_values(chunk.values)
            .set_total_compressed_size(compressed)
            .set_total_uncompressed_size(uncompressed)
            .set_dictionary_page_offset(dictionary)
            .set_data_page_offset(data.unwrap_or_default());
        if let Some(statistics) = chunk.statistics {
            meta = meta.set_statistics(statistics);
        }
        self.chunks.push(meta.build()?);
        Ok(())
    }

    /// Writes the footer: row groups of these many rows.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn finish(mut self, rows: &[i64]) -> Result<()> {
        let mut chunks = self.chunks.into_iter();
        let mut groups = Vec::with_capacity(rows.len());
        for (ordinal, rows) in rows.iter().enumerate() {
            let columns: Vec<ColumnChunkMetaData> = chunks.by_ref().take(self.schema.num_columns()).collect();
            let bytes = columns.iter().map(ColumnChunkMetaData::uncompressed_size).sum();
            let start = columns.first().map(|c| c.dictionary_page_offset().unwrap_or(c.data_page_offset()));
            groups.push(
                RowGroupMetaData::builder(self.schema.clone())
                    .set_num_rows(*rows)
                    .set_total_byte_size(bytes)
                    .set_ordinal(i16::try_from(ordinal).unwrap_or(i16::MAX))
                    .set_file_offset(start.unwrap_or_default())
                    .set_column_metadata(columns)
                    .build()?,
            );
        }
        let orders = self.schema.columns().iter().map(|column| {
            let order = ColumnOrder::sort_order_for_type(
                column.logical_type_ref(),
                column.converted_type(),
                column.physical_type(),
            );
            ColumnOrder::TYPE_DEFINED_ORDER(order)
        });
        let file = FileMetaData::new(
            2,
            rows.iter().sum(),
            Some("hardneg_fast".into()),
            None,
            self.schema.clone(),
            Some(orders.collect()),
        );
        let whole = ParquetMetaData::new(file, groups);
        self.file.flush()?;
        let mut inner = self.file.into_inner()?;
        ParquetMetaDataWriter::new(&mut inner, &whole).finish()?;
        inner.flush()?;
        Ok(())
    }
}
