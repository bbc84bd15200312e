//! Logs that the core reads from files itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatchReader;
use arrow_schema::Schema;
use bytes::Bytes;
use hardneg_core::batches::{Batches, Shared};
use hardneg_core::error::{Error, Result};
use hardneg_parquet::input::{Elsewhere, Files, Of, ParquetInput, ParquetStream, Part, Place};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyCapsule;
use pyo3_arrow::PyRecordBatch;
use pyo3_arrow::error::PyArrowResult;
use pyo3_arrow::ffi::to_schema_pycapsule;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::{is_named, to_py};
use crate::table::stream_capsule;
use crate::watch::detached;

/// Columns of Parquet files, once: with `__arrow_c_stream__`, or one batch after the other.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetLog {
    input: Mutex<Option<ParquetInput>>,
    /// Of one that is read batch by batch; at its end the error that it ended in.
    stream: Mutex<Option<Result<ParquetStream>>>,
    schema: Arc<Schema>,
}

impl ParquetLog {
    fn take(&self) -> Result<ParquetInput> {
        let taken = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| Error::usage("this stream was read already; open the log again"))
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
        stream_capsule(py, Box::new(ParquetStream::new(self.take().map_err(to_py)?)), requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref())
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = || {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            if stream.is_none() {
                *stream = Some(Ok(ParquetStream::new(self.take()?)));
            }
            let open = stream.as_mut().and_then(|stream| stream.as_mut().ok());
            let found = open.and_then(Iterator::next).transpose().map_err(Error::from);
            // Whoever asks again is not told that it is at its end.
            if let Err(e) = &found {
                *stream = Some(Err(e.clone()));
            }
            match stream.as_ref() {
                Some(Err(e)) => Err(e.clone()),
                _ => found,
            }
        };
        detached(py, next)?.map(|batch| PyRecordBatch::new(batch).into_pyarrow(py)).transpose()
    }
}

/// A file as Python names it: a path, or its base name, its bytes, and a function that hands over parts of it.
#[derive(FromPyObject)]
pub(crate) enum File {
    Path(PathBuf),
    Elsewhere((String, u64, Py<PyAny>)),
}

/// A column: its path, or the number of a leaf.
#[derive(FromPyObject)]
pub(crate) enum Which {
    Path(String),
    Leaf(usize),
}

struct Remote {
    name: String,
    size: u64,
    fetch: Py<PyAny>,
}

impl Elsewhere for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn fetch(&self, parts: &[Part], ahead: &[Part]) -> Result<Vec<Bytes>> {
        Python::attach(|py| {
            let found = self.fetch.call1(py, (parts.to_vec(), ahead.to_vec())).and_then(|found| {
                let found: Vec<PyBackedBytes> = found.extract(py)?;
                Ok(found.into_iter().map(Bytes::from_owner).collect())
            });
            found.map_err(|e| match e.is_instance_of::<PyKeyboardInterrupt>(py) {
                true => Error::interrupted(),
                // Its words are ours: what file systems say can hold addresses with secrets in them.
                false if is_named(py, &e) => Error::data(e.value(py).to_string()),
                false => Error::data(format!("{}: cannot be read from where it lies", self.name)),
            })
        })
    }
}

/// Parquet files whose footers were read.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetFiles(Files);

#[pymethods]
impl ParquetFiles {
    fn tops(&self) -> Vec<usize> {
        self.0.tops()
    }

    #[pyo3(signature = (columns, /, *, batch_rows))]
    fn columns(
        &self,
        py: Python<'_>,
        columns: Vec<(String, Which)>,
        batch_rows: usize,
    ) -> PyResult<Option<ParquetLog>> {
        let columns = columns.into_iter().map(|(name, which)| match which {
            Which::Path(path) => (name, Of::Path(path)),
            Which::Leaf(at) => (name, Of::Leaf(at)),
        });
        let columns: Vec<_> = columns.collect();
        let opened = detached(py, || self.0.columns(&columns, batch_rows))?;
        Ok(opened.map(|input| ParquetLog {
            schema: input.schema(),
            input: Mutex::new(Some(input)),
            stream: Mutex::new(None),
        }))
    }
}

#[pyfunction]
#[pyo3(signature = (files, /))]
pub(crate) fn parquet_files(py: Python<'_>, files: Vec<File>) -> PyResult<Option<ParquetFiles>> {
    let places = files.into_iter().map(|file| match file {
        File::Path(path) => Place::Path(path),
        File::Elsewhere((name, size, fetch)) => Place::Elsewhere(Arc::new(Remote { name, size, fetch })),
    });
    let places: Vec<_> = places.collect();
    Ok(detached(py, || Files::open(&places))?.map(ParquetFiles))
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
            Self::Parquet(log) => Box::new(log.take().map_err(to_py)?),
            Self::Stream(log) => Box::new(Shared::new(log.into_reader()?)),
        })
    }

    /// For one who reads it batch by batch. What goes wrong in files keeps its name, which a C interface does not hand on.
    pub(crate) fn reader(self) -> PyResult<Box<dyn RecordBatchReader + Send>> {
        match self {
            Self::Parquet(log) => Ok(Box::new(ParquetStream::new(log.take().map_err(to_py)?))),
            Self::Stream(log) => Ok(log.into_reader()?),
        }
    }
}
