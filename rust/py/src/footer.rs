//! Footers of Parquet files, and where pages lie.

use hardneg_parquet::footer::{Codec, Footer, page};
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
    fn deltas(&self) -> Option<Vec<String>> {
        self.0.deltas()
    }

    fn at_least(&self, path: &str, least: i64) -> bool {
        self.0.at_least(path, least)
    }

    fn chunks(&self) -> PyResult<Vec<(String, u64, u64)>> {
        let chunks = self.0.chunks().map_err(to_py)?;
        Ok(chunks.into_iter().map(|c| (c.path, c.start, c.len)).collect())
    }

    fn pages(&self, number: usize, chunk: &[u8]) -> PyResult<ChunkPages> {
        let chunks = self.0.chunks().map_err(to_py)?;
        let codec = chunks.get(number).ok_or_else(|| PyIndexError::new_err("no such column chunk"))?.codec;
        Ok(ChunkPages { file: self.0.name().into(), chunk: chunk.into(), at: 0, codec })
    }
}

#[pyfunction]
#[pyo3(signature = (footer, /, *, name))]
pub(crate) fn parquet_footer(py: Python<'_>, footer: &[u8], name: &str) -> PyResult<ParquetFooter> {
    detached(py, || Footer::read(name, footer)).map(ParquetFooter)
}

/// The pages of a column chunk, decompressed, one after the other.
#[pyclass(module = "hardneg_fast._hardneg")]
pub(crate) struct ChunkPages {
    file: String,
    chunk: Vec<u8>,
    at: usize,
    codec: Codec,
}

#[pymethods]
impl ChunkPages {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if self.at >= self.chunk.len() {
            return Ok(None);
        }
        let Self { file, chunk, at, codec } = self;
        let (content, next) = detached(py, || page(file, chunk, *at, *codec))?;
        self.at = next;
        Ok(Some(PyBytes::new(py, &content)))
    }
}
