//! Footers of Parquet files, and where pages lie.

use hardneg_parquet::footer::{Footer, page_bodies as bodies};
use pyo3::prelude::*;

use crate::watch::detached;

/// What a footer says of column chunks.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetFooter(Footer);

#[pymethods]
impl ParquetFooter {
    fn deltas(&self) -> Option<Vec<String>> {
        self.0.deltas()
    }

    fn at_least(&self, path: &str, least: i64) -> bool {
        self.0.at_least(path, least)
    }

    fn chunks(&self) -> PyResult<Vec<(String, u64, u64, String)>> {
        let chunks = self.0.chunks().map_err(crate::error::to_py)?;
        Ok(chunks.into_iter().map(|c| (c.path, c.start, c.len, c.codec)).collect())
    }
}

#[pyfunction]
#[pyo3(signature = (footer, /, *, name))]
pub(crate) fn parquet_footer(py: Python<'_>, footer: &[u8], name: &str) -> PyResult<ParquetFooter> {
    detached(py, || Footer::read(name, footer)).map(ParquetFooter)
}

#[pyfunction]
#[pyo3(signature = (chunk, /, *, name))]
pub(crate) fn page_bodies(
    py: Python<'_>,
    chunk: &[u8],
    name: &str,
) -> PyResult<Vec<(usize, usize, usize, usize)>> {
    let found = detached(py, || bodies(name, chunk))?;
    Ok(found.into_iter().map(|b| (b.start, b.compressed, b.uncompressed, b.plain)).collect())
}
