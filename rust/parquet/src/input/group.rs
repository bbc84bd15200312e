//! A row group in work.

use std::thread::ThreadId;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use hardneg_core::error::{Error, Result};
use std::sync::Arc;

use super::leaf::Column;

/// An open row group: its columns, and the rows that are left.
pub(super) struct OpenGroup {
    pub(super) columns: Vec<(String, Box<dyn Column>)>,
    pub(super) left: usize,
    /// The file's base name.
    pub(super) file: String,
    /// Who read from it last: dictionaries that a thread has seen are cheap for it.
    pub(super) reader: ThreadId,
}

impl OpenGroup {
    /// The next batch of at most `rows` rows.
    pub(super) fn batch(&mut self, rows: usize) -> Result<RecordBatch> {
        let rows = rows.min(self.left);
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, column) in &mut self.columns {
            let array = column.batch(rows)?;
            fields.push(Field::new(name.as_str(), array.data_type().clone(), true));
            arrays.push(array);
        }
        self.left -= rows;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
            .map_err(|_| Error::internal("columns of one row group differ in length"))
    }
}
