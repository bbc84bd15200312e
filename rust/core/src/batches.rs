//! A log in batches, taken by any number of threads at once.

use std::sync::{Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;

use crate::error::Result;

/// A log in batches.
pub trait Batches: Sync {
    /// Columns of every batch.
    fn schema(&self) -> SchemaRef;
    /// The next batch, for whoever asks first; None at the end.
    fn next(&self) -> Option<Result<RecordBatch>>;
    /// Rows of all batches, where that is known beforehand.
    fn rows(&self) -> Option<u64> {
        None
    }
}

/// A stream that is read by one thread at a time.
pub struct Shared {
    schema: SchemaRef,
    reader: Mutex<Box<dyn RecordBatchReader + Send>>,
}

impl Shared {
    /// Shares `reader`.
    pub fn new(reader: Box<dyn RecordBatchReader + Send>) -> Self {
        Self { schema: reader.schema(), reader: Mutex::new(reader) }
    }
}

impl Batches for Shared {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next(&self) -> Option<Result<RecordBatch>> {
        let next = self.reader.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        Some(next.map_err(Into::into))
    }
}
