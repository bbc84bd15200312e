//! Counts to what may leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use hardneg_core::release::{Released as CoreReleased, everything, k_users as at_least};
use pyo3::prelude::*;

use crate::count::Counts;
use crate::table::Table;
use crate::watch::interruptible;

/// What passed.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Released {
    pub(crate) released: Arc<CoreReleased>,
}

#[pymethods]
impl Released {
    fn table(&self, py: Python<'_>) -> PyResult<Table> {
        Table::new(py.detach(|| self.released.table()))
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
#[pyo3(signature = (counts, /, *, k_users))]
pub(crate) fn release(py: Python<'_>, counts: &Counts, k_users: Option<u32>) -> PyResult<Released> {
    let counts = counts.counts.clone();
    let released = interruptible(py, |pulse| match k_users {
        Some(k) => at_least(&counts, k, pulse),
        None => Ok(everything(&counts)),
    })?;
    Ok(Released { released: Arc::new(released) })
}
