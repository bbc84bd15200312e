//! Alike queries, and what they tell of a document: whether it satisfied somebody there, and how likely it is relevant here.
//!
//! Two signs of alikeness: the cosine of satisfied clicks (co-click similarity, Beeferman & Berger 2000), and the cosine of
//! words weighted by their rarity (tf-idf, Salton & Buckley 1988). How often alike queries agree on a document is estimated
//! from the log, by both signs; docs/ARCHITECTURE.md, select, has the formulas. Only queries with a satisfied click are
//! looked at: no other has a positive, and none satisfied anybody.

mod agreement;
mod docs;
mod intents;
mod lists;
mod near;
mod piece;
mod rows;
mod satisfied;
mod told;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Held};
use crate::error::Result;
use crate::evidence::{Evidence, Signs};
use crate::pulse::Pulse;
use crate::seed::Seed;
use crate::workers::collect;
use agreement::{Agreement, Ratios};
use lists::Near;
use near::{NearExcerpt, NearQueries};
use rows::{Rows, RowsExcerpt};
use told::{Gathered, Sparse, Sweep, summed};

pub use near::Likeness;
pub(crate) use piece::Piece;
pub(crate) use satisfied::Satisfied;
pub use told::{Teller, Told};

/// Queries from which is estimated how often alike queries agree, about.
const SAMPLE: u64 = 1 << 14;

/// Which queries are alike, before anything is asked of their documents.
#[derive(Clone)]
pub(crate) struct Neighbours(Arc<Joined>);

struct Joined {
    near: NearQueries,
    /// By query: the code of the one that stands for its intent.
    intents: Vec<u64>,
    /// By query: whether it has one alike, or is one.
    wanted: Vec<bool>,
    _held: Held,
}

impl Neighbours {
    /// `text` knows the text of each query with a satisfied click. What can wait goes to the spill where `budget` is used up.
    ///
    /// # Errors
    /// [`Error::usage`](crate::error::Error::usage) for a cosine outside 0 to 1; where the spill cannot be written; what `pulse`
    /// reports.
    pub(crate) fn new<'t>(
        clicks: Satisfied,
        text: impl Fn(u64) -> &'t str,
        likeness: Likeness,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let near = match likeness.is_on()? {
            true => NearQueries::new(clicks, text, likeness, budget, threads, pulse)?,
            false => NearQueries::default(),
        };
        let (intents, wanted) = intents::joined(&near, likeness.split, pulse)?;
        Ok(Self::of(near, intents, wanted, budget))
    }

    fn of(near: NearQueries, intents: Vec<u64>, wanted: Vec<bool>, budget: &Arc<Budget>) -> Self {
        let held = budget.holding(8 * intents.len() + wanted.len());
        Self(Arc::new(Joined { near, intents, wanted, _held: held }))
    }

    /// Queries whose documents are to be asked about: codes, ascending.
    pub(crate) fn wanted(&self) -> Vec<u64> {
        let wanted = |i: &usize| self.0.wanted[*i];
        (0..self.0.near.len()).filter(wanted).map(|i| self.0.near.query(i)).collect()
    }

    /// With what was seen of their documents in all parts, and how often they agree where that is `known`.
    ///
    /// # Errors
    /// What `pulse` reports.
    pub(crate) fn learnt(
        &self,
        pieces: impl IntoIterator<Item = Piece>,
        attractive: [f64; 2],
        known: bool,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Alike> {
        let budget = Budget::unlimited();
        let rows = Rows::joined(pieces, &self.0.near, attractive, &budget)?;
        Alike::fitted(self.clone(), rows, known, seed, &budget, threads, pulse)
    }
}

/// What was seen of the documents of some queries of a part (codes, ascending): by what was counted, or by what may be shown of it.
///
/// # Errors
/// Where the spill cannot be read; what `pulse` reports.
pub(crate) fn pieces(
    evidence: &Evidence,
    wanted: &[u64],
    shown: bool,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<Piece>> {
    let wanted = |query: u64| wanted.binary_search(&query).is_ok();
    let parts = evidence.released.tables.len();
    collect(parts, threads, || pulse.beat(), |part| Piece::of(evidence, part, wanted, shown))
}

/// All that alike queries tell of some queries, to be sent to where these are selected from.
#[derive(Serialize, Deserialize)]
pub(crate) struct Excerpt {
    near: NearExcerpt,
    intents: Vec<u64>,
    counted: (RowsExcerpt, Agreement),
    shown: Option<(RowsExcerpt, Agreement)>,
}

impl Excerpt {
    /// Of the queries that `own` are (codes).
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(crate) fn of(alike: &Alike, shown: Option<&Alike>, own: impl Fn(u64) -> bool) -> Result<Self> {
        let Joined { near, intents, .. } = &*alike.near.0;
        // One that is alike to none can still be what stands for others.
        let told = |i: usize, alike: &[Near]| !alike.is_empty() || intents[i] != near.query(i);
        let (excerpt, kept) = near.excerpt(|i, alike| own(near.query(i)) && told(i, alike))?;
        let rows = |alike: &Alike| -> Result<_> { Ok((alike.rows.excerpt(&kept)?, alike.agreement.clone())) };
        Ok(Self {
            near: excerpt,
            intents: kept.iter().map(|i| intents[*i]).collect(),
            counted: rows(alike)?,
            shown: shown.map(rows).transpose()?,
        })
    }

    /// By what was counted, and by what may be shown.
    ///
    /// # Errors
    /// Where the spill cannot be written or read; what `pulse` reports.
    pub(crate) fn into_alike(
        self,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<(Alike, Option<Alike>)> {
        let near = NearQueries::read(self.near, budget)?;
        let near = Neighbours::of(near, self.intents, Vec::new(), budget);
        let mut made = |(rows, agreement)| {
            let rows = Rows::read(rows, budget)?;
            Alike::made(near.clone(), rows, agreement, budget, threads, pulse)
        };
        Ok((made(self.counted)?, self.shown.map(made).transpose()?))
    }
}

/// Alike queries of a release.
pub struct Alike {
    near: Neighbours,
    rows: Rows,
    agreement: Agreement,
    /// What is told of all queries, where their rows cannot be looked up at once.
    gathered: Gathered,
}

impl Alike {
    /// By what was counted. The same for any number of threads, and any budget.
    ///
    /// Lists of alike queries (up to 64 of 2 to 6 bytes a query), what was seen of their documents (20 bytes a pair) and what they
    /// tell of each other's (some 36 bytes a pair) go to the spill where the budget of the counts is used up. What is looked up
    /// all over stays in memory, like strings: some 100 bytes a query with a satisfied click and 4 a satisfied (query,
    /// document); and while alike queries are looked for, 16 more of each such pair whose document joins queries, and 30 for
    /// each word of such a query.
    ///
    /// # Errors
    /// [`Error::usage`](crate::error::Error::usage) for a cosine outside 0 to 1; where the spill cannot be written or read; what
    /// `pulse` reports.
    pub fn new(
        evidence: &Evidence,
        likeness: Likeness,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let released = &*evidence.released;
        let clicks =
            if likeness.is_on()? { Satisfied::of(released, threads, pulse)? } else { Satisfied::default() };
        let text = |query: u64| released.query_strings.get(query);
        let near = Neighbours::new(clicks, text, likeness, released.tables.budget(), threads, pulse)?;
        Self::of(near, evidence, false, seed, threads, pulse)
    }

    /// The same by what may be shown of the counts: under k-users by rounded ones, so that a figure that follows from them
    /// says no more than they do.
    ///
    /// # Errors
    /// As [`Alike::new`].
    pub fn shown(
        &self,
        evidence: &Evidence,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        Self::of(self.near.clone(), evidence, true, seed, threads, pulse)
    }

    fn of(
        near: Neighbours,
        evidence: &Evidence,
        shown: bool,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let rows = Rows::of(evidence, &near.0.near, &near.0.wanted, shown, threads, pulse)?;
        let budget = evidence.released.tables.budget();
        Self::fitted(near, rows, evidence.relevance.is_ok(), seed, budget, threads, pulse)
    }

    fn fitted(
        near: Neighbours,
        rows: Rows,
        known: bool,
        seed: Seed,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let agreement = match known {
            true => agreement_of(&near.0.near, &rows, seed, budget, threads, pulse)?,
            false => Agreement::default(),
        };
        Self::made(near, rows, agreement, budget, threads, pulse)
    }

    fn made(
        near: Neighbours,
        rows: Rows,
        agreement: Agreement,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let gathered = match rows.at_once() {
            true => Gathered::default(),
            false => Gathered::new(&near.0.near, &rows, &agreement, budget, threads, pulse)?,
        };
        Ok(Self { near, rows, agreement, gathered })
    }

    /// Tells of one query after the other; each worker has one of these.
    pub fn teller(&self) -> Teller<'_> {
        Teller::new(&self.near.0.near, &self.rows, &self.agreement, &self.gathered)
    }

    /// A query that stands for all that share its intent, directly or through others; where queries are split, within a limit.
    pub fn intent(&self, query: u64) -> u64 {
        self.near.0.near.index(query).map_or(query, |i| self.near.0.intents[i])
    }

    /// Of each query with a satisfied click the one that stands for its intent, where alike ones are looked for.
    pub(crate) fn intents(&self) -> &[u64] {
        &self.near.0.intents
    }

    /// P(relevant) of a document by its own history and by what is told of it.
    pub fn p_relevant(&self, signs: &Signs, told: &Told) -> f64 {
        let own = signs.posterior();
        if told.queries == 0 {
            return own.relevant();
        }
        let apart = self.agreement.apart;
        let (pooled, likelihood) = signs.after(&told.sums()).updated(&signs.ratio);
        // Either what is told holds here, or this is another matter altogether.
        let (there, here) = ((1.0 - apart) * likelihood, apart);
        (there * pooled.relevant() + here * own.relevant()) / (there + here)
    }

    /// Share of agreement by sign, and share of documents that are another matter.
    pub fn agreement(&self) -> (Vec<(f64, f64, f64)>, f64) {
        (self.agreement.by_sign(), self.agreement.apart)
    }
}

/// How often alike queries agree, from a sample of queries chosen by seed hash.
fn agreement_of(
    near: &NearQueries,
    rows: &Rows,
    seed: Seed,
    budget: &Arc<Budget>,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Agreement> {
    let all = near.len() as u64;
    let below = if all <= SAMPLE { u64::MAX } else { (u64::MAX / all).saturating_mul(SAMPLE) };
    let hash = |i: &usize| seed.hash("alike", &[&near.query(*i).to_be_bytes()]);
    let chosen: Vec<usize> = (0..near.len()).filter(|i| below == u64::MAX || hash(i) < below).collect();
    let mut agreed = Ratios::new();
    for range in rows.ranges(budget.left()) {
        let loaded = rows.load(range, budget, threads, pulse)?;
        let sweep = || Sweep::new(near, rows, loaded.look());
        agreement::gather(&chosen, threads, pulse, &mut agreed, sweep, |sweep, query, out| {
            sweep.each(query, |own, i, other, row, sign| {
                let chance = own.signs(i, rows.attractive).posterior();
                out.add(sign, chance.mean(&other.ratios(row)));
            })
        })?;
    }
    let mut agreement = Agreement::fitted(&agreed);
    let mut told = Sparse::new();
    for range in rows.ranges(budget.left()) {
        let loaded = rows.load(range, budget, threads, pulse)?;
        let some = chosen.chunks(SOME).collect::<Vec<_>>();
        let more = collect(
            some.len(),
            threads,
            || pulse.beat(),
            |i| {
                let (mut sweep, mut out) = (Sweep::new(near, rows, loaded.look()), Sparse::new());
                some[i].iter().try_for_each(|query| sweep.sparse(*query, &agreement, &mut out))?;
                Ok(out)
            },
        )?;
        told.extend(more.into_iter().flatten());
        summed(&mut told);
    }
    let mut apart = Ratios::new();
    let mut own = rows.own();
    for (query, row, told) in &told {
        pulse.beat()?;
        if let Some(seen) = own.seen(*query as usize)? {
            let signs = seen.signs(*row as usize, rows.attractive);
            apart.add(0, signs.after(&told.sums()).updated(&signs.ratio).1);
        }
    }
    agreement.set_apart(&apart);
    Ok(agreement)
}

/// Queries of the sample that a worker takes at a time.
const SOME: usize = 256;
