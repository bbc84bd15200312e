//! Identifiers and query text.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::rewrite::{
    Canonical, Rewrite, normalize as core_normalize, pseudonymize as core_pseudonymize, scrub as core_scrub,
};
use hardneg_parquet::rewrite::{Column, Outcome, copy};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::error::to_py;
use crate::input::Log;
use crate::scrub::{Scrub, scrubber};
use crate::table::Stream;
use crate::watch::{detached, interruptible};

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
    let array = detached(py, || core_pseudonymize(ids.array(), &pseudonymizer))?;
    Ok(PyArray::from_array_ref(array))
}

#[pyfunction]
#[pyo3(signature = (queries, /, *, scrub, key))]
pub(crate) fn normalize(
    py: Python<'_>,
    queries: PyArray,
    scrub: Scrub,
    key: Option<&[u8]>,
) -> PyResult<PyArray> {
    let key = key.map(MasterKey::new).transpose().map_err(to_py)?;
    let scrubber = scrubber(py, scrub, key.as_ref(), "", "")?;
    Ok(PyArray::from_array_ref(detached(py, || core_normalize(queries.array(), scrubber))?))
}

#[pyfunction]
#[pyo3(signature = (queries, /, *, options, key))]
pub(crate) fn scrub(
    py: Python<'_>,
    queries: PyArray,
    options: Scrub,
    key: Option<&[u8]>,
) -> PyResult<PyArray> {
    let key = key.map(MasterKey::new).transpose().map_err(to_py)?;
    let Some(scrubber) = scrubber(py, options, key.as_ref(), "", "")? else { return Ok(queries) };
    let array = detached(py, || core_scrub(queries.array(), scrubber))?;
    Ok(PyArray::from_array_ref(array))
}

#[pyfunction]
#[pyo3(signature = (log, /, *, position_base))]
pub(crate) fn canonicalize(log: Log<'_>, position_base: i64) -> PyResult<Stream> {
    let (stream, seen) = Canonical::new(log.reader()?, position_base, None).map_err(to_py)?;
    Ok(Stream::new(Box::new(stream), seen))
}

#[pyfunction]
#[pyo3(signature = (log, /, *, position_base, key, epoch, dataset, day, normalise, scrub, keep, plain))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn rewrite(
    py: Python<'_>,
    log: Log<'_>,
    position_base: i64,
    key: &[u8],
    epoch: &str,
    dataset: &str,
    day: bool,
    normalise: bool,
    scrub: Scrub,
    keep: Vec<String>,
    plain: Vec<String>,
) -> PyResult<Stream> {
    let key = MasterKey::new(key).map_err(to_py)?;
    let of = |field: &str| Pseudonymizer::new(&key, field, epoch, dataset).map_err(to_py);
    let (user, session, search) = (of("user_id")?, of("session_id")?, of("search_id")?);
    let scrubber = scrubber(py, scrub, Some(&key), epoch, dataset)?;
    let rewrite = Rewrite { user, session, search, day, normalise, scrubber, keep, plain };
    let (stream, seen) = Canonical::new(log.reader()?, position_base, Some(rewrite)).map_err(to_py)?;
    Ok(Stream::new(Box::new(stream), seen))
}

/// What became of a copy by pages, for Python.
#[derive(IntoPyObject)]
pub(crate) struct Copied {
    refused: Option<String>,
    rows: u64,
    how: Vec<ColumnCopied>,
}

/// What became of one column.
#[derive(IntoPyObject)]
pub(crate) struct ColumnCopied {
    copied: u64,
    rewritten: u64,
    recoded: BTreeMap<&'static str, u64>,
}

#[pyfunction]
#[pyo3(signature = (files, out, /, *, columns, key, epoch, dataset, threads))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn copy_pages(
    py: Python<'_>,
    files: Vec<PathBuf>,
    out: PathBuf,
    columns: Vec<(String, String, bool)>,
    key: &[u8],
    epoch: &str,
    dataset: &str,
    threads: usize,
) -> PyResult<Copied> {
    let key = MasterKey::new(key).map_err(to_py)?;
    let columns = columns
        .into_iter()
        .map(|(name, path, identifier)| {
            let made = identifier.then(|| Pseudonymizer::new(&key, &name, epoch, dataset)).transpose();
            Ok(Column { pseudonyms: made.map_err(to_py)?, name, path })
        })
        .collect::<PyResult<Vec<_>>>()?;
    let out = File::options().write(true).truncate(true).open(out)?;
    match interruptible(py, |pulse| copy(&files, &columns, out, threads, &mut || pulse.beat()))? {
        Outcome::Refused(why) => Ok(Copied { refused: Some(why), rows: 0, how: Vec::new() }),
        Outcome::Copied { rows, how } => {
            let how = how.into_iter().map(|h| ColumnCopied {
                copied: h.copied,
                rewritten: h.rewritten,
                recoded: h.recoded,
            });
            Ok(Copied { refused: None, rows, how: how.collect() })
        }
    }
}
