//! Which files can be read here.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use arrow_schema::{Field, Schema};
use hardneg_core::error::{Error, Result};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::file::LogFile;
use super::kind::Kind;
use super::{ParquetInput, Pool, guarded};

/// Opens local Parquet files as one log.
///
/// `columns` are pairs of the name that a column gets and its path in the files, fields of structs after dots; where a
/// plain name has dots in it, it wins. Batches have `batch_rows` rows, the last of each row group fewer.
///
/// None where another reader must do it: the footer is encrypted or of no use to the library, a column is missing,
/// doubled or within a list or map, or has different types in different files, or a file uses a codec that is not built
/// in. No page has been read then.
///
/// # Errors
/// `Data` where a file cannot be opened or its footer cannot be read, `Usage` for no files, no columns or no rows.
pub fn open(
    files: &[PathBuf],
    columns: &[(String, String)],
    batch_rows: usize,
) -> Result<Option<ParquetInput>> {
    if files.is_empty() || columns.is_empty() || batch_rows == 0 {
        return Err(Error::usage("reading Parquet needs a file, a column and a batch size above 0"));
    }
    let mut opened = Vec::with_capacity(files.len());
    let mut leaves = Vec::with_capacity(files.len());
    let mut kinds: Option<Vec<Kind>> = None;
    for path in files {
        let Some(file) = LogFile::open(path)? else { return Ok(None) };
        let found: Option<Vec<usize>> = columns.iter().map(|(_, path)| leaf(&file.metadata, path)).collect();
        let Some(found) = found.filter(|found| readable(&file.metadata, found)) else { return Ok(None) };
        // An Arrow schema in the footer that contradicts itself makes the library panic.
        let kinds_of = || Ok(found.iter().map(|&leaf| Kind::of(&file.metadata, leaf)).collect());
        let these: Option<Vec<Kind>> = guarded(file.name(), kinds_of)?;
        let Some(these) = these else { return Ok(None) };
        if kinds.get_or_insert_with(|| these.clone()) != &these {
            return Ok(None);
        }
        opened.push(file);
        leaves.push(found);
    }
    let columns: Vec<_> =
        columns.iter().map(|(name, _)| name.clone()).zip(kinds.into_iter().flatten()).collect();
    let fields: Vec<_> =
        columns.iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
    let mut groups = Vec::new();
    for (at, file) in opened.iter().enumerate() {
        let with_rows = file.metadata.row_groups().iter().enumerate().filter(|(_, g)| g.num_rows() > 0);
        groups.extend(with_rows.map(|(group, _)| (at, group)));
    }
    Ok(Some(ParquetInput {
        files: opened,
        groups,
        columns,
        leaves,
        schema: Arc::new(Schema::new(fields)),
        batch_rows,
        pool: Mutex::new(Pool::default()),
        back: Condvar::new(),
    }))
}

/// The leaf column at a dotted path; None where there is none, or several.
fn leaf(metadata: &ParquetMetaData, path: &str) -> Option<usize> {
    let schema = metadata.file_metadata().schema_descr();
    let top = |name: &str| schema.root_schema().get_fields().iter().filter(|f| f.name() == name).count();
    // As the Python side finds columns: from the top down, the whole rest of the path first, then up to its next dot.
    let mut parts = Vec::new();
    let mut fields = schema.root_schema().get_fields();
    let mut rest = path;
    loop {
        if let Some(field) = fields.iter().find(|f| f.name() == rest) {
            if !field.is_primitive() {
                return None;
            }
            parts.push(rest);
            break;
        }
        let (name, below) = rest.split_once('.')?;
        let group = fields.iter().find(|f| f.name() == name && f.is_group())?;
        parts.push(name);
        fields = group.get_fields();
        rest = below;
    }
    if top(parts[0]) > 1 {
        return None;
    }
    let same = |c: &parquet::schema::types::ColumnDescPtr| {
        c.path().parts().iter().map(String::as_str).eq(parts.iter().copied())
    };
    let mut found = schema.columns().iter().enumerate().filter(|(_, c)| same(c));
    let (leaf, column) = found.next()?;
    (found.next().is_none() && column.max_rep_level() == 0).then_some(leaf)
}

/// Whether the chunks of these columns are all in this file, and in codecs that are built in.
fn readable(metadata: &ParquetMetaData, leaves: &[usize]) -> bool {
    metadata.row_groups().iter().all(|group| {
        leaves.iter().all(|&leaf| {
            let chunk = group.column(leaf);
            chunk.file_path().is_none() && chunk.compression() != Compression::LZO
        })
    })
}
