//! Logs that the core reads from files itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::Schema;
use hardneg_core::batches::{Batches, Shared};
use hardneg_core::error::Error;
use hardneg_parquet::input::{ParquetInput, ParquetStream, open};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::error::PyArrowResult;
use pyo3_arrow::ffi::to_schema_pycapsule;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::to_py;
use crate::table::stream_capsule;
use crate::watch::detached;

/// Columns of Parquet files, with `__arrow_c_stream__`, once.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetLog {
    input: Mutex<Option<ParquetInput>>,
    schema: Arc<Schema>,
}

impl ParquetLog {
    fn take(&self) -> PyResult<ParquetInput> {
        let taken = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| to_py(Error::usage("this stream was read already; open the log again")))
    }
}

#[pymethods]
impl ParquetLog {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyArrowResult<Bound<'py, PyCapsule>> {
        stream_capsule(py, Box::new(ParquetStream::new(self.take()?)), requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref())
    }
}

#[pyfunction]
#[pyo3(signature = (paths, /, *, columns, batch_rows))]
pub(crate) fn parquet_log(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    columns: Vec<(String, String)>,
    batch_rows: usize,
) -> PyResult<Option<ParquetLog>> {
    let opened = detached(py, || open(&paths, &columns, batch_rows))?;
    Ok(opened.map(|input| ParquetLog { schema: input.schema(), input: Mutex::new(Some(input)) }))
}

/// A log as Python hands it over: files are read by all threads, streams by one at a time.
#[derive(FromPyObject)]
pub(crate) enum Log<'py> {
    Parquet(PyRef<'py, ParquetLog>),
    Stream(AnyRecordBatch),
}

impl Log<'_> {
    pub(crate) fn batches(self) -> PyResult<Box<dyn Batches + Send>> {
        Ok(match self {
            Self::Parquet(log) => Box::new(log.take()?),
            Self::Stream(log) => Box::new(Shared::new(log.into_reader()?)),
        })
    }
}
