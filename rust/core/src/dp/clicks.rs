//! Clicks on released queries, under noise: one round over cells that the caller declares public.
//!
//! A user's vector holds, for each released query they asked, its click weight for every listed document they clicked and a
//! light impression weight; all of it together is clipped to one length, so that noise of one size covers clicks and
//! impressions alike. Weights are public or follow from what was released before. Every cell gets noise, zeros included;
//! clicks on documents that are not listed are not counted anywhere.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::unit::Scale;
use crate::contributions::{Contributions, User};
use crate::error::{Error, Result};
use crate::noise::{Random, RoundedGaussian};
use crate::pulse::Pulse;
use crate::workers::each;

/// A query's cells.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Code.
    pub query: u64,
    /// What an impression of the query weighs, once a user.
    pub shown: u64,
    /// Documents, by code and ascending, and what a click weighs.
    pub docs: Vec<(u64, u64)>,
}

/// Public constants of a count.
#[derive(Debug, Clone, Copy)]
pub struct Clicks {
    /// A user's weights together are at most so long.
    pub length: u64,
    /// Standard deviation of the noise, on the grid.
    pub sigma: u64,
}

/// Weights beyond this could overflow the sum of a user's squares.
const HEAVIEST: u64 = 1 << 24;

/// Clips beyond this leave nothing of a vector.
const LONGEST: u64 = 1 << 40;

/// Noisy sums: for each of `listed`, in order, that of its impressions, then those of its documents. In units of
/// `length` / 2^20 weights.
///
/// # Errors
/// [`Error::usage`] for constants that cannot be; where the spill cannot be read or no randomness is to be had; what `pulse`
/// reports.
pub fn clicks(
    contributions: &Contributions,
    listed: &[Listed],
    clicks: Clicks,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<i64>> {
    let cells = Cells::new(listed)?;
    let noise = RoundedGaussian::new(clicks.sigma)?;
    if clicks.length == 0 || clicks.length > LONGEST {
        return Err(Error::usage("the length that clips a user's weights must be from 1 to 2^40"));
    }
    let sums: Vec<AtomicI64> = (0..cells.n).map(|_| AtomicI64::new(0)).collect();
    each(
        contributions.parts.len(),
        threads,
        || pulse.beat(),
        Vec::new,
        |own: &mut Vec<(usize, u64)>, part| {
            contributions.part(part, |user| {
                cells.of(user, own);
                let squares = own.iter().map(|(_, w)| u128::from(*w) * u128::from(*w)).sum();
                let scale = Scale::clip(squares, clicks.length);
                for (cell, weight) in &*own {
                    sums[*cell].fetch_add(scale.of(*weight), Ordering::Relaxed);
                }
                Ok(())
            })
        },
        |_| Ok(()),
    )?;
    let mut random = Random::fresh()?;
    sums.into_iter()
        .map(|sum| {
            pulse.beat()?;
            Ok(sum.into_inner() + noise.sample(&mut random))
        })
        .collect()
}

/// Where each query's cells begin.
struct Cells<'a> {
    listed: &'a [Listed],
    starts: Vec<usize>,
    n: usize,
    table: HashTable<u32>,
    state: RandomState,
}

impl<'a> Cells<'a> {
    fn new(listed: &'a [Listed]) -> Result<Self> {
        let state = RandomState::default();
        let hash = |i: &u32| state.hash_one(listed[*i as usize].query);
        let mut table = HashTable::with_capacity(listed.len());
        let (mut starts, mut n) = (Vec::with_capacity(listed.len()), 0);
        for (i, query) in listed.iter().enumerate() {
            let i = u32::try_from(i).map_err(|_| Error::usage("more than 4 billion queries are listed"))?;
            let again = table.find(hash(&i), |j: &u32| listed[*j as usize].query == query.query).is_some();
            let ordered = query.docs.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let light = query.shown <= HEAVIEST && query.docs.iter().all(|(_, w)| *w <= HEAVIEST);
            if again || !ordered || !light {
                return Err(Error::internal(
                    "the list of cells names one twice, or has a weight beyond 2^24",
                ));
            }
            table.insert_unique(hash(&i), i, hash);
            starts.push(n);
            n += 1 + query.docs.len();
        }
        Ok(Self { listed, starts, n, table, state })
    }

    /// Cells and weights of a user: every query and every document of it once.
    fn of(&self, user: &User, out: &mut Vec<(usize, u64)>) {
        out.clear();
        for (query, docs) in user.iter() {
            let found =
                self.table.find(self.state.hash_one(query), |i| self.listed[*i as usize].query == query);
            let Some(i) = found.map(|i| *i as usize) else { continue };
            let (listed, start) = (&self.listed[i], self.starts[i]);
            if listed.shown > 0 {
                out.push((start, listed.shown));
            }
            for contribution in docs.iter().filter(|d| d.clicked) {
                if let Ok(at) = listed.docs.binary_search_by_key(&contribution.doc, |(doc, _)| *doc) {
                    out.push((start + 1 + at, listed.docs[at].1));
                }
            }
        }
    }
}
