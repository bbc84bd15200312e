//! The click graph: documents of each query, and queries of each document.

use super::order::sort_by_code;
use super::{RelatedConfig, too_many};
use crate::error::{Error, Result};

/// Clicks of queries on documents, both by number.
pub(crate) struct Graph {
    /// Sum of squared clicks of each query over the documents of the graph.
    pub(super) norms: Vec<u64>,
    rows: Lists,
    postings: Lists,
}

/// A graph, and what its numbers stand for.
pub(super) struct Coded {
    pub(super) graph: Graph,
    /// Codes of queries with a click, ascending.
    pub(super) queries: Vec<u64>,
    /// Codes of documents with a click, ascending.
    pub(super) docs: Vec<u64>,
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

impl Coded {
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
        let (docs, doc_of) = ranked(&clicked(docs), "pairs")?;
        let mut queries = clicked(queries);
        let mut rows = Lists { starts: vec![0], items: Vec::with_capacity(doc_of.len()) };
        let clicks = clicks.iter().filter(|c| **c > 0);
        for (row, (&doc, &clicks)) in doc_of.iter().zip(clicks).enumerate() {
            if row > 0 && queries[row] != queries[row - 1] {
                rows.starts.push(row);
            }
            rows.items.push((doc, clicks));
        }
        queries.dedup();
        queries.shrink_to_fit();
        if !queries.is_empty() {
            rows.starts.push(doc_of.len());
        }
        Ok(Self { graph: Graph::of(rows, docs.len(), config)?, queries, docs })
    }
}

impl Graph {
    /// The graph of queries whose clicks end at `ends` of `clicked`, which names documents by number, of `docs` in all. Only
    /// documents that join queries are kept, and get numbers of their own: 16 bytes for each of their clicks, and while it is
    /// made 4 for each document.
    pub(crate) fn joining(
        ends: &[usize],
        mut clicked: Vec<(u32, u32)>,
        docs: usize,
        config: &RelatedConfig,
    ) -> Result<Self> {
        const NONE: u32 = u32::MAX;
        let mut number = vec![0_u32; docs];
        clicked.iter().for_each(|(doc, _)| number[*doc as usize] += 1);
        let within = config.min_queries_per_document..=config.max_queries_per_document;
        let mut joining = 0;
        for degree in &mut number {
            let joins = within.contains(&(*degree as usize));
            *degree = if joins { joining } else { NONE };
            joining += u32::from(joins);
        }
        let (mut start, mut kept) = (0, 0);
        let mut starts = Vec::with_capacity(ends.len() + 1);
        starts.push(0);
        for end in ends {
            for row in start..*end {
                let (doc, clicks) = clicked[row];
                if number[doc as usize] != NONE {
                    clicked[kept] = (number[doc as usize], clicks);
                    kept += 1;
                }
            }
            starts.push(kept);
            start = *end;
        }
        drop(number);
        clicked.truncate(kept);
        clicked.shrink_to_fit();
        Self::of(Lists { starts, items: clicked }, joining as usize, config)
    }

    fn of(rows: Lists, docs: usize, config: &RelatedConfig) -> Result<Self> {
        let postings = rows.inverted(docs, config);
        let mut graph = Self { norms: Vec::new(), rows, postings };
        graph.norms = (0..graph.len() as u32).map(|q| graph.norm(q)).collect::<Result<_>>()?;
        Ok(graph)
    }

    /// How many queries.
    pub(super) fn len(&self) -> usize {
        self.rows.starts.len() - 1
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let lists = [&self.rows, &self.postings].map(|l| 8 * (l.starts.len() + l.items.len()));
        lists.iter().sum::<usize>() + 8 * self.norms.len()
    }

    /// Documents clicked for a query, in order, with clicks.
    pub(super) fn row(&self, query: u32) -> &[(u32, u32)] {
        self.rows.of(query)
    }

    /// Queries that a document of the graph was clicked for, in order; none where it joins none.
    pub(super) fn clicked_for(&self, doc: u32) -> &[(u32, u32)] {
        self.postings.of(doc)
    }

    fn norm(&self, query: u32) -> Result<u64> {
        let in_graph = self.row(query).iter().filter(|(doc, _)| !self.clicked_for(*doc).is_empty());
        let mut squares = in_graph.map(|(_, clicks)| u64::from(*clicks) * u64::from(*clicks));
        squares.try_fold(0_u64, u64::checked_add).ok_or_else(|| {
            Error::data("the squared clicks of one query exceed 64 bits: are these clicks? divide them first")
        })
    }
}

impl Lists {
    /// By document, of so many, made by counting: documents outside the range of queries get none.
    fn inverted(&self, docs: usize, config: &RelatedConfig) -> Self {
        let mut degrees = vec![0_usize; docs];
        self.items.iter().for_each(|(doc, _)| degrees[*doc as usize] += 1);
        let within = config.min_queries_per_document..=config.max_queries_per_document;
        let (mut starts, mut total) = (Vec::with_capacity(docs + 1), 0);
        starts.push(0);
        for degree in &mut degrees {
            // From here on where the document's next posting goes.
            let start = total;
            total += if within.contains(degree) { *degree } else { 0 };
            *degree = start;
            starts.push(total);
        }
        let mut items = vec![(0, 0); total];
        for query in 0..(self.starts.len() - 1) as u32 {
            for &(doc, clicks) in self.of(query) {
                let (at, doc) = (&mut degrees[doc as usize], doc as usize);
                if *at < starts[doc + 1] {
                    items[*at] = (query, clicks);
                    *at += 1;
                }
            }
        }
        Self { starts, items }
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
