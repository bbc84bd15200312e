//! Evidence to negatives and training rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use hardneg_core::seed::Seed;
use hardneg_core::select::SelectConfig;
use hardneg_core::triplets::{Selection, selection};
use hardneg_core::workers;
use pyo3::prelude::*;

use crate::error::config;
use crate::evidence::Evidence;
use crate::table::Table;
use crate::watch::interruptible;

/// Selected negatives.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Selected {
    evidence: Arc<hardneg_core::evidence::Evidence>,
    made: Selection,
    num_negatives: usize,
    carry: Vec<String>,
}

/// Where candidates went.
#[derive(IntoPyObject)]
struct Funnel {
    queries_with_positive: u64,
    queries_with_negative: u64,
    positives: u64,
    candidates: BTreeMap<&'static str, u64>,
    guards: BTreeMap<&'static str, u64>,
    caps: BTreeMap<&'static str, u64>,
    negatives: BTreeMap<&'static str, u64>,
    rules_off: BTreeMap<&'static str, &'static str>,
    rows: u64,
    triplets: u64,
    short_rows: u64,
}

#[pymethods]
impl Selected {
    fn negatives(&self) -> PyResult<Table> {
        Table::new(self.evidence.negatives(&self.made.selected, &self.carry))
    }

    fn positives(&self) -> PyResult<Table> {
        Table::new(self.evidence.positives(&self.made.selected))
    }

    fn triplets(&self) -> PyResult<Table> {
        Table::new(self.evidence.triplets(&self.made.rows, self.num_negatives))
    }

    #[getter]
    fn funnel(&self) -> Funnel {
        let f = self.made.selected.funnel.clone();
        Funnel {
            queries_with_positive: f.queries_with_positive,
            queries_with_negative: f.queries_with_negative,
            positives: self.made.selected.positives.len() as u64,
            candidates: f.candidates,
            guards: f.guards,
            caps: f.caps,
            negatives: f.negatives,
            rules_off: f.rules_off,
            rows: self.made.selected.negatives.len() as u64,
            triplets: self.made.rows.len() as u64,
            short_rows: self.made.short_rows,
        }
    }
}

#[pyfunction]
#[pyo3(name = "select", signature = (evidence, /, *, options, carry, seed, threads))]
pub(crate) fn select(
    py: Python<'_>,
    evidence: &Evidence,
    options: &str,
    carry: Vec<String>,
    seed: u64,
    threads: usize,
) -> PyResult<Selected> {
    let options: SelectConfig = config(options)?;
    let (evidence, seed) = (evidence.evidence.clone(), Seed::new(seed));
    let threads = workers::threads(threads);
    let made = interruptible(py, |pulse| selection(&evidence, &options, seed, threads, pulse))?;
    Ok(Selected { evidence, made, num_negatives: options.num_negatives, carry })
}
