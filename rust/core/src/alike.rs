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

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evidence::{Evidence, KINDS, Signs};
use crate::pulse::Pulse;
use crate::related::Clicks;
use crate::release::Released;
use crate::seed::Seed;
use agreement::Agreement;
use near::{Near, NearQueries};
use rows::{Rows, Spread};

pub use near::Likeness;
pub(crate) use near::Satisfied;
pub(crate) use rows::Piece;

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

/// Which queries are alike, before anything is asked of their documents.
#[derive(Clone)]
pub(crate) struct Neighbours {
    near: Arc<NearQueries>,
    intents: Arc<Vec<u64>>,
}

/// The satisfied clicks of a release.
///
/// # Errors
/// Where the spill cannot be read; what `pulse` reports.
pub(crate) fn satisfied(released: &Released, pulse: &mut Pulse<'_>) -> Result<Satisfied> {
    let Clicks { queries, docs, clicks, .. } = Clicks::satisfied(released, pulse)?;
    Ok(Satisfied { queries, docs, clicks })
}

impl Neighbours {
    /// `text` knows the text of each query with a satisfied click.
    ///
    /// # Errors
    /// [`Error::usage`](crate::error::Error::usage) for a cosine outside 0 to 1; what `pulse` reports.
    pub(crate) fn new<'t>(
        clicks: Satisfied,
        text: impl Fn(u64) -> &'t str,
        likeness: Likeness,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let near = match likeness.is_on()? {
            true => NearQueries::new(clicks, text, likeness, threads, pulse)?,
            false => NearQueries::default(),
        };
        let intents = Arc::new(near.intents());
        Ok(Self { near: Arc::new(near), intents })
    }

    /// Queries whose documents are to be asked about: codes, ascending.
    pub(crate) fn wanted(&self) -> Vec<u64> {
        self.near.wanted()
    }

    /// With what was seen of their documents, and how often they agree where that is `known`.
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
        let Self { near, intents } = self.clone();
        let rows = Rows::joined(&near, attractive, pieces);
        let made = Alike { near, rows, agreement: Agreement::default(), intents };
        if known { made.fitted(seed, threads, pulse) } else { Ok(made) }
    }
}

/// What was seen of the documents of some queries of a part: by what was counted, or by what may be shown of it.
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
    Rows::pieces(evidence, wanted, shown, threads, pulse)
}

/// All that alike queries tell of some queries, to be sent to where these are selected from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Excerpt {
    near: NearQueries,
    intents: Vec<u64>,
    counted: (Rows, Agreement),
    shown: Option<(Rows, Agreement)>,
}

impl Excerpt {
    /// Of the queries that `own` are (codes).
    pub(crate) fn of(alike: &Alike, shown: Option<&Alike>, own: impl Fn(u64) -> bool) -> Self {
        let near = &alike.near;
        // One that is alike to none can still be what stands for others.
        let told = |i: usize| !near.of(i).is_empty() || alike.intents[i] != near.query(i);
        let (excerpt, kept) = near.excerpt(|i| own(near.query(i)) && told(i));
        let rows = |alike: &Alike| (alike.rows.excerpt(&kept), alike.agreement.clone());
        Self {
            near: excerpt,
            intents: kept.iter().map(|i| alike.intents[*i]).collect(),
            counted: rows(alike),
            shown: shown.map(rows),
        }
    }

    /// By what was counted, and by what may be shown.
    pub(crate) fn into_alike(self) -> (Alike, Option<Alike>) {
        let (near, intents) = (Arc::new(self.near), Arc::new(self.intents));
        let made =
            |(rows, agreement)| Alike { near: near.clone(), rows, agreement, intents: intents.clone() };
        (made(self.counted), self.shown.map(made))
    }
}

/// Alike queries of a release.
pub struct Alike {
    near: Arc<NearQueries>,
    rows: Rows,
    agreement: Agreement,
    /// By query: the code of the one that stands for its intent.
    intents: Arc<Vec<u64>>,
}

impl Alike {
    /// By what was counted. The same for any number of threads.
    ///
    /// Memory, outside the budget: some 90 bytes a pair with a satisfied click, the words of its queries, 8 bytes for each of
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
        let released = &*evidence.released;
        let clicks = if likeness.is_on()? { satisfied(released, pulse)? } else { Satisfied::default() };
        let text = |query: u64| released.query_strings.get(query);
        let near = Neighbours::new(clicks, text, likeness, threads, pulse)?;
        let pieces = Rows::pieces(evidence, &near.wanted(), false, threads, pulse)?;
        near.learnt(pieces, evidence.attractive(), evidence.relevance.is_ok(), seed, threads, pulse)
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
        let near = self.neighbours();
        let pieces = Rows::pieces(evidence, &near.wanted(), true, threads, pulse)?;
        near.learnt(pieces, evidence.attractive(), evidence.relevance.is_ok(), seed, threads, pulse)
    }

    fn neighbours(&self) -> Neighbours {
        Neighbours { near: self.near.clone(), intents: self.intents.clone() }
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
                one.same_intent |= near.same_intent;
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
    fn fitted(mut self, seed: Seed, threads: usize, pulse: &mut Pulse<'_>) -> Result<Self> {
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
