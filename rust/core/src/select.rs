//! Negatives: candidates by rule, guarded against being relevant after all, capped, in random order by seed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::evidence::{Evidence, EvidenceRow, mean_position, wilson_upper};
use crate::records::Rule as PairRule;
use crate::release::Released;
use crate::seed::Seed;
use crate::tables::{Pair, PreferenceRow};

/// Options; see docs/ARCHITECTURE.md, select.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in the configuration tree and in docs/ARCHITECTURE.md")]
pub struct SelectConfig {
    pub rules: Vec<Rule>,
    pub positive_users: u32,
    pub positive_coec: f64,
    pub max_positives_per_query: usize,
    pub own_positive: OwnPositive,
    pub own_positive_users: u32,
    pub alpha: f64,
    pub negative_coec: f64,
    pub min_impressions: u32,
    pub max_ctr_upper: f64,
    pub top_positions: f64,
    pub abandoned: Abandoned,
    pub order: Order,
    pub max_negatives_per_query: usize,
    pub max_queries_per_document: usize,
    pub num_negatives: usize,
    pub refill: Refill,
}

/// Rules that propose negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Clicked above unclicked ones above it.
    SkipAbove,
    /// The same for the last click.
    LastClickSkipAbove,
    /// Clicked above the unclicked one below.
    ClickNoClickNext,
    /// Unclicked on a page with a click.
    ShownNotClicked,
    /// Near the top, never clicked.
    TopShownNeverClicked,
    /// Passed over above a last click, in sum.
    Skipped,
}

/// All rules, in canonical order.
pub const RULES: [Rule; 6] = [
    Rule::SkipAbove,
    Rule::LastClickSkipAbove,
    Rule::ClickNoClickNext,
    Rule::ShownNotClicked,
    Rule::TopShownNeverClicked,
    Rule::Skipped,
];

impl Rule {
    /// Name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipAbove => PairRule::SkipAbove.name(),
            Self::LastClickSkipAbove => PairRule::LastClickSkipAbove.name(),
            Self::ClickNoClickNext => PairRule::ClickNoClickNext.name(),
            Self::ShownNotClicked => "shown_not_clicked",
            Self::TopShownNeverClicked => "top_shown_never_clicked",
            Self::Skipped => "skipped",
        }
    }

    fn preference(self) -> Option<PairRule> {
        match self {
            Self::SkipAbove => Some(PairRule::SkipAbove),
            Self::LastClickSkipAbove => Some(PairRule::LastClickSkipAbove),
            Self::ClickNoClickNext => Some(PairRule::ClickNoClickNext),
            _ => None,
        }
    }

    /// Why the rule cannot run on what was released, if so.
    pub fn off(self, released: &Released) -> Option<&'static str> {
        let has = released.has;
        if !has.unclicked {
            return Some("the log holds clicks only: nothing was seen and passed over");
        }
        if !has.positions && self != Self::ShownNotClicked {
            return Some("the log has no positions");
        }
        if !has.pages && self != Self::TopShownNeverClicked {
            return Some("the log does not say which results were shown together");
        }
        None
    }
}

/// Guard F1: how much of a click rules a negative out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnPositive {
    /// One, by anybody.
    Strict,
    /// Clicks of `own_positive_users` users.
    Users,
}

/// Guard F9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abandoned {
    /// Pages without clicks make no negatives.
    Drop,
    /// They do.
    Keep,
}

/// Which negatives a cap keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By seeded hash.
    Random,
    /// By skip weight, then document.
    SkipWeight,
}

/// What becomes of short rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refill {
    /// Dropped.
    Drop,
    /// Filled from their own start.
    Repeat,
    /// Filled with documents never shown for the query.
    Random,
}

/// A row of `negatives`, in indices.
#[derive(Debug, Clone, Copy)]
pub struct Negative {
    /// Rank.
    pub query: u32,
    /// Rank of the preferred document and its place among the positives; None for an absolute negative.
    pub positive: Option<(u32, u32)>,
    /// Rank.
    pub doc: u32,
    /// Index into pairs and evidence.
    pub pair: usize,
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
}

/// A positive, in indices.
#[derive(Debug, Clone, Copy)]
pub struct Positive {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub doc: u32,
}

/// Where candidates went. In k-users mode whoever shows these rounds them.
#[derive(Debug, Default, Clone)]
pub struct Funnel {
    /// Queries with at least one positive.
    pub queries_with_positive: u64,
    /// Queries with at least one negative.
    pub queries_with_negative: u64,
    /// Rule → candidates it was the first to propose.
    pub candidates: BTreeMap<&'static str, u64>,
    /// Guard → candidates dropped.
    pub guards: BTreeMap<&'static str, u64>,
    /// Cap → rows dropped.
    pub caps: BTreeMap<&'static str, u64>,
    /// Rule → rows kept.
    pub negatives: BTreeMap<&'static str, u64>,
    /// Rule → why it did not run.
    pub rules_off: BTreeMap<&'static str, &'static str>,
}

/// The selection.
pub struct Selected {
    /// In output order.
    pub negatives: Vec<Negative>,
    /// Of queries with a positive, in canonical order, best first.
    pub positives: Vec<Positive>,
    /// Where candidates went.
    pub funnel: Funnel,
}

struct Candidate {
    negative: Negative,
    order: usize,
}

/// Selects negatives from evidence.
///
/// # Errors
/// [`Error::usage`] for options that cannot be; [`Error::data`] where none of the rules can run on this log.
pub fn select(evidence: &Evidence, config: &SelectConfig, seed: Seed) -> Result<Selected> {
    check(config)?;
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
    let mut selector =
        Selector { evidence, released, config, seed, rules, funnel, negatives: vec![], positives: vec![] };
    let mut preferences = released.preferences.as_slice();
    let mut start = 0;
    for pairs in released.pairs.chunk_by(|a, b| a.query == b.query) {
        let query = pairs[0].query;
        preferences = &preferences[preferences.partition_point(|p| p.query < query)..];
        let own = &preferences[..preferences.partition_point(|p| p.query == query)];
        selector.query(start, pairs, own);
        start += pairs.len();
    }
    selector.cap_documents();
    for negative in &selector.negatives {
        *selector.funnel.negatives.entry(negative.rule.name()).or_default() += 1;
    }
    let mut queries: Vec<u32> = selector.negatives.iter().map(|n| n.query).collect();
    queries.dedup();
    selector.funnel.queries_with_negative = queries.len() as u64;
    Ok(Selected { negatives: selector.negatives, positives: selector.positives, funnel: selector.funnel })
}

fn check(config: &SelectConfig) -> Result<()> {
    if config.rules.is_empty() {
        return Err(Error::usage("select.rules is empty: name at least one rule"));
    }
    for (i, rule) in config.rules.iter().enumerate() {
        if config.rules[..i].contains(rule) {
            return Err(Error::usage(format!("select.rules names {} twice", rule.name())));
        }
    }
    if config.num_negatives == 0 {
        return Err(Error::usage("select.num_negatives must be at least 1"));
    }
    Ok(())
}

struct Selector<'a> {
    evidence: &'a Evidence,
    released: &'a Released,
    config: &'a SelectConfig,
    seed: Seed,
    rules: Vec<Rule>,
    funnel: Funnel,
    negatives: Vec<Negative>,
    positives: Vec<Positive>,
}

impl Selector<'_> {
    /// One query: `start` is the index of its first pair.
    fn query(&mut self, start: usize, pairs: &[Pair], preferences: &[PreferenceRow]) {
        let rows = &self.evidence.rows[start..start + pairs.len()];
        let positives = self.positives_of(pairs, rows);
        if positives.is_empty() {
            return;
        }
        self.funnel.queries_with_positive += 1;
        let qualified: Vec<u32> = positives.iter().map(|i| pairs[*i].doc).collect();
        let docs = &qualified[..qualified.len().min(self.config.max_positives_per_query)];
        self.positives.extend(docs.iter().map(|doc| Positive { query: pairs[0].query, doc: *doc }));
        let mut candidates = self.candidates(start, pairs, preferences, docs);
        for candidate in &candidates {
            *self.funnel.candidates.entry(candidate.negative.rule.name()).or_default() += 1;
        }
        candidates.retain(|c| {
            let i = c.negative.pair - start;
            let Some(guard) = self.guard(&pairs[i], &rows[i], c.negative.positive.is_none(), &qualified)
            else {
                return true;
            };
            *self.funnel.guards.entry(guard).or_default() += 1;
            false
        });
        self.place(candidates, pairs, start);
    }

    /// Indices of all documents that qualify as positives, best first.
    fn positives_of(&self, pairs: &[Pair], rows: &[EvidenceRow]) -> Vec<usize> {
        let users = self.config.positive_users.max(self.released.k.unwrap_or(0));
        let satisfying = |p: &Pair| p.satisfied_clicks >= 2 || (p.satisfied_clicks >= 1 && p.impressions < 4);
        let mut positives: Vec<usize> = (0..pairs.len())
            .filter(|&i| pairs[i].users_satisfied >= users)
            .filter(|&i| satisfying(&pairs[i]) && rows[i].coec > self.config.positive_coec)
            .collect();
        // Stable: ties stay in canonical order.
        positives.sort_by(|&a, &b| rows[b].coec.total_cmp(&rows[a].coec));
        positives
    }

    /// All (positive or none, document) that a rule proposes, each under the first such rule.
    fn candidates(
        &self,
        start: usize,
        pairs: &[Pair],
        preferences: &[PreferenceRow],
        positives: &[u32],
    ) -> Vec<Candidate> {
        let mut out: Vec<Candidate> = Vec::new();
        for (order, &rule) in self.rules.iter().enumerate() {
            if let Some(wanted) = rule.preference() {
                for p in preferences.iter().filter(|p| p.rule == wanted) {
                    let Some(place) = positives.iter().position(|d| *d == p.preferred) else { continue };
                    let Ok(i) = pairs.binary_search_by_key(&p.skipped, |pair| pair.doc) else { continue };
                    let users = u64::from(p.users);
                    let negative = Negative {
                        query: p.query,
                        positive: Some((p.preferred, place as u32)),
                        doc: p.skipped,
                        pair: start + i,
                        rule,
                        place: 0,
                        position_pos: mean_rounded(p.position_preferred_sum, users),
                        position_neg: mean_rounded(p.position_skipped_sum, users),
                        users: p.users,
                    };
                    out.push(Candidate { negative, order });
                }
                continue;
            }
            for (i, pair) in pairs.iter().enumerate().filter(|(_, p)| self.proposes(rule, p)) {
                let negative = Negative {
                    query: pair.query,
                    positive: None,
                    doc: pair.doc,
                    pair: start + i,
                    rule,
                    place: 0,
                    position_pos: 0,
                    position_neg: mean_rounded(pair.position_sum, pair.positioned.into()),
                    users: pair.users_shown,
                };
                out.push(Candidate { negative, order });
            }
        }
        let key = |c: &Candidate| (c.negative.doc, c.negative.positive.map(|(_, place)| place));
        out.sort_unstable_by_key(|c| (key(c), c.order));
        out.dedup_by_key(|c| key(c));
        out
    }

    fn proposes(&self, rule: Rule, pair: &Pair) -> bool {
        match rule {
            Rule::ShownNotClicked => pair.rejections >= 1,
            Rule::TopShownNeverClicked => {
                pair.clicks == 0 && mean_position(pair).is_some_and(|m| m <= self.config.top_positions)
            }
            Rule::Skipped => pair.skips >= 1,
            _ => false,
        }
    }

    /// The first guard that fires, if any.
    fn guard(
        &self,
        pair: &Pair,
        row: &EvidenceRow,
        absolute: bool,
        qualified: &[u32],
    ) -> Option<&'static str> {
        let config = self.config;
        let clicked = match config.own_positive {
            OwnPositive::Strict => pair.clicks >= 1 || pair.users_clicked >= 1,
            OwnPositive::Users => pair.users_clicked >= config.own_positive_users,
        };
        if clicked || qualified.contains(&pair.doc) {
            return Some("own_positive");
        }
        if !absolute {
            return None;
        }
        if config.abandoned == Abandoned::Drop && self.released.has.pages && pair.rejections == 0 {
            return Some("abandoned");
        }
        if config.alpha < 1.0 && row.p_zero > config.alpha {
            return Some("zero_click_significance");
        }
        if row.coec >= config.negative_coec {
            return Some("coec");
        }
        if pair.impressions < config.min_impressions {
            return Some("min_impressions");
        }
        (config.max_ctr_upper < 1.0 && wilson_upper(pair.clicks, pair.impressions) > config.max_ctr_upper)
            .then_some("ctr_upper")
    }

    /// Orders the surviving documents, keeps the first, and appends their rows in output order.
    fn place(&mut self, candidates: Vec<Candidate>, pairs: &[Pair], start: usize) {
        let Some(first) = candidates.first() else { return };
        let query = self.released.query_strings.get(first.negative.query).as_bytes();
        let docs = &self.released.doc_strings;
        // Candidates are sorted by document.
        let mut places: Vec<(i128, &str, u32)> = candidates
            .chunk_by(|a, b| a.negative.doc == b.negative.doc)
            .map(|c| {
                let doc = c[0].negative.doc;
                let name = docs.get(doc);
                match self.config.order {
                    Order::Random => {
                        (i128::from(self.seed.hash("negative", &[query, name.as_bytes()])), name, doc)
                    }
                    Order::SkipWeight => {
                        let weight = self.evidence.skip_weight(&pairs[c[0].negative.pair - start]);
                        (-i128::from(weight), name, doc)
                    }
                }
            })
            .collect();
        places.sort_unstable();
        places.truncate(self.config.max_negatives_per_query);
        let place_of: BTreeMap<u32, u32> = places.iter().enumerate().map(|(i, p)| (p.2, i as u32)).collect();
        let all = candidates.len();
        let mut rows: Vec<Negative> = candidates
            .into_iter()
            .filter_map(|c| {
                place_of.get(&c.negative.doc).map(|place| Negative { place: *place, ..c.negative })
            })
            .collect();
        rows.sort_unstable_by_key(|n| (n.place, n.positive.map(|(_, place)| place)));
        self.cap("max_negatives_per_query", all - rows.len());
        self.negatives.extend(rows);
    }

    fn cap(&mut self, name: &'static str, n: usize) {
        if n > 0 {
            *self.funnel.caps.entry(name).or_default() += n as u64;
        }
    }

    /// Guard against hubs (F14): a document stays a negative of the queries with the smallest hash.
    fn cap_documents(&mut self) {
        let limit = self.config.max_queries_per_document;
        let mut uses: Vec<(u32, u32)> = self.negatives.iter().map(|n| (n.doc, n.query)).collect();
        uses.sort_unstable();
        uses.dedup();
        let mut gone: Vec<(u32, u32)> = Vec::new();
        for hub in uses.chunk_by(|a, b| a.0 == b.0).filter(|h| h.len() > limit) {
            let doc = self.released.doc_strings.get(hub[0].0).as_bytes();
            let mut by_hash: Vec<(u64, u32)> = hub
                .iter()
                .map(|(_, q)| {
                    (self.seed.hash("reuse", &[doc, self.released.query_strings.get(*q).as_bytes()]), *q)
                })
                .collect();
            by_hash.sort_unstable();
            gone.extend(by_hash[limit..].iter().map(|(_, q)| (hub[0].0, *q)));
        }
        if gone.is_empty() {
            return;
        }
        gone.sort_unstable();
        let before = self.negatives.len();
        self.negatives.retain(|n| gone.binary_search(&(n.doc, n.query)).is_err());
        self.cap("max_queries_per_document", before - self.negatives.len());
    }
}

/// Mean rounded half up; 0 where there is nothing.
fn mean_rounded(sum: u64, n: u64) -> u16 {
    if n == 0 { 0 } else { u16::try_from((2 * sum + n) / (2 * n)).unwrap_or(u16::MAX) }
}
