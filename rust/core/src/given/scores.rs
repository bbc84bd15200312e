//! What a model of the caller's says of (query, document)s.

use arrow_schema::DataType;

use crate::batches::Batches;
use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::scalar::floats;

use super::Keys;

/// Of one document for a query; NaN where it is not said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// How relevant; higher is more.
    pub score: f64,
    /// Share of words (Jaccard) with the nearest positive.
    pub word_overlap: f64,
    /// Cosine with the nearest positive.
    pub vector_cosine: f64,
}

const NOTHING: Said = Said { score: f64::NAN, word_overlap: f64::NAN, vector_cosine: f64::NAN };

/// Columns that hold figures, each of which may be missing.
const FIGURES: [&str; 3] = ["score", "word_overlap", "vector_cosine"];

/// Figures by query and document.
#[derive(Default)]
pub struct Scores {
    /// Codes of query and document, ascending.
    rows: Vec<((u64, u64), Said)>,
    /// Whether the table was given.
    given: bool,
}

impl Scores {
    /// Reads columns `query` (normalised), `doc_id` and those of [`FIGURES`] that are there. Of a document that comes twice for
    /// a query the greatest figures stay: so the order of rows changes nothing.
    ///
    /// # Errors
    /// As [`super::Given::read`]; [`Error::data`] for infinite figures.
    pub fn read(rows: &dyn Batches, pulse: &mut Pulse<'_>) -> Result<Self> {
        let mut out = Self { rows: Vec::new(), given: true };
        while let Some(batch) = rows.next() {
            pulse.beat()?;
            let batch = batch?;
            let keys = Keys::new("scores", &batch)?;
            let column = |name: &str| match batch.column_by_name(name) {
                Some(array) if !array.data_type().is_numeric() && array.data_type() != &DataType::Null => {
                    let t = array.data_type();
                    Err(Error::column(format!("scores: column {name} has type {t}, expected numbers")))
                }
                Some(array) => floats(name, array),
                None => Ok(vec![f64::NAN; batch.num_rows()]),
            };
            let (score, words, vectors) = (column(FIGURES[0])?, column(FIGURES[1])?, column(FIGURES[2])?);
            for row in 0..batch.num_rows() {
                let said = Said { score: score[row], word_overlap: words[row], vector_cosine: vectors[row] };
                let at = out.rows.len();
                if [said.score, said.word_overlap, said.vector_cosine].iter().any(|x| x.is_infinite()) {
                    return Err(Error::data(format!(
                        "scores: row {at} has an infinite figure; leave such rows out, or cap them"
                    )));
                }
                let (query, doc, _) = keys.codes(row, at)?;
                out.rows.push(((query, doc), said));
            }
        }
        out.rows.sort_by_key(|(key, _)| *key);
        out.rows.dedup_by(|next, kept| {
            // Of a number and NaN `max` takes the number.
            let (a, b) = (&mut kept.1, next.1);
            if kept.0 == next.0 {
                a.score = a.score.max(b.score);
                a.word_overlap = a.word_overlap.max(b.word_overlap);
                a.vector_cosine = a.vector_cosine.max(b.vector_cosine);
            }
            kept.0 == next.0
        });
        Ok(out)
    }

    /// Whether a table was given, rows or not.
    pub fn is_given(&self) -> bool {
        self.given
    }

    /// What is said of the documents of a query.
    pub fn of(&self, query: u64) -> Saids<'_> {
        let start = self.rows.partition_point(|((q, _), _)| *q < query);
        let end = start + self.rows[start..].partition_point(|((q, _), _)| *q == query);
        Saids(&self.rows[start..end])
    }
}

/// What is said of one query's documents.
#[derive(Clone, Copy)]
pub struct Saids<'a>(&'a [((u64, u64), Said)]);

impl Saids<'_> {
    /// Of a document.
    pub fn doc(&self, doc: u64) -> Said {
        self.0.binary_search_by_key(&doc, |((_, d), _)| *d).map_or(NOTHING, |i| self.0[i].1)
    }

    /// The least score of these documents that have one; NaN where none has.
    pub fn least(&self, docs: &[u64]) -> f64 {
        docs.iter().map(|doc| self.doc(*doc).score).fold(f64::NAN, f64::min)
    }
}
