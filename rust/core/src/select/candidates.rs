//! What rules propose.

use crate::evidence::{EvidenceRow, mean_position};
use crate::group::Group;
use crate::tables::Pair;

use super::place::Stand;
use super::selector::Selector;
use super::{Negative, Rule};

/// A negative to be, the number of its pair, and the place of its rule.
pub(super) struct Candidate {
    pub(super) negative: Negative,
    pub(super) pair: usize,
    pub(super) order: usize,
    /// Where its document stands, once that is known.
    pub(super) stand: Option<Stand>,
}

impl Selector<'_> {
    /// All (positive or none, document) that a rule proposes, each under the first such rule.
    pub(super) fn candidates(
        &self,
        group: &Group,
        rows: &[EvidenceRow],
        positives: &[u64],
    ) -> Vec<Candidate> {
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
                stand: None,
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

    pub(super) fn proposes(&self, rule: Rule, pair: &Pair, i: usize) -> bool {
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
}

/// Mean rounded half up; 0 where there is nothing.
fn mean_rounded(sum: u64, n: u64) -> u16 {
    if n == 0 { 0 } else { u16::try_from((2 * sum + n) / (2 * n)).unwrap_or(u16::MAX) }
}
