//! Identifiers and query text.

use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::rewrite::{
    Canonical, Rewrite, normalize as core_normalize, pseudonymize as core_pseudonymize,
};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::to_py;
use crate::table::Stream;

#[pyfunction]
#[pyo3(signature = (ids, /, *, key, field, epoch, dataset))]
pub(crate) fn pseudonymize(
    py: Python<'_>,
    ids: PyArray,
    key: &[u8],
    field: &str,
    epoch: &str,
    dataset: &str,
) -> PyResult<PyArray> {
    let key = MasterKey::new(key).map_err(to_py)?;
    let pseudonymizer = Pseudonymizer::new(&key, field, epoch, dataset).map_err(to_py)?;
    let array = py.detach(|| core_pseudonymize(ids.array(), &pseudonymizer)).map_err(to_py)?;
    Ok(PyArray::from_array_ref(array))
}

#[pyfunction]
#[pyo3(signature = (queries, /))]
pub(crate) fn normalize(py: Python<'_>, queries: PyArray) -> PyResult<PyArray> {
    Ok(PyArray::from_array_ref(py.detach(|| core_normalize(queries.array())).map_err(to_py)?))
}

#[pyfunction]
#[pyo3(signature = (log, /, *, position_base))]
pub(crate) fn canonicalize(log: AnyRecordBatch, position_base: i64) -> PyResult<Stream> {
    let (stream, stats) = Canonical::new(log.into_reader()?, position_base, None).map_err(to_py)?;
    Ok(Stream::new(Box::new(stream), stats))
}

#[pyfunction]
#[pyo3(signature = (log, /, *, position_base, key, epoch, dataset, day))]
pub(crate) fn rewrite(
    log: AnyRecordBatch,
    position_base: i64,
    key: &[u8],
    epoch: &str,
    dataset: &str,
    day: bool,
) -> PyResult<Stream> {
    let key = MasterKey::new(key).map_err(to_py)?;
    let of = |field: &str| Pseudonymizer::new(&key, field, epoch, dataset).map_err(to_py);
    let rewrite = Rewrite { user: of("user_id")?, session: of("session_id")?, search: of("search_id")?, day };
    let (stream, stats) = Canonical::new(log.into_reader()?, position_base, Some(rewrite)).map_err(to_py)?;
    Ok(Stream::new(Box::new(stream), stats))
}
