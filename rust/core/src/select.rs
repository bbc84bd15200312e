//! Negatives: candidates by rule, guarded against being relevant after all, capped in an order drawn by seed.

mod asked;
mod candidates;
mod config;
mod draw;
mod explain;
mod fill;
mod guard;
mod hubs;
mod order;
mod place;
mod positives;
mod selected;
mod selector;
mod split;
mod yields;

use serde::{Deserialize, Serialize};

use crate::alike::Alike;
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::given::Beside;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::seed::Seed;
use crate::strings::Strings;
use crate::workers::collect;
use hubs::leave_out;
use selector::Selector;

pub use config::{Abandoned, Draw, Fill, Kind, Order, OwnPositive, RULES, Refill, Rule, SelectConfig};
pub use draw::Documents;
pub use explain::{Explained, Outcome, explain};
pub use guard::{GUARDS, Guard, Verdict};
pub(crate) use hubs::hubs;
pub use selected::{Funnel, Negative, Positive, Selected};
pub(crate) use split::held_out_below;
pub use yields::{Yield, Yields};

/// What alike queries tell: by what was counted, and, where that may not be shown as it is, by what may.
pub struct Knowledge {
    /// For guards.
    pub alike: Alike,
    /// For figures that leave.
    pub shown: Option<Alike>,
    /// What the caller gave.
    pub beside: Beside,
    /// Documents to draw from.
    pub documents: Documents,
    /// Of a part of the queries, what only all of them together decide.
    pub decided: Option<Decided>,
}

/// What only all queries together decide.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The limit of P(relevant) that `target_fnr` takes, once it is known.
    pub limit: Option<f64>,
    /// (document, query) where the document is a negative of too many queries, ascending.
    pub gone: Vec<(u64, u64)>,
    /// The seed hash of their intent below which queries are held out.
    pub held_out_below: u64,
}

impl Knowledge {
    /// Documents by name.
    pub fn docs<'a>(&'a self, released: &'a Released) -> &'a Strings {
        if self.beside.docs.is_empty() { &released.doc_strings } else { &self.beside.docs }
    }
}

/// Selects negatives from evidence.
///
/// # Errors
/// [`Error::usage`] for options that cannot be; [`Error::data`] where none of the rules can run on this log, or
/// `target_fnr` needs what it does not give.
pub fn select(
    evidence: &Evidence,
    knowledge: &Knowledge,
    config: &SelectConfig,
    seed: Seed,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Selected> {
    config.check(evidence, &knowledge.beside.scores)?;
    let released = &*evidence.released;
    let mut funnel = Funnel::default();
    let mut rules = Vec::new();
    for rule in &config.rules {
        match rule.off(released) {
            Some(reason) => {
                funnel.rules_off.insert(rule.name(), reason);
            }
            None => rules.push(*rule),
        }
    }
    if rules.is_empty() {
        let why: Vec<String> = funnel.rules_off.iter().map(|(rule, why)| format!("{rule}: {why}")).collect();
        return Err(Error::data(format!("no rule can run on this log; {}", why.join("; "))));
    }
    if config.chain_users > 0
        && let Some(why) = no_chain(released)
    {
        funnel.rules_off.insert(Guard::Chain.name(), why);
    }
    let mut limit = match &evidence.relevance {
        Ok(_) if config.max_p_false_negative < 1.0 => config.max_p_false_negative,
        Err(why) if config.max_p_false_negative < 1.0 => {
            funnel.rules_off.insert(Guard::PFalseNegative.name(), why);
            f64::INFINITY
        }
        _ => f64::INFINITY,
    };
    if let Some(limited) = knowledge.decided.as_ref().and_then(|d| d.limit) {
        limit = limit.min(limited);
    }
    let mut all = |limit: f64| {
        collect(
            released.tables.len(),
            threads,
            || pulse.beat(),
            |part| {
                let mut selector = Selector::new(evidence, knowledge, config, seed, &rules, limit);
                released.tables.part(part, |group| selector.query(group))?;
                Ok(selector.selected)
            },
        )
    };
    let mut parts = all(limit)?;
    if config.target_fnr > 0.0 && knowledge.decided.is_none() {
        let mut yields = Yields::default();
        parts.iter_mut().for_each(|part| yields.add(std::mem::take(&mut part.yields)));
        limit = yields.limit_for(config.target_fnr).min(limit);
        parts = all(limit)?;
    }
    let mut selected = Selected { funnel, limit, ..Selected::default() };
    selected.negatives.reserve_exact(parts.iter().map(|p| p.negatives.len()).sum());
    selected.positives.reserve_exact(parts.iter().map(|p| p.positives.len()).sum());
    parts.into_iter().for_each(|part| selected.add(part));
    match &knowledge.decided {
        Some(decided) => leave_out(&mut selected, &decided.gone),
        None => {
            let gone = hubs(selected.uses(), config.max_queries_per_document, seed);
            leave_out(&mut selected, &gone);
        }
    }
    for negative in &selected.negatives {
        *selected.funnel.negatives.entry(negative.rule.name()).or_default() += 1;
    }
    let same_query = |a: &Negative, b: &Negative| a.query == b.query;
    selected.funnel.queries_with_negative = selected.negatives.chunk_by(same_query).count() as u64;
    if config.validation > 0.0 {
        let below = match &knowledge.decided {
            Some(decided) => decided.held_out_below,
            None => held_out_below(&knowledge.alike, config.validation, seed),
        };
        let of = |query: u64| split::place(seed, knowledge.alike.intent(query)) < below;
        let mut queries: Vec<u64> = selected.positives.iter().map(|p| p.query).collect();
        queries.dedup();
        selected.validation = queries.into_iter().filter(|q| of(*q)).collect();
    }
    Ok(selected)
}

/// Why nothing is known of what users asked next, if so.
fn no_chain(released: &Released) -> Option<&'static str> {
    if !released.has.times {
        return Some("the log has no times: nothing says what was asked next");
    }
    (released.passed.after.successions == 0).then_some("nothing that was released says what was asked next")
}
