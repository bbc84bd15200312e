//! Selects from one query after another.

use crate::alike::{Alike, Teller, Told};
use crate::error::Result;
use crate::evidence::{Evidence, EvidenceRow, Signs};
use crate::group::Group;
use crate::release::Released;
use crate::seed::Seed;
use crate::tables::Pair;

use super::asked::{Asked, Known, p_shown};
use super::fill::NOTHING_COUNTED;
use super::guard::Limits;
use super::order::Marks;
use super::place::{Stand, stands};
use super::{GUARDS, Guard, Knowledge, Negative, Positive, Rule, SelectConfig, Selected, no_chain};

/// What it looks at is one query's.
pub(super) struct Selector<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) knowledge: &'a Knowledge,
    pub(super) released: &'a Released,
    pub(super) config: &'a SelectConfig,
    pub(super) seed: Seed,
    pub(super) rules: &'a [Rule],
    pub(super) rows: Vec<EvidenceRow>,
    /// Of the same pairs, where their evidence was asked for.
    pub(super) signs: Vec<Option<Signs>>,
    /// What alike queries tell: for guards, and for figures that leave.
    pub(super) tellers: (Teller<'a>, Option<Teller<'a>>),
    pub(super) told: Vec<Told>,
    pub(super) shown: Vec<Told>,
    /// Documents that users clicked when they asked anew, ascending, and how many did.
    pub(super) after: Vec<(u64, u32)>,
    /// Upper bound of attractiveness.
    pub(super) below: Box<dyn FnMut(&EvidenceRow) -> f64 + 'a>,
    pub(super) limits: Limits<'a>,
    pub(super) selected: Selected,
}

impl<'a> Selector<'a> {
    pub(super) fn new(
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
        let (rows, signs, told, shown, after) = Default::default();
        let tellers = (knowledge.alike.teller(), knowledge.shown.as_ref().map(Alike::teller));
        Self {
            evidence,
            knowledge,
            released,
            config,
            seed,
            rules,
            rows,
            signs,
            tellers,
            told,
            shown,
            after,
            below,
            limits,
            selected,
        }
    }

    pub(super) fn query(&mut self, group: &Group) -> Result<()> {
        let users = self.config.positive_users.max(self.released.k.unwrap_or(0)).max(1);
        let given = self.knowledge.beside.positives.of(group.query).next().is_some();
        if !given && !group.pairs.iter().any(|p| p.users_satisfied >= users) {
            return Ok(()); // no positive whatever the evidence is, and most queries have none
        }
        self.ask(group)?;
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        for (i, pair) in group.pairs.iter().enumerate() {
            let asked = self.asks_for(pair, i, users).then(|| self.evidence.row_and_signs(group, i));
            rows.push(asked.as_ref().map_or(NOTHING_COUNTED, |(row, _)| *row));
            self.signs.push(asked.map(|(_, signs)| signs));
        }
        self.weighed(group, &rows, users)?;
        self.rows = rows;
        Ok(())
    }

    /// Whether anything asks for the evidence of a pair: it may be a positive, or a rule may propose it.
    pub(super) fn asks_for(&self, pair: &Pair, i: usize, users: u32) -> bool {
        let proposed = |rule: &Rule| rule.preference().is_some() || self.proposes(*rule, pair, i);
        pair.users_satisfied >= users || self.rules.iter().any(proposed)
    }

    /// Reads what alike queries tell of this one's documents.
    pub(super) fn ask(&mut self, group: &Group) -> Result<()> {
        self.signs.clear();
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

    pub(super) fn weighed(&mut self, group: &Group, rows: &[EvidenceRow], users: u32) -> Result<()> {
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
        // Of the pair last asked about: P(relevant) as it may be shown, and where it stands.
        let mut last = (usize::MAX, f64::NAN, None);
        let (evidence, knowledge, config, seed) = (self.evidence, self.knowledge, self.config, self.seed);
        let Self { signs, told, shown, after, below, limits, selected, .. } = self;
        candidates.retain_mut(|c| {
            let absolute = c.negative.positive.is_none();
            let asked = Asked { beside: &knowledge.beside, told, after, qualified: &qualified, marks };
            let suspect = asked.suspect(group, rows, c.pair, absolute);
            let mut p = || known.p(evidence, knowledge, (signs, told), group, c.pair);
            let mut below = || below(&rows[c.pair]);
            let fired = GUARDS.iter().find(|guard| {
                if **guard == Guard::PFalseNegative && evidence.relevance.is_ok() && last.0 != c.pair {
                    let own = p_shown(evidence, knowledge, shown, group, c.pair, p());
                    let stand = stands(
                        evidence,
                        config,
                        seed,
                        marks,
                        &Negative { p_false_negative: own, ..c.negative },
                    );
                    last = (c.pair, own, Some(stand));
                    passed.push((p(), stand));
                }
                guard.verdict(limits, &suspect, &mut below, &mut p).is_some_and(|v| v.fires)
            });
            if let Some(guard) = fired {
                *selected.funnel.guards.entry(guard.name()).or_default() += 1;
                return false;
            }
            if last.0 == c.pair {
                (c.negative.p_false_negative, c.stand) = (last.1, last.2);
            }
            true
        });
        if self.evidence.relevance.is_ok() {
            self.selected.yields.query(&mut passed, group.searches, self.config);
        }
        self.place(candidates, group, &qualified, marks)
    }

    /// What a model of the caller's says of this query's documents.
    pub(super) fn marks(&self, query: u64, positives: &[u64]) -> Marks<'a> {
        Marks::new(self.knowledge.beside.scores.of(query), positives)
    }

    /// P(relevant) of a document.
    pub(super) fn p_relevant(&self, group: &Group, i: usize) -> f64 {
        Known::default().p(self.evidence, self.knowledge, (&self.signs, &self.told), group, i)
    }

    /// The same as it may be shown.
    pub(super) fn p_shown(&self, group: &Group, i: usize) -> f64 {
        match self.evidence.relevance.is_ok() {
            true => {
                let p = self.p_relevant(group, i);
                p_shown(self.evidence, self.knowledge, &self.shown, group, i, p)
            }
            false => f64::NAN,
        }
    }
}
