//! Footers of Parquet files, and what pages hold.

use hardneg_parquet::footer::{self, Footer};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::to_py;
use crate::watch::detached;

/// What a footer says of column chunks.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetFooter(Footer);

#[pymethods]
impl ParquetFooter {
    fn at_least(&self, path: &str, least: i64) -> bool {
        self.0.at_least(path, least)
    }

    fn chunks(&self) -> PyResult<Vec<(String, u64, u64)>> {
        let chunks = self.0.chunks().map_err(to_py)?;
        Ok(chunks.iter().map(|c| (c.path.clone(), c.start, c.len)).collect())
    }

    fn pages(&self, number: usize, chunk: Vec<u8>) -> PyResult<ChunkPages> {
        let pages = self.0.pages(number, chunk.into()).map_err(to_py)?;
        pages.map(ChunkPages).ok_or_else(|| PyIndexError::new_err("no such column chunk"))
    }
}

#[pyfunction]
#[pyo3(signature = (footer, /, *, name))]
pub(crate) fn parquet_footer(py: Python<'_>, footer: &[u8], name: &str) -> PyResult<ParquetFooter> {
    detached(py, || Footer::read(name, footer)).map(ParquetFooter)
}

/// The pages of a column chunk, decompressed, one after the other.
#[pyclass(module = "hardneg_fast._hardneg")]
pub(crate) struct ChunkPages(footer::ChunkPages);

#[pymethods]
impl ChunkPages {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let content = detached(py, || self.0.next().transpose())?;
        Ok(content.map(|content| PyBytes::new(py, &content)))
    }
}
