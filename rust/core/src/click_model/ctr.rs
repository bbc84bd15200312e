//! Click-through rates: of everything (GCTR), by position (RCTR), by query and document (DCTR).
//!
//! DCTR is the rate, shrunk towards a Beta prior: the posterior mean of a share given its clicks and impressions. As models
//! of clicks: Craswell, Zoeter, Taylor & Ramsey, An experimental comparison of click position-bias models, WSDM 2008
//! (baseline); Chuklin, Markov & de Rijke, Click Models for Web Search, 2015, section 3.1.

use super::examine::log_likelihood;
use super::log::{ClickLog, Crew, Part, added};
use super::params::{Kind, Places};
use super::{ClickModelConfig, Fitted, Learnt, Model, given_prior};
use crate::error::Result;

/// Rates over a part of the log, added to what `from` learnt of the rest.
pub(super) fn fit(
    log: &ClickLog,
    model: Model,
    config: &ClickModelConfig,
    part: Part,
    from: Option<Learnt>,
    crew: &mut Crew<'_>,
) -> Result<Learnt> {
    let n = if model == Model::Rctr { usize::from(log.depth) + 1 } else { 1 };
    let fresh = || if model == Model::Dctr { Kind::new(log) } else { Kind::none(log) };
    let (mut pairs, mut places) =
        from.map_or_else(|| (fresh(), Places::new(n)), |l| (l.attraction, l.places));
    let sums = crew.map(&mut pairs.buckets, |i, shares| {
        let cells = log.buckets[i].cells();
        let mut sums = vec![0.0; 2 * n];
        for pair in 0..cells.ends.len() {
            for cell in cells.of(pair) {
                let (impressions, clicks) = cell.of(part);
                let (trials, hits) = (impressions as f64, clicks as f64);
                if model == Model::Dctr {
                    shares.trials[pair] += trials;
                    shares.hits[pair] += hits;
                } else if model == Model::Gctr || cell.position > 0 {
                    let place = if model == Model::Rctr { usize::from(cell.position) } else { 0 };
                    sums[2 * place] += hits;
                    sums[2 * place + 1] += trials;
                }
            }
        }
        sums
    })?;
    let sums = added(sums, 2 * n);
    for (place, pair) in sums.chunks_exact(2).enumerate() {
        places.hits[place] += pair[0];
        places.trials[place] += pair[1];
    }
    places.settle();
    pairs.settle(given_prior(config.definition));
    Ok(Learnt { attraction: pairs, satisfaction: Kind::none(log), places, trusted: Places::default() })
}

/// Log-likelihood and number of the results of a part of the fitted log, by bucket, from its cells; where any result has a
/// position, of those that have one, so that figures of all models are of the same results.
pub(super) fn likelihood(fitted: &Fitted, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>> {
    let log = &*fitted.log;
    let mut numbers: Vec<usize> = (0..log.buckets.len()).collect();
    crew.map(&mut numbers, |i, _| {
        let cells = log.buckets[i].cells();
        let mut sums = [0.0; 2];
        for pair in 0..cells.ends.len() {
            for cell in cells.of(pair) {
                let (impressions, clicks) = cell.of(part);
                if impressions == 0 || (log.known.positions && cell.position == 0) {
                    continue;
                }
                let p = match fitted.model {
                    Model::Gctr => fitted.learnt.places.at(0),
                    Model::Rctr => fitted.learnt.places.at(cell.position.into()),
                    _ => fitted.learnt.attraction.buckets[i].value[pair],
                };
                sums[0] += log_likelihood(p, clicks, impressions);
                sums[1] += impressions as f64;
            }
        }
        sums
    })
}
