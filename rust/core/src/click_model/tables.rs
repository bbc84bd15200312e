//! What was learnt, with its texts, as Arrow.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int32Array};

use super::log::{ClickLog, Crew, Part};
use super::params::Kind;
use super::{Definition, Fitted, Model};
use crate::error::{Error, Result};
use crate::export::{Columns, Table, batch, coded, column, float, int, row_ranges};
use crate::job::Progress;
use crate::workers;

/// A pair of a log: bucket and number in it.
#[derive(Clone, Copy)]
struct Pair(u32, u32);

/// One result of a page, predicted.
#[derive(Clone, Copy)]
struct Predicted {
    bucket: u32,
    pair: u32,
    page: u64,
    position: u16,
    clicked: bool,
    weight: u32,
    given: f64,
    alone: f64,
    examined: f64,
    attraction: f64,
}

impl ClickLog {
    /// query and doc_id of each pair, in canonical order: that of all tables, and of an [`super::MStep`].
    ///
    /// # Errors
    /// Where the table cannot be made.
    pub fn pairs_table(self: &Arc<Self>) -> Result<Table> {
        let (own, pairs) = (self.clone(), self.all_pairs());
        Table::new(pairs.len(), row_ranges(pairs.len()), move |range, wanted| {
            let (own, pairs) = (&*own, &pairs[range]);
            let mut out = Columns::default();
            column!(out, "query", own.queries_of(pairs.iter().copied()));
            column!(out, "doc_id", own.docs_of(pairs.iter().copied()));
            batch(out, wanted)
        })
    }

    fn all_pairs(&self) -> Vec<Pair> {
        let pairs = |(b, bucket): (usize, &super::log::Bucket)| {
            (0..bucket.docs.len()).map(move |p| Pair(b as u32, p as u32)).collect::<Vec<_>>()
        };
        self.buckets.iter().enumerate().flat_map(pairs).collect()
    }

    fn query(&self, Pair(b, p): Pair) -> u64 {
        let bucket = &self.buckets[b as usize];
        bucket.queries[bucket.ends.partition_point(|end| *end <= p)]
    }

    fn doc(&self, Pair(b, p): Pair) -> u64 {
        self.buckets[b as usize].docs[p as usize]
    }

    fn queries_of<'a>(&'a self, pairs: impl Iterator<Item = Pair> + 'a) -> ArrayRef {
        let strings = &self.query_strings;
        coded(pairs.map(|p| self.query(p)), |code| strings.find(code), |place| strings.at(place))
    }

    fn docs_of<'a>(&'a self, pairs: impl Iterator<Item = Pair> + 'a) -> ArrayRef {
        let strings = &self.doc_strings;
        coded(pairs.map(|p| self.doc(p)), |code| strings.find(code), |place| strings.at(place))
    }
}

impl Fitted {
    /// query, doc_id, attractiveness, its interval, clicks, impressions, examinations; for models that have it, satisfaction
    /// and its interval. Canonical order.
    ///
    /// # Errors
    /// [`Error::usage`] for models without such shares.
    pub fn attractiveness(self: &Arc<Self>) -> Result<Table> {
        if !self.model.has_pairs() {
            return Err(Error::usage(format!(
                "{} knows no documents: it has no attractiveness",
                self.model.name()
            )));
        }
        let (own, pairs) = (self.clone(), self.log.all_pairs());
        Table::new(pairs.len(), row_ranges(pairs.len()), move |range, wanted| {
            let (own, pairs) = (&*own, &pairs[range]);
            let all = || pairs.iter().copied();
            let value = |kind: &'static str| move |p: Pair| own.share(kind, p);
            let mut out = Columns::default();
            column!(out, "query", own.log.queries_of(all()));
            column!(out, "doc_id", own.log.docs_of(all()));
            column!(out, "attractiveness", float(all().map(value("a")).map(|s| Some(s.0))));
            column!(out, "lower", float(all().map(|p| own.interval("a", p).map(|i| i.0))));
            column!(out, "upper", float(all().map(|p| own.interval("a", p).map(|i| i.1))));
            column!(out, "clicks", int(all().map(|p| own.seen(p).1)));
            column!(out, "impressions", int(all().map(|p| own.seen(p).0)));
            // In PyClick's definition trials are impressions of which most are guesses.
            let exact = own.definition == Definition::Standard || !own.model.is_iterated();
            column!(out, "examinations", float(all().map(|p| exact.then(|| own.share("a", p).2))));
            if own.model.has_satisfaction() {
                column!(out, "satisfaction", float(all().map(value("s")).map(|s| Some(s.0))));
                column!(out, "satisfaction_lower", float(all().map(|p| own.interval("s", p).map(|i| i.0))));
                column!(out, "satisfaction_upper", float(all().map(|p| own.interval("s", p).map(|i| i.1))));
            }
            batch(out, wanted)
        })
    }

    fn kind(&self, kind: &str) -> &Kind {
        if kind == "a" { &self.learnt.attraction } else { &self.learnt.satisfaction }
    }

    /// Value, hits, trials.
    fn share(&self, kind: &str, Pair(b, p): Pair) -> (f64, f64, f64) {
        let shares = &self.kind(kind).buckets[b as usize];
        (shares.value[p as usize], shares.hits[p as usize], shares.trials[p as usize])
    }

    /// None for a regressor's shares, whose posterior is its own, and in PyClick's definition of iterated models, whose trials are impressions of which most are guesses.
    fn interval(&self, kind: &str, pair: Pair) -> Option<(f64, f64)> {
        if self.regressed || (self.definition == Definition::PyClick && self.model.is_iterated()) {
            return None;
        }
        let (_, hits, trials) = self.share(kind, pair);
        Some(self.kind(kind).prior.interval(hits, trials))
    }

    /// Impressions and clicks.
    fn seen(&self, Pair(b, p): Pair) -> (u64, u64) {
        let cells = self.log.buckets[b as usize].cells().of(p as usize);
        let add = |sum: (u64, u64), more: (u64, u64)| (sum.0 + more.0, sum.1 + more.1);
        cells.iter().map(|c| c.of(Part::All)).fold((0, 0), add)
    }

    /// What depends on the place: position, previous_click (UBM), and `examination` (PBM, TPBM, UBM), `ctr` (GCTR, RCTR),
    /// `continuation` (DCM, DBN); `trust` (TPBM): how likely what is examined and not wanted is to be clicked, relative to what
    /// is wanted; trials that it was learnt from.
    ///
    /// # Errors
    /// [`Error::usage`] for models without such shares.
    pub fn places(self: &Arc<Self>) -> Result<Table> {
        let name = match self.model {
            Model::Pbm | Model::Tpbm | Model::Ubm => "examination",
            Model::Gctr | Model::Rctr => "ctr",
            Model::Dcm | Model::Dbn => "continuation",
            _ => {
                return Err(Error::usage(format!(
                    "nothing in {} depends on the position alone",
                    self.model.name()
                )));
            }
        };
        let places = &self.learnt.places;
        let mut rows: Vec<(u16, u16, usize)> = match self.model {
            Model::Gctr => vec![(0, 0, 0)],
            Model::Ubm => (1..=self.log.depth)
                .flat_map(|p| (0..p).map(move |above| (p, above, super::ubm::place(p, above))))
                .collect(),
            _ => (1..=self.log.depth).map(|p| (p, 0, p.into())).collect(),
        };
        rows.retain(|r| places.trials.get(r.2).is_some_and(|n| *n > 0.0));
        let own = self.clone();
        Table::new(rows.len(), row_ranges(rows.len()), move |range, wanted| {
            let (own, rows) = (&*own, &rows[range]);
            let places = &own.learnt.places;
            let mut out = Columns::default();
            if own.model != Model::Gctr {
                column!(out, "position", numbers(rows.iter().map(|r| r.0)));
            }
            if own.model == Model::Ubm {
                column!(out, "previous_click", numbers(rows.iter().map(|r| r.1)));
            }
            column!(out, name, float(rows.iter().map(|r| Some(places.at(r.2)))));
            if own.model == Model::Tpbm {
                let trust = |r: &(u16, u16, usize)| own.learnt.trusted.at(r.2) / places.at(r.2);
                column!(out, "trust", float(rows.iter().map(|r| Some(trust(r)))));
            }
            column!(out, "trials", float(rows.iter().map(|r| Some(places.trials[r.2]))));
            batch(out, wanted)
        })
    }

    /// One row for each result of each page of `log`: query, doc_id, page (equal pages are one, numbered in canonical order),
    /// weight (how many), position, clicked, click_probability, click_given_above, examined_given_above, attractiveness.
    ///
    /// # Errors
    /// [`Error::data`] where `log` has no pages with positions; what `observe` reports.
    pub fn predict(
        &self,
        log: &Arc<ClickLog>,
        threads: usize,
        observe: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Table> {
        if !log.known.pages || !log.known.positions {
            return Err(Error::data(
                "predictions are of whole pages: pass rows with position and search_id, or counts with the table pages",
            ));
        }
        let at = Progress { stage: "predicting", rows: 0, done: None };
        let mut crew =
            Crew { threads: workers::threads(threads), observe, at, work: log.impressions as usize };
        let made = self.walk(log, Part::All, &mut crew, Vec::new, |out, page, _, made| {
            let first = out.last().map_or(0, |r: &Predicted| r.page + 1);
            for k in 0..made.given.len() {
                let (position, clicked) = made.at(k);
                out.push(Predicted {
                    bucket: 0,
                    pair: 0,
                    page: first,
                    position,
                    clicked,
                    weight: page.weight,
                    given: made.given[k],
                    alone: made.alone[k],
                    examined: made.examined[k],
                    attraction: made.attraction_at(k),
                });
            }
        })?;
        let mut rows = Vec::with_capacity(made.iter().map(Vec::len).sum());
        let mut pages = 0;
        for (b, mut predicted) in made.into_iter().enumerate() {
            let shown = log.buckets[b].pages_of(Part::All).flat_map(|(_, rows)| rows);
            let before = pages;
            for (row, shown) in predicted.iter_mut().zip(shown) {
                (row.bucket, row.pair) = (b as u32, shown.pair);
                row.page += before;
                pages = row.page + 1;
            }
            rows.extend(predicted);
        }
        let log = log.clone();
        Table::new(rows.len(), row_ranges(rows.len()), move |range, wanted| {
            let (log, rows) = (&*log, &rows[range]);
            let pairs = || rows.iter().map(|r| Pair(r.bucket, r.pair));
            let mut out = Columns::default();
            column!(out, "query", log.queries_of(pairs()));
            column!(out, "doc_id", log.docs_of(pairs()));
            column!(out, "page", int(rows.iter().map(|r| r.page)));
            column!(out, "weight", int(rows.iter().map(|r| r.weight.into())));
            column!(out, "position", numbers(rows.iter().map(|r| r.position)));
            column!(out, "clicked", Arc::new(rows.iter().map(|r| Some(r.clicked)).collect::<BooleanArray>()));
            column!(out, "click_probability", float(rows.iter().map(|r| Some(r.alone))));
            column!(out, "click_given_above", float(rows.iter().map(|r| Some(r.given))));
            column!(out, "examined_given_above", float(rows.iter().map(|r| Some(r.examined))));
            column!(out, "attractiveness", float(rows.iter().map(|r| Some(r.attraction))));
            batch(out, wanted)
        })
    }
}

fn numbers(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values.map(i32::from)))
}
