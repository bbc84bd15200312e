//! Footers of Parquet files, and where pages lie.

use std::sync::OnceLock;

use hardneg_parquet::footer::{Chunk, Codec, Footer, page};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::to_py;
use crate::watch::detached;

/// What a footer says of column chunks.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ParquetFooter {
    footer: Footer,
    /// Asked for once: there can be hundreds of thousands.
    chunks: OnceLock<Vec<Chunk>>,
}

impl ParquetFooter {
    fn placed(&self) -> PyResult<&[Chunk]> {
        if self.chunks.get().is_none() {
            let chunks = self.footer.chunks().map_err(to_py)?;
            let _ = self.chunks.set(chunks);
        }
        Ok(self.chunks.get().map_or(&[], Vec::as_slice))
    }
}

#[pymethods]
impl ParquetFooter {
    fn deltas(&self) -> Option<Vec<String>> {
        self.footer.deltas()
    }

    fn at_least(&self, path: &str, least: i64) -> bool {
        self.footer.at_least(path, least)
    }

    fn chunks(&self) -> PyResult<Vec<(String, u64, u64)>> {
        Ok(self.placed()?.iter().map(|c| (c.path.clone(), c.start, c.len)).collect())
    }

    fn pages(&self, number: usize, chunk: &[u8]) -> PyResult<ChunkPages> {
        let placed = self.placed()?.get(number);
        let codec = placed.ok_or_else(|| PyIndexError::new_err("no such column chunk"))?.codec;
        Ok(ChunkPages { file: self.footer.name().into(), chunk: chunk.into(), at: 0, codec })
    }
}

#[pyfunction]
#[pyo3(signature = (footer, /, *, name))]
pub(crate) fn parquet_footer(py: Python<'_>, footer: &[u8], name: &str) -> PyResult<ParquetFooter> {
    let footer = detached(py, || Footer::read(name, footer))?;
    Ok(ParquetFooter { footer, chunks: OnceLock::new() })
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
