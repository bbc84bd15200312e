//! Training rows: a query, a positive, and n negatives, in document ranks.

use crate::error::Result;
use crate::evidence::Evidence;
use crate::release::Released;
use crate::seed::Seed;
use crate::select::{Negative, Refill, SelectConfig, Selected, select};

/// Draws that a missing place is worth before its row is given up.
const DRAWS: u64 = 64;

/// One training row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triplet {
    /// Rank.
    pub query: u32,
    /// Rank.
    pub positive: u32,
    /// Ranks, `num_negatives` of them.
    pub negatives: Vec<u32>,
}

/// Everything that selection yields.
pub struct Selection {
    /// Negatives, positives, and where candidates went.
    pub selected: Selected,
    /// Training rows.
    pub rows: Vec<Triplet>,
    /// Short rows that were dropped.
    pub short_rows: u64,
}

/// Negatives from evidence, and training rows from these.
///
/// # Errors
/// As [`select`].
pub fn selection(evidence: &Evidence, config: &SelectConfig, seed: Seed) -> Result<Selection> {
    let selected = select(evidence, config, seed)?;
    let (rows, short_rows) = triplets(evidence, &selected, config, seed);
    Ok(Selection { selected, rows, short_rows })
}

/// Rows of `num_negatives` for each (query, positive), and how many short rows were dropped.
pub fn triplets(
    evidence: &Evidence,
    selected: &Selected,
    config: &SelectConfig,
    seed: Seed,
) -> (Vec<Triplet>, u64) {
    let released = &*evidence.released;
    let n = config.num_negatives;
    let (mut out, mut dropped) = (Vec::new(), 0);
    let mut rest = selected.negatives.as_slice();
    for positives in selected.positives.chunk_by(|a, b| a.query == b.query) {
        let query = positives[0].query;
        rest = &rest[rest.partition_point(|r| r.query < query)..];
        let own: &[Negative] = &rest[..rest.partition_point(|r| r.query == query)];
        for positive in positives {
            // Rows are in order of place, so equal documents are neighbours.
            let mut docs: Vec<u32> = own
                .iter()
                .filter(|r| r.positive.is_none_or(|(doc, _)| doc == positive.doc))
                .map(|r| r.doc)
                .collect();
            docs.dedup();
            for chunk in docs.chunks(n) {
                let row = match config.refill {
                    _ if chunk.len() == n => Some(chunk.to_vec()),
                    Refill::Drop => None,
                    Refill::Repeat => Some(chunk.iter().copied().cycle().take(n).collect()),
                    Refill::Random => refilled(released, query, chunk, n, seed),
                };
                match row {
                    Some(negatives) => out.push(Triplet { query, positive: positive.doc, negatives }),
                    None => dropped += 1,
                }
            }
        }
    }
    (out, dropped)
}

/// Fills a short row with documents shown for other queries and never, as far as was released, for this one.
fn refilled(released: &Released, query: u32, chunk: &[u32], n: usize, seed: Seed) -> Option<Vec<u32>> {
    let shown = {
        let start = released.pairs.partition_point(|p| p.query < query);
        let end = released.pairs.partition_point(|p| p.query <= query);
        &released.pairs[start..end]
    };
    let text = released.query_strings.get(query).as_bytes();
    let documents = released.doc_strings.len() as u64;
    let mut row = chunk.to_vec();
    for i in 0..DRAWS {
        if row.len() == n {
            break;
        }
        let doc = (seed.hash("refill", &[text, &i.to_be_bytes()]) % documents) as u32;
        if !row.contains(&doc) && shown.binary_search_by_key(&doc, |p| p.doc).is_err() {
            row.push(doc);
        }
    }
    (row.len() == n).then_some(row)
}
