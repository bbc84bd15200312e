//! Related queries with their texts, as Arrow.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::{COSINE_UNIT, Clicks, DocumentRow, Related, RelatedConfig, related};
use crate::error::{Error, Result};
use crate::export::{Columns, Table, batch, coded, column, float, int, row_ranges};
use crate::impressions::ReadStats;
use crate::job::Progress;
use crate::strings::Strings;

/// Related queries of [`Clicks`], and the texts that their codes stand for.
pub struct RelatedTables {
    query_strings: Arc<Strings>,
    doc_strings: Arc<Strings>,
    found: Related,
    /// Places of the texts of `found.queries` and `found.docs`, so that none is looked up twice.
    query_places: Vec<usize>,
    doc_places: Vec<usize>,
    /// What reading found.
    pub read: ReadStats,
}

impl RelatedTables {
    /// [`related`] of `clicks`.
    ///
    /// # Errors
    /// As [`related`].
    pub fn new(
        clicks: Clicks,
        config: &RelatedConfig,
        threads: usize,
        observe: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Self> {
        let Clicks { query_strings, doc_strings, queries, docs, clicks, read } = clicks;
        let found = related(&queries, &docs, &clicks, config, threads, observe)?;
        let query_places = places(&query_strings, &found.queries)?;
        let doc_places = places(&doc_strings, &found.docs)?;
        Ok(Self { query_strings, doc_strings, found, query_places, doc_places, read })
    }

    /// Queries with a click.
    pub fn queries(&self) -> u64 {
        self.found.queries.len() as u64
    }

    /// query, related_query, cosine, rank.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn related(self: &Arc<Self>) -> Result<Table> {
        let (own, rows) = (self.clone(), self.found.related.len());
        Table::new(rows, row_ranges(rows), move |range, wanted| {
            let (rows, strings) = (&own.found.related[range], &*own.query_strings);
            let query = |i: u32| own.query_places[i as usize];
            let mut out = Columns::default();
            column!(out, "query", text(strings, rows.iter().map(|r| query(r.query))));
            column!(out, "related_query", text(strings, rows.iter().map(|r| query(r.related))));
            column!(out, "cosine", float(rows.iter().map(|r| Some(f64::from(r.cosine) * COSINE_UNIT))));
            column!(out, "rank", int(rows.iter().map(|r| r.rank.into())));
            batch(out, wanted)
        })
    }

    /// query, doc_id, score, rank.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn documents(self: &Arc<Self>) -> Result<Table> {
        let (own, rows) = (self.clone(), self.found.documents.len());
        Table::new(rows, row_ranges(rows), move |range, wanted| {
            let own = &*own;
            let rows = &own.found.documents[range];
            let query = |r: &DocumentRow| own.query_places[r.query as usize];
            let doc = |r: &DocumentRow| own.doc_places[r.doc as usize];
            let mut out = Columns::default();
            column!(out, "query", text(&own.query_strings, rows.iter().map(query)));
            column!(out, "doc_id", text(&own.doc_strings, rows.iter().map(doc)));
            column!(out, "score", float(rows.iter().map(|r| Some(r.score as f64 * COSINE_UNIT))));
            column!(out, "rank", int(rows.iter().map(|r| r.rank.into())));
            batch(out, wanted)
        })
    }
}

fn places(strings: &Strings, codes: &[u64]) -> Result<Vec<usize>> {
    let place = |code: &u64| strings.find(*code).ok_or_else(|| Error::internal("a code without its text"));
    codes.iter().map(place).collect()
}

fn text(strings: &Strings, places: impl Iterator<Item = usize>) -> ArrayRef {
    coded(places.map(|i| i as u64), |i| Some(i as usize), |i| strings.at(i))
}
