//! Negatives beside those of the log: the caller's own, what a search engine returned further down, documents at random.

use crate::error::Result;
use crate::evidence::EvidenceRow;
use crate::group::Group;
use crate::tables::Pair;

use super::asked::clicked_after;
use super::guard::SCORE_GUARDS;
use super::order::Marks;
use super::selected::cap;
use super::selector::Selector;
use super::{Fill, Guard, Negative, Rule, Selected, order};

/// Draws that a missing place is worth before it is given up.
const DRAWS: u64 = 64;

impl Selector<'_> {
    /// Adds to a query's `hard` negatives what was given and what is asked for of other kinds.
    pub(super) fn fill(
        &mut self,
        group: &Group,
        qualified: &[u64],
        hard: usize,
        marks: Marks<'_>,
    ) -> Result<()> {
        let (config, query) = (self.config, group.query);
        let (beside, seed) = (&self.knowledge.beside, self.seed);
        let start = self.selected.negatives.partition_point(|n| n.query < query);
        let mut have: Vec<u64> = self.selected.negatives[start..].iter().map(|n| n.pair.doc).collect();
        let mut place = hard as u32;
        let mut add = |doc: u64, rule: Rule, have: &mut Vec<u64>, out: &mut Vec<Negative>| {
            have.push(doc);
            out.push(negative(query, doc, rule, place));
            place += 1;
        };
        let Selected { negatives, funnel, .. } = &mut self.selected;
        let wrong = |doc: u64| qualified.contains(&doc) || beside.known_relevant.has(query, doc);
        for doc in beside.extra_negatives.of(query) {
            if !wrong(doc) && !have.contains(&doc) {
                funnel.proposed(Rule::Given);
                add(doc, Rule::Given, &mut have, negatives);
            }
        }
        // What the hard ones left, and what is kept for the others.
        let room = config.max_negatives_per_query.saturating_sub(hard);
        let semi = match config.fill {
            Fill::None => config.semi_negatives,
            Fill::Semi | Fill::Easy => room.saturating_sub(config.easy_negatives),
        };
        let easy = if config.fill == Fill::Easy { room } else { config.easy_negatives };
        let mut satisfied = Vec::new();
        if semi + easy == 0 {
            return Ok(());
        }
        self.tellers.0.satisfied_elsewhere(query, &mut satisfied)?;
        let shown = |doc: u64| group.pairs.binary_search_by_key(&doc, |p| p.doc).is_ok();
        let (chain, after) = (self.limits.chain, &self.after);
        let chained = |doc: u64| chain && clicked_after(after, doc) >= config.chain_users;
        let free =
            |doc: u64| !shown(doc) && !wrong(doc) && satisfied.binary_search(&doc).is_err() && !chained(doc);
        let retrieved = beside.retrieved.of(query).take(config.retrieved_to);
        if semi > 0 {
            let band = retrieved.clone().skip(config.retrieved_from - 1);
            let place_of = |doc: u64| {
                let hash = seed.hash("semi", &[&query.to_be_bytes(), &doc.to_be_bytes()]);
                order::place(config, marks.of(doc), hash, None)
            };
            let mut trusted = |doc: u64| {
                let fires = |g: &&Guard| g.of_scores(config, marks.of(doc)).is_some_and(|v| v.fires);
                let fired = SCORE_GUARDS.iter().find(fires);
                funnel.proposed(Rule::Retrieved);
                fired.map(|guard| *funnel.guards.entry(guard.name()).or_default() += 1).is_none()
            };
            let mut found: Vec<(i128, u64)> = band
                .filter(|d| free(*d) && !have.contains(d) && trusted(*d))
                .map(|d| (place_of(d), d))
                .collect();
            found.sort_unstable();
            cap(funnel, "max_negatives_per_query", found.len().saturating_sub(semi));
            for (_, doc) in found.into_iter().take(semi) {
                add(doc, Rule::Retrieved, &mut have, negatives);
            }
        }
        let documents = &self.knowledge.documents;
        let semi = negatives[start..].iter().filter(|n| n.rule == Rule::Retrieved).count();
        let mut left = easy.min(room.saturating_sub(semi));
        for i in 0..DRAWS * left as u64 {
            let drawn = seed.hash("easy", &[&query.to_be_bytes(), &i.to_be_bytes()]);
            let Some(doc) = documents.draw(drawn).filter(|_| left > 0) else { break };
            // What a search engine returns is not just any document, and may have been kept out above.
            if free(doc) && !have.contains(&doc) && !retrieved.clone().any(|d| d == doc) {
                funnel.proposed(Rule::Random);
                add(doc, Rule::Random, &mut have, negatives);
                left -= 1;
            }
        }
        Ok(())
    }
}

/// Of what was never shown.
pub(super) const NOTHING_COUNTED: EvidenceRow = EvidenceRow {
    expected_clicks: 0.0,
    coec: 0.0,
    p_zero: 0.0,
    satisfied: 0.0,
    examinations: 0.0,
    p_examined: 0.0,
    p_relevant: f64::NAN,
};

/// A row of which nothing was counted.
fn negative(query: u64, doc: u64, rule: Rule, place: u32) -> Negative {
    Negative {
        query,
        positive: None,
        pair: Pair::empty(doc),
        evidence: NOTHING_COUNTED,
        rule,
        place,
        position_pos: 0,
        position_neg: 0,
        users: 0,
        p_false_negative: f64::NAN,
    }
}
