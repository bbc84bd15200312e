//! Which files can be read here.

use std::sync::{Arc, Condvar, Mutex};

use arrow_schema::{Field, Schema};
use hardneg_core::error::{Error, Result};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::file::{LogFile, Place};
use super::kind::Kind;
use super::node::{Node, Of};
use super::{ParquetInput, Pool, guarded};

/// Files whose footers were read.
pub struct Files(Vec<Arc<LogFile>>);

impl Files {
    /// None where a footer is encrypted or of no use to the library.
    ///
    /// # Errors
    /// `Data` where a file cannot be opened or its footer cannot be read.
    pub fn open(places: &[Place]) -> Result<Option<Self>> {
        let opened = places.iter().map(|place| Ok(LogFile::open(place)?.map(Arc::new)));
        Ok(opened.collect::<Result<Option<_>>>()?.map(Self))
    }

    /// Of each leaf of the first file, in order: which field of the top level it is in.
    pub fn tops(&self) -> Vec<usize> {
        let schema = |file: &LogFile| {
            let schema = file.metadata.file_metadata().schema_descr();
            (0..schema.num_columns()).map(|leaf| schema.get_column_root_idx(leaf)).collect()
        };
        self.0.first().map(|file| schema(file)).unwrap_or_default()
    }

    /// Opens them as one log.
    ///
    /// `columns` are pairs of the name that a column gets, and which it is. Batches have `batch_rows` rows, the last of each
    /// row group fewer.
    ///
    /// None where they are not one log, or none that can be read here: a column is missing, doubled or within a list or map,
    /// or has different types in different files, or a file uses a codec that is not built in. No page has been read then.
    ///
    /// # Errors
    /// `Data` where a footer contradicts itself, `Usage` for no files, no columns or no rows.
    pub fn columns(&self, columns: &[(String, Of)], batch_rows: usize) -> Result<Option<ParquetInput>> {
        if self.0.is_empty() || columns.is_empty() || batch_rows == 0 {
            return Err(Error::usage("reading Parquet needs a file, a column and a batch size above 0"));
        }
        let mut nodes = Vec::with_capacity(self.0.len());
        let mut kinds: Option<Vec<Kind>> = None;
        for file in &self.0 {
            let schema = file.metadata.file_metadata().schema_descr();
            let found: Option<Vec<Node>> = columns.iter().map(|(_, of)| Node::find(schema, of)).collect();
            let Some(found) = found.filter(|found| readable(&file.metadata, found)) else { return Ok(None) };
            // An Arrow schema in the footer that contradicts itself makes the library panic.
            let kinds_of = || Ok(found.iter().map(|node| Kind::of(&file.metadata, node)).collect());
            let these: Option<Vec<Kind>> = guarded(file.name(), kinds_of)?;
            let Some(these) = these else { return Ok(None) };
            if kinds.get_or_insert_with(|| these.clone()) != &these {
                return Ok(None);
            }
            nodes.push(found);
        }
        let columns: Vec<_> =
            columns.iter().map(|(name, _)| name.clone()).zip(kinds.into_iter().flatten()).collect();
        let fields: Vec<_> =
            columns.iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
        let mut groups = Vec::new();
        for (at, file) in self.0.iter().enumerate() {
            let with_rows = file.metadata.row_groups().iter().enumerate().filter(|(_, g)| g.num_rows() > 0);
            groups.extend(with_rows.map(|(group, _)| (at, group)));
        }
        Ok(Some(ParquetInput {
            files: self.0.clone(),
            groups,
            columns,
            nodes,
            schema: Arc::new(Schema::new(fields)),
            batch_rows,
            pool: Mutex::new(Pool::default()),
            back: Condvar::new(),
        }))
    }
}

/// Opens Parquet files as one log: [`Files::open`], then [`Files::columns`].
///
/// # Errors
/// As these.
pub fn open(places: &[Place], columns: &[(String, Of)], batch_rows: usize) -> Result<Option<ParquetInput>> {
    match Files::open(places)? {
        Some(files) => files.columns(columns, batch_rows),
        None => Ok(None),
    }
}

/// Whether the chunks of these columns are all in this file, and in codecs that are built in.
fn readable(metadata: &ParquetMetaData, nodes: &[Node]) -> bool {
    metadata.row_groups().iter().all(|group| {
        nodes.iter().flat_map(|node| node.leaves.clone()).all(|leaf| {
            let chunk = group.column(leaf);
            chunk.file_path().is_none() && chunk.compression() != Compression::LZO
        })
    })
}
