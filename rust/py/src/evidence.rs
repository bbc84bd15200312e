//! Released counts to evidence.

use std::sync::Arc;

use hardneg_core::evidence::{Evidence as CoreEvidence, evidence as core_evidence};
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::release::Released;
use crate::table::Table;

/// Evidence per (query, document).
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Evidence {
    pub(crate) evidence: Arc<CoreEvidence>,
}

#[pymethods]
impl Evidence {
    fn table(&self) -> PyResult<Table> {
        Table::new(self.evidence.table())
    }

    fn positions(&self) -> PyResult<Table> {
        Table::new(self.evidence.positions())
    }
}

#[pyfunction]
#[pyo3(name = "evidence", signature = (released, /, *, options))]
pub(crate) fn evidence(py: Python<'_>, released: &Released, options: &str) -> PyResult<Evidence> {
    let options = config(options)?;
    let released = released.released.clone();
    let evidence = py.detach(|| core_evidence(released, &options)).map_err(to_py)?;
    Ok(Evidence { evidence: Arc::new(evidence) })
}
