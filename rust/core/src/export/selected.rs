//! Negatives, positives and training rows as Arrow.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};

use super::evidence::{Weighed, carried};
use super::{Columns, Table, batch, column, float, position, query_id, row_ranges, text};
use crate::error::{Error, Result};
use crate::evidence::Evidence;
use crate::select::{Kind, Negative, Positive};
use crate::triplets::Selection;

impl Evidence {
    /// Table `negatives`, with evidence columns carried along.
    ///
    /// # Errors
    /// [`Error::usage`] for a carried column that does not exist.
    pub fn negatives(self: &Arc<Self>, made: &Selection, carry: &[String], split: bool) -> Result<Table> {
        let carried: Vec<&'static str> = carry
            .iter()
            .map(|name| {
                carried().find(|c| c == name).ok_or_else(|| {
                    let all: Vec<&str> = carried().collect();
                    Error::usage(format!("select.carry names {name:?}; what can be carried: {all:?}"))
                })
            })
            .collect::<Result<_>>()?;
        if let Some(twice) = carried.iter().enumerate().find(|(i, c)| carried[..*i].contains(c)) {
            return Err(Error::usage(format!("select.carry names {} twice", twice.1)));
        }
        let (evidence, selected, knowledge) = (self.clone(), made.selected.clone(), made.knowledge.clone());
        let rows = selected.negatives.len();
        Table::new(rows, row_ranges(rows), move |range, wanted| {
            let (rows, released) = (&selected.negatives[range], &*evidence.released);
            let docs = knowledge.docs(released);
            let weighed: &Vec<Weighed> = &rows.iter().map(|r| (r.pair, r.evidence)).collect();
            let mut out = Columns::default();
            let ids = || Arc::new(StringArray::from_iter_values(rows.iter().map(|r| query_id(r.query))));
            let preferred = || rows.iter().map(|r| r.positive.map(|(doc, _)| docs.get(doc)));
            let known = |r: &Negative| released.has.users && r.pair.impressions > 0;
            let users = || rows.iter().map(|r| known(r).then(|| released.shown(r.users.into()) as i64));
            let kind = |r: &Negative| match r.rule.kind() {
                Kind::Hard => "hard",
                Kind::Semi => "semi",
                Kind::Easy => "easy",
            };
            let part = |r: &Negative| match selected.validation.binary_search(&r.query) {
                _ if !split => None,
                Ok(_) => Some("validation"),
                Err(_) => Some("train"),
            };
            column!(out, "query_id", ids());
            column!(out, "query", text(&released.query_strings, rows.iter().map(|r| r.query)));
            column!(out, "pos_id", Arc::new(StringArray::from_iter(preferred())));
            column!(out, "neg_id", text(docs, rows.iter().map(|r| r.pair.doc)));
            column!(out, "rule", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.rule.name()))));
            column!(out, "kind", Arc::new(StringArray::from_iter_values(rows.iter().map(kind))));
            column!(out, "position_pos", position(rows.iter().map(|r| r.position_pos)));
            column!(out, "position_neg", position(rows.iter().map(|r| r.position_neg)));
            let evidence = &*evidence;
            column!(out, "expected_clicks", evidence.column("expected_clicks", weighed.iter()));
            column!(out, "examinations", evidence.column("examinations", weighed.iter()));
            column!(out, "users", Arc::new(Int64Array::from_iter(users())));
            let p = |r: &Negative| (!r.p_false_negative.is_nan()).then_some(r.p_false_negative);
            column!(out, "p_false_negative", float(rows.iter().map(p)));
            // Of what was never shown nothing speaks against its being a negative.
            let weight =
                |r: &Negative| if r.pair.impressions == 0 { Some(1.0) } else { p(r).map(|p| 1.0 - p) };
            column!(out, "weight", float(rows.iter().map(weight)));
            column!(out, "split", Arc::new(StringArray::from_iter(rows.iter().map(part))));
            for name in &carried {
                column!(out, *name, evidence.column(name, weighed.iter()));
            }
            if knowledge.beside.scores.is_given() {
                let said = |r: &Negative| knowledge.beside.scores.of(r.query).doc(r.pair.doc).score;
                column!(out, "score", float(rows.iter().map(said).map(known_score)));
            }
            batch(out, wanted)
        })
    }

    /// Positives: query, doc_id, in order; where scores are given, score.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn positives(self: &Arc<Self>, made: &Selection) -> Result<Table> {
        let (released, selected, knowledge) =
            (self.released.clone(), made.selected.clone(), made.knowledge.clone());
        let rows = selected.positives.len();
        Table::new(rows, row_ranges(rows), move |range, wanted| {
            let rows = &selected.positives[range];
            let (released, knowledge) = (&*released, &*knowledge);
            let mut out = Columns::default();
            column!(out, "query", text(&released.query_strings, rows.iter().map(|r| r.query)));
            column!(out, "doc_id", text(knowledge.docs(released), rows.iter().map(|r| r.doc)));
            if knowledge.beside.scores.is_given() {
                let said = |r: &Positive| knowledge.beside.scores.of(r.query).doc(r.doc).score;
                column!(out, "score", float(rows.iter().map(said).map(known_score)));
            }
            batch(out, wanted)
        })
    }

    /// Training rows in ids: query, positive, negative_1 … negative_n.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn triplets(&self, made: &Selection, num_negatives: usize) -> Result<Table> {
        let mut names = vec!["query".to_owned(), "positive".to_owned()];
        names.extend((1..=num_negatives).map(|i| format!("negative_{i}")));
        let (released, rows, knowledge) = (self.released.clone(), made.rows.clone(), made.knowledge.clone());
        Table::new(rows.len(), row_ranges(rows.len()), move |range, _| {
            let strings =
                |column| if column == 0 { &*released.query_strings } else { knowledge.docs(&released) };
            let columns: Vec<ArrayRef> = (0..num_negatives + 2)
                .map(|column| text(strings(column), rows.column(range.clone(), column)))
                .collect();
            let fields =
                names.iter().zip(&columns).map(|(name, c)| Field::new(name, c.data_type().clone(), false));
            Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?)
        })
    }
}

fn known_score(score: f64) -> Option<f64> {
    (!score.is_nan()).then_some(score)
}
