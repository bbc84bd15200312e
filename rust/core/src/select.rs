//! Negatives: candidates by rule, guarded against being relevant after all, capped in an order drawn by seed.

mod config;
mod draw;
mod explain;
mod fill;
mod guard;
mod order;
mod yields;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alike::{Alike, Teller, Told};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, EvidenceRow, mean_position};
use crate::given::Beside;
use crate::group::Group;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::seed::Seed;
use crate::strings::Strings;
use crate::tables::Pair;
use crate::workers::collect;
use fill::NOTHING_COUNTED;
use guard::{Limits, Suspect};
use order::{Counted, Marks};

pub use config::{Abandoned, Draw, Fill, Kind, Order, OwnPositive, RULES, Refill, Rule, SelectConfig};
pub use draw::Documents;
pub use explain::{Explained, Outcome, explain};
pub use guard::{GUARDS, Guard, Verdict};
pub use yields::{Yield, Yields};

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
    fn proposed(&mut self, rule: Rule) {
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
    fn add(&mut self, other: Self) {
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

/// A negative to be, the number of its pair, and the place of its rule.
struct Candidate {
    negative: Negative,
    pair: usize,
    order: usize,
}

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
        let share = (config.validation * 2_f64.powi(64)) as u64;
        let of = |query: u64| seed.hash("split", &[&knowledge.alike.intent(query).to_be_bytes()]) < share;
        let mut queries: Vec<u64> = selected.positives.iter().map(|p| p.query).collect();
        queries.dedup();
        selected.validation = queries.into_iter().filter(|q| of(*q)).collect();
    }
    Ok(selected)
}

/// Selects from one query after another; what it looks at is one query's.
struct Selector<'a> {
    evidence: &'a Evidence,
    knowledge: &'a Knowledge,
    released: &'a Released,
    config: &'a SelectConfig,
    seed: Seed,
    rules: &'a [Rule],
    rows: Vec<EvidenceRow>,
    /// What alike queries tell: for guards, and for figures that leave.
    tellers: (Teller<'a>, Option<Teller<'a>>),
    told: Vec<Told>,
    shown: Vec<Told>,
    /// Documents that users clicked when they asked anew, ascending, and how many did.
    after: Vec<(u64, u32)>,
    /// Upper bound of attractiveness.
    below: Box<dyn FnMut(&EvidenceRow) -> f64 + 'a>,
    limits: Limits<'a>,
    selected: Selected,
}

impl<'a> Selector<'a> {
    fn new(
        evidence: &'a Evidence,
        knowledge: &'a Knowledge,
        config: &'a SelectConfig,
        seed: Seed,
        rules: &'a [Rule],
        limit: f64,
    ) -> Self {
        let released = &*evidence.released;
        let selected = Selected::default();
        let below = Box::new(evidence.attractiveness_below(evidence.bound));
        // A share of that of a document never looked at, so that rarely and often clicked logs are guarded alike.
        let bound = match config.max_attractiveness {
            share if share < 1.0 => share * evidence.attractiveness.quantile(0.0, 0.0, evidence.bound),
            _ => f64::INFINITY,
        };
        let chain = config.chain_users > 0 && no_chain(released).is_none();
        let limits = Limits { config, pages: released.has.pages, chain, bound, p_false_negative: limit };
        let (rows, told, shown, after) = Default::default();
        let tellers = (knowledge.alike.teller(), knowledge.shown.as_ref().map(Alike::teller));
        Self {
            evidence,
            knowledge,
            released,
            config,
            seed,
            rules,
            rows,
            tellers,
            told,
            shown,
            after,
            below,
            limits,
            selected,
        }
    }

    fn query(&mut self, group: &Group) -> Result<()> {
        let users = self.config.positive_users.max(self.released.k.unwrap_or(0)).max(1);
        let given = self.knowledge.beside.positives.of(group.query).next().is_some();
        if !given && !group.pairs.iter().any(|p| p.users_satisfied >= users) {
            return Ok(()); // no positive whatever the evidence is, and most queries have none
        }
        self.ask(group)?;
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows.extend((0..group.pairs.len()).map(|i| match self.asks_for(&group.pairs[i], i, users) {
            true => self.evidence.row(group, i),
            false => NOTHING_COUNTED,
        }));
        self.weighed(group, &rows, users)?;
        self.rows = rows;
        Ok(())
    }

    /// Whether anything asks for the evidence of a pair: it may be a positive, or a rule may propose it.
    fn asks_for(&self, pair: &Pair, i: usize, users: u32) -> bool {
        let proposed = |rule: &Rule| rule.preference().is_some() || self.proposes(*rule, pair, i);
        pair.users_satisfied >= users || self.rules.iter().any(proposed)
    }

    /// Reads what alike queries tell of this one's documents.
    fn ask(&mut self, group: &Group) -> Result<()> {
        self.tellers.0.told(group.query, group.pairs.len(), &mut self.told)?;
        if let Some(teller) = &mut self.tellers.1 {
            teller.told(group.query, group.pairs.len(), &mut self.shown)?;
        }
        self.after.clear();
        if self.limits.chain {
            self.after.extend(group.succession_clicks.iter().map(|s| (s.doc, s.users)));
            self.after.sort_unstable();
            self.after.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 += if same { next.1 } else { 0 };
                same
            });
        }
        Ok(())
    }

    fn weighed(&mut self, group: &Group, rows: &[EvidenceRow], users: u32) -> Result<()> {
        let query = group.query;
        let qualified = self.positives_of(group, rows, users);
        if qualified.is_empty() {
            return Ok(());
        }
        self.selected.funnel.queries_with_positive += 1;
        let given = self.knowledge.beside.positives.of(query).count();
        let docs = &qualified[..qualified.len().min(self.config.max_positives_per_query.max(given))];
        self.selected.positives.extend(docs.iter().map(|doc| Positive { query, doc: *doc }));
        let marks = self.marks(query, docs);
        let mut candidates = self.candidates(group, rows, docs);
        for candidate in &candidates {
            self.selected.funnel.proposed(candidate.negative.rule);
        }
        // P(relevant) of what passed all guards but the last makes the curve.
        let mut passed: Vec<(f64, Stand)> = Vec::new();
        let mut known = Known::default();
        // Of the pair last asked about: P(relevant) as it may be shown.
        let mut last = (usize::MAX, f64::NAN);
        let (evidence, knowledge, config, seed) = (self.evidence, self.knowledge, self.config, self.seed);
        let Self { told, shown, after, below, limits, selected, .. } = self;
        candidates.retain_mut(|c| {
            let absolute = c.negative.positive.is_none();
            let asked = Asked { beside: &knowledge.beside, told, after, qualified: &qualified, marks };
            let suspect = asked.suspect(group, rows, c.pair, absolute);
            let mut p = || known.p(evidence, knowledge, told, group, c.pair);
            let mut below = || below(&rows[c.pair]);
            let fired = GUARDS.iter().find(|guard| {
                if **guard == Guard::PFalseNegative && evidence.relevance.is_ok() && last.0 != c.pair {
                    last = (c.pair, p_shown(evidence, knowledge, shown, group, c.pair, p()));
                    let own = Negative { p_false_negative: last.1, ..c.negative };
                    passed.push((p(), stands(evidence, config, seed, marks, &own)));
                }
                guard.verdict(limits, &suspect, &mut below, &mut p).is_some_and(|v| v.fires)
            });
            if let Some(guard) = fired {
                *selected.funnel.guards.entry(guard.name()).or_default() += 1;
                return false;
            }
            if last.0 == c.pair {
                c.negative.p_false_negative = last.1;
            }
            true
        });
        if self.evidence.relevance.is_ok() {
            self.selected.yields.query(&mut passed, group.searches, self.config);
        }
        self.place(candidates, group, &qualified, marks)
    }

    /// What a model of the caller's says of this query's documents.
    fn marks(&self, query: u64, positives: &[u64]) -> Marks<'a> {
        Marks::new(self.knowledge.beside.scores.of(query), positives)
    }

    /// P(relevant) of a document.
    fn p_relevant(&self, group: &Group, i: usize) -> f64 {
        Known::default().p(self.evidence, self.knowledge, &self.told, group, i)
    }

    /// The same as it may be shown.
    fn p_shown(&self, group: &Group, i: usize) -> f64 {
        match self.evidence.relevance.is_ok() {
            true => {
                let p = self.p_relevant(group, i);
                p_shown(self.evidence, self.knowledge, &self.shown, group, i, p)
            }
            false => f64::NAN,
        }
    }

    /// All documents that qualify as positives, best first: those given, those that are relevant rather than not, or, where
    /// that is not known, those clicked more than their positions explain.
    fn positives_of(&self, group: &Group, rows: &[EvidenceRow], users: u32) -> Vec<u64> {
        let known = self.evidence.relevance.is_ok() && self.config.positive_p_relevant > 0.0;
        let score = |i: usize| if known { self.p_relevant(group, i) } else { rows[i].coec };
        let qualifies = |i: usize, score: f64| match known {
            true => score >= self.config.positive_p_relevant,
            false => satisfying(&group.pairs[i]) && score > self.config.positive_coec,
        };
        let mut positives: Vec<(usize, f64)> = (0..group.pairs.len())
            .filter(|&i| group.pairs[i].users_satisfied >= users)
            .map(|i| (i, score(i)))
            .filter(|&(i, score)| qualifies(i, score))
            .collect();
        // Stable: ties stay in canonical order.
        positives.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut out: Vec<u64> = self.knowledge.beside.positives.of(group.query).collect();
        let given = out.len();
        for (i, _) in positives {
            let doc = group.pairs[i].doc;
            if !out[..given].contains(&doc) {
                out.push(doc);
            }
        }
        out
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
                    p_false_negative: f64::NAN,
                },
                pair: i,
                order,
            };
            let Some(wanted) = rule.preference() else {
                out.extend((0..pairs.len()).filter(|i| self.proposes(rule, &pairs[*i], *i)).map(candidate));
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

    fn proposes(&self, rule: Rule, pair: &Pair, i: usize) -> bool {
        match rule {
            Rule::ShownNotClicked => pair.rejections >= 1,
            Rule::TopShownNeverClicked => {
                pair.clicks == 0 && mean_position(pair).is_some_and(|m| m <= self.config.top_positions)
            }
            Rule::Skipped => pair.skips >= 1,
            Rule::ClickedForRelated => pair.rejections >= 1 && self.told[i].satisfied >= 1,
            _ => false,
        }
    }

    /// Orders the surviving documents, keeps the first, and appends their rows in output order.
    fn place(
        &mut self,
        candidates: Vec<Candidate>,
        group: &Group,
        qualified: &[u64],
        marks: Marks<'a>,
    ) -> Result<()> {
        let docs = self.knowledge.docs(self.released);
        let same_doc = |a: &Candidate, b: &Candidate| a.pair == b.pair;
        // Candidates are sorted by document, and a document has one place however many rows it has.
        let mut places: Vec<(i128, u64, usize)> = candidates
            .chunk_by(same_doc)
            .map(|c| {
                let negative = &c[0].negative;
                let (key, _) = stands(self.evidence, self.config, self.seed, marks, negative);
                (key, negative.pair.doc, c[0].pair)
            })
            .collect();
        places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| docs.get(a.1).cmp(docs.get(b.1))));
        places.truncate(self.config.hard_negatives());
        let place_of: BTreeMap<usize, u32> =
            places.iter().enumerate().map(|(i, p)| (p.2, i as u32)).collect();
        let all = candidates.len();
        let mut rows: Vec<Negative> = candidates
            .into_iter()
            .filter_map(|c| {
                let place = *place_of.get(&c.pair)?;
                Some(Negative { place, ..c.negative })
            })
            .collect();
        rows.sort_unstable_by_key(|n| (n.place, n.positive.map(|(_, place)| place)));
        cap(&mut self.selected.funnel, "max_negatives_per_query", all - rows.len());
        self.selected.negatives.extend(rows);
        self.fill(group, qualified, places.len(), marks)
    }
}

/// Where a document stands among its query's, and a hash for those that stand alike.
type Stand = (i128, u64);

fn stands(
    evidence: &Evidence,
    config: &SelectConfig,
    seed: Seed,
    marks: Marks<'_>,
    negative: &Negative,
) -> Stand {
    let Negative { query, pair, p_false_negative, .. } = negative;
    let hash = seed.hash("negative", &[&query.to_be_bytes(), &pair.doc.to_be_bytes()]);
    let counted = Counted {
        skip_weight: evidence.skip_weight(pair),
        examinations: evidence.shown_examinations(pair, &negative.evidence),
        p_relevant: *p_false_negative,
    };
    (order::place(config, marks.of(pair.doc), hash, Some(counted)), hash)
}

/// P(relevant) of document `i` of a query, as it may be shown where it is `p`.
fn p_shown(
    evidence: &Evidence,
    knowledge: &Knowledge,
    shown: &[Told],
    group: &Group,
    i: usize,
    p: f64,
) -> f64 {
    let Some(alike) = &knowledge.shown else { return p };
    let signs = evidence.shown_signs(&group.pairs[i]);
    evidence.rounded(alike.p_relevant(&signs, &shown[i]))
}

/// What guards ask besides what was counted.
struct Asked<'s> {
    beside: &'s Beside,
    told: &'s [Told],
    after: &'s [(u64, u32)],
    /// Documents that qualify as positives.
    qualified: &'s [u64],
    marks: Marks<'s>,
}

impl<'s> Asked<'s> {
    /// A document that was never shown, likewise.
    fn unshown(&self, query: u64, pair: &'s Pair, told: &'s Told) -> Suspect<'s> {
        Suspect {
            pair,
            row: &NOTHING_COUNTED,
            told,
            known: self.beside.known_relevant.has(query, pair.doc),
            qualified: self.qualified.contains(&pair.doc),
            absolute: true,
            after: clicked_after(self.after, pair.doc),
            scored: self.marks.of(pair.doc),
        }
    }

    /// Pair number `i` of a query as guards see it.
    fn suspect(&self, group: &'s Group, rows: &'s [EvidenceRow], i: usize, absolute: bool) -> Suspect<'s> {
        let pair = &group.pairs[i];
        Suspect {
            pair,
            row: &rows[i],
            told: &self.told[i],
            known: self.beside.known_relevant.has(group.query, pair.doc),
            qualified: self.qualified.contains(&pair.doc),
            absolute,
            after: clicked_after(self.after, pair.doc),
            scored: self.marks.of(pair.doc),
        }
    }
}

/// Users who clicked a document when they asked anew.
fn clicked_after(after: &[(u64, u32)], doc: u64) -> u32 {
    after.binary_search_by_key(&doc, |(d, _)| *d).map_or(0, |i| after[i].1)
}

/// Why nothing is known of what users asked next, if so.
fn no_chain(released: &Released) -> Option<&'static str> {
    if !released.has.times {
        return Some("the log has no times: nothing says what was asked next");
    }
    (released.passed.after.successions == 0).then_some("nothing that was released says what was asked next")
}

/// P(relevant) of the pair last asked about: rows of a document are neighbours.
#[derive(Default)]
struct Known(Option<(usize, f64)>);

impl Known {
    fn p(
        &mut self,
        evidence: &Evidence,
        knowledge: &Knowledge,
        told: &[Told],
        group: &Group,
        i: usize,
    ) -> f64 {
        match self.0 {
            Some((known, p)) if known == i => p,
            _ => {
                let p = knowledge.alike.p_relevant(&evidence.signs(group, i), &told[i]);
                self.0 = Some((i, p));
                p
            }
        }
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

/// Guard against hubs (F14): a document stays a negative of the queries with the smallest hash. Of all (document, query),
/// ascending, those that go, ascending.
pub(crate) fn hubs(uses: Vec<(u64, u64)>, limit: usize, seed: Seed) -> Vec<(u64, u64)> {
    let mut gone: Vec<(u64, u64)> = Vec::new();
    for hub in uses.chunk_by(|a, b| a.0 == b.0).filter(|h| h.len() > limit) {
        let hash = |query: &u64| seed.hash("reuse", &[&hub[0].0.to_be_bytes(), &query.to_be_bytes()]);
        let mut by_hash: Vec<(u64, u64)> = hub.iter().map(|(_, q)| (hash(q), *q)).collect();
        by_hash.sort_unstable();
        gone.extend(by_hash[limit..].iter().map(|(_, q)| (hub[0].0, *q)));
    }
    gone.sort_unstable();
    gone
}

fn leave_out(selected: &mut Selected, gone: &[(u64, u64)]) {
    let before = selected.negatives.len();
    selected.negatives.retain(|n| gone.binary_search(&(n.pair.doc, n.query)).is_err());
    cap(&mut selected.funnel, "max_queries_per_document", before - selected.negatives.len());
}

/// Mean rounded half up; 0 where there is nothing.
fn mean_rounded(sum: u64, n: u64) -> u16 {
    if n == 0 { 0 } else { u16::try_from((2 * sum + n) / (2 * n)).unwrap_or(u16::MAX) }
}
