//! The dependent click model: users look from the top, and after a click at position k go on with probability λ_k.
//!
//! The last click is taken for the end of examination; then a = clicks / examinations down to it, and λ_k = clicks at k that
//! were not the last / clicks at k, both shrunk. Source: Guo, Liu & Wang, Efficient multiple-click models in web search,
//! WSDM 2009, section 3.

use super::cascade::examined;
use super::log::{ClickLog, Crew, Part, added};
use super::params::{Kind, Places};
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
    let n = usize::from(log.depth) + 1;
    let (mut attraction, mut places) =
        from.map_or_else(|| (Kind::new(log), Places::new(n)), |l| (l.attraction, l.places));
    let sums = crew.map(&mut attraction.buckets, |i, shares| {
        let mut sums = vec![0.0; 2 * n];
        for (page, rows) in log.buckets[i].pages_of(part) {
            let weight = f64::from(page.weight);
            let end = examined(rows, config.no_click, |rows| rows.iter().rposition(|r| r.clicked));
            for (k, row) in rows[..end].iter().enumerate() {
                shares.trials[row.pair as usize] += weight;
                if row.clicked {
                    shares.hits[row.pair as usize] += weight;
                    sums[2 * usize::from(row.position)] += if k + 1 < end { weight } else { 0.0 };
                    sums[2 * usize::from(row.position) + 1] += weight;
                }
            }
        }
        sums
    })?;
    for (place, pair) in added(sums, 2 * n).chunks_exact(2).enumerate() {
        places.hits[place] += pair[0];
        places.trials[place] += pair[1];
    }
    places.settle();
    attraction.settle(given_prior(config.definition));
    Ok(Learnt { attraction, satisfaction: Kind::none(log), places, trusted: Places::default() })
}
