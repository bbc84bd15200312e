//! What was selected, and where candidates went.

use std::collections::BTreeMap;

use crate::evidence::EvidenceRow;
use crate::tables::Pair;

use super::{Rule, Yields};

/// A row of `negatives`, in indices.
#[derive(Debug, Clone, Copy)]
pub struct Negative {
    /// Code.
    pub query: u64,
    /// Code of the preferred document and its place among the positives; None for an absolute negative.
    pub positive: Option<(u64, u32)>,
    /// What was counted of the document.
    pub pair: Pair,
    /// What that says.
    pub evidence: EvidenceRow,
    /// Which rule proposed it.
    pub rule: Rule,
    /// Place among the query's negatives.
    pub place: u32,
    /// Of the preferred document; 0 for none.
    pub position_pos: u16,
    /// Of the negative; 0 for none.
    pub position_neg: u16,
    /// Users behind it.
    pub users: u32,
    /// P(relevant), as it may be shown; NaN where it is not known.
    pub p_false_negative: f64,
}

/// A positive, in indices.
#[derive(Debug, Clone, Copy)]
pub struct Positive {
    /// Code.
    pub query: u64,
    /// Code.
    pub doc: u64,
}

/// Where candidates went. In k-users mode whoever shows these rounds them.
#[derive(Debug, Default, Clone)]
pub struct Funnel {
    /// Queries with at least one positive.
    pub queries_with_positive: u64,
    /// Queries with at least one negative.
    pub queries_with_negative: u64,
    /// Rule, or what was given, retrieved or drawn → candidates it was the first to propose.
    pub candidates: BTreeMap<&'static str, u64>,
    /// Guard → candidates dropped.
    pub guards: BTreeMap<&'static str, u64>,
    /// Cap → rows dropped.
    pub caps: BTreeMap<&'static str, u64>,
    /// Rule → rows kept.
    pub negatives: BTreeMap<&'static str, u64>,
    /// Rule, or guard → why it did not run.
    pub rules_off: BTreeMap<&'static str, &'static str>,
}

impl Funnel {
    pub(super) fn proposed(&mut self, rule: Rule) {
        *self.candidates.entry(rule.name()).or_default() += 1;
    }
}

/// The selection.
#[derive(Default)]
pub struct Selected {
    /// In output order.
    pub negatives: Vec<Negative>,
    /// Of queries with a positive, in canonical order, best first.
    pub positives: Vec<Positive>,
    /// Where candidates went.
    pub funnel: Funnel,
    /// What other limits of P(relevant) would yield.
    pub yields: Yields,
    /// The limit that was drawn; infinite for none.
    pub limit: f64,
    /// Queries of the validation split, ascending; all others are for training.
    pub validation: Vec<u64>,
}

impl Selected {
    /// (document, query) of the negatives, ascending, each once.
    pub(crate) fn uses(&self) -> Vec<(u64, u64)> {
        let mut uses: Vec<(u64, u64)> = self.negatives.iter().map(|n| (n.pair.doc, n.query)).collect();
        uses.sort_unstable();
        uses.dedup();
        uses
    }

    /// Takes in what follows.
    pub(super) fn add(&mut self, other: Self) {
        self.yields.add(other.yields);
        self.negatives.extend(other.negatives);
        self.positives.extend(other.positives);
        let (sum, more) = (&mut self.funnel, other.funnel);
        sum.queries_with_positive += more.queries_with_positive;
        for (to, from) in [
            (&mut sum.candidates, more.candidates),
            (&mut sum.guards, more.guards),
            (&mut sum.caps, more.caps),
        ] {
            from.into_iter().for_each(|(name, n)| *to.entry(name).or_default() += n);
        }
    }
}

pub(super) fn cap(funnel: &mut Funnel, name: &'static str, n: usize) {
    if n > 0 {
        *funnel.caps.entry(name).or_default() += n as u64;
    }
}
