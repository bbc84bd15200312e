//! Impressions to counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hardneg_core::anonymize::Keys;
use hardneg_core::budget::Budget;
use hardneg_core::counts;
use hardneg_core::job::{self, Job};
use hardneg_core::parts::{Nth, Parts};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::pulse::Pulse;
use hardneg_core::saved;
use hardneg_core::seed::Seed;
use pyo3::prelude::*;

use crate::error::{config, to_py};
use crate::input::Log;
use crate::scrub::{Scrub, scrubber};
use crate::table::{Stats, Table, stats};
use crate::watch::{detached, interruptible, watched};

/// Counts of a log.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Counts {
    pub(crate) counts: Arc<counts::Counts>,
}

/// Of which parts of a log counts are.
#[derive(IntoPyObject)]
struct PartsSeen {
    users: (u32, Vec<u32>),
    queries: (u32, Vec<u32>),
    config: String,
    key_id: String,
}

#[pymethods]
impl Counts {
    #[pyo3(signature = (name, /, *, columns))]
    fn table(&self, py: Python<'_>, name: &str, columns: Vec<String>) -> PyResult<Table> {
        Table::new(Ok(detached(py, || self.counts.table(name, &columns))?))
    }

    #[pyo3(signature = (path, /, *, called))]
    #[allow(clippy::needless_pass_by_value, reason = "pyo3 hands paths over")]
    fn save(&self, py: Python<'_>, path: PathBuf, called: PathBuf) -> PyResult<()> {
        interruptible(py, |pulse| saved::save(&self.counts, &path, &called, pulse))
    }

    fn pack(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        interruptible(py, |pulse| saved::pack(&self.counts, pulse)).map(Cow::Owned)
    }

    /// The parts of the queries as [`Counts::pack`] makes them.
    #[pyo3(signature = (of, /))]
    fn split(&self, py: Python<'_>, of: u32) -> PyResult<Vec<Cow<'_, [u8]>>> {
        interruptible(py, |pulse| {
            let mut out = Vec::new();
            let silent = &mut Pulse::silent();
            self.counts.split(of, pulse, |part| {
                out.push(Cow::Owned(saved::pack(part, silent)?));
                Ok(())
            })?;
            Ok(out)
        })
    }

    fn stats(&self) -> Stats {
        stats(&self.counts.read)
    }

    #[getter]
    fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.counts.dropped.clone()
    }

    #[getter]
    fn sizes(&self) -> BTreeMap<&'static str, u64> {
        let sizes = self.counts.sizes();
        BTreeMap::from([
            ("queries", sizes.queries),
            ("pairs", sizes.pairs),
            ("preferences", sizes.preferences),
            ("successions", sizes.successions),
            ("users", self.counts.users),
        ])
    }

    #[getter]
    fn has(&self) -> BTreeMap<&'static str, bool> {
        let has = self.counts.has;
        BTreeMap::from([
            ("users", has.users),
            ("pages", has.pages),
            ("positions", has.positions),
            ("times", has.times),
            ("unclicked", has.unclicked),
        ])
    }

    /// Tables that were counted.
    #[getter]
    fn tables(&self) -> Vec<&'static str> {
        let has = self.counts.has;
        let counted = [
            ("queries", true),
            ("cells", has.cell_detail),
            ("pairs", true),
            ("preferences", has.preferences),
            ("successions", has.preferences),
            ("succession_clicks", has.preferences),
            ("bounded", has.bounded > 0),
            ("pages", has.page_counts),
        ];
        counted.into_iter().filter_map(|(name, counted)| counted.then_some(name)).collect()
    }

    #[getter]
    fn options(&self) -> BTreeMap<String, String> {
        self.counts.options.clone()
    }

    #[getter]
    fn parts(&self) -> Option<PartsSeen> {
        self.counts.parts.as_ref().map(|parts| {
            let [users, queries] = parts.seen();
            PartsSeen { users, queries, config: parts.config.clone(), key_id: parts.key.clone() }
        })
    }

    #[getter]
    fn disjoint(&self) -> bool {
        self.counts.disjoint
    }
}

#[pyfunction]
#[pyo3(signature = (log, /, *, options, scrub, key, seed, position_base, has_pages, sessions_stand_for_users, threads, memory, spill, part=None, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn count(
    py: Python<'_>,
    log: Log<'_>,
    options: &str,
    scrub: Scrub,
    key: &[u8],
    seed: u64,
    position_base: i64,
    has_pages: bool,
    sessions_stand_for_users: bool,
    threads: usize,
    memory: usize,
    spill: PathBuf,
    part: Option<(u32, u32, String, String)>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Counts> {
    let options = config(options)?;
    let key = MasterKey::new(key).map_err(to_py)?;
    let of = |field: &str| Pseudonymizer::new(&key, field, "", "").map_err(to_py);
    let keys = Keys { user: of("user_id")?, session: of("session_id")? };
    let part = part.map(|(number, of, config, key)| Ok(Parts::of_users(Nth::new(number, of)?, config, key)));
    let job = Job {
        config: &options,
        keys: &keys,
        scrubber: scrubber(py, scrub, Some(&key), "", "")?,
        seed: Seed::new(seed),
        position_base,
        has_pages,
        sessions_stand_for_users,
        threads,
        memory,
        spill: &spill,
        part: part.transpose().map_err(to_py)?,
    };
    let log = log.batches()?;
    let counts = watched(py, progress, |observe| job::count(&job, log.as_ref(), observe))?;
    Ok(Counts { counts: Arc::new(counts) })
}

#[pyfunction]
#[pyo3(signature = (first, second, /, *, disjoint))]
pub(crate) fn merge(py: Python<'_>, first: &Counts, second: &Counts, disjoint: bool) -> PyResult<Counts> {
    let (first, second) = (first.counts.clone(), second.counts.clone());
    let merged = interruptible(py, |pulse| first.merge(&second, disjoint, pulse))?;
    Ok(Counts { counts: Arc::new(merged) })
}

#[pyfunction]
#[pyo3(signature = (path, /, *, memory, spill))]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 hands paths over")]
pub(crate) fn load(py: Python<'_>, path: PathBuf, memory: usize, spill: PathBuf) -> PyResult<Counts> {
    let loaded =
        interruptible(py, |pulse| saved::load(&path, &Arc::new(Budget::new(memory, &spill)), pulse))?;
    Ok(Counts { counts: Arc::new(loaded) })
}

#[pyfunction]
#[pyo3(signature = (packed, /, *, memory, spill))]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 hands paths over")]
pub(crate) fn unpack(py: Python<'_>, packed: &[u8], memory: usize, spill: PathBuf) -> PyResult<Counts> {
    let loaded =
        interruptible(py, |pulse| saved::unpack(packed, &Arc::new(Budget::new(memory, &spill)), pulse))?;
    Ok(Counts { counts: Arc::new(loaded) })
}
