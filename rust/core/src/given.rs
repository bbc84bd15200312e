//! (query, document)s that a caller gives beside the log: judgments, negatives of their own, what a search engine returned.

mod scores;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::batches::Batches;
use crate::error::{Error, Result};
use crate::intern::code;
use crate::pulse::Pulse;
use crate::strings::Strings;
use crate::text::TextColumn;

pub use scores::{Said, Saids, Scores};

/// Columns `query` and `doc_id` of a batch of a given table.
struct Keys<'a> {
    name: &'a str,
    queries: TextColumn,
    ids: TextColumn,
}

impl<'a> Keys<'a> {
    fn new(name: &'a str, batch: &RecordBatch) -> Result<Self> {
        let column = |column: &str| {
            let array = batch.column_by_name(column).ok_or_else(|| {
                Error::column(format!("{name}: there is no column {column}; name yours query and doc_id"))
            })?;
            TextColumn::new(column, array)
        };
        Ok(Self { name, queries: column("query")?, ids: column("doc_id")? })
    }

    /// Codes of query and document, and the document; `at` is the number of the row in the whole table.
    fn codes(&self, row: usize, at: usize) -> Result<(u64, u64, String)> {
        let text = |column: &TextColumn, which: &str| {
            column.row(row).and_then(|t| std::str::from_utf8(t).ok()).map(str::to_owned).ok_or_else(|| {
                let name = self.name;
                Error::data(format!("{name}: row {at} has no readable {which}; leave such rows out"))
            })
        };
        let (query, doc) = (text(&self.queries, "query")?, text(&self.ids, "doc_id")?);
        Ok((code(query.as_bytes()), code(doc.as_bytes()), doc))
    }
}

/// Documents by query, each once, in the order in which they came.
#[derive(Default)]
pub struct Given {
    /// Codes of query and document, by query.
    rows: Vec<(u64, u64)>,
}

impl Given {
    /// Reads columns `query` (normalised) and `doc_id`; `name` says in errors what it is, and `docs` takes in the documents.
    ///
    /// # Errors
    /// [`Error::column`] for columns that are missing or of types that cannot be read, [`Error::data`] for null values; what
    /// the stream or `pulse` reports.
    pub fn read(
        name: &str,
        rows: &dyn Batches,
        docs: &mut BTreeMap<u64, String>,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let mut out = Self::default();
        while let Some(batch) = rows.next() {
            pulse.beat()?;
            let batch = batch?;
            let keys = Keys::new(name, &batch)?;
            for row in 0..batch.num_rows() {
                let (query, id, doc) = keys.codes(row, out.rows.len())?;
                out.rows.push((query, id));
                docs.entry(id).or_insert(doc);
            }
        }
        // Stable: a query's documents stay in their order.
        out.rows.sort_by_key(|(query, _)| *query);
        let mut seen = std::collections::HashSet::new();
        out.rows.retain(|row| seen.insert(*row));
        Ok(out)
    }

    /// Documents of a query.
    pub fn of(&self, query: u64) -> impl Iterator<Item = u64> + Clone {
        let start = self.rows.partition_point(|(q, _)| *q < query);
        self.rows[start..].iter().take_while(move |(q, _)| *q == query).map(|(_, doc)| *doc)
    }

    /// Whether a query has this document.
    pub fn has(&self, query: u64, doc: u64) -> bool {
        self.of(query).any(|d| d == doc)
    }
}

/// Everything that was given.
#[derive(Default)]
pub struct Beside {
    /// Documents that satisfy a query, best first: its positives before those of the log.
    pub positives: Given,
    /// Documents that are no negatives of a query.
    pub known_relevant: Given,
    /// Negatives of a query, as they are.
    pub extra_negatives: Given,
    /// What a search engine returns for a query, best first.
    pub retrieved: Given,
    /// What a model says of documents.
    pub scores: Scores,
    /// The strings of all documents, those of the log among them.
    pub docs: Arc<Strings>,
}

impl Beside {
    /// Adds documents that the log does not have.
    ///
    /// # Errors
    /// [`Error::data`] where two documents share a code; what `pulse` reports.
    pub fn with_docs(
        mut self,
        log: &Arc<Strings>,
        more: &BTreeMap<u64, String>,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        self.docs = log.clone();
        if more.keys().any(|id| log.find(*id).is_none()) {
            let more = Strings::of(more.iter().map(|(id, text)| (*id, text.as_str())));
            let (all, clashes) = log.merge(&more, pulse)?;
            if !clashes.is_empty() {
                return Err(Error::data("two document ids share a code; leave one of the given ones out"));
            }
            self.docs = Arc::new(all);
        }
        Ok(self)
    }
}
