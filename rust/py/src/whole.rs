//! What parts of a release say of themselves, and what all of them together tell each.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hardneg_core::whole::{Whole as CoreWhole, answer as answered};
use hardneg_core::workers;
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::evidence::Evidence;
use crate::release::Released;
use crate::select::Told;
use crate::watch::{detached, interruptible};

/// All queries of a release in parts.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Whole {
    whole: Mutex<CoreWhole>,
    threads: usize,
}

impl Whole {
    fn whole(&self) -> MutexGuard<'_, CoreWhole> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Whole {
    #[new]
    #[pyo3(signature = (of, /, *, k, evidence, select, seed, threads))]
    fn new(
        of: u32,
        k: Option<u32>,
        evidence: &str,
        select: &str,
        seed: u64,
        threads: usize,
    ) -> PyResult<Self> {
        let made = CoreWhole::new(of, k, config(evidence)?, config(select)?, seed).map_err(to_py)?;
        Ok(Self { whole: Mutex::new(made), threads: workers::threads(threads) })
    }

    fn question(&self, py: Python<'_>) -> PyResult<Option<Cow<'_, [u8]>>> {
        detached(py, || self.whole().question()).map(|q| q.map(Cow::Owned))
    }

    fn take(&self, py: Python<'_>, answers: Vec<Vec<u8>>) -> PyResult<()> {
        interruptible(py, |pulse| self.whole().take(&answers, self.threads, pulse))
    }

    fn share(&self, py: Python<'_>, number: u32) -> PyResult<Cow<'_, [u8]>> {
        detached(py, || self.whole().share(number)).map(Cow::Owned)
    }

    fn settle(&self, py: Python<'_>, outcomes: Vec<Vec<u8>>) -> PyResult<Vec<u32>> {
        detached(py, || self.whole().settle(&outcomes))
    }

    fn evidence(&self, py: Python<'_>) -> PyResult<Evidence> {
        let evidence = detached(py, || self.whole().evidence())?;
        Ok(Evidence { evidence: Arc::new(evidence), share: None })
    }

    #[getter]
    fn told(&self, py: Python<'_>) -> PyResult<Told> {
        detached(py, || self.whole().told().map(|(alike, yields, limit)| Told::of(alike, yields, limit)))
    }
}

#[pyfunction]
#[pyo3(signature = (released, question, /, *, threads))]
pub(crate) fn answer(
    py: Python<'_>,
    released: &Released,
    question: Vec<u8>,
    threads: usize,
) -> PyResult<Cow<'static, [u8]>> {
    let (released, threads) = (released.released.clone(), workers::threads(threads));
    interruptible(py, |pulse| answered(&released, &question, threads, pulse)).map(Cow::Owned)
}
