//! Clicks to related queries.

use std::sync::Arc;

use hardneg_core::coded::Queries;
use hardneg_core::job::Progress;
use hardneg_core::pseudonym::MasterKey;
use hardneg_core::pulse::Pulse;
use hardneg_core::related::{Clicks, RelatedConfig, RelatedTables};
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::input::Log;
use crate::release::Released;
use crate::scrub::{Scrub, scrubber};
use crate::table::{Stats, Table, stats};
use crate::watch::watched;

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
    let made = watched(py, progress, |observe| {
        let clicks = Clicks::shown(
            &released,
            &mut Pulse::new(|| observe(Progress { stage: "reading", ..Progress::default() })),
        )?;
        RelatedTables::new(clicks, &options, threads, observe)
    })?;
    Ok(Related { tables: Arc::new(made) })
}

#[pyfunction]
#[pyo3(signature = (clicks, /, *, options, normalize, scrub, key, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn related_clicks(
    py: Python<'_>,
    clicks: Log<'_>,
    options: &str,
    normalize: bool,
    scrub: Scrub,
    key: &[u8],
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Related> {
    let (options, log): (RelatedConfig, _) = (config(options)?, clicks.batches()?);
    let key = MasterKey::new(key).map_err(to_py)?;
    let scrubber = scrubber(py, scrub, Some(&key), "", "")?;
    let queries = if normalize { Queries::Normalized(scrubber) } else { Queries::Given };
    let made = watched(py, progress, |observe| {
        let clicks = Clicks::read(log.as_ref(), queries, threads, observe)?;
        RelatedTables::new(clicks, &options, threads, observe)
    })?;
    Ok(Related { tables: Arc::new(made) })
}
