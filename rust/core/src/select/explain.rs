//! Why a document is, or is not, a negative of a query: what proposed it, and what each guard says.

use crate::alike::Told;
use crate::error::Result;
use crate::evidence::{Evidence, EvidenceRow};
use crate::group::Group;
use crate::seed::Seed;
use crate::tables::Pair;

use super::asked::{Asked, Known};
use super::fill::NOTHING_COUNTED;
use super::guard::SCORE_GUARDS;
use super::selector::Selector;
use super::{Fill, GUARDS, Guard, Knowledge, Rule, SelectConfig, Selected, Verdict};

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The query's positive of this rank, from 1.
    Positive(usize),
    /// A positive beyond those kept.
    MorePositive,
    /// A negative.
    Negative,
    /// No rule proposes it.
    NotProposed,
    /// The first guard that keeps every rule's proposal out.
    Guarded(Guard),
    /// Passed all guards; others were kept.
    Capped,
    /// The query has no positive.
    NoPositive,
}

/// Everything about one document of a query.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What was counted.
    pub pair: Pair,
    /// What that says.
    pub evidence: EvidenceRow,
    /// What became of it.
    pub outcome: Outcome,
    /// Rules that propose it, and the document it is less than, if any.
    pub rules: Vec<(Rule, Option<u64>)>,
    /// Of each guard that is on.
    pub verdicts: Vec<Verdict>,
    /// Alike queries that were shown it, and those of them that it satisfied somebody for.
    pub told: (u32, u32),
    /// P(relevant), as it may be shown.
    pub p_relevant: f64,
}

/// Explains the documents of a query (a code): those shown, in canonical order, then those only retrieved; None where the query was not released.
///
/// # Errors
/// Where the spill cannot be read.
pub fn explain(
    evidence: &Evidence,
    knowledge: &Knowledge,
    config: &SelectConfig,
    selected: &Selected,
    seed: Seed,
    query: u64,
) -> Result<Option<Vec<Explained>>> {
    let released = &*evidence.released;
    let rules: Vec<Rule> = config.rules.iter().copied().filter(|r| r.off(released).is_none()).collect();
    let mut selector = Selector::new(evidence, knowledge, config, seed, &rules, selected.limit);
    let mut found = None;
    for part in 0..released.tables.len() {
        released.tables.part(part, |group| {
            if group.query == query {
                found = Some(selector.explained(group, selected)?);
            }
            Ok(())
        })?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

impl Selector<'_> {
    fn explained(&mut self, group: &Group, selected: &Selected) -> Result<Vec<Explained>> {
        let users = self.config.positive_users.max(self.released.k.unwrap_or(0)).max(1);
        self.ask(group)?;
        let rows: Vec<EvidenceRow> = (0..group.pairs.len()).map(|i| self.evidence.row(group, i)).collect();
        let qualified = self.positives_of(group, &rows, users);
        let kept: Vec<u64> =
            selected.positives.iter().filter(|p| p.query == group.query).map(|p| p.doc).collect();
        let marks = self.marks(group.query, &kept);
        let candidates = self.candidates(group, &rows, &kept);
        let negatives = &selected.negatives[selected.negatives.partition_point(|n| n.query < group.query)..];
        let is_negative =
            |doc: u64| negatives.iter().take_while(|n| n.query == group.query).any(|n| n.pair.doc == doc);
        let mut out = Vec::with_capacity(rows.len());
        for (i, pair) in group.pairs.iter().enumerate() {
            let own = || candidates.iter().filter(|c| c.pair == i).map(|c| c.negative);
            let rules: Vec<(Rule, Option<u64>)> =
                own().map(|n| (n.rule, n.positive.map(|(doc, _)| doc))).collect();
            // A preference is asked less: what only its absolute twin is asked counts where there is no preference.
            let absolute = rules.iter().all(|(_, preferred)| preferred.is_none());
            let mut known = Known::default();
            let asked = Asked {
                beside: &self.knowledge.beside,
                told: &self.told,
                after: &self.after,
                qualified: &qualified,
                marks,
            };
            let suspect = asked.suspect(group, &rows, i, absolute);
            let mut p = || known.p(self.evidence, self.knowledge, (&self.signs, &self.told), group, i);
            let mut below = || (self.below)(&rows[i]);
            let asked = GUARDS.iter().filter_map(|g| g.verdict(&self.limits, &suspect, &mut below, &mut p));
            let verdicts: Vec<Verdict> = asked.collect();
            let place = kept.iter().position(|doc| *doc == pair.doc);
            let outcome = match (place, verdicts.iter().find(|v| v.fires)) {
                (Some(place), _) => Outcome::Positive(place + 1),
                _ if qualified.contains(&pair.doc) => Outcome::MorePositive,
                _ if kept.is_empty() => Outcome::NoPositive,
                _ if is_negative(pair.doc) => Outcome::Negative,
                _ if rules.is_empty() => Outcome::NotProposed,
                (_, Some(verdict)) => Outcome::Guarded(verdict.guard),
                _ => Outcome::Capped,
            };
            out.push(Explained {
                pair: *pair,
                evidence: rows[i],
                outcome,
                rules,
                verdicts,
                told: (self.told[i].queries, self.told[i].satisfied),
                p_relevant: self.p_shown(group, i),
            });
        }
        let asked = Asked {
            beside: &self.knowledge.beside,
            told: &[],
            after: &self.after,
            qualified: &qualified,
            marks,
        };
        let mut satisfied = Vec::new();
        self.tellers.0.satisfied_elsewhere(group.query, &mut satisfied)?;
        let retrieved = self.knowledge.beside.retrieved.of(group.query).take(self.config.retrieved_to);
        let shown = |doc: u64| group.pairs.binary_search_by_key(&doc, |p| p.doc).is_ok();
        let wanted = self.config.semi_negatives > 0 || self.config.fill != Fill::None;
        for (rank, doc) in retrieved.enumerate().filter(|(_, doc)| !shown(*doc)) {
            let mut told = Told::default();
            told.same_intent = satisfied.binary_search(&doc).is_ok();
            let pair = Pair::empty(doc);
            let suspect = asked.unshown(group.query, &pair, &told);
            let (mut none, mut never) = (|| f64::NAN, || f64::NAN);
            let verdict = |g: &Guard| g.verdict(&self.limits, &suspect, &mut none, &mut never);
            let verdicts: Vec<Verdict> = UNSHOWN.iter().chain(&SCORE_GUARDS).filter_map(verdict).collect();
            let proposed = wanted && rank + 1 >= self.config.retrieved_from;
            let outcome = match (kept.iter().position(|d| *d == doc), verdicts.iter().find(|v| v.fires)) {
                (Some(place), _) => Outcome::Positive(place + 1),
                _ if kept.is_empty() => Outcome::NoPositive,
                _ if is_negative(doc) => Outcome::Negative,
                _ if !proposed => Outcome::NotProposed,
                (_, Some(verdict)) => Outcome::Guarded(verdict.guard),
                _ => Outcome::Capped,
            };
            let rules = if proposed { vec![(Rule::Retrieved, None)] } else { Vec::new() };
            let (evidence, told) = (NOTHING_COUNTED, (0, 0));
            out.push(Explained { pair, evidence, outcome, rules, verdicts, told, p_relevant: f64::NAN });
        }
        Ok(out)
    }
}

/// What a document that was never shown is asked, besides what a model says of it.
const UNSHOWN: [Guard; 4] = [Guard::KnownRelevant, Guard::OwnPositive, Guard::SameIntent, Guard::Chain];
