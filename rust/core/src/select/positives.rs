//! Which documents of a query are its positives.

use crate::evidence::EvidenceRow;
use crate::group::Group;
use crate::tables::Pair;

use super::selector::Selector;

impl Selector<'_> {
    /// All documents that qualify as positives, best first: those given, those that are relevant rather than not, or, where
    /// that is not known, those clicked more than their positions explain.
    pub(super) fn positives_of(&self, group: &Group, rows: &[EvidenceRow], users: u32) -> Vec<u64> {
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
}

/// Whether satisfied clicks, as far as they go, make a positive.
fn satisfying(pair: &Pair) -> bool {
    pair.satisfied_clicks >= 2 || (pair.satisfied_clicks >= 1 && pair.impressions < 4)
}
