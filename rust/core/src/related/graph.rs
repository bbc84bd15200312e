//! The click graph: documents of each query, and queries of each document.

use super::order::sort_by_code;
use super::{RelatedConfig, too_many};
use crate::error::{Error, Result};

/// Queries and documents by index, in order of their codes.
pub(super) struct Graph {
    /// Codes of queries with a click, ascending.
    pub(super) queries: Vec<u64>,
    /// Codes of documents with a click, ascending.
    pub(super) docs: Vec<u64>,
    /// Sum of squared clicks of each query over the documents of the graph.
    pub(super) norms: Vec<u64>,
    rows: Lists,
    postings: Lists,
}

/// Lists of (index, clicks), end to end.
struct Lists {
    starts: Vec<usize>,
    items: Vec<(u32, u32)>,
}

impl Lists {
    fn of(&self, i: u32) -> &[(u32, u32)] {
        &self.items[self.starts[i as usize]..self.starts[i as usize + 1]]
    }
}

impl Graph {
    /// The graph of rows that ascend strictly by (query, document).
    pub(super) fn new(queries: &[u64], docs: &[u64], clicks: &[u32], config: &RelatedConfig) -> Result<Self> {
        let rows = queries.len();
        let ascending = (1..rows).all(|i| (queries[i - 1], docs[i - 1]) < (queries[i], docs[i]));
        if docs.len() != rows || clicks.len() != rows || !ascending {
            return Err(Error::internal("clicks must ascend by query and document, each pair once"));
        }
        let clicked = |values: &[u64]| -> Vec<u64> {
            values.iter().zip(clicks).filter(|(_, c)| **c > 0).map(|(v, _)| *v).collect()
        };
        let (doc_codes, doc_of) = ranked(&clicked(docs), "pairs")?;
        let mut graph = Self {
            queries: clicked(queries),
            docs: doc_codes,
            norms: Vec::new(),
            rows: Lists { starts: vec![0], items: Vec::with_capacity(doc_of.len()) },
            postings: Lists { starts: Vec::new(), items: Vec::new() },
        };
        let clicks = clicks.iter().filter(|c| **c > 0);
        for (row, (&doc, &clicks)) in doc_of.iter().zip(clicks).enumerate() {
            if row > 0 && graph.queries[row] != graph.queries[row - 1] {
                graph.rows.starts.push(row);
            }
            graph.rows.items.push((doc, clicks));
        }
        graph.queries.dedup();
        graph.queries.shrink_to_fit();
        if !graph.queries.is_empty() {
            graph.rows.starts.push(doc_of.len());
        }
        graph.invert(config);
        graph.norms = (0..graph.queries.len() as u32).map(|q| graph.norm(q)).collect::<Result<_>>()?;
        Ok(graph)
    }

    /// Documents clicked for a query, in order, with clicks.
    pub(super) fn row(&self, query: u32) -> &[(u32, u32)] {
        self.rows.of(query)
    }

    /// Queries that a document of the graph was clicked for, in order; none where it joins none.
    pub(super) fn clicked_for(&self, doc: u32) -> &[(u32, u32)] {
        self.postings.of(doc)
    }

    /// Fills the postings by counting: documents outside the range of queries get none.
    fn invert(&mut self, config: &RelatedConfig) {
        let mut degrees = vec![0_usize; self.docs.len()];
        self.rows.items.iter().for_each(|(doc, _)| degrees[*doc as usize] += 1);
        let within = config.min_queries_per_document..=config.max_queries_per_document;
        let mut total = 0;
        self.postings.starts.push(0);
        for degree in &mut degrees {
            // From here on where the document's next posting goes.
            let start = total;
            total += if within.contains(degree) { *degree } else { 0 };
            *degree = start;
            self.postings.starts.push(total);
        }
        self.postings.items = vec![(0, 0); total];
        for query in 0..self.queries.len() as u32 {
            for &(doc, clicks) in self.rows.of(query) {
                let (at, doc) = (&mut degrees[doc as usize], doc as usize);
                if *at < self.postings.starts[doc + 1] {
                    self.postings.items[*at] = (query, clicks);
                    *at += 1;
                }
            }
        }
    }

    fn norm(&self, query: u32) -> Result<u64> {
        let in_graph = self.row(query).iter().filter(|(doc, _)| !self.clicked_for(*doc).is_empty());
        let mut squares = in_graph.map(|(_, clicks)| u64::from(*clicks) * u64::from(*clicks));
        squares.try_fold(0_u64, u64::checked_add).ok_or_else(|| {
            Error::data("the squared clicks of one query exceed 64 bits: are these clicks? divide them first")
        })
    }
}

/// The distinct codes, ascending, and the rank of each value among them.
fn ranked(values: &[u64], what: &str) -> Result<(Vec<u64>, Vec<u32>)> {
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(values.len());
    for (i, value) in values.iter().enumerate() {
        order.push((*value, u32::try_from(i).map_err(|_| too_many(what))?));
    }
    sort_by_code(&mut order, |(value, _)| *value, |(value, _)| *value);
    let mut codes: Vec<u64> = Vec::new();
    let mut ranks = vec![0; values.len()];
    for (value, i) in order {
        if codes.last() != Some(&value) {
            codes.push(value);
        }
        ranks[i as usize] = codes.len() as u32 - 1;
    }
    Ok((codes, ranks))
}
