//! Documents that would be negatives of too many queries.

use crate::seed::Seed;

use super::selected::{Selected, cap};

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

pub(super) fn leave_out(selected: &mut Selected, gone: &[(u64, u64)]) {
    let before = selected.negatives.len();
    selected.negatives.retain(|n| gone.binary_search(&(n.pair.doc, n.query)).is_err());
    cap(&mut selected.funnel, "max_queries_per_document", before - selected.negatives.len());
}
