//! A row group as the Parquet library's Arrow reader is shown it: its pages are read by us.

use std::sync::Arc;

use parquet::arrow::arrow_reader::RowGroups;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::file::FileBytes;
use crate::pages::Pages;

/// One row group.
pub(super) struct OneGroup {
    pub(super) bytes: FileBytes,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) group: usize,
    pub(super) batch_rows: usize,
    /// Leaves of the column that is read.
    pub(super) leaves: usize,
    /// Leaves of the file before those of the schema that it is read by.
    pub(super) first: usize,
}

impl OneGroup {
    fn of(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.group)
    }
}

impl RowGroups for OneGroup {
    fn num_rows(&self) -> usize {
        self.of().num_rows().unsigned_abs() as usize
    }

    fn column_chunks(&self, i: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.of().column(i + self.first);
        Ok(Box::new(Once(Some(
            Pages::of(self.bytes.clone(), chunk, self.num_rows())?.in_batches(self.batch_rows, self.leaves),
        ))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.of()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct Once(Option<Pages<FileBytes>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Once {}
