//! Clicks on released queries, under noise: one round over cells that are public, or were released before.
//!
//! A user's vector holds, for each released query they asked, a light impression weight, the click weight of every listed
//! document they clicked, and, where lists change, a light weight of every listed document they were shown; all of it
//! together is clipped to one length, so that noise of one size covers everything alike. Weights are public or follow from
//! what was released before, and from the user's own rows: a click may weigh by the position at which that user saw the
//! document. Every cell gets noise, zeros included; clicks on documents that are not listed are not counted anywhere.
//!
//! **Statement.** Let x be a user's vector of whole weights and L the length. Clipped in Euclidean norm ([`Noise::Gaussian`]),
//! one user more or less moves the sums by a vector of norm at most 2^20, so that noise ⌊σN + ½⌋ on every cell makes them
//! (2^20/σ)-GDP. Clipped in the sum of weights ([`Noise::Laplace`]), they move by at most 2^20 in all, and
//! P(noise = z) ∝ exp(−|z|/s) makes them (2^20/s, 0)-differentially private: for any output y,
//! P(y) / P'(y) = ∏ exp((|y_i − S'_i| − |y_i − S_i|)/s) <= exp(Σ |S_i − S'_i| / s). *Proof of the first half.* Cells, weights
//! and constants are the same on both logs given what was released before; others' vectors hang on their own rows alone;
//! [`Scale`] rounds down. The other user's weights (position, clip) are a function of that user's rows, so adding them adds
//! one vector that [`Scale`] bounds, whatever it is.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::unit::Scale;
use crate::contributions::{Contribution, Contributions, User};
use crate::error::{Error, Result};
use crate::noise::{DiscreteLaplace, Random, RoundedGaussian};
use crate::pulse::Pulse;
use crate::workers::each;

/// A query's cells: its impressions, clicks on each document and, where asked for, impressions of each.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Code; 0 for a query that nobody asked.
    pub query: u64,
    /// What an impression of the query weighs, once a user.
    pub shown: u64,
    /// Documents, by code and ascending; any number of them may be 0, documents that nobody was shown.
    pub docs: Vec<Cell>,
}

/// A document of a query.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Code.
    pub doc: u64,
    /// What a click weighs.
    pub click: u64,
    /// What an impression weighs.
    pub shown: u64,
    /// Where the list has it, from 1; 0 for nowhere.
    pub position: u16,
}

/// Public constants of a count.
#[derive(Debug, Clone)]
pub struct Clicks {
    /// A user's weights together are at most so long.
    pub length: u64,
    /// Noise of every cell, on the grid, and with it the norm that `length` is of.
    pub noise: Noise,
    /// Whether impressions of each document are counted.
    pub exposures: bool,
    /// P(examined) by position from 1, in whole parts of anything: a click at a user's own position s on a document listed
    /// at r weighs e(r)/e(s) times as much, at most `most` times and at least one `most`th. Positions beyond the table take
    /// its end. Empty: all clicks on a document weigh alike.
    pub examined: Vec<u64>,
    /// See `examined`.
    pub most: u64,
}

/// The law of the noise.
#[derive(Debug, Clone, Copy)]
pub enum Noise {
    /// Rounded Gaussian of this standard deviation; weights are clipped in Euclidean norm.
    Gaussian(u64),
    /// Discrete Laplace of this scale; weights are clipped in their sum.
    Laplace(u64),
}

/// Weights beyond this could overflow the sum of a user's squares.
const HEAVIEST: u64 = 1 << 24;

/// Likewise factors of weights.
const FURTHEST: u64 = 1 << 4;

/// Likewise cells: a square is at most 2^56, and 2^40 times the sum of 2^31 of them fits 128 bits.
const MOST_CELLS: usize = 1 << 31;

/// Clips beyond this leave nothing of a vector.
const LONGEST: u64 = 1 << 40;

/// Noisy sums: for each of `listed`, in order, that of its impressions, then those of clicks on its documents, then, with
/// `exposures`, of impressions of them. In units of `length` / 2^20 weights.
///
/// # Errors
/// [`Error::usage`] for constants that cannot be; where the spill cannot be read or no randomness is to be had; what `pulse`
/// reports.
pub fn clicks(
    contributions: &Contributions,
    listed: &[Listed],
    clicks: &Clicks,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<i64>> {
    let cells = Cells::new(listed, clicks)?;
    if clicks.length == 0 || clicks.length > LONGEST {
        return Err(Error::usage("the length that clips a user's weights must be from 1 to 2^40"));
    }
    let sampler = Sampler::new(clicks.noise)?;
    let sums: Vec<AtomicI64> = (0..cells.n).map(|_| AtomicI64::new(0)).collect();
    each(
        contributions.parts.len(),
        threads,
        || pulse.beat(),
        Vec::new,
        |own: &mut Vec<(usize, u64)>, part| {
            contributions.part(part, |user| {
                cells.of(user, own);
                let weights = own.iter().map(|(_, w)| u128::from(*w));
                let scale = match clicks.noise {
                    Noise::Gaussian(_) => Scale::clip(weights.map(|w| w * w).sum(), clicks.length),
                    Noise::Laplace(_) => Scale::clip_sum(weights.sum(), clicks.length),
                };
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
            Ok(sum.into_inner().saturating_add(sampler.sample(&mut random)))
        })
        .collect()
}

enum Sampler {
    Gaussian(RoundedGaussian),
    Laplace(DiscreteLaplace),
}

impl Sampler {
    fn new(noise: Noise) -> Result<Self> {
        Ok(match noise {
            Noise::Gaussian(sigma) => Self::Gaussian(RoundedGaussian::new(sigma)?),
            Noise::Laplace(scale) => Self::Laplace(DiscreteLaplace::new(scale)?),
        })
    }

    fn sample(&self, random: &mut Random) -> i64 {
        match self {
            Self::Gaussian(law) => law.sample(random),
            Self::Laplace(law) => law.sample(random),
        }
    }
}

/// Where each query's cells begin.
struct Cells<'a> {
    listed: &'a [Listed],
    constants: &'a Clicks,
    starts: Vec<usize>,
    n: usize,
    table: HashTable<u32>,
    state: RandomState,
}

impl<'a> Cells<'a> {
    fn new(listed: &'a [Listed], constants: &'a Clicks) -> Result<Self> {
        if constants.most == 0 || constants.most > FURTHEST || constants.examined.contains(&0) {
            return Err(Error::usage("examination must be above 0, and its ratios clipped to at most 16"));
        }
        let state = RandomState::default();
        let hash = |i: &u32| state.hash_one(listed[*i as usize].query);
        let mut table = HashTable::with_capacity(listed.len());
        let (mut starts, mut n) = (Vec::with_capacity(listed.len()), 0);
        for (i, query) in listed.iter().enumerate() {
            let i = u32::try_from(i).map_err(|_| Error::usage("more than 4 billion queries are listed"))?;
            let again = query.query != 0
                && table.find(hash(&i), |j: &u32| listed[*j as usize].query == query.query).is_some();
            let ordered = query
                .docs
                .windows(2)
                .all(|pair| pair[0].doc < pair[1].doc || (pair[0].doc | pair[1].doc) == 0);
            let light = query.shown <= HEAVIEST
                && query.docs.iter().all(|d| d.click <= HEAVIEST && d.shown <= HEAVIEST);
            if again || !ordered || !light {
                return Err(Error::internal(
                    "the list of cells names one twice, or has a weight beyond 2^24",
                ));
            }
            if query.query != 0 {
                table.insert_unique(hash(&i), i, hash);
            }
            starts.push(n);
            n += 1 + query.docs.len() * if constants.exposures { 2 } else { 1 };
        }
        if n > MOST_CELLS {
            return Err(Error::usage("more than 2 billion cells are listed; give fewer candidates"));
        }
        Ok(Self { listed, constants, starts, n, table, state })
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
            for contribution in docs {
                let Ok(at) = listed.docs.binary_search_by_key(&contribution.doc, |cell| cell.doc) else {
                    continue;
                };
                let cell = listed.docs[at];
                if contribution.clicked {
                    out.push((start + 1 + at, self.weight(cell, *contribution)));
                }
                if self.constants.exposures && cell.shown > 0 {
                    out.push((start + 1 + listed.docs.len() + at, cell.shown));
                }
            }
        }
    }

    /// What a user's click weighs.
    fn weight(&self, cell: Cell, own: Contribution) -> u64 {
        let examined = &self.constants.examined;
        let Some(last) = examined.len().checked_sub(1).filter(|_| cell.position > 0 && own.position > 0)
        else {
            return cell.click;
        };
        let at = |position: u16| u128::from(examined[last.min(usize::from(position) - 1)]);
        let (there, here, most) = (at(cell.position), at(own.position), u128::from(self.constants.most));
        let (there, here) = (there.clamp(here.div_ceil(most), here * most), here);
        (u128::from(cell.click) * there / here) as u64
    }
}
