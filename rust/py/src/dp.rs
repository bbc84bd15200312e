//! Contributions to what may be named and counted under differential privacy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hardneg_core::anonymize::Keys as IdKeys;
use hardneg_core::contributions::Contributions as CoreContributions;
use hardneg_core::dp::clicks::{Clicks, Listed, clicks};
use hardneg_core::dp::selection::{Key, Round, Selection, queries};
use hardneg_core::error::Result;
use hardneg_core::intern::code;
use hardneg_core::job::{self, Job};
use hardneg_core::noise::{DiscreteLaplace, Random, RoundedGaussian};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::seed::Seed;
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::input::Log;
use crate::scrub::{Scrub, scrubber};
use crate::table::{Stats, stats};
use crate::watch::{interruptible, watched};

/// What users contribute.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Contributions {
    contributions: Arc<CoreContributions>,
}

/// Queries that may be named.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Keys {
    keys: Vec<Key>,
    #[pyo3(get)]
    queries: Vec<String>,
}

#[pymethods]
impl Keys {
    #[getter]
    fn scores(&self) -> Vec<i64> {
        self.keys.iter().map(|key| key.score).collect()
    }

    #[getter]
    fn rounds(&self) -> Vec<u32> {
        self.keys.iter().map(|key| key.rounds).collect()
    }
}

#[pymethods]
impl Contributions {
    fn stats(&self) -> Stats {
        stats(&self.contributions.read)
    }

    #[getter]
    fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.contributions.dropped.clone()
    }

    #[getter]
    fn users(&self) -> u64 {
        self.contributions.users
    }

    #[pyo3(signature = (*, max_items, sigma, thresholds, biases, threads))]
    fn select(
        &self,
        py: Python<'_>,
        max_items: usize,
        sigma: u64,
        thresholds: Vec<i64>,
        biases: Vec<Vec<u16>>,
        threads: usize,
    ) -> PyResult<Keys> {
        let mut biases = biases.into_iter();
        let round = |threshold| Round { threshold, bias: biases.next().unwrap_or_default() };
        let selection = Selection { max_items, sigma, rounds: thresholds.into_iter().map(round).collect() };
        let strings = &self.contributions.query_strings;
        let mut keys = interruptible(py, |pulse| {
            queries(&self.contributions, &selection, hardneg_core::workers::threads(threads), pulse)
        })?;
        // A code of two strings has no name; whose it is must not be told.
        keys.retain(|key| !strings.get(key.code).is_empty());
        let queries = keys.iter().map(|key| strings.get(key.code).to_owned()).collect();
        Ok(Keys { keys, queries })
    }

    #[pyo3(signature = (keys, /, *, shown, rows, docs, weights, length, sigma, threads))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn clicks(
        &self,
        py: Python<'_>,
        keys: &Keys,
        shown: Vec<u64>,
        rows: Vec<u32>,
        docs: Vec<String>,
        weights: Vec<u64>,
        length: u64,
        sigma: u64,
        threads: usize,
    ) -> PyResult<(Vec<i64>, Vec<i64>)> {
        interruptible(py, |pulse| {
            let (listed, places) = listed(keys, &shown, &rows, &docs, &weights)?;
            let constants = Clicks { length, sigma };
            let sums = clicks(
                &self.contributions,
                &listed,
                constants,
                hardneg_core::workers::threads(threads),
                pulse,
            )?;
            let starts: Vec<usize> = listed
                .iter()
                .scan(0, |at, query| {
                    let start = *at;
                    *at += 1 + query.docs.len();
                    Some(start)
                })
                .collect();
            let impressions = starts.iter().map(|start| sums[*start]).collect();
            let cells = rows.iter().zip(&places).map(|(row, place)| sums[starts[*row as usize] + 1 + place]);
            Ok((impressions, cells.collect()))
        })
    }
}

/// The cells of each key, and of each row its place among them.
fn listed(
    keys: &Keys,
    shown: &[u64],
    rows: &[u32],
    docs: &[String],
    weights: &[u64],
) -> Result<(Vec<Listed>, Vec<usize>)> {
    use hardneg_core::error::Error;
    let wrong = || Error::internal("columns of different lengths, or a row of no key");
    if shown.len() != keys.keys.len() || rows.len() != docs.len() || rows.len() != weights.len() {
        return Err(wrong());
    }
    let mut listed: Vec<Listed> = keys
        .keys
        .iter()
        .zip(shown)
        .map(|(key, shown)| Listed { query: key.code, shown: *shown, docs: Vec::new() })
        .collect();
    let codes: Vec<u64> = docs.iter().map(|doc| code(doc.as_bytes())).collect();
    for ((row, doc), weight) in rows.iter().zip(&codes).zip(weights) {
        listed.get_mut(*row as usize).ok_or_else(wrong)?.docs.push((*doc, *weight));
    }
    listed.iter_mut().for_each(|query| query.docs.sort_unstable());
    let place = |(row, doc): (&u32, &u64)| {
        listed[*row as usize].docs.binary_search_by_key(doc, |(doc, _)| *doc).map_err(|_| wrong())
    };
    let places = rows.iter().zip(&codes).map(place).collect::<Result<_>>()?;
    Ok((listed, places))
}

#[pyfunction]
#[pyo3(signature = (log, /, *, options, scrub, position_base, has_pages, shown, threads, memory, spill, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn contribute(
    py: Python<'_>,
    log: Log<'_>,
    options: &str,
    scrub: Scrub,
    position_base: i64,
    has_pages: bool,
    shown: bool,
    threads: usize,
    memory: usize,
    spill: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<Contributions> {
    let options = config(options)?;
    let key = MasterKey::fresh().map_err(to_py)?;
    let of = |field: &str| Pseudonymizer::new(&key, field, "", "").map_err(to_py);
    let keys = IdKeys { user: of("user_id")?, session: of("session_id")? };
    let job = Job {
        config: &options,
        keys: &keys,
        scrubber: scrubber(py, scrub, None, "", "")?,
        seed: Seed::new(0),
        position_base,
        has_pages,
        threads,
        memory,
        spill: &spill,
    };
    let log = log.batches()?;
    let contributions = watched(py, progress, |observe| job::contribute(&job, log.as_ref(), shown, observe))?;
    Ok(Contributions { contributions: Arc::new(contributions) })
}

#[pyfunction]
#[pyo3(signature = (sigma, n, /))]
pub(crate) fn rounded_gaussian(py: Python<'_>, sigma: u64, n: usize) -> PyResult<Vec<i64>> {
    interruptible(py, |_| {
        let (law, mut random) = (RoundedGaussian::new(sigma)?, Random::fresh()?);
        Ok((0..n).map(|_| law.sample(&mut random)).collect())
    })
}

#[pyfunction]
#[pyo3(signature = (scale, n, /))]
pub(crate) fn discrete_laplace(py: Python<'_>, scale: u64, n: usize) -> PyResult<Vec<i64>> {
    interruptible(py, |_| {
        let (law, mut random) = (DiscreteLaplace::new(scale)?, Random::fresh()?);
        Ok((0..n).map(|_| law.sample(&mut random)).collect())
    })
}
