//! Released counts to evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use hardneg_core::evidence::{EXPOSURES, Evidence as CoreEvidence, Kinds, evidence as core_evidence};
use hardneg_core::seed::Seed;
use hardneg_core::whole::Share;
use hardneg_core::workers;
use pyo3::prelude::*;

use crate::error::config;
use crate::release::Released;
use crate::table::Table;
use crate::watch::{detached, interruptible};

/// Evidence per (query, document).
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Evidence {
    pub(crate) evidence: Arc<CoreEvidence>,
    /// Of a part: what selection needs of all queries, as it came.
    pub(crate) share: Option<Vec<u8>>,
}

/// What all pairs have in common, for Python.
#[derive(IntoPyObject)]
struct Model {
    debias: &'static str,
    reason: String,
    held_out: BTreeMap<String, f64>,
    attractiveness_prior: (f64, f64),
    kinds: Option<&'static str>,
    unknown: Option<&'static str>,
    satisfied: Option<[f64; 2]>,
    attractive: Option<[f64; 2]>,
    positions: Vec<Position>,
    places: Vec<(u16, u16, f64)>,
}

/// The same of a position.
#[derive(IntoPyObject)]
struct Position {
    position: u16,
    examination: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    attraction: Option<[f64; 2]>,
    prior: Option<[f64; EXPOSURES]>,
}

#[pymethods]
impl Evidence {
    #[getter]
    fn model(&self) -> Model {
        let evidence = &*self.evidence;
        let (curve, found) = (&evidence.curve, evidence.relevance.as_ref());
        let round = |x: f64| evidence.rounded(x);
        let relevance = found.ok();
        Model {
            debias: curve.debias.name(),
            reason: curve.reason.clone(),
            held_out: curve.held_out.iter().map(|(model, x)| (model.clone(), round(*x))).collect(),
            attractiveness_prior: (
                round(evidence.attractiveness.hits),
                round(evidence.attractiveness.misses),
            ),
            kinds: relevance.map(|r| match r.kinds {
                Kinds::Four => "four",
                _ => "two",
            }),
            unknown: found.err().copied(),
            satisfied: relevance.map(|r| r.satisfied.map(round)),
            attractive: relevance.map(|r| r.attractive.map(round)),
            positions: evidence
                .shown_positions()
                .map(|position| Position {
                    position,
                    examination: round(curve.examination(position)),
                    lower: curve.interval(position).map(|ends| round(ends.0)),
                    upper: curve.interval(position).map(|ends| round(ends.1)),
                    attraction: relevance
                        .map(|r| [0, 1].map(|kind| round(r.attraction[kind][usize::from(position)]))),
                    prior: relevance.map(|r| r.prior[usize::from(position)].map(round)),
                })
                .collect(),
            places: if evidence.released.k.is_some() { Vec::new() } else { curve.by_place() },
        }
    }

    fn table(&self) -> PyResult<Table> {
        Table::new(self.evidence.table())
    }

    fn positions(&self) -> PyResult<Table> {
        Table::new(self.evidence.positions())
    }
}

#[pyfunction]
#[pyo3(name = "evidence", signature = (released, /, *, options, seed, threads))]
pub(crate) fn evidence(
    py: Python<'_>,
    released: &Released,
    options: &str,
    seed: u64,
    threads: usize,
) -> PyResult<Evidence> {
    let options = config(options)?;
    let released = released.released.clone();
    let (seed, threads) = (Seed::new(seed), workers::threads(threads));
    let evidence =
        interruptible(py, |pulse| core_evidence(released.clone(), &options, seed, threads, pulse))?;
    Ok(Evidence { evidence: Arc::new(evidence), share: None })
}

#[pyfunction]
#[pyo3(signature = (released, share, /))]
pub(crate) fn evidence_of_part(py: Python<'_>, released: &Released, share: Vec<u8>) -> PyResult<Evidence> {
    let of = released.released.clone();
    let evidence = detached(py, || Share::read(&share).and_then(|read| read.evidence(of)))?;
    Ok(Evidence { evidence: Arc::new(evidence), share: Some(share) })
}
