//! Clicks to related queries.

use std::sync::Arc;

use hardneg_core::error::{Error, Result};
use hardneg_core::job::Progress;
use hardneg_core::related::{Clicks, Queries, RelatedConfig, RelatedTables};
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::input::Log;
use crate::release::Released;
use crate::table::{Stats, Table, stats};

/// Related queries, and the documents clicked for them.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Related {
    tables: Arc<RelatedTables>,
}

#[pymethods]
impl Related {
    fn related(&self) -> PyResult<Table> {
        Table::new(self.tables.related())
    }

    fn documents(&self) -> PyResult<Table> {
        Table::new(self.tables.documents())
    }

    fn stats(&self) -> Stats {
        stats(&self.tables.read)
    }

    #[getter]
    fn queries(&self) -> u64 {
        self.tables.queries()
    }
}

#[pyfunction]
#[pyo3(signature = (released, /, *, options, threads, progress=None))]
pub(crate) fn related_released(
    py: Python<'_>,
    released: &Released,
    options: &str,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Related> {
    let (options, released): (RelatedConfig, _) = (config(options)?, released.released.clone());
    watched(py, progress, |observe| RelatedTables::new(Clicks::shown(&released)?, &options, threads, observe))
}

#[pyfunction]
#[pyo3(signature = (clicks, /, *, options, normalize, threads, progress=None))]
pub(crate) fn related_clicks(
    py: Python<'_>,
    clicks: Log<'_>,
    options: &str,
    normalize: bool,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Related> {
    let (options, log): (RelatedConfig, _) = (config(options)?, clicks.batches()?);
    let queries = if normalize { Queries::Normalized } else { Queries::Given };
    watched(py, progress, |observe| {
        let clicks = Clicks::read(log.as_ref(), queries, threads, observe)?;
        RelatedTables::new(clicks, &options, threads, observe)
    })
}

/// Works without the interpreter, which is asked now and then whether to go on. What Python raised then, not our word
/// for it, goes back.
fn watched(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&mut dyn FnMut(Progress) -> Result<()>) -> Result<RelatedTables> + Send,
) -> PyResult<Related> {
    let mut raised: Option<PyErr> = None;
    let done = py.detach(|| {
        work(&mut |at| {
            let asked = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |p| p.call1(py, (at.stage, at.rows, at.done)).map(|_| ()))
            });
            asked.map_err(|e| {
                raised = Some(e);
                Error::interrupted()
            })
        })
    });
    match (done, raised) {
        (_, Some(e)) => Err(e),
        (Err(e), None) => Err(to_py(e)),
        (Ok(tables), None) => Ok(Related { tables: Arc::new(tables) }),
    }
}
