//! Counts to what may leave.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hardneg_core::budget::Budget;
use hardneg_core::parts::Nth;
use hardneg_core::release::{Released as CoreReleased, gathered, release as released};
use hardneg_core::saved;
use pyo3::prelude::*;

use crate::count::Counts;
use crate::error::to_py;
use crate::table::Table;
use crate::watch::{detached, interruptible};

/// What passed.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Released {
    pub(crate) released: Arc<CoreReleased>,
}

#[pymethods]
impl Released {
    fn table(&self, py: Python<'_>) -> PyResult<Table> {
        Table::new(Ok(detached(py, || self.released.table())?))
    }

    fn pack(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        interruptible(py, |pulse| saved::pack_released(&self.released, pulse)).map(Cow::Owned)
    }

    #[getter]
    fn part(&self) -> Option<(u32, u32)> {
        self.released.part.map(|p| (p.number(), p.of()))
    }

    #[getter]
    fn k(&self) -> Option<u32> {
        self.released.k
    }

    #[getter]
    fn passed(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let (before, after) = (self.released.passed.before, self.released.passed.after);
        BTreeMap::from([
            ("queries", (before.queries, after.queries)),
            ("pairs", (before.pairs, after.pairs)),
            ("preferences", (before.preferences, after.preferences)),
            ("successions", (before.successions, after.successions)),
        ])
    }
}

#[pyfunction]
#[pyo3(signature = (counts, /, *, k_users, part=None))]
pub(crate) fn release(
    py: Python<'_>,
    counts: &Counts,
    k_users: Option<u32>,
    part: Option<(u32, u32)>,
) -> PyResult<Released> {
    let counts = counts.counts.clone();
    let part = part.map(|(number, of)| Nth::new(number, of)).transpose().map_err(to_py)?;
    let released = interruptible(py, |pulse| released(&counts, k_users, part, pulse))?;
    Ok(Released { released: Arc::new(released) })
}

#[pyfunction]
#[pyo3(signature = (parts, /))]
pub(crate) fn gather(py: Python<'_>, parts: Vec<PyRef<'_, Released>>) -> PyResult<Released> {
    let parts = parts.iter().map(|p| p.released.clone()).collect();
    let released = interruptible(py, |pulse| gathered(parts, pulse))?;
    Ok(Released { released: Arc::new(released) })
}

#[pyfunction]
#[pyo3(signature = (packed, /, *, memory, spill))]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 hands paths over")]
pub(crate) fn unpack_released(
    py: Python<'_>,
    packed: &[u8],
    memory: usize,
    spill: PathBuf,
) -> PyResult<Released> {
    let loaded = interruptible(py, |pulse| {
        saved::unpack_released(packed, &Arc::new(Budget::new(memory, &spill)), pulse)
    })?;
    Ok(Released { released: Arc::new(loaded) })
}
