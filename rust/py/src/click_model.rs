//! Logs to click models.

use std::collections::BTreeMap;
use std::sync::Arc;

use hardneg_core::click_model::{
    self, Beta, ClickModelConfig, Fitted, Method, Model, PositionMetrics, Reading, Weighing,
};
use hardneg_core::coded::Queries;
use hardneg_core::error::Error;
use hardneg_core::pseudonym::MasterKey;
use hardneg_core::seed::Seed;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::count::Counts;
use crate::error::{config, to_py};
use crate::input::Log;
use crate::scrub::{Scrub, scrubber};
use crate::table::{Stats, Table, stats};
use crate::watch::{interruptible, watched};

/// A log grouped for click models.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ClickLog {
    pub(crate) log: Arc<click_model::ClickLog>,
}

#[pymethods]
impl ClickLog {
    fn stats(&self) -> Stats {
        stats(&self.log.read)
    }

    #[getter]
    fn sizes(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("queries", self.log.queries() as u64),
            ("pairs", self.log.pairs() as u64),
            ("pages", self.log.pages),
            ("impressions", self.log.impressions),
            ("clicks", self.log.clicks),
            ("unpositioned", self.log.known.unpositioned),
            ("depth", self.log.depth.into()),
        ])
    }

    fn pairs(&self) -> PyResult<Table> {
        Table::new(self.log.pairs_table())
    }

    #[getter]
    fn has(&self) -> BTreeMap<&'static str, bool> {
        let known = self.log.known;
        BTreeMap::from([
            ("positions", known.positions),
            ("pages", known.pages),
            ("previous_clicks", known.previous_clicks),
            ("folds", known.folds),
        ])
    }
}

/// A model fitted to a log.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct ClickModel {
    fitted: Arc<Fitted>,
}

fn pair(prior: Option<Beta>) -> Option<(f64, f64)> {
    prior.map(|p| (p.hits, p.misses))
}

/// Figures by name, for Python.
#[derive(IntoPyObject)]
struct Figures {
    impressions: f64,
    clicks: f64,
    log_likelihood: f64,
    perplexity: f64,
    conditional_perplexity: f64,
    click_perplexity: f64,
    skip_perplexity: f64,
}

impl From<PositionMetrics> for Figures {
    fn from(m: PositionMetrics) -> Self {
        Self {
            impressions: m.impressions,
            clicks: m.clicks,
            log_likelihood: m.log_likelihood,
            perplexity: m.perplexity,
            conditional_perplexity: m.conditional_perplexity,
            click_perplexity: m.click_perplexity,
            skip_perplexity: m.skip_perplexity,
        }
    }
}

#[pymethods]
impl ClickModel {
    fn attractiveness(&self) -> PyResult<Table> {
        Table::new(self.fitted.attractiveness())
    }

    fn places(&self) -> PyResult<Table> {
        Table::new(self.fitted.places())
    }

    #[getter]
    fn model(&self) -> &'static str {
        self.fitted.model.name()
    }

    #[getter]
    fn apart(&self) -> Vec<u16> {
        self.fitted.apart.clone()
    }

    #[getter]
    fn iterations(&self) -> u32 {
        self.fitted.iterations
    }

    #[getter]
    fn converged(&self) -> bool {
        self.fitted.converged
    }

    #[getter]
    fn held_out(&self) -> Option<f64> {
        self.fitted.held_out
    }

    #[getter]
    fn history(&self) -> Vec<f64> {
        self.fitted.history.clone()
    }

    #[getter]
    fn gamma(&self) -> Option<f64> {
        self.fitted.gamma()
    }

    #[getter]
    fn attraction_prior(&self) -> Option<(f64, f64)> {
        pair(self.fitted.priors().0)
    }

    #[getter]
    fn satisfaction_prior(&self) -> Option<(f64, f64)> {
        pair(self.fitted.priors().1)
    }

    #[pyo3(signature = (log, /, *, threads, progress=None))]
    fn predict(
        &self,
        py: Python<'_>,
        log: &ClickLog,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Table> {
        let made = watched(py, progress, |observe| self.fitted.predict(&log.log, threads, observe))?;
        Table::new(Ok(made))
    }

    #[pyo3(signature = (log, /, *, definition, threads, progress=None))]
    fn metrics(
        &self,
        py: Python<'_>,
        log: &ClickLog,
        definition: &str,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Figures, BTreeMap<u16, Figures>, u64)> {
        let definition = config(definition)?;
        let made =
            watched(py, progress, |observe| self.fitted.metrics(&log.log, definition, threads, observe))?;
        let positions = made.positions.into_iter().map(|(p, m)| (p, m.into())).collect();
        Ok((made.all.into(), positions, made.pages))
    }
}

#[pyfunction]
#[pyo3(signature = (log, /, *, normalize, scrub, key, seed, position_base, max_position, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn click_log(
    py: Python<'_>,
    log: Log<'_>,
    normalize: bool,
    scrub: Scrub,
    key: &[u8],
    seed: u64,
    position_base: i64,
    max_position: u16,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<ClickLog> {
    let key = MasterKey::new(key).map_err(to_py)?;
    let scrubber = scrubber(py, scrub, Some(&key), "", "")?;
    let queries = if normalize { Queries::Normalized(scrubber) } else { Queries::Given };
    let how = Reading { queries, seed: Seed::new(seed), position_base, max_position, threads };
    let log = log.batches()?;
    let made = watched(py, progress, |observe| click_model::ClickLog::read(log.as_ref(), &how, observe))?;
    Ok(ClickLog { log: Arc::new(made) })
}

#[pyfunction]
#[pyo3(signature = (counts, /, *, seed))]
pub(crate) fn click_log_counted(py: Python<'_>, counts: &Counts, seed: u64) -> PyResult<ClickLog> {
    let counts = counts.counts.clone();
    let made = interruptible(py, |pulse| click_model::ClickLog::counted(&counts, &Seed::new(seed), pulse))?;
    Ok(ClickLog { log: Arc::new(made) })
}

/// Calls Python's M-step, doubles as bytes in and out; what it raised is kept in `raised`.
fn m_step(
    call: &Py<PyAny>,
    raised: &mut Option<PyErr>,
    hits: &[f64],
    trials: &[f64],
) -> std::result::Result<Vec<f64>, Error> {
    let bytes = |of: &[f64]| of.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>();
    let made = Python::attach(|py| {
        let both = (PyBytes::new(py, &bytes(hits)), PyBytes::new(py, &bytes(trials)));
        call.call1(py, both)?.extract::<PyBackedBytes>(py).map_err(PyErr::from)
    });
    let numbers =
        |made: PyBackedBytes| made.as_chunks().0.iter().map(|x| f64::from_ne_bytes(*x)).collect::<Vec<f64>>();
    made.map(numbers).map_err(|e| {
        *raised = Some(e);
        Error::interrupted()
    })
}

#[pyfunction]
#[pyo3(signature = (log, /, *, model, options, threads, m_step=None, progress=None))]
pub(crate) fn fit_click_model(
    py: Python<'_>,
    log: &ClickLog,
    model: &str,
    options: &str,
    threads: usize,
    m_step: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<ClickModel> {
    let options: ClickModelConfig = config(options)?;
    let model = Model::ALL.into_iter().find(|m| m.name() == model);
    let model = model.ok_or_else(|| to_py(Error::usage("no such click model")))?;
    let log = log.log.clone();
    let mut raised = None;
    let fitted = watched(py, progress, |observe| {
        let Some(call) = m_step else {
            return click_model::fit(&log, model, &options, threads, None, observe);
        };
        let mut step = |hits: &[f64], trials: &[f64]| self::m_step(&call, &mut raised, hits, trials);
        click_model::fit(&log, model, &options, threads, Some(&mut step), observe)
    });
    match raised {
        Some(e) => Err(e),
        None => Ok(ClickModel { fitted: Arc::new(fitted?) }),
    }
}

/// A model that was tried, for Python.
#[derive(IntoPyObject)]
pub(crate) struct Candidate {
    model: &'static str,
    parameters: u64,
    held_out: Option<f64>,
    behind: Option<f64>,
    standard_error: Option<f64>,
    passes: Option<u32>,
    verdict: String,
}

#[pyfunction]
#[pyo3(signature = (log, /, *, options, threads, progress=None))]
pub(crate) fn choose_click_model(
    py: Python<'_>,
    log: &ClickLog,
    options: &str,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<(ClickModel, Vec<Candidate>, String)> {
    let options: ClickModelConfig = config(options)?;
    let log = log.log.clone();
    let (fitted, choice) =
        watched(py, progress, |observe| click_model::choose(&log, &options, threads, observe))?;
    let row = |c: click_model::Candidate| Candidate {
        model: c.model.name(),
        parameters: c.parameters,
        held_out: c.held_out,
        behind: c.behind,
        standard_error: c.error,
        passes: c.passes,
        verdict: c.verdict,
    };
    Ok((
        ClickModel { fitted: Arc::new(fitted) },
        choice.candidates.into_iter().map(row).collect(),
        choice.reason,
    ))
}

/// A position's propensity, for Python.
#[derive(IntoPyObject)]
pub(crate) struct Propensity {
    position: u16,
    propensity: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    impressions: u64,
    clicks: u64,
}

#[pyfunction]
#[pyo3(signature = (log, /, *, method, definition, replicates, seed, threads, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn estimate_propensities(
    py: Python<'_>,
    log: &ClickLog,
    method: &str,
    definition: &str,
    replicates: u32,
    seed: u64,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Propensity>> {
    let (method, weighing): (Method, Weighing) = (config(method)?, config(definition)?);
    let log = log.log.clone();
    let found = watched(py, progress, |observe| {
        click_model::propensities(&log, method, weighing, replicates, &Seed::new(seed), threads, observe)
    })?;
    let row = |p: click_model::Propensity| Propensity {
        position: p.position,
        propensity: p.propensity,
        lower: p.interval.map(|i| i.0),
        upper: p.interval.map(|i| i.1),
        impressions: p.impressions,
        clicks: p.clicks,
    };
    Ok(found.into_iter().map(row).collect())
}
