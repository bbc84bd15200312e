//! The log as one stream whose batches all have the announced types.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, SchemaRef};
use hardneg_core::batches::Batches;
use hardneg_core::error::Error;

use super::ParquetInput;

/// Batches in the announced types, for consumers that hold a stream to its schema.
pub struct ParquetStream(ParquetInput);

impl ParquetStream {
    /// Over an input from which nothing was read yet.
    pub fn new(input: ParquetInput) -> Self {
        Self(input)
    }

    fn announced(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = self.schema();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (array, field) in batch.columns().iter().zip(schema.fields()) {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            columns.push(cast_with_options(array, field.data_type(), &options).map_err(|_| {
                Error::data(format!(
                    "column {:?} is said to be text but holds bytes that are not UTF-8",
                    field.name()
                ))
            })?);
        }
        RecordBatch::try_new(schema, columns)
    }
}

impl Iterator for ParquetStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = Batches::next(&self.0)?;
        Some(batch.map_err(ArrowError::from).and_then(|b| self.announced(&b)))
    }
}

impl RecordBatchReader for ParquetStream {
    fn schema(&self) -> SchemaRef {
        Batches::schema(&self.0)
    }
}
