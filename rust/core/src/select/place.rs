//! Which of a query's candidates are kept, and in which order.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::evidence::Evidence;
use crate::group::Group;
use crate::seed::Seed;

use super::candidates::Candidate;
use super::order::{self, Counted, Marks};
use super::selected::cap;
use super::selector::Selector;
use super::{Negative, SelectConfig};

/// Where a document stands among its query's, and a hash for those that stand alike.
pub(super) type Stand = (i128, u64);

pub(super) fn stands(
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

impl<'a> Selector<'a> {
    /// Orders the surviving documents, keeps the first, and appends their rows in output order.
    pub(super) fn place(
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
                let stand = || stands(self.evidence, self.config, self.seed, marks, negative);
                let (key, _) = c[0].stand.unwrap_or_else(stand);
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
