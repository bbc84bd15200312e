//! Training rows: a query, a positive, and n negatives, in document codes.

use std::ops::Range;
use std::sync::Arc;

use crate::alike::Alike;
use crate::error::Result;
use crate::evidence::Evidence;
use crate::given::Beside;
use crate::group::Group;
use crate::packed::Groups;
use crate::pulse::Pulse;
use crate::release::Released;
use crate::seed::Seed;
use crate::select::{Documents, Knowledge, Negative, Refill, SelectConfig, Selected, select};

/// Draws that a missing place is worth before its row is given up.
const DRAWS: u64 = 64;

/// Training rows, end to end: query, positive, then `num_negatives` negatives, in codes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Triplets {
    codes: Vec<u64>,
    num_negatives: usize,
}

impl Triplets {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.codes.len() / (self.num_negatives + 2)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Column number `column` of some rows: 0 the query, 1 the positive, then the negatives.
    pub fn column(&self, rows: Range<usize>, column: usize) -> impl Iterator<Item = u64> {
        rows.map(move |row| self.codes[row * (self.num_negatives + 2) + column])
    }
}

/// Everything that selection yields.
pub struct Selection {
    /// Negatives, positives, and where candidates went.
    pub selected: Arc<Selected>,
    /// Training rows.
    pub rows: Arc<Triplets>,
    /// Short rows that were dropped.
    pub short_rows: u64,
    /// What it was made with.
    pub knowledge: Arc<Knowledge>,
}

/// Negatives from evidence, and training rows from these.
///
/// # Errors
/// As [`select`].
pub fn selection(
    evidence: &Evidence,
    beside: Beside,
    config: &SelectConfig,
    seed: Seed,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Selection> {
    let alike = Alike::new(evidence, config.likeness(), seed, threads, pulse)?;
    let shown = match evidence.released.k {
        Some(_) => Some(alike.shown(evidence, seed, threads, pulse)?),
        None => None,
    };
    let documents = Documents::of(&evidence.released, config, pulse)?;
    made(evidence, Knowledge { alike, shown, beside, documents, decided: None }, config, seed, threads, pulse)
}

/// The same with what alike queries tell, and what else is known.
///
/// # Errors
/// As [`select`].
pub(crate) fn made(
    evidence: &Evidence,
    knowledge: Knowledge,
    config: &SelectConfig,
    seed: Seed,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Selection> {
    let knowledge = Arc::new(knowledge);
    let selected = select(evidence, &knowledge, config, seed, threads, pulse)?;
    let (rows, short_rows) = triplets(evidence, &knowledge, &selected, config, seed, pulse)?;
    Ok(Selection { selected: Arc::new(selected), rows: Arc::new(rows), short_rows, knowledge })
}

/// Rows of `num_negatives` for each (query, positive), and how many short rows were dropped.
///
/// # Errors
/// Where the spill cannot be read; what `pulse` reports.
pub fn triplets(
    evidence: &Evidence,
    knowledge: &Knowledge,
    selected: &Selected,
    config: &SelectConfig,
    seed: Seed,
    pulse: &mut Pulse<'_>,
) -> Result<(Triplets, u64)> {
    let n = config.num_negatives;
    let (mut out, mut dropped) = (Triplets { codes: Vec::new(), num_negatives: n }, 0);
    let mut rest = selected.negatives.as_slice();
    let mut docs: Vec<u64> = Vec::new();
    let mut refill = Refiller::new(&evidence.released, knowledge.documents.codes());
    for positives in selected.positives.chunk_by(|a, b| a.query == b.query) {
        pulse.beat()?;
        let query = positives[0].query;
        rest = &rest[rest.partition_point(|r| r.query < query)..];
        let own: &[Negative] = &rest[..rest.partition_point(|r| r.query == query)];
        for positive in positives {
            // Rows are in order of place, so equal documents are neighbours.
            docs.clear();
            let of_it = own.iter().filter(|r| r.positive.is_none_or(|(doc, _)| doc == positive.doc));
            docs.extend(of_it.map(|r| r.pair.doc));
            docs.dedup();
            for chunk in docs.chunks(n) {
                if chunk.len() == n {
                    out.codes.extend([query, positive.doc]);
                    out.codes.extend(chunk);
                    continue;
                }
                let row = match config.refill {
                    Refill::Drop => None,
                    Refill::Repeat => {
                        Some(chunk.iter().chain(docs.iter().cycle()).take(n).copied().collect())
                    }
                    Refill::Random => refill.row(query, chunk, n, seed)?,
                };
                match row {
                    Some(negatives) => {
                        out.codes.extend([query, positive.doc]);
                        out.codes.extend(negatives);
                    }
                    None => dropped += 1,
                }
            }
        }
    }
    Ok((out, dropped))
}

/// Fills short rows with documents shown for other queries and never, as far as was released, for this one. Queries are
/// asked for in canonical order, so the released tables are walked through once more.
struct Refiller<'a> {
    groups: Groups<'a>,
    shown: Option<Group>,
    /// All released documents in canonical order.
    documents: &'a [u64],
}

impl<'a> Refiller<'a> {
    fn new(released: &'a Released, documents: &'a [u64]) -> Self {
        Self { groups: released.tables.groups(), shown: None, documents }
    }

    fn row(&mut self, query: u64, chunk: &[u64], n: usize, seed: Seed) -> Result<Option<Vec<u64>>> {
        while self.shown.as_ref().is_none_or(|g| g.query < query) {
            self.shown = self.groups.advance()?;
            if self.shown.is_none() {
                return Ok(None);
            }
        }
        let shown = self.shown.as_ref().filter(|g| g.query == query).map_or(&[][..], |g| &g.pairs);
        let mut row = chunk.to_vec();
        for i in 0..DRAWS {
            if row.len() == n {
                break;
            }
            let drawn = seed.hash("refill", &[&query.to_be_bytes(), &i.to_be_bytes()]);
            let doc = self.documents[(drawn % self.documents.len() as u64) as usize];
            if !row.contains(&doc) && shown.binary_search_by_key(&doc, |p| p.doc).is_err() {
                row.push(doc);
            }
        }
        Ok((row.len() == n).then_some(row))
    }
}
