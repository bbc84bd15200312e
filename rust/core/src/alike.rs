//! Alike queries, and what they tell of a document: whether it satisfied somebody there, and how likely it is relevant here.
//!
//! Two signs of alikeness: the cosine of satisfied clicks (co-click similarity, Beeferman & Berger 2000), and the cosine of
//! words weighted by their rarity (tf-idf, Salton & Buckley 1988). How often alike queries agree on a document is estimated
//! from the log, by both signs; docs/ARCHITECTURE.md, select, has the formulas. Only queries with a satisfied click are
//! looked at: no other has a positive, and none satisfied anybody.

mod agreement;
mod near;
mod rows;
mod words;

use std::sync::Arc;

use crate::error::Result;
use crate::evidence::{Evidence, KINDS, Signs};
use crate::pulse::Pulse;
use crate::seed::Seed;
use agreement::Agreement;
use near::{Near, NearQueries};
use rows::{Rows, Spread};

pub use near::Likeness;

/// Queries from which is estimated how often alike queries agree, about.
const SAMPLE: u64 = 1 << 14;

/// What alike queries tell of one document of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// ln of what they make of the chance of each kind.
    sums: [f64; KINDS],
    /// How many of them were shown the document.
    pub queries: u32,
    /// How many of them it satisfied somebody for.
    pub satisfied: u32,
    /// Whether one of these is of the same intent.
    pub same_intent: bool,
}

/// Alike queries of a release.
pub struct Alike {
    near: Arc<NearQueries>,
    rows: Rows,
    agreement: Agreement,
    likeness: Likeness,
    /// By query: the code of the one that stands for its intent.
    intents: Arc<Vec<u64>>,
}

impl Alike {
    /// By what was counted. The same for any number of threads.
    ///
    /// Memory, outside the budget: some 90 bytes a pair with a satisfied click, the words of its queries, 16 bytes for each of
    /// two alike queries, and 32 for each pair of such a query.
    ///
    /// # Errors
    /// [`Error::usage`](crate::error::Error::usage) for a cosine outside 0 to 1; where the spill cannot be read; what `pulse`
    /// reports.
    pub fn new(
        evidence: &Evidence,
        likeness: Likeness,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let near = Arc::new(NearQueries::new(&evidence.released, likeness, threads, pulse)?);
        let intents = Arc::new(near.intents(likeness));
        let rows = Rows::new(evidence, &near, false, threads, pulse)?;
        let agreement = Agreement::default();
        Self { near, rows, agreement, likeness, intents }.fitted(evidence, seed, threads, pulse)
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
        let (near, intents) = (self.near.clone(), self.intents.clone());
        let rows = Rows::new(evidence, &near, true, threads, pulse)?;
        let agreement = Agreement::default();
        Self { near, rows, agreement, likeness: self.likeness, intents }
            .fitted(evidence, seed, threads, pulse)
    }

    /// What is told of the documents of a query, in canonical order of these; none where no query is alike.
    pub fn told(&self, query: u64, told: &mut Vec<Told>) {
        told.clear();
        let Some(own) = self.near.index(query).filter(|i| !self.near.of(*i).is_empty()) else { return };
        told.resize(self.rows.range(own).len(), Told::default());
        self.each(own, |i, row, near, bin| {
            let one = &mut told[i];
            let agree = self.agreement.of(bin);
            for (sum, ratio) in one.sums.iter_mut().zip(self.rows.ratios(row)) {
                *sum += (agree * ratio + (1.0 - agree)).ln();
            }
            one.queries += 1;
            if self.rows.satisfied(row) > 0 {
                one.satisfied += 1;
                one.same_intent |= near.same_intent(self.likeness);
            }
        });
    }

    /// Documents that satisfied somebody for an alike query, ascending.
    pub fn satisfied_elsewhere(&self, query: u64, docs: &mut Vec<u64>) {
        docs.clear();
        let Some(own) = self.near.index(query) else { return };
        for near in self.near.of(own) {
            let rows = self.rows.range(near.other as usize);
            docs.extend(rows.filter(|row| self.rows.satisfied(*row) > 0).map(|row| self.rows.doc(row)));
        }
        docs.sort_unstable();
        docs.dedup();
    }

    /// A query that stands for all that share its intent, directly or through others.
    pub fn intent(&self, query: u64) -> u64 {
        self.near.index(query).map_or(query, |i| self.intents[i])
    }

    /// P(relevant) of a document by its own history and by what is told of it.
    pub fn p_relevant(&self, signs: &Signs, told: &Told) -> f64 {
        let own = signs.posterior();
        if told.queries == 0 {
            return own.relevant();
        }
        let apart = self.agreement.apart;
        let (pooled, likelihood) = signs.after(&told.sums).updated(&signs.ratio);
        // Either what is told holds here, or this is another matter altogether.
        let (there, here) = ((1.0 - apart) * likelihood, apart);
        (there * pooled.relevant() + here * own.relevant()) / (there + here)
    }

    /// Share of agreement by sign, and share of documents that are another matter.
    pub fn agreement(&self) -> (Vec<(f64, f64, f64)>, f64) {
        (self.agreement.by_sign(), self.agreement.apart)
    }

    /// Calls `take` with (document of the query, its row at an alike query, that query, sign) for each document that both were
    /// shown. The document itself is left out of the cosine of clicks: that both clicked it is what is asked.
    fn each(&self, own: usize, mut take: impl FnMut(usize, usize, &Near, usize)) {
        let start = self.rows.range(own).start;
        let (mut spread, mut both) = (Spread::default(), Vec::new());
        self.rows.spread(own, &mut spread);
        for near in self.near.of(own) {
            let other = near.other as usize;
            both.clear();
            let dot = self.rows.meet(&spread, self.rows.range(other), &mut both);
            for (i, row) in &both {
                let clicks = self.rows.cosine_without(own, *i, other, *row, dot);
                take(*i - start, *row, near, agreement::sign(near.words, clicks));
            }
        }
    }

    /// With how often alike queries agree, from a sample of queries chosen by seed hash.
    fn fitted(
        mut self,
        evidence: &Evidence,
        seed: Seed,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        if evidence.relevance.is_err() {
            return Ok(self);
        }
        let all = self.near.len() as u64;
        let below = if all <= SAMPLE { u64::MAX } else { (u64::MAX / all).saturating_mul(SAMPLE) };
        let hash = |i: &usize| seed.hash("alike", &[&self.near.query(*i).to_be_bytes()]);
        let chosen: Vec<usize> =
            (0..self.near.len()).filter(|i| below == u64::MAX || hash(i) < below).collect();
        let agreed = agreement::gather(&chosen, threads, pulse, |own, out| {
            let mine = self.rows.range(own);
            self.each(own, |i, row, _, sign| {
                let (chance, ratio) = (self.rows.signs(mine.start + i).posterior(), self.rows.ratios(row));
                out.add(sign, chance.mean(&ratio));
            });
        })?;
        self.agreement = Agreement::fitted(&agreed);
        let apart = agreement::gather(&chosen, threads, pulse, |own, out| {
            let start = self.rows.range(own).start;
            let mut told = Vec::new();
            self.told(self.near.query(own), &mut told);
            for (i, told) in told.iter().enumerate().filter(|(_, told)| told.queries > 0) {
                let signs = self.rows.signs(start + i);
                out.add(0, signs.after(&told.sums).updated(&signs.ratio).1);
            }
        })?;
        self.agreement.set_apart(&apart);
        Ok(self)
    }
}
