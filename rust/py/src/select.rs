//! Evidence to negatives and training rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hardneg_core::alike::Alike;
use hardneg_core::batches::Shared;
use hardneg_core::given::{Beside, Given, Scores};
use hardneg_core::seed::Seed;
use hardneg_core::select::{Explained as CoreExplained, Outcome, SelectConfig, Yields, explain};
use hardneg_core::triplets::{Selection, selection};
use hardneg_core::whole::{Share, outcome};
use hardneg_core::workers;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::{config, to_py};
use crate::evidence::Evidence;
use crate::table::Table;
use crate::watch::{detached, interruptible};

/// Selected negatives.
#[pyclass(frozen, module = "hardneg_fast._hardneg")]
pub(crate) struct Selected {
    evidence: Arc<hardneg_core::evidence::Evidence>,
    made: Selection,
    options: SelectConfig,
    seed: Seed,
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

/// What a limit of P(relevant) yields.
#[derive(IntoPyObject)]
pub(crate) struct Yield {
    limit: f64,
    negatives: f64,
    relevant: f64,
    variance: f64,
    queries: u64,
    queries_4: u64,
    queries_full: u64,
    searches_4: u64,
}

/// What was learnt of P(relevant) from the whole log.
#[derive(IntoPyObject)]
pub(crate) struct Told {
    limit: Option<f64>,
    apart: f64,
    agreement: Vec<(f64, Option<f64>, f64)>,
    yields: Vec<Yield>,
    searches: u64,
}

impl Told {
    pub(crate) fn of(alike: &Alike, yields: &Yields, limit: f64) -> Self {
        let (agreement, apart) = alike.agreement();
        let known = |x: f64| (!x.is_nan()).then_some(x);
        let points = yields.points.iter().map(|y| Yield {
            limit: y.limit,
            negatives: y.negatives,
            relevant: y.relevant,
            variance: y.variance,
            queries: y.queries,
            queries_4: y.queries_4,
            queries_full: y.queries_full,
            searches_4: y.searches_4,
        });
        Self {
            limit: limit.is_finite().then_some(limit),
            apart,
            agreement: agreement.into_iter().map(|(w, c, share)| (w, known(c), share)).collect(),
            yields: points.collect(),
            searches: yields.searches,
        }
    }
}

/// One document of a query.
#[derive(IntoPyObject)]
struct Explained {
    doc_id: String,
    outcome: &'static str,
    guard: Option<&'static str>,
    rank: Option<usize>,
    rules: Vec<(&'static str, Option<String>)>,
    guards: Vec<(&'static str, bool, Option<f64>, Option<f64>)>,
    alike_queries: Option<u32>,
    alike_satisfied: Option<u32>,
    impressions: u64,
    clicks: u64,
    satisfied_clicks: u64,
    p_relevant: Option<f64>,
}

#[pymethods]
impl Selected {
    fn negatives(&self) -> PyResult<Table> {
        let split = self.options.validation > 0.0;
        Table::new(self.evidence.negatives(&self.made, &self.carry, split))
    }

    fn positives(&self) -> PyResult<Table> {
        Table::new(self.evidence.positives(&self.made))
    }

    fn triplets(&self) -> PyResult<Table> {
        Table::new(self.evidence.triplets(&self.made, self.options.num_negatives))
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

    #[getter]
    fn told(&self) -> Told {
        let selected = &self.made.selected;
        Told::of(&self.made.knowledge.alike, &selected.yields, selected.limit)
    }

    /// Of a part: what all parts together have to know of it.
    fn outcome(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        detached(py, || outcome(&self.made)).map(Cow::Owned)
    }

    /// Documents of a normalised query; None where it was not released.
    fn explain(&self, py: Python<'_>, query: &str) -> PyResult<Option<Vec<Explained>>> {
        let code = self.evidence.released.query_strings.codes_of(std::iter::once(query))[0];
        if code == 0 {
            return Ok(None);
        }
        let (evidence, made) = (&*self.evidence, &self.made);
        let found = py
            .detach(|| explain(evidence, &made.knowledge, &self.options, &made.selected, self.seed, code))
            .map_err(to_py)?;
        Ok(found.map(|all| all.iter().map(|one| self.explained(one)).collect()))
    }
}

impl Selected {
    fn explained(&self, of: &CoreExplained) -> Explained {
        let released = &*self.evidence.released;
        let docs = self.made.knowledge.docs(released);
        let (k, open) = (released.k.unwrap_or(0), released.k.is_none());
        let shown = |n: u32, users: u32| if users >= k { released.shown(n.into()) } else { 0 };
        let (outcome, rank, guard) = match of.outcome {
            Outcome::Positive(rank) => ("positive", Some(rank), None),
            Outcome::MorePositive => ("more_positive", None, None),
            Outcome::Negative => ("negative", None, None),
            Outcome::NotProposed => ("not_proposed", None, None),
            Outcome::Guarded(guard) => ("guarded", None, Some(guard.name())),
            Outcome::Capped => ("capped", None, None),
            Outcome::NoPositive => ("no_positive", None, None),
        };
        // Figures that exact counts could be worked out from stay here.
        let figure = |x: f64| open.then_some(x);
        Explained {
            doc_id: docs.get(of.pair.doc).to_owned(),
            outcome,
            guard,
            rank,
            rules: of.rules.iter().map(|(r, doc)| (r.name(), doc.map(|d| docs.get(d).to_owned()))).collect(),
            guards: of
                .verdicts
                .iter()
                .map(|v| (v.guard.name(), v.fires, figure(v.value), figure(v.limit)))
                .collect(),
            alike_queries: open.then_some(of.told.0),
            alike_satisfied: open.then_some(of.told.1),
            impressions: shown(of.pair.impressions, of.pair.users_shown),
            clicks: shown(of.pair.clicks, of.pair.users_clicked),
            satisfied_clicks: shown(of.pair.satisfied_clicks, of.pair.users_satisfied),
            p_relevant: (!of.p_relevant.is_nan()).then_some(of.p_relevant),
        }
    }
}

#[pyfunction]
#[pyo3(
    name = "select",
    signature = (
        evidence, /, *, options, carry, seed, threads, positives, known_relevant, extra_negatives, retrieved, scores
    )
)]
#[allow(clippy::too_many_arguments, reason = "one for each table that may be given")]
pub(crate) fn select(
    py: Python<'_>,
    evidence: &Evidence,
    options: &str,
    carry: Vec<String>,
    seed: u64,
    threads: usize,
    positives: Option<AnyRecordBatch>,
    known_relevant: Option<AnyRecordBatch>,
    extra_negatives: Option<AnyRecordBatch>,
    retrieved: Option<AnyRecordBatch>,
    scores: Option<AnyRecordBatch>,
) -> PyResult<Selected> {
    let options: SelectConfig = config(options)?;
    let (share, evidence, seed) = (evidence.share.clone(), evidence.evidence.clone(), Seed::new(seed));
    let threads = workers::threads(threads);
    let shared = |given: Option<AnyRecordBatch>| -> PyResult<Option<Shared>> {
        given.map(|rows| Ok(Shared::new(rows.into_reader()?))).transpose()
    };
    let (positives, known_relevant) = (shared(positives)?, shared(known_relevant)?);
    let (extra_negatives, retrieved, scores) =
        (shared(extra_negatives)?, shared(retrieved)?, shared(scores)?);
    let made = interruptible(py, |pulse| {
        let mut docs = BTreeMap::new();
        let mut read = |name: &str, rows: &Option<Shared>, pulse: &mut _| match rows {
            Some(rows) => Given::read(name, rows, &mut docs, pulse),
            None => Ok(Given::default()),
        };
        let beside = Beside {
            positives: read("positives", &positives, pulse)?,
            known_relevant: read("known_relevant", &known_relevant, pulse)?,
            extra_negatives: read("extra_negatives", &extra_negatives, pulse)?,
            retrieved: read("retrieved", &retrieved, pulse)?,
            scores: match &scores {
                Some(rows) => Scores::read(rows, pulse)?,
                None => Scores::default(),
            },
            ..Beside::default()
        };
        let share = share.as_deref().map(Share::read).transpose()?;
        docs.extend(share.iter().flat_map(Share::documents).map(|(code, text)| (code, text.to_owned())));
        let beside = beside.with_docs(&evidence.released.doc_strings, &docs, pulse)?;
        match share {
            Some(share) => share.selection(&evidence, beside, &options, seed, threads, pulse),
            None => selection(&evidence, beside, &options, seed, threads, pulse),
        }
    })?;
    Ok(Selected { evidence, made, options, seed, carry })
}
