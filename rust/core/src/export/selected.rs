//! Negatives, positives and training rows as Arrow.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};

use super::evidence::{EVIDENCE_COLUMNS, Weighed};
use super::{Columns, Table, batch, column, float, position, query_id, row_ranges, text};
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::select::{Negative, Selected};
use crate::triplets::Triplets;

impl Evidence {
    /// Table `negatives`, with evidence columns carried along.
    ///
    /// # Errors
    /// [`Error::usage`] for a carried column that does not exist.
    pub fn negatives(self: &Arc<Self>, selected: &Arc<Selected>, carry: &[String]) -> Result<Table> {
        let carried: Vec<&'static str> = carry
            .iter()
            .map(|name| {
                EVIDENCE_COLUMNS
                    .into_iter()
                    .find(|c| c == name)
                    .filter(|c| !["expected_clicks", "examinations", "p_relevant"].contains(c))
                    .ok_or_else(|| {
                        Error::usage(format!(
                            "select.carry names {name:?}; what can be carried: {EVIDENCE_COLUMNS:?}"
                        ))
                    })
            })
            .collect::<Result<_>>()?;
        if let Some(twice) = carried.iter().enumerate().find(|(i, c)| carried[..*i].contains(c)) {
            return Err(Error::usage(format!("select.carry names {} twice", twice.1)));
        }
        let (evidence, selected) = (self.clone(), selected.clone());
        let rows = selected.negatives.len();
        Table::new(rows, row_ranges(rows), move |range| {
            let (rows, released) = (&selected.negatives[range], &*evidence.released);
            let n = rows.len();
            let docs = &*released.doc_strings;
            let weighed: &Vec<Weighed> = &rows.iter().map(|r| (r.pair, r.evidence)).collect();
            let mut out = Columns::default();
            let ids = || Arc::new(StringArray::from_iter_values(rows.iter().map(|r| query_id(r.query))));
            let preferred = || rows.iter().map(|r| r.positive.map(|(doc, _)| docs.get(doc)));
            let users =
                || rows.iter().map(|r| released.has.users.then(|| released.shown(r.users.into()) as i64));
            column!(out, "query_id", ids());
            column!(out, "query", text(&released.query_strings, rows.iter().map(|r| r.query)));
            column!(out, "pos_id", Arc::new(StringArray::from_iter(preferred())));
            column!(out, "neg_id", text(docs, rows.iter().map(|r| r.pair.doc)));
            column!(out, "rule", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.rule.name()))));
            column!(out, "kind", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "hard"))));
            column!(out, "position_pos", position(rows.iter().map(|r| r.position_pos)));
            column!(out, "position_neg", position(rows.iter().map(|r| r.position_neg)));
            let evidence = &*evidence;
            column!(out, "expected_clicks", evidence.column("expected_clicks", weighed.iter()));
            column!(out, "examinations", evidence.column("examinations", weighed.iter()));
            column!(out, "users", Arc::new(Int64Array::from_iter(users())));
            let p = |r: &Negative| (!r.p_false_negative.is_nan()).then_some(r.p_false_negative);
            column!(out, "p_false_negative", float(rows.iter().map(p)));
            column!(out, "weight", float(rows.iter().map(|r| p(r).map(|p| 1.0 - p))));
            column!(out, "split", Arc::new(StringArray::new_null(n)));
            for name in &carried {
                column!(out, *name, evidence.column(name, weighed.iter()));
            }
            batch(out, &[])
        })
    }

    /// Positives: query, doc_id, in order.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn positives(self: &Arc<Self>, selected: &Arc<Selected>) -> Result<Table> {
        let (released, selected) = (self.released.clone(), selected.clone());
        let rows = selected.positives.len();
        Table::new(rows, row_ranges(rows), move |range| {
            let rows = &selected.positives[range];
            let released = &*released;
            let mut out = Columns::default();
            column!(out, "query", text(&released.query_strings, rows.iter().map(|r| r.query)));
            column!(out, "doc_id", text(&released.doc_strings, rows.iter().map(|r| r.doc)));
            batch(out, &[])
        })
    }

    /// Training rows in ids: query, positive, negative_1 … negative_n.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn triplets(&self, rows: &Arc<Triplets>, num_negatives: usize) -> Result<Table> {
        let mut names = vec!["query".to_owned(), "positive".to_owned()];
        names.extend((1..=num_negatives).map(|i| format!("negative_{i}")));
        let (released, rows) = (self.released.clone(), rows.clone());
        Table::new(rows.len(), row_ranges(rows.len()), move |range| {
            let strings =
                |column| if column == 0 { &*released.query_strings } else { &*released.doc_strings };
            let columns: Vec<ArrayRef> = (0..num_negatives + 2)
                .map(|column| text(strings(column), rows.column(range.clone(), column)))
                .collect();
            let fields =
                names.iter().zip(&columns).map(|(name, c)| Field::new(name, c.data_type().clone(), false));
            Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?)
        })
    }
}
