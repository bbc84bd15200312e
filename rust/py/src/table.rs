//! Tables and streams out: anything that speaks the Arrow PyCapsule interface can take them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, Field, FieldRef, Schema};
use hardneg_core::error::{Error, Result};
use hardneg_core::impressions::ReadStats;
use hardneg_core::rewrite::Seen;
use hardneg_parquet::table as parquet;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::error::PyArrowResult;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};

use crate::error::to_py;
use crate::watch::interruptible;

/// A table of the core, with `__arrow_c_stream__`.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Table {
    table: hardneg_core::export::Table,
}

impl Table {
    pub(crate) fn new(table: Result<hardneg_core::export::Table>) -> PyResult<Self> {
        Ok(Self { table: table.map_err(to_py)? })
    }
}

fn struct_field(schema: &Schema) -> FieldRef {
    Arc::new(Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone()))
}

fn struct_array(batch: RecordBatch) -> ArrayRef {
    Arc::new(StructArray::from(batch))
}

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyArrowResult<Bound<'py, PyCapsule>> {
        let arrays = self.table.batches().map(|b| b.map(struct_array).map_err(ArrowError::from));
        let stream = ArrayIterator::new(arrays, struct_field(&self.table.schema));
        to_stream_pycapsule(py, Box::new(stream), requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.table.schema.as_ref())
    }

    #[getter]
    fn num_rows(&self) -> usize {
        self.table.rows
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.table.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    /// Only these columns, in the order that they have here.
    #[pyo3(signature = (columns, /))]
    #[allow(clippy::needless_pass_by_value, reason = "pyo3 hands lists over")]
    fn select(&self, columns: Vec<String>) -> PyResult<Self> {
        Self::new(self.table.select(&columns))
    }

    /// The same table, whose schema says this.
    fn with_metadata(&self, metadata: HashMap<String, String>) -> Self {
        let mut table = self.table.clone();
        table.schema = Arc::new(Schema::new_with_metadata(table.schema.fields().clone(), metadata));
        Self { table }
    }

    #[pyo3(signature = (path, /, *, columns, threads))]
    fn write_parquet(
        &self,
        py: Python<'_>,
        path: PathBuf,
        columns: Vec<(String, String)>,
        threads: usize,
    ) -> PyResult<()> {
        let out = File::options().write(true).truncate(true).open(path)?;
        interruptible(py, |pulse| parquet::write(&self.table, &columns, out, threads, &mut || pulse.beat()))
    }

    fn __repr__(&self) -> String {
        format!("<hardneg_fast table: {} rows, columns {}>", self.num_rows(), self.column_names().join(", "))
    }
}

/// The capsule of a stream of batches.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    reader: Box<dyn RecordBatchReader + Send>,
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyArrowResult<Bound<'py, PyCapsule>> {
    let field = struct_field(&reader.schema());
    let arrays = reader.map(|b: std::result::Result<RecordBatch, ArrowError>| b.map(struct_array));
    to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, field)), requested_schema)
}

/// A log on its way through, with `__arrow_c_stream__`, once.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Stream {
    reader: Mutex<Option<Box<dyn RecordBatchReader + Send>>>,
    seen: Arc<Mutex<Seen>>,
    schema: Arc<Schema>,
}

impl Stream {
    pub(crate) fn new(reader: Box<dyn RecordBatchReader + Send>, seen: Arc<Mutex<Seen>>) -> Self {
        Self { schema: reader.schema(), reader: Mutex::new(Some(reader)), seen }
    }
}

#[pymethods]
impl Stream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyArrowResult<Bound<'py, PyCapsule>> {
        let taken = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reader =
            taken.ok_or_else(|| to_py(Error::usage("this stream was read already; open the log again")))?;
        stream_capsule(py, reader, requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref())
    }

    fn stats(&self) -> Stats {
        stats(&self.seen.lock().unwrap_or_else(PoisonError::into_inner).stats)
    }

    fn failure(&self) -> Option<PyErr> {
        let failed = self.seen.lock().unwrap_or_else(PoisonError::into_inner).failed.clone();
        failed.map(to_py)
    }
}

/// What reading found, for Python.
#[derive(IntoPyObject)]
pub(crate) struct Stats {
    rows: u64,
    quarantine: BTreeMap<&'static str, u64>,
    timestamp_notations: BTreeMap<&'static str, u64>,
    scrubbed: BTreeMap<&'static str, u64>,
}

pub(crate) fn stats(stats: &ReadStats) -> Stats {
    Stats {
        rows: stats.rows,
        quarantine: stats.quarantine.clone(),
        timestamp_notations: stats.notations.clone(),
        scrubbed: stats.scrubbed.clone(),
    }
}
