//! Related queries: queries whose users clicked the same documents, and what was clicked there and not here.
//!
//! A query is the vector of its click counts over the documents of the graph; related queries are the nearest by cosine
//! (co-click similarity on the click graph: Beeferman & Berger 2000; Craswell & Szummer 2007). All pairs that share a
//! document are scored, through inverted lists; nothing is sampled or approximated.

mod clicks;
mod graph;
mod order;
mod tables;

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

pub use clicks::Clicks;
pub use tables::RelatedTables;

use crate::error::{Error, Result};
use crate::job::Progress;
use crate::workers;
use graph::Coded;
pub(crate) use graph::Graph;

/// A cosine is kept as a whole number of these: so equal cosines are equal whatever the last digit of a division said,
/// and sums of cosines times clicks are exact in any order.
pub const COSINE_UNIT: f64 = 1.0 / (1 << 30) as f64;

/// Queries that a worker takes at a time.
const CHUNK: usize = 256;

/// Options; see docs/ARCHITECTURE.md, related.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelatedConfig {
    /// Related queries kept per query.
    pub top_related: usize,
    /// A document joins queries where it was clicked for at least this many.
    pub min_queries_per_document: usize,
    /// And for at most this many: what is clicked for everything relates nothing, and its square is the work.
    pub max_queries_per_document: usize,
    /// Documents kept per query.
    pub top_documents: usize,
}

/// A query and a related one. Both are indices into [`Related::queries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelatedRow {
    /// The query.
    pub query: u32,
    /// The related query.
    pub related: u32,
    /// Cosine in [`COSINE_UNIT`]s.
    pub cosine: u32,
    /// 1 for the nearest.
    pub rank: u32,
}

/// A document that was clicked for related queries and never for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentRow {
    /// Index into [`Related::queries`].
    pub query: u32,
    /// Index into [`Related::docs`].
    pub doc: u32,
    /// Sum over the related queries of cosine times clicks, in [`COSINE_UNIT`]s; stops at the type's end.
    pub score: u64,
    /// 1 for the highest score.
    pub rank: u32,
}

/// Related queries and their documents, by query in the order of the input, then by rank.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Related {
    /// Codes of the queries with a click, ascending.
    pub queries: Vec<u64>,
    /// Codes of the documents with a click, ascending.
    pub docs: Vec<u64>,
    /// Nearest queries.
    pub related: Vec<RelatedRow>,
    /// Documents clicked there and not here.
    pub documents: Vec<DocumentRow>,
}

/// Related queries of all queries.
///
/// Row i says that document `docs[i]` was clicked `clicks[i]` times for query `queries[i]`; rows ascend strictly by
/// (query, document), and rows without clicks count as absent. Codes are opaque, but their order breaks ties: between
/// equal cosines and between equal scores the lower code wins. The result does not depend on `threads` (0 for all cores).
///
/// Memory: 48 bytes a row, 16 bytes a query and document for each thread, and the result (16 bytes a related query, 24 a
/// document). Work: for each query the sum, over its documents of the graph, of the queries they were clicked for.
///
/// ```
/// use hardneg_core::related::{RelatedConfig, related};
/// let config = RelatedConfig {
///     top_related: 10, min_queries_per_document: 2, max_queries_per_document: 200, top_documents: 20,
/// };
/// // Queries 1 and 2 share document 7; document 8 was clicked for query 2 only.
/// let found = related(&[1, 2, 2], &[7, 7, 8], &[3, 1, 2], &config, 1, &mut |_| Ok(())).unwrap();
/// assert_eq!((found.related.len(), found.documents.len()), (2, 1));
/// assert_eq!(found.docs[found.documents[0].doc as usize], 8);
/// ```
///
/// # Errors
/// [`Error::data`] where clicks are so many that their squares exceed 64 bits, [`Error::internal`] for rows out of order,
/// and what `observe` reports, which is called about ten times a second.
pub fn related(
    queries: &[u64],
    docs: &[u64],
    clicks: &[u32],
    config: &RelatedConfig,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Related> {
    let Coded { graph, queries, docs } = Coded::new(queries, docs, clicks, config)?;
    let chunks = graph.len().div_ceil(CHUNK);
    let done: Mutex<Vec<(Vec<RelatedRow>, Vec<DocumentRow>)>> = Mutex::new(vec![Default::default(); chunks]);
    let total = graph.len();
    workers::each(
        chunks,
        workers::threads(threads),
        || observe(Progress { stage: "relating", rows: 0, done: None }),
        || Search::new(&graph, docs.len(), config),
        |search, chunk| {
            let mut out = Default::default();
            for query in chunk * CHUNK..((chunk + 1) * CHUNK).min(total) {
                search.query(query as u32, &mut out);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner)[chunk] = out;
            Ok(())
        },
        |_| Ok(()),
    )?;
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut out = Related { queries, docs, ..Related::default() };
    out.related.reserve_exact(done.iter().map(|(r, _)| r.len()).sum());
    out.documents.reserve_exact(done.iter().map(|(_, d)| d.len()).sum());
    for (related, documents) in done {
        out.related.extend(related);
        out.documents.extend(documents);
    }
    Ok(out)
}

/// One worker's scratch, all zero between queries.
pub(crate) struct Search<'a> {
    graph: &'a Graph,
    config: &'a RelatedConfig,
    /// Dot product with each query.
    dots: Vec<u64>,
    touched: Vec<u32>,
    /// Score of each document.
    scores: Vec<u64>,
    scored: Vec<u32>,
    /// Distance and query in one word, so that comparing words is comparing both.
    nearest: Vec<u64>,
    best: Vec<(Reverse<u64>, u32)>,
}

impl<'a> Search<'a> {
    /// For queries of a graph of so many documents.
    pub(crate) fn new(graph: &'a Graph, docs: usize, config: &'a RelatedConfig) -> Self {
        Self {
            graph,
            config,
            dots: vec![0; graph.len()],
            touched: Vec::new(),
            scores: vec![0; if config.top_documents > 0 { docs } else { 0 }],
            scored: Vec::new(),
            nearest: Vec::new(),
            best: Vec::new(),
        }
    }

    /// The nearest queries of one, nearest first, with cosines in [`COSINE_UNIT`]s.
    pub(crate) fn nearest(&mut self, query: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.find(query);
        keep_first(&mut self.nearest, self.config.top_related);
        self.nearest.iter().map(|word| (*word as u32, cosine_of(*word)))
    }

    fn query(&mut self, query: u32, out: &mut (Vec<RelatedRow>, Vec<DocumentRow>)) {
        for (i, (related, cosine)) in self.nearest(query).enumerate() {
            out.0.push(RelatedRow { query, related, cosine, rank: i as u32 + 1 });
        }
        if self.config.top_documents == 0 {
            return;
        }
        self.score(query);
        keep_first(&mut self.best, self.config.top_documents);
        for (i, &(Reverse(score), doc)) in self.best.iter().enumerate() {
            out.1.push(DocumentRow { query, doc, score, rank: i as u32 + 1 });
        }
    }

    /// Every query that shares a document of the graph.
    fn find(&mut self, query: u32) {
        for &(doc, clicks) in self.graph.row(query) {
            for &(other, theirs) in self.graph.clicked_for(doc) {
                let dot = &mut self.dots[other as usize];
                if *dot == 0 {
                    self.touched.push(other);
                }
                // At most the larger of the two squared norms, which fit.
                *dot += u64::from(clicks) * u64::from(theirs);
            }
        }
        self.nearest.clear();
        let norm = self.graph.norms[query as usize];
        for other in self.touched.drain(..) {
            let dot = std::mem::take(&mut self.dots[other as usize]);
            if other != query {
                let cosine = cosine(dot, norm, self.graph.norms[other as usize]);
                self.nearest.push(u64::from((1_u32 << 30) - cosine) << 32 | u64::from(other));
            }
        }
    }

    /// Every document clicked for the nearest queries and not for this one.
    fn score(&mut self, query: u32) {
        self.best.clear();
        for &word in &self.nearest {
            let cosine = u64::from(cosine_of(word));
            for &(doc, clicks) in self.graph.row(word as u32) {
                let score = &mut self.scores[doc as usize];
                if *score == 0 {
                    self.scored.push(doc);
                }
                *score = score.saturating_add(cosine * u64::from(clicks));
            }
        }
        for &(doc, _) in self.graph.row(query) {
            self.scores[doc as usize] = 0;
        }
        for doc in self.scored.drain(..) {
            // A document that was scored 0 twice is listed twice; the first takes it.
            let score = std::mem::take(&mut self.scores[doc as usize]);
            if score > 0 {
                self.best.push((Reverse(score), doc));
            }
        }
    }
}

/// dot / sqrt(norm · norm) in [`COSINE_UNIT`]s; the product is of integers, rounded once.
fn cosine(dot: u64, norm: u64, other: u64) -> u32 {
    let cosine = dot as f64 / ((u128::from(norm) * u128::from(other)) as f64).sqrt();
    (cosine / COSINE_UNIT + 0.5).floor().min(1.0 / COSINE_UNIT) as u32
}

fn cosine_of(word: u64) -> u32 {
    (1 << 30) - (word >> 32) as u32
}

/// The `n` least, in order.
fn keep_first<T: Ord>(items: &mut Vec<T>, n: usize) {
    if items.len() > n {
        if n > 0 {
            items.select_nth_unstable(n - 1);
        }
        items.truncate(n);
    }
    items.sort_unstable();
}

fn too_many(what: &str) -> Error {
    Error::data(format!("more distinct {what} than this version can hold (about 4e9)"))
}
