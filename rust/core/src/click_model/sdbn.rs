//! The simplified dynamic Bayesian network: users look from the top until a click satisfies them, and never give up.
//!
//! Examination then ends at the last click, and a = clicks / examinations, s = last clicks / clicks are maximum-likelihood
//! estimates, shrunk. Source: Chapelle & Zhang, A dynamic Bayesian network click model for web search ranking, WWW 2009,
//! section 5.

use super::cascade::examined;
use super::log::{ClickLog, Crew, Part};
use super::params::{Kind, Places, Shares};
use super::{ClickModelConfig, Learnt, given_prior};
use crate::error::Result;

/// One pass over a part of the log, added to what `from` learnt of the rest: sums are whole numbers, so their order is none.
pub(super) fn fit(
    log: &ClickLog,
    config: &ClickModelConfig,
    part: Part,
    from: Option<Learnt>,
    crew: &mut Crew<'_>,
) -> Result<Learnt> {
    let (mut attraction, mut satisfaction) =
        from.map_or_else(|| (Kind::new(log), Kind::new(log)), |l| (l.attraction, l.satisfaction));
    let mut both: Vec<(&mut Shares, &mut Shares)> =
        attraction.buckets.iter_mut().zip(&mut satisfaction.buckets).collect();
    crew.map(&mut both, |i, (attraction, satisfaction)| {
        for (page, rows) in log.buckets[i].pages_of(part) {
            let weight = f64::from(page.weight);
            let end = examined(rows, config.no_click, |rows| rows.iter().rposition(|r| r.clicked));
            for (k, row) in rows[..end].iter().enumerate() {
                let pair = row.pair as usize;
                attraction.trials[pair] += weight;
                if row.clicked {
                    attraction.hits[pair] += weight;
                    satisfaction.trials[pair] += weight;
                    satisfaction.hits[pair] += if k + 1 == end { weight } else { 0.0 };
                }
            }
        }
    })?;
    attraction.settle(given_prior(config.definition));
    satisfaction.settle(given_prior(config.definition));
    Ok(Learnt { attraction, satisfaction, places: Places::new(1), trusted: Places::default() })
}
