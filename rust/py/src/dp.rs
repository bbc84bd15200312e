//! Contributions to what may be named and counted under differential privacy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hardneg_core::anonymize::Keys as IdKeys;
use hardneg_core::contributions::Contributions as CoreContributions;
use hardneg_core::dp::clicks::{Cell, Clicks, Listed, Noise, clicks};
use hardneg_core::dp::selection::{Key, Round, Selection, pairs, queries};
use hardneg_core::error::Error;
use hardneg_core::job::{self, Job};
use hardneg_core::noise::{DiscreteLaplace, Random, RoundedGaussian};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::seed::Seed;
use hardneg_core::workers::threads as workers;
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
        let selection = selection(max_items, sigma, thresholds, biases);
        let strings = &self.contributions.query_strings;
        let keys =
            interruptible(py, |pulse| queries(&self.contributions, &selection, workers(threads), pulse))?;
        let queries = keys.iter().map(|key| strings.get(key.code).to_owned()).collect();
        Ok(Keys { keys, queries })
    }

    #[pyo3(signature = (queries, /))]
    fn public(&self, py: Python<'_>, queries: Vec<String>) -> PyResult<Keys> {
        let codes = interruptible(py, |_| {
            Ok(self.contributions.query_strings.codes_of(queries.iter().map(String::as_str)))
        })?;
        let keys = codes.into_iter().map(|code| Key { code, score: 0, rounds: 0 }).collect();
        Ok(Keys { keys, queries })
    }

    #[pyo3(signature = (keys, /, *, shown, max_items, sigma, thresholds, biases, threads))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn select_pairs(
        &self,
        py: Python<'_>,
        keys: &Keys,
        shown: bool,
        max_items: usize,
        sigma: u64,
        thresholds: Vec<i64>,
        biases: Vec<Vec<u16>>,
        threads: usize,
    ) -> PyResult<Vec<(u32, String, i64, u32)>> {
        let selection = selection(max_items, sigma, thresholds, biases);
        let strings = &self.contributions.doc_strings;
        let found = interruptible(py, |pulse| {
            pairs(&self.contributions, &keys.keys, shown, &selection, workers(threads), pulse)
        })?;
        Ok(found.iter().map(|p| (p.query, strings.get(p.doc).to_owned(), p.score, p.rounds)).collect())
    }

    #[pyo3(signature = (keys, /, *, shown, rows, docs, positions, weights, exposures, length, noise, scale, examined, most, threads))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn clicks(
        &self,
        py: Python<'_>,
        keys: &Keys,
        shown: Vec<u64>,
        rows: Vec<u32>,
        docs: Vec<String>,
        positions: Vec<u16>,
        weights: Vec<u64>,
        exposures: Vec<u64>,
        length: u64,
        noise: &str,
        scale: u64,
        examined: Vec<u64>,
        most: u64,
        threads: usize,
    ) -> PyResult<(Vec<i64>, Vec<i64>, Vec<i64>)> {
        let noise = match noise {
            "gaussian" => Noise::Gaussian(scale),
            "laplace" => Noise::Laplace(scale),
            _ => return Err(to_py(Error::internal("a law of noise that is not there"))),
        };
        let strings = &self.contributions.doc_strings;
        interruptible(py, |pulse| {
            let wrong = || Error::internal("columns of different lengths, or a row of no key");
            let columns = [docs.len(), positions.len(), weights.len(), exposures.len()];
            if shown.len() != keys.keys.len() || columns.iter().any(|n| *n != rows.len()) {
                return Err(wrong());
            }
            let codes = strings.codes_of(docs.iter().map(String::as_str));
            let cell = |i: usize| Cell {
                doc: codes[i],
                click: weights[i],
                shown: exposures[i],
                position: positions[i],
            };
            let mut cells: Vec<Vec<(Cell, usize)>> = vec![Vec::new(); keys.keys.len()];
            for (i, row) in rows.iter().enumerate() {
                cells.get_mut(*row as usize).ok_or_else(wrong)?.push((cell(i), i));
            }
            cells.iter_mut().for_each(|own| own.sort_unstable_by_key(|(cell, i)| (cell.doc, *i)));
            let listed: Vec<Listed> = keys
                .keys
                .iter()
                .zip(&shown)
                .zip(&cells)
                .map(|((key, shown), own)| Listed {
                    query: key.code,
                    shown: *shown,
                    docs: own.iter().map(|(cell, _)| *cell).collect(),
                })
                .collect();
            let twice = exposures.iter().any(|weight| *weight > 0);
            let constants = Clicks { length, noise, exposures: twice, examined, most };
            let mut sums =
                clicks(&self.contributions, &listed, &constants, workers(threads), pulse)?.into_iter();
            let (mut of_queries, mut clicked, mut seen) = (
                Vec::with_capacity(listed.len()),
                vec![0; rows.len()],
                vec![0; if twice { rows.len() } else { 0 }],
            );
            for own in &cells {
                of_queries.extend(sums.next());
                for column in [&mut clicked, &mut seen].into_iter().take(if twice { 2 } else { 1 }) {
                    for ((_, row), sum) in own.iter().zip(sums.by_ref()) {
                        column[*row] = sum;
                    }
                }
            }
            Ok((of_queries, clicked, seen))
        })
    }
}

fn selection(max_items: usize, sigma: u64, thresholds: Vec<i64>, biases: Vec<Vec<u16>>) -> Selection {
    let mut biases = biases.into_iter();
    let round = |threshold| Round { threshold, bias: biases.next().unwrap_or_default() };
    Selection { max_items, sigma, rounds: thresholds.into_iter().map(round).collect() }
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
        sessions_stand_for_users: false,
        threads,
        memory,
        spill: &spill,
        part: None,
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
