//! Tables of the core as Parquet: batches are made and encoded on all threads and written in order, a row group each.
//!
//! Texts come as dictionaries and are written as such, which no string has to be hashed for. All other columns are the
//! `parquet` crate's work.

mod coded;
mod hybrid;

use std::fs::File;
use std::sync::Arc;

use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{RecordBatch, cast::AsArray};
use arrow_schema::{Field, Schema};
use hardneg_core::error::{Error, Result};
use hardneg_core::export::Table;
use hardneg_core::workers;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use coded::CodedChunk;

/// A column of a row group, ready to be written.
enum Chunk {
    Coded(CodedChunk),
    Other(ArrowColumnChunk),
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(usize::MAX)
        .set_created_by("hardneg_fast".into())
        .build()
}

fn unwritable(e: &ParquetError) -> Error {
    let why = match e {
        ParquetError::External(e) => e.downcast_ref::<std::io::Error>().map(|e| e.kind().to_string()),
        _ => None,
    };
    Error::io(format!("the output cannot be written: {}", why.as_deref().unwrap_or("not a Parquet file")))
}

/// Writes these columns of `table`, each under a new name, as the Parquet file `out`.
///
/// # Errors
/// [`Error::usage`] for a column that the table does not have; [`Error::io`] where the file cannot be written; whatever
/// `watch` reports, which is called every tenth of a second.
pub fn write(
    table: &Table,
    columns: &[(String, String)],
    out: File,
    threads: usize,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    // The others need not be made.
    let table = &table.select(&names)?;
    let places: Vec<usize> = columns.iter().map(|(name, _)| place(table, name)).collect::<Result<_>>()?;
    let fields = places.iter().zip(columns).map(|(i, (_, new))| {
        let field = table.schema.field(*i);
        Field::new(new, field.data_type().clone(), field.is_nullable())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let failed = |e: ParquetError| unwritable(&e);
    let leaves = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
    let mut file =
        SerializedFileWriter::new(out, leaves.root_schema_ptr(), Arc::new(properties())).map_err(failed)?;
    let writers = ArrowRowGroupWriterFactory::new(&file, schema.clone());
    workers::ordered(
        table.len(),
        workers::threads(threads),
        watch,
        |i| {
            encoded(&table.coded(i)?, &places, &schema, &writers, i)
                .map_err(|_| Error::internal("a table cannot be encoded"))
        },
        |_, chunks| {
            let mut group = file.next_row_group().map_err(failed)?;
            for chunk in chunks {
                match chunk {
                    Chunk::Coded(chunk) => group.append_column(&chunk.bytes, chunk.close),
                    Chunk::Other(chunk) => chunk.append_to_row_group(&mut group),
                }
                .map_err(failed)?;
            }
            group.close().map_err(failed)?;
            Ok(())
        },
    )?;
    file.close().map_err(failed)?;
    Ok(())
}

fn place(table: &Table, name: &str) -> Result<usize> {
    table.schema.index_of(name).map_err(|_| Error::internal("a table without a column that it has"))
}

/// The chunks of a row group, leaf by leaf.
fn encoded(
    batch: &RecordBatch,
    places: &[usize],
    schema: &Schema,
    writers: &ArrowRowGroupWriterFactory,
    group: usize,
) -> parquet::errors::Result<Vec<Chunk>> {
    let mut writers = writers.create_column_writers(group)?.into_iter();
    let mut chunks = Vec::with_capacity(places.len());
    for (i, field) in places.iter().zip(schema.fields()) {
        let array = batch.column(*i);
        if let Some(coded) = array.as_dictionary_opt::<UInt32Type>() {
            writers.next();
            chunks.push(Chunk::Coded(CodedChunk::texts(field.name(), field.is_nullable(), coded)?));
            continue;
        }
        if let Some(numbers) = array.as_primitive_opt::<Int64Type>()
            && let Some(chunk) = CodedChunk::numbers(field.name(), field.is_nullable(), numbers)?
        {
            writers.next();
            chunks.push(Chunk::Coded(chunk));
            continue;
        }
        for leaf in compute_leaves(field, array)? {
            let mut writer =
                writers.next().ok_or_else(|| ParquetError::General("a leaf without its writer".into()))?;
            writer.write(&leaf)?;
            chunks.push(Chunk::Other(writer.close()?));
        }
    }
    Ok(chunks)
}
