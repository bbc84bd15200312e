//! How well a model explains a log: log-likelihood and perplexities.
//!
//! | figure | `Clax` (all that is standard) | `PyClick` |
//! |---|---|---|
//! | log-likelihood | mean over results of ln P(c_k given c_<k) | mean over pages of the mean over their results |
//! | perplexity at k | 2^−(mean over results at k of log2 P(c_k)) | the same sum over the number of all pages |
//! | perplexity | mean over positions that occur | mean over positions 1 to 10 |
//! | pages | all | those whose query the model knows |
//!
//! They agree where every page has ten results. Conditional perplexity takes P(c_k given c_<k) instead of P(c_k). Sources:
//! Dupret & Piwowarski 2008; Chuklin, Markov & de Rijke 2015, chapter 5.

use std::sync::Arc;

use serde::Deserialize;

use super::log::{ClickLog, Crew, Page, Part, added};
use super::predict::{Context, Probabilities};
use super::prior::FLOOR;
use super::{Fitted, Model};
use crate::error::{Error, Result};
use crate::job::Progress;
use crate::workers;

/// Whose definition of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metrics {
    /// Pooled over results.
    Clax,
    /// Averaged over pages, ten positions.
    PyClick,
}

/// Figures of one position, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PositionMetrics {
    /// Results.
    pub impressions: f64,
    /// Clicked ones.
    pub clicks: f64,
    /// Mean log-likelihood of a result.
    pub log_likelihood: f64,
    /// Without knowledge of the clicks above.
    pub perplexity: f64,
    /// With it.
    pub conditional_perplexity: f64,
    /// The last, of clicked results alone.
    pub click_perplexity: f64,
    /// And of the others.
    pub skip_perplexity: f64,
}

/// How well a model explains a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// All positions together.
    pub all: PositionMetrics,
    /// Each position that occurs.
    pub positions: Vec<(u16, PositionMetrics)>,
    /// Pages judged by.
    pub pages: u64,
}

/// Positions that PyClick averages over.
const PYCLICK_POSITIONS: usize = 10;

/// Sums of a position: results, clicks, ln of P alone, of P given, and of the latter for clicks.
const SUMS: usize = 5;

impl Fitted {
    /// Calls `each` with every page of a part of `log`, filled in; results by bucket.
    pub(super) fn walk<R: Send>(
        &self,
        log: &ClickLog,
        part: Part,
        crew: &mut Crew<'_>,
        begin: impl Fn() -> R + Sync,
        each: impl Fn(&mut R, &Page, Option<usize>, &Probabilities) + Sync,
    ) -> Result<Vec<R>> {
        let context =
            Context { model: self.model, places: &self.learnt.places, trusted: &self.learnt.trusted };
        let mut numbers: Vec<usize> = (0..log.buckets.len()).collect();
        let own = std::ptr::eq(log, Arc::as_ptr(&self.log));
        crew.map(&mut numbers, |_, i| {
            let theirs = &log.buckets[*i];
            let ours = self.log.buckets.binary_search_by_key(&theirs.number, |b| b.number).ok();
            // Of the fitted log itself every pair is our own.
            let known = ours.filter(|_| !own).map(|b| self.known(b, log, *i));
            let query_known = |q: u32| {
                let b = ours?;
                self.log.buckets[b].queries.binary_search(&theirs.queries[q as usize]).ok()
            };
            let (mut out, mut made) = (begin(), Probabilities::default());
            for (page, rows) in theirs.pages_of(part) {
                made.clear();
                for row in rows {
                    let pair = if own {
                        Some(row.pair as usize)
                    } else {
                        known.as_ref().and_then(|k| k[row.pair as usize])
                    };
                    let (a, s) = self.shares(ours, pair);
                    made.push(row.position, row.clicked, a, s);
                }
                made.given(&context);
                made.alone(&context);
                each(&mut out, page, query_known(page.query), &made);
            }
            out
        })
    }

    /// Our pair for each pair of bucket `theirs` of another log, which has the number of our bucket `ours`.
    pub(super) fn known(&self, ours: usize, log: &ClickLog, theirs: usize) -> Vec<Option<usize>> {
        let (ours, theirs) = (&self.log.buckets[ours], &log.buckets[theirs]);
        let mut out = Vec::with_capacity(theirs.docs.len());
        for (q, query) in theirs.queries.iter().enumerate() {
            let found = ours.queries.binary_search(query).ok().map(|q| ours.pairs_of(q));
            for doc in &theirs.docs[theirs.pairs_of(q)] {
                out.push(found.clone().and_then(|pairs| {
                    ours.docs[pairs.clone()].binary_search(doc).ok().map(|i| pairs.start + i)
                }));
            }
        }
        out
    }

    /// Attraction and satisfaction of a pair, or what is expected of one that was never seen.
    pub(super) fn shares(&self, bucket: Option<usize>, pair: Option<usize>) -> (f64, f64) {
        let of = |kind: &super::params::Kind| match (bucket, pair) {
            (Some(b), Some(p)) => kind.buckets[b].value.get(p).copied().unwrap_or(0.0),
            _ => kind.unseen(),
        };
        (of(&self.learnt.attraction), of(&self.learnt.satisfaction))
    }

    /// Log-likelihood and number of the results of a part of the fitted log, by bucket.
    pub(super) fn likelihood(&self, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>> {
        if matches!(self.model, Model::Gctr | Model::Rctr | Model::Dctr) {
            return super::ctr::likelihood(self, part, crew);
        }
        let log = self.log.clone();
        self.walk(
            &log,
            part,
            crew,
            || [0.0; 2],
            |sums, page, _, made| {
                sums[0] += f64::from(page.weight) * made.log_likelihoods().sum::<f64>();
                sums[1] += f64::from(page.weight) * made.given.len() as f64;
            },
        )
    }

    /// Figures of the pages of `log`.
    ///
    /// # Errors
    /// [`Error::data`] where `log` has no pages with positions (of cells nobody knows what stood above); what `observe`
    /// reports.
    pub fn metrics(
        &self,
        log: &Arc<ClickLog>,
        definition: Metrics,
        threads: usize,
        observe: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Judged> {
        if !log.known.pages || !log.known.positions {
            return Err(Error::data(
                "metrics are of whole pages: pass rows with position and search_id, or counts with the table pages",
            ));
        }
        let n = (usize::from(log.depth) + 1) * SUMS;
        let at = Progress { stage: "judging", rows: 0, done: None };
        let mut crew =
            Crew { threads: workers::threads(threads), observe, at, work: log.impressions as usize };
        let sums = self.walk(
            log,
            Part::All,
            &mut crew,
            || vec![0.0; n + 2],
            |sums, page, known, made| {
                if definition == Metrics::PyClick && known.is_none() {
                    return;
                }
                let weight = f64::from(page.weight);
                let (mut whole, mut ended) = (0.0, false);
                for (k, (given, alone)) in
                    made.log_likelihoods().zip(made.log_likelihoods_alone()).enumerate()
                {
                    let (position, clicked) = made.at(k);
                    let given = match (definition, self.model) {
                        // Of its CM, PyClick takes P(c_k) down to the first click, and 1e-6 for whatever comes after.
                        (Metrics::PyClick, Model::Cm) if ended => FLOOR.ln(),
                        (Metrics::PyClick, Model::Cm) => alone,
                        _ => given,
                    };
                    ended |= clicked;
                    let sums = &mut sums[SUMS * usize::from(position)..][..SUMS];
                    sums[0] += weight;
                    sums[2] += weight * alone;
                    sums[3] += weight * given;
                    if clicked {
                        sums[1] += weight;
                        sums[4] += weight * given;
                    }
                    whole += given;
                }
                sums[n] += weight;
                sums[n + 1] += weight * whole / made.given.len() as f64;
            },
        )?;
        let sums = added(sums, n + 2);
        let (pages, per_page) = (sums[n], sums[n + 1]);
        let by_position: Vec<(u16, PositionMetrics)> = (1..=log.depth)
            .filter(|p| sums[SUMS * usize::from(*p)] > 0.0)
            .map(|p| (p, figures(&sums[SUMS * usize::from(p)..][..SUMS], definition, pages)))
            .collect();
        let mut all = figures(
            &(0..SUMS).map(|s| sums[..n].iter().skip(s).step_by(SUMS).sum()).collect::<Vec<f64>>(),
            Metrics::Clax,
            pages,
        );
        let mean = |of: fn(&PositionMetrics) -> f64| match definition {
            Metrics::Clax => by_position.iter().map(|(_, m)| of(m)).sum::<f64>() / by_position.len() as f64,
            Metrics::PyClick => {
                // Of a position that does not occur nothing is wrong: its perplexity is 1.
                let first = by_position.iter().take_while(|(p, _)| usize::from(*p) <= PYCLICK_POSITIONS);
                let (sum, n) = first.fold((0.0, 0), |(sum, n), (_, m)| (sum + of(m), n + 1));
                (sum + (PYCLICK_POSITIONS - n) as f64) / PYCLICK_POSITIONS as f64
            }
        };
        all.perplexity = mean(|m| m.perplexity);
        all.conditional_perplexity = mean(|m| m.conditional_perplexity);
        if definition == Metrics::PyClick {
            all.log_likelihood = per_page / pages;
        }
        Ok(Judged { all, positions: by_position, pages: pages as u64 })
    }
}

fn figures(sums: &[f64], definition: Metrics, pages: f64) -> PositionMetrics {
    let n = if definition == Metrics::PyClick { pages } else { sums[0] };
    let perplexity = |sum: f64, n: f64| (-sum / n).exp();
    PositionMetrics {
        impressions: sums[0],
        clicks: sums[1],
        log_likelihood: sums[3] / sums[0],
        perplexity: perplexity(sums[2], n),
        conditional_perplexity: perplexity(sums[3], n),
        click_perplexity: perplexity(sums[4], sums[1]),
        skip_perplexity: perplexity(sums[3] - sums[4], sums[0] - sums[1]),
    }
}
