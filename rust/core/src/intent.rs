//! Queries that likely ask for the same, and what satisfied somebody there: a document that did is no negative here.
//!
//! Two signs: the cosine of satisfied clicks (co-click similarity, Beeferman & Berger 2000), and the cosine of
//! words weighted by their rarity (tf-idf, Salton & Buckley 1988). Only queries with a satisfied click are looked at: no
//! other has a positive, and none satisfied anybody.

mod words;

use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::related::{COSINE_UNIT, Clicks, RelatedConfig, related};
use crate::release::Released;
use words::Words;

/// Queries of the same clicks that are looked at, nearest first.
const NEAREST: usize = 100;
/// A document clicked for more queries says nothing of intent, and costs the square of their number.
const MAX_QUERIES_PER_DOCUMENT: usize = 200;
/// Likewise a word, by which queries are found that may be alike; whether they are, all their words say. What is asked with
/// such words alone is asked often: there clicks tell.
const MAX_QUERIES_PER_WORD: usize = 1_000;

/// Above which cosine two queries ask for the same; 1 switches the sign off.
#[derive(Debug, Clone, Copy)]
pub struct Likeness {
    /// Of satisfied clicks.
    pub clicks: f64,
    /// Of words.
    pub words: f64,
}

/// (query, document) where a query of the same intent has a satisfied click on the document.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Elsewhere(Vec<(u64, u64)>);

impl Elsewhere {
    /// By the satisfied clicks that a release shows. The same for any number of threads.
    ///
    /// Memory, outside the budget: some 90 bytes a pair with a satisfied click, the words of its queries, and 16 bytes each
    /// for two queries of one intent and for a row of the result.
    ///
    /// # Errors
    /// [`Error::usage`] for a cosine outside 0 to 1; where the spill cannot be read; what `pulse` reports.
    pub fn new(
        released: &Released,
        likeness: Likeness,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        for (name, cosine) in [("clicks", likeness.clicks), ("words", likeness.words)] {
            if !(cosine > 0.0 && cosine <= 1.0) {
                return Err(Error::usage(format!(
                    "select.same_intent_{name} must be above 0 and at most 1 (1 switches it off)"
                )));
            }
        }
        if likeness.clicks >= 1.0 && likeness.words >= 1.0 {
            return Ok(Self::default());
        }
        let clicks = Clicks::satisfied(released, pulse)?;
        let pairs: Vec<(u64, u64)> =
            clicks.queries.iter().copied().zip(clicks.docs.iter().copied()).collect();
        let queries: Vec<u64> = pairs.chunk_by(|a, b| a.0 == b.0).map(|rows| rows[0].0).collect();
        let mut same: Vec<(u64, u64)> = Vec::new();
        if likeness.clicks < 1.0 {
            let config = RelatedConfig {
                top_related: NEAREST,
                min_queries_per_document: 2,
                max_queries_per_document: MAX_QUERIES_PER_DOCUMENT,
                top_documents: 0,
            };
            let found =
                related(&clicks.queries, &clicks.docs, &clicks.clicks, &config, threads, &mut |_| {
                    pulse.beat()
                })?;
            let query = |i: u32| found.queries[i as usize];
            let near = found.related.iter().filter(|r| f64::from(r.cosine) * COSINE_UNIT > likeness.clicks);
            same.extend(near.map(|r| (query(r.query), query(r.related))));
        }
        if likeness.words < 1.0 {
            let texts: Vec<&str> = queries.iter().map(|q| released.query_strings.get(*q)).collect();
            let near = Words::new(&texts).alike(likeness.words, MAX_QUERIES_PER_WORD, threads, pulse)?;
            same.extend(near.into_iter().map(|(a, b)| (queries[a as usize], queries[b as usize])));
        }
        same.sort_unstable();
        same.dedup();
        Ok(Self(there(&same, &pairs, pulse)?))
    }

    /// The rows of a query, by document.
    pub fn of(&self, query: u64) -> &[(u64, u64)] {
        rows_of(&self.0, query)
    }
}

/// What satisfied somebody in the second of two queries, as rows of the first.
fn there(same: &[(u64, u64)], pairs: &[(u64, u64)], pulse: &mut Pulse<'_>) -> Result<Vec<(u64, u64)>> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    let mut docs: Vec<u64> = Vec::new();
    for others in same.chunk_by(|a, b| a.0 == b.0) {
        pulse.beat()?;
        docs.clear();
        docs.extend(others.iter().flat_map(|(_, other)| rows_of(pairs, *other)).map(|(_, doc)| *doc));
        docs.sort_unstable();
        docs.dedup();
        out.extend(docs.iter().map(|doc| (others[0].0, *doc)));
    }
    Ok(out)
}

fn rows_of(rows: &[(u64, u64)], query: u64) -> &[(u64, u64)] {
    let start = rows.partition_point(|(q, _)| *q < query);
    let end = start + rows[start..].partition_point(|(q, _)| *q == query);
    &rows[start..end]
}
