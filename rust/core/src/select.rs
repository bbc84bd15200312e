//! Negatives: candidates by rule, guarded against being relevant after all, capped, in random order by seed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::evidence::{Evidence, EvidenceRow, mean_position, wilson_upper};
use crate::group::Group;
use crate::intent::Elsewhere;
use crate::pulse::Pulse;
use crate::records::Rule as PairRule;
use crate::release::Released;
use crate::seed::Seed;
use crate::tables::Pair;
use crate::workers::collect;

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
    pub same_intent_clicks: f64,
    pub same_intent_words: f64,
    pub max_attractiveness: f64,
    pub min_examinations: f64,
    pub alpha: f64,
    pub negative_coec: f64,
    pub min_impressions: u32,
    pub max_ctr_upper: f64,
    pub max_p_false_negative: f64,
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
    /// One satisfied click, by anybody.
    Satisfied,
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
#[derive(Default)]
pub struct Selected {
    /// In output order.
    pub negatives: Vec<Negative>,
    /// Of queries with a positive, in canonical order, best first.
    pub positives: Vec<Positive>,
    /// Where candidates went.
    pub funnel: Funnel,
}

impl Selected {
    /// Takes in what follows.
    fn add(&mut self, other: Self) {
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

/// A negative to be, the number of its pair, and the place of its rule.
struct Candidate {
    negative: Negative,
    pair: usize,
    order: usize,
}

/// Selects negatives from evidence. `elsewhere` is what satisfied somebody for a query of the same intent.
///
/// # Errors
/// [`Error::usage`] for options that cannot be; [`Error::data`] where none of the rules can run on this log.
pub fn select(
    evidence: &Evidence,
    elsewhere: &Elsewhere,
    config: &SelectConfig,
    seed: Seed,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Selected> {
    check(config, evidence)?;
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
    let parts = collect(
        released.tables.len(),
        threads,
        || pulse.beat(),
        |part| {
            let mut selector = Selector::new(evidence, elsewhere, config, seed, &rules);
            released.tables.part(part, |group| {
                selector.query(group);
                Ok(())
            })?;
            Ok(selector.selected)
        },
    )?;
    let mut selected = Selected { funnel, ..Selected::default() };
    selected.negatives.reserve_exact(parts.iter().map(|p| p.negatives.len()).sum());
    selected.positives.reserve_exact(parts.iter().map(|p| p.positives.len()).sum());
    parts.into_iter().for_each(|part| selected.add(part));
    cap_documents(&mut selected, config, seed);
    for negative in &selected.negatives {
        *selected.funnel.negatives.entry(negative.rule.name()).or_default() += 1;
    }
    let same_query = |a: &Negative, b: &Negative| a.query == b.query;
    selected.funnel.queries_with_negative = selected.negatives.chunk_by(same_query).count() as u64;
    Ok(selected)
}

fn check(config: &SelectConfig, evidence: &Evidence) -> Result<()> {
    if config.rules.is_empty() {
        return Err(Error::usage("select.rules is empty: name at least one rule"));
    }
    for (i, rule) in config.rules.iter().enumerate() {
        if config.rules[..i].contains(rule) {
            return Err(Error::usage(format!("select.rules names {} twice", rule.name())));
        }
    }
    if config.max_p_false_negative < 1.0
        && let Err(why) = &evidence.relevance
    {
        return Err(Error::data(format!(
            "select.max_p_false_negative needs P(relevant), which this log does not give: {why}; leave the option out"
        )));
    }
    if config.num_negatives == 0 {
        return Err(Error::usage("select.num_negatives must be at least 1"));
    }
    Ok(())
}

/// Selects from one query after another; what it looks at is one query's.
struct Selector<'a> {
    evidence: &'a Evidence,
    elsewhere: &'a Elsewhere,
    released: &'a Released,
    config: &'a SelectConfig,
    seed: Seed,
    rules: &'a [Rule],
    rows: Vec<EvidenceRow>,
    /// Upper bound of attractiveness.
    below: Box<dyn FnMut(&EvidenceRow) -> f64 + 'a>,
    /// The most that a negative's may be: a share of that of a document never looked at, so that rarely and often clicked
    /// logs are guarded alike.
    bound: f64,
    selected: Selected,
}

impl<'a> Selector<'a> {
    fn new(
        evidence: &'a Evidence,
        elsewhere: &'a Elsewhere,
        config: &'a SelectConfig,
        seed: Seed,
        rules: &'a [Rule],
    ) -> Self {
        let released = &*evidence.released;
        let (rows, selected) = (Vec::new(), Selected::default());
        let below = Box::new(evidence.attractiveness_below(evidence.bound));
        let bound = match config.max_attractiveness {
            share if share < 1.0 => share * evidence.attractiveness.quantile(0.0, 0.0, evidence.bound),
            _ => f64::INFINITY,
        };
        Self { evidence, elsewhere, released, config, seed, rules, rows, below, bound, selected }
    }

    fn query(&mut self, group: &Group) {
        let users = self.config.positive_users.max(self.released.k.unwrap_or(0));
        if !group.pairs.iter().any(|p| p.users_satisfied >= users && satisfying(p)) {
            return; // no positive whatever the evidence is, and most queries have none
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows.extend((0..group.pairs.len()).map(|i| self.evidence.row(group, i)));
        self.weighed(group, &rows, users);
        self.rows = rows;
    }

    fn weighed(&mut self, group: &Group, rows: &[EvidenceRow], users: u32) {
        let positives = self.positives_of(&group.pairs, rows, users);
        if positives.is_empty() {
            return;
        }
        self.selected.funnel.queries_with_positive += 1;
        let qualified: Vec<u64> = positives.iter().map(|i| group.pairs[*i].doc).collect();
        let docs = &qualified[..qualified.len().min(self.config.max_positives_per_query)];
        self.selected.positives.extend(docs.iter().map(|doc| Positive { query: group.query, doc: *doc }));
        let mut candidates = self.candidates(group, rows, docs);
        for candidate in &candidates {
            *self.selected.funnel.candidates.entry(candidate.negative.rule.name()).or_default() += 1;
        }
        let elsewhere = self.elsewhere.of(group.query);
        candidates.retain(|c| {
            let absolute = c.negative.positive.is_none();
            let Some(guard) =
                self.guard(&group.pairs[c.pair], &rows[c.pair], absolute, &qualified, elsewhere)
            else {
                return true;
            };
            *self.selected.funnel.guards.entry(guard).or_default() += 1;
            false
        });
        self.place(candidates, group.query);
    }

    /// Indices of all documents that qualify as positives, best first.
    fn positives_of(&self, pairs: &[Pair], rows: &[EvidenceRow], users: u32) -> Vec<usize> {
        let mut positives: Vec<usize> = (0..pairs.len())
            .filter(|&i| pairs[i].users_satisfied >= users)
            .filter(|&i| satisfying(&pairs[i]) && rows[i].coec > self.config.positive_coec)
            .collect();
        // Stable: ties stay in canonical order.
        positives.sort_by(|&a, &b| rows[b].coec.total_cmp(&rows[a].coec));
        positives
    }

    /// All (positive or none, document) that a rule proposes, each under the first such rule.
    fn candidates(&self, group: &Group, rows: &[EvidenceRow], positives: &[u64]) -> Vec<Candidate> {
        let pairs = &group.pairs;
        let mut out: Vec<Candidate> = Vec::new();
        for (order, &rule) in self.rules.iter().enumerate() {
            let candidate = |i: usize| Candidate {
                negative: Negative {
                    query: group.query,
                    positive: None,
                    pair: pairs[i],
                    evidence: rows[i],
                    rule,
                    place: 0,
                    position_pos: 0,
                    position_neg: mean_rounded(pairs[i].position_sum, pairs[i].positioned.into()),
                    users: pairs[i].users_shown,
                },
                pair: i,
                order,
            };
            let Some(wanted) = rule.preference() else {
                out.extend((0..pairs.len()).filter(|i| self.proposes(rule, &pairs[*i])).map(candidate));
                continue;
            };
            for p in group.preferences.iter().filter(|p| p.rule == wanted) {
                let Some(place) = positives.iter().position(|d| *d == p.preferred) else { continue };
                let Ok(i) = pairs.binary_search_by_key(&p.skipped, |pair| pair.doc) else { continue };
                let mut preferred = candidate(i);
                let users = u64::from(p.users);
                preferred.negative.positive = Some((p.preferred, place as u32));
                preferred.negative.position_pos = mean_rounded(p.position_preferred_sum, users);
                preferred.negative.position_neg = mean_rounded(p.position_skipped_sum, users);
                preferred.negative.users = p.users;
                out.push(preferred);
            }
        }
        let key = |c: &Candidate| (c.pair, c.negative.positive.map(|(_, place)| place));
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
        &mut self,
        pair: &Pair,
        row: &EvidenceRow,
        absolute: bool,
        qualified: &[u64],
        elsewhere: &[(u64, u64)],
    ) -> Option<&'static str> {
        let config = self.config;
        let clicked = match config.own_positive {
            OwnPositive::Strict => pair.clicks >= 1 || pair.users_clicked >= 1,
            OwnPositive::Users => pair.users_clicked >= config.own_positive_users,
            OwnPositive::Satisfied => pair.satisfied_clicks >= 1 || pair.users_satisfied >= 1,
        };
        if clicked || qualified.contains(&pair.doc) {
            return Some("own_positive");
        }
        if elsewhere.binary_search_by_key(&pair.doc, |(_, doc)| *doc).is_ok() {
            return Some("same_intent");
        }
        if row.examinations < config.min_examinations {
            return Some("min_examinations");
        }
        if self.bound.is_finite() && (self.below)(row) > self.bound {
            return Some("attractiveness");
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
        if config.max_ctr_upper < 1.0 && wilson_upper(pair.clicks, pair.impressions) > config.max_ctr_upper {
            return Some("ctr_upper");
        }
        (row.p_relevant > config.max_p_false_negative).then_some("p_false_negative")
    }

    /// Orders the surviving documents, keeps the first, and appends their rows in output order.
    fn place(&mut self, candidates: Vec<Candidate>, query: u64) {
        let docs = &self.released.doc_strings;
        let same_doc = |a: &Candidate, b: &Candidate| a.pair == b.pair;
        // Candidates are sorted by document, and a document has one place however many rows it has.
        let mut places: Vec<(i128, u64, usize)> = candidates
            .chunk_by(same_doc)
            .map(|c| {
                let pair = &c[0].negative.pair;
                let key = match self.config.order {
                    Order::Random => i128::from(
                        self.seed.hash("negative", &[&query.to_be_bytes(), &pair.doc.to_be_bytes()]),
                    ),
                    Order::SkipWeight => -i128::from(self.evidence.skip_weight(pair)),
                };
                (key, pair.doc, c[0].pair)
            })
            .collect();
        places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| docs.get(a.1).cmp(docs.get(b.1))));
        places.truncate(self.config.max_negatives_per_query);
        let place_of: BTreeMap<usize, u32> =
            places.iter().enumerate().map(|(i, p)| (p.2, i as u32)).collect();
        let all = candidates.len();
        let mut rows: Vec<Negative> = candidates
            .into_iter()
            .filter_map(|c| place_of.get(&c.pair).map(|place| Negative { place: *place, ..c.negative }))
            .collect();
        rows.sort_unstable_by_key(|n| (n.place, n.positive.map(|(_, place)| place)));
        cap(&mut self.selected.funnel, "max_negatives_per_query", all - rows.len());
        self.selected.negatives.extend(rows);
    }
}

/// Whether satisfied clicks, as far as they go, make a positive.
fn satisfying(pair: &Pair) -> bool {
    pair.satisfied_clicks >= 2 || (pair.satisfied_clicks >= 1 && pair.impressions < 4)
}

fn cap(funnel: &mut Funnel, name: &'static str, n: usize) {
    if n > 0 {
        *funnel.caps.entry(name).or_default() += n as u64;
    }
}

/// Guard against hubs (F14): a document stays a negative of the queries with the smallest hash.
fn cap_documents(selected: &mut Selected, config: &SelectConfig, seed: Seed) {
    let limit = config.max_queries_per_document;
    let mut uses: Vec<(u64, u64)> = selected.negatives.iter().map(|n| (n.pair.doc, n.query)).collect();
    uses.sort_unstable();
    uses.dedup();
    let mut gone: Vec<(u64, u64)> = Vec::new();
    for hub in uses.chunk_by(|a, b| a.0 == b.0).filter(|h| h.len() > limit) {
        let hash = |query: &u64| seed.hash("reuse", &[&hub[0].0.to_be_bytes(), &query.to_be_bytes()]);
        let mut by_hash: Vec<(u64, u64)> = hub.iter().map(|(_, q)| (hash(q), *q)).collect();
        by_hash.sort_unstable();
        gone.extend(by_hash[limit..].iter().map(|(_, q)| (hub[0].0, *q)));
    }
    if gone.is_empty() {
        return;
    }
    gone.sort_unstable();
    let before = selected.negatives.len();
    selected.negatives.retain(|n| gone.binary_search(&(n.pair.doc, n.query)).is_err());
    cap(&mut selected.funnel, "max_queries_per_document", before - selected.negatives.len());
}

/// Mean rounded half up; 0 where there is nothing.
fn mean_rounded(sum: u64, n: u64) -> u16 {
    if n == 0 { 0 } else { u16::try_from((2 * sum + n) / (2 * n)).unwrap_or(u16::MAX) }
}
