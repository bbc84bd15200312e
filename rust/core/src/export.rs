//! Tables as Arrow, in canonical order: utf8, integers, floats and booleans only, which every consumer reads.
//!
//! Whatever comes from a k-users release is rounded here, on its way out.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema, SchemaRef};

use crate::counts::Counts;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, PositionRow, mean_position, wilson_upper};
use crate::intern::Strings;
use crate::release::Released;
use crate::select::Selected;
use crate::tables::Pair;
use crate::time::NULL_TIME;
use crate::triplets::Triplet;

/// Rows per batch: large enough to amortise, small enough that text stays far below 2 GiB.
const BATCH: usize = 1 << 19;

/// A table: schema and batches.
pub type Table = (SchemaRef, Vec<RecordBatch>);

/// Columns of one batch, by name, and whether they can hold null.
type Columns = Vec<(&'static str, ArrayRef)>;

/// Cuts `rows` into batches of `columns`; an empty table keeps its schema.
fn table<T>(rows: &[T], columns: impl Fn(&[T], Range<usize>) -> Result<Columns>) -> Result<Table> {
    let batch = |range: Range<usize>| -> Result<RecordBatch> {
        let columns = columns(&rows[range.clone()], range)?;
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    };
    let schema = batch(0..0)?.schema();
    let batches = (0..rows.len())
        .step_by(BATCH)
        .map(|start| batch(start..(start + BATCH).min(rows.len())))
        .collect::<Result<Vec<_>>>()?;
    Ok((schema, batches))
}

fn text<'a>(strings: &'a Strings, ranks: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(ranks.map(|r| strings.get(r) as &'a str)))
}

fn int(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|v| v as i64)))
}

fn int32(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values.map(i32::from)))
}

/// 0 is null.
fn position(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values.map(|p| (p > 0).then(|| i32::from(p)))))
}

fn float(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

fn time(values: impl Iterator<Item = i64>) -> ArrayRef {
    let values = values.map(|t| (t != NULL_TIME).then_some(t));
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
}

/// First 16 hex digits of the SHA-256 of a query.
pub fn query_id(strings: &Strings, rank: u32) -> String {
    format!("{:016x}", strings.hash(rank))
}

macro_rules! ints {
    ($rows:expr, $( $name:ident ),+ ) => {
        vec![ $( (stringify!($name), int($rows.iter().map(|r| u64::from(r.$name)))) ),+ ]
    };
}

impl Counts {
    /// One of the counts tables by name.
    ///
    /// # Errors
    /// [`Error::usage`] for a table that was not counted or does not exist.
    pub fn table(&self, name: &str) -> Result<Table> {
        let (queries, docs) = (&*self.query_strings, &*self.doc_strings);
        let not_counted =
            |what: &str| Error::usage(format!("{what} were not counted: ask for them when counting"));
        match name {
            "queries" => table(&self.queries, |rows, _| {
                let mut out: Columns = vec![("query", text(queries, rows.iter().map(|r| r.query)))];
                out.extend(ints!(rows, users, searches, searches_clicked));
                Ok(out)
            }),
            "cells" if !self.has.cell_detail => Err(not_counted("cells")),
            "cells" => table(&self.cells, |rows, _| {
                let mut out: Columns = vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("doc_id", text(docs, rows.iter().map(|r| r.doc))),
                    ("position", int32(rows.iter().map(|r| r.position))),
                    ("previous_click", int32(rows.iter().map(|r| r.previous_click))),
                    ("fold", int32(rows.iter().map(|r| r.fold.into()))),
                ];
                out.extend(ints!(rows, impressions, clicks, satisfied_clicks));
                Ok(out)
            }),
            "pairs" => table(&self.pairs, |rows, _| {
                let mut out: Columns = vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("doc_id", text(docs, rows.iter().map(|r| r.doc))),
                ];
                out.extend(ints!(
                    rows,
                    users_shown,
                    users_clicked,
                    users_satisfied,
                    impressions,
                    clicks,
                    satisfied_clicks,
                    rejections,
                    skips,
                    skip_position_sum,
                    positioned,
                    position_sum,
                    examined_first,
                    examined_last,
                    last_clicks,
                    dwell_ms_sum,
                    dwells
                ));
                out.push(("first_seen", time(rows.iter().map(|r| r.first_seen))));
                out.push(("last_seen", time(rows.iter().map(|r| r.last_seen))));
                Ok(out)
            }),
            "preferences" | "successions" | "succession_clicks" if !self.has.preferences => {
                Err(not_counted(name))
            }
            "preferences" => table(&self.preferences, |rows, _| {
                let mut out: Columns = vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("preferred", text(docs, rows.iter().map(|r| r.preferred))),
                    ("skipped", text(docs, rows.iter().map(|r| r.skipped))),
                    ("rule", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.rule.name())))),
                ];
                out.extend(ints!(rows, users, position_preferred_sum, position_skipped_sum));
                Ok(out)
            }),
            "successions" => table(&self.successions, |rows, _| {
                let mut out: Columns = vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("next_query", text(queries, rows.iter().map(|r| r.next))),
                ];
                out.extend(ints!(rows, users, users_clicked_after));
                Ok(out)
            }),
            "succession_clicks" => table(&self.succession_clicks, |rows, _| {
                let mut out: Columns = vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("next_query", text(queries, rows.iter().map(|r| r.next))),
                    ("doc_id", text(docs, rows.iter().map(|r| r.doc))),
                ];
                out.extend(ints!(rows, users));
                Ok(out)
            }),
            "pages" if !self.has.page_counts => Err(not_counted("pages")),
            "pages" => table(&self.pages, |rows, _| {
                let mut documents = ListBuilder::new(StringBuilder::new());
                let mut clicks = ListBuilder::new(BooleanBuilder::new());
                for row in rows {
                    for word in row.words.chunks(2) {
                        documents.values().append_value(docs.get(word[0]));
                        clicks.values().append_value(word[1] == 1);
                    }
                    documents.append(true);
                    clicks.append(true);
                }
                Ok(vec![
                    ("query", text(queries, rows.iter().map(|r| r.query))),
                    ("documents", Arc::new(documents.finish()) as ArrayRef),
                    ("clicks", Arc::new(clicks.finish()) as ArrayRef),
                    ("count", int(rows.iter().map(|r| r.count))),
                ])
            }),
            _ => Err(Error::usage(format!("no counts table is called {name:?}"))),
        }
    }
}

impl Released {
    /// Table `released`. Under k-users one row a pair, without position: that K users were shown a document says nothing
    /// of how many were shown it at a position.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn table(&self) -> Result<Table> {
        let rows: Vec<(u32, u32, u16, u32, u32)> = match self.k {
            None => {
                self.cells.iter().map(|c| (c.query, c.doc, c.position, c.clicks, c.impressions)).collect()
            }
            Some(k) => {
                let clicks = |p: &Pair| if p.users_clicked < k { 0 } else { p.clicks };
                self.pairs.iter().map(|p| (p.query, p.doc, 0, clicks(p), p.impressions)).collect()
            }
        };
        table(&rows, |rows, _| {
            let zeros = || float(rows.iter().map(|_| Some(0.0)));
            Ok(vec![
                ("query", text(&self.query_strings, rows.iter().map(|r| r.0))),
                ("doc_id", text(&self.doc_strings, rows.iter().map(|r| r.1))),
                ("position", position(rows.iter().map(|r| r.2))),
                ("clicks", float(rows.iter().map(|r| Some(self.shown(r.3.into()) as f64)))),
                ("impressions", float(rows.iter().map(|r| Some(self.shown(r.4.into()) as f64)))),
                ("clicks_variance", zeros()),
                ("impressions_variance", zeros()),
                ("weighting", float(rows.iter().map(|_| Some(1.0)))),
            ])
        })
    }
}

/// Names of the evidence columns beyond query and doc_id; these can be carried into `negatives`.
pub const EVIDENCE_COLUMNS: [&str; 14] = [
    "users_shown",
    "users_clicked",
    "users_satisfied",
    "impressions",
    "clicks",
    "satisfied_clicks",
    "rejections",
    "skips",
    "skip_weight",
    "mean_position",
    "expected_clicks",
    "coec",
    "p_zero",
    "ctr_upper",
];

impl Evidence {
    /// One evidence column for the pairs of these indices. Under k-users counts are rounded, the mean position is a whole
    /// number, and rates, from which exact counts could be worked out, are null.
    fn column(&self, name: &str, pairs: &[usize]) -> Result<ArrayRef> {
        let released = &*self.released;
        let pair = |i: &usize| &released.pairs[*i];
        let open = released.k.is_none();
        let k = released.k.unwrap_or(0);
        let count =
            |get: fn(&Pair, u32) -> u32| int(pairs.iter().map(|i| released.shown(get(pair(i), k).into())));
        let open_int = |get: &dyn Fn(&Pair) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter(pairs.iter().map(|i| open.then(|| get(pair(i))))))
        };
        let users = |get: fn(&Pair) -> u32| -> ArrayRef {
            let values =
                pairs.iter().map(|i| released.has.users.then(|| released.shown(get(pair(i)).into()) as i64));
            Arc::new(Int64Array::from_iter(values))
        };
        Ok(match name {
            "users_shown" => users(|p| p.users_shown),
            "users_clicked" => users(|p| p.users_clicked),
            "users_satisfied" => users(|p| p.users_satisfied),
            "impressions" => count(|p, _| p.impressions),
            // Clicks of fewer than K users show as none, however many there were.
            "clicks" => count(|p, k| if p.users_clicked < k { 0 } else { p.clicks }),
            "satisfied_clicks" => count(|p, k| if p.users_satisfied < k { 0 } else { p.satisfied_clicks }),
            // How many users stand behind these three is not counted, so under k-users they are not shown.
            "rejections" => open_int(&|p| p.rejections.into()),
            "skips" => open_int(&|p| p.skips.into()),
            "skip_weight" => open_int(&|p| self.skip_weight(p)),
            "mean_position" => float(
                pairs
                    .iter()
                    .map(|i| mean_position(pair(i)).map(|m| if open { m } else { (m + 0.5).floor() })),
            ),
            "expected_clicks" => {
                float(pairs.iter().map(|i| Some(released.shown_measure(self.rows[*i].expected_clicks))))
            }
            "coec" => float(pairs.iter().map(|i| open.then(|| self.rows[*i].coec))),
            "p_zero" => float(pairs.iter().map(|i| open.then(|| self.rows[*i].p_zero))),
            "ctr_upper" => {
                float(pairs.iter().map(|i| open.then(|| wilson_upper(pair(i).clicks, pair(i).impressions))))
            }
            _ => {
                return Err(Error::usage(format!(
                    "no evidence column is called {name:?}; available: {EVIDENCE_COLUMNS:?}"
                )));
            }
        })
    }

    /// Table `evidence`.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn table(&self) -> Result<Table> {
        let released = &*self.released;
        table(&released.pairs, |rows, range| {
            let indices: Vec<usize> = range.collect();
            let mut out: Columns = vec![
                ("query", text(&released.query_strings, rows.iter().map(|r| r.query))),
                ("doc_id", text(&released.doc_strings, rows.iter().map(|r| r.doc))),
            ];
            for name in EVIDENCE_COLUMNS {
                out.push((name, self.column(name, &indices)?));
            }
            Ok(out)
        })
    }

    /// CTR by position: position, impressions, clicks, ctr (of the shown figures). Under k-users only positions at which K
    /// users were shown something, and clicks only where K users clicked.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn positions(&self) -> Result<Table> {
        let k = self.released.k.unwrap_or(0);
        let users = |p: u16| self.released.position_users.get(usize::from(p)).copied().unwrap_or_default();
        let shown = |n: u64| self.released.shown(n);
        let clicks = |r: &PositionRow| if users(r.position)[1] < k { 0 } else { shown(r.clicks) };
        let rows: Vec<(u16, u64, u64)> = self
            .positions
            .iter()
            .filter(|r| users(r.position)[0] >= k && shown(r.impressions) > 0)
            .map(|r| (r.position, shown(r.impressions), clicks(r)))
            .collect();
        table(&rows, |rows, _| {
            Ok(vec![
                ("position", position(rows.iter().map(|r| r.0))),
                ("impressions", int(rows.iter().map(|r| r.1))),
                ("clicks", int(rows.iter().map(|r| r.2))),
                ("ctr", float(rows.iter().map(|r| Some(r.2 as f64 / r.1 as f64)))),
            ])
        })
    }

    /// Table `negatives`, with evidence columns carried along.
    ///
    /// # Errors
    /// [`Error::usage`] for a carried column that does not exist.
    pub fn negatives(&self, selected: &Selected, carry: &[String]) -> Result<Table> {
        let released = &*self.released;
        let carried: Vec<&'static str> = carry
            .iter()
            .map(|name| {
                EVIDENCE_COLUMNS
                    .into_iter()
                    .find(|c| c == name)
                    .filter(|c| *c != "expected_clicks")
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
        let nothing = |n: usize| float(std::iter::repeat_n(None, n));
        table(&selected.negatives, |rows, _| {
            let n = rows.len();
            let pairs: Vec<usize> = rows.iter().map(|r| r.pair).collect();
            let queries = &*released.query_strings;
            let preferred = rows.iter().map(|r| r.positive.map(|(doc, _)| released.doc_strings.get(doc)));
            let users =
                rows.iter().map(|r| released.has.users.then(|| released.shown(r.users.into()) as i64));
            let mut out: Columns = vec![
                (
                    "query_id",
                    Arc::new(StringArray::from_iter_values(rows.iter().map(|r| query_id(queries, r.query)))),
                ),
                ("query", text(queries, rows.iter().map(|r| r.query))),
                ("pos_id", Arc::new(StringArray::from_iter(preferred))),
                ("neg_id", text(&released.doc_strings, rows.iter().map(|r| r.doc))),
                ("rule", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.rule.name())))),
                ("kind", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "hard")))),
                ("position_pos", position(rows.iter().map(|r| r.position_pos))),
                ("position_neg", position(rows.iter().map(|r| r.position_neg))),
                ("expected_clicks", self.column("expected_clicks", &pairs)?),
                ("examinations", nothing(n)),
                ("users", Arc::new(Int64Array::from_iter(users))),
                ("p_false_negative", nothing(n)),
                ("weight", nothing(n)),
                ("split", Arc::new(StringArray::new_null(n))),
            ];
            for name in &carried {
                out.push((name, self.column(name, &pairs)?));
            }
            Ok(out)
        })
    }

    /// Positives: query, doc_id, in order.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn positives(&self, selected: &Selected) -> Result<Table> {
        table(&selected.positives, |rows, _| {
            Ok(vec![
                ("query", text(&self.released.query_strings, rows.iter().map(|r| r.query))),
                ("doc_id", text(&self.released.doc_strings, rows.iter().map(|r| r.doc))),
            ])
        })
    }

    /// Training rows in ids: query, positive, negative_1 … negative_n.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn triplets(&self, rows: &[Triplet], num_negatives: usize) -> Result<Table> {
        let (queries, docs) = (&*self.released.query_strings, &*self.released.doc_strings);
        let mut names = vec!["query".to_owned(), "positive".to_owned()];
        names.extend((1..=num_negatives).map(|i| format!("negative_{i}")));
        let fields: Vec<Field> =
            names.iter().map(|n| Field::new(n, arrow_schema::DataType::Utf8, false)).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut batches = Vec::new();
        for chunk in rows.chunks(BATCH) {
            let mut columns = vec![
                text(queries, chunk.iter().map(|r| r.query)),
                text(docs, chunk.iter().map(|r| r.positive)),
            ];
            for i in 0..num_negatives {
                columns.push(text(docs, chunk.iter().map(|r| r.negatives[i])));
            }
            batches.push(RecordBatch::try_new(schema.clone(), columns)?);
        }
        Ok((schema, batches))
    }
}
