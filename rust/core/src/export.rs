//! Tables as Arrow, in canonical order: utf8, integers, floats and booleans only, which every consumer reads.
//!
//! Batches are made when they are asked for, so that a table takes the memory of one. Whatever comes from a k-users
//! release is rounded here, on its way out.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema, SchemaRef};

use crate::counts::Counts;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, EvidenceRow, PositionRow, mean_position, wilson_upper};
use crate::group::Group;
use crate::intern::Strings;
use crate::packed::{Sizes, Tables};
use crate::release::Released;
use crate::select::Selected;
use crate::tables::{Cell, Pair};
use crate::time::NULL_TIME;
use crate::triplets::Triplets;

/// Rows per batch: large enough to amortise, small enough to weigh little.
const BATCH: usize = 1 << 17;

type Make = dyn Fn(Range<usize>) -> Result<RecordBatch> + Send + Sync;

/// A table: its schema, how many rows, and how to make its batches.
#[derive(Clone)]
pub struct Table {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub rows: usize,
    ranges: Arc<Vec<Range<usize>>>,
    make: Arc<Make>,
}

impl Table {
    pub(crate) fn new(
        rows: usize,
        ranges: Vec<Range<usize>>,
        make: impl Fn(Range<usize>) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> Result<Self> {
        let schema = make(0..0)?.schema();
        Ok(Self { schema, rows, ranges: Arc::new(ranges), make: Arc::new(make) })
    }

    /// The batches, each made when its turn comes.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let (ranges, make) = (self.ranges.clone(), self.make.clone());
        (0..ranges.len()).map(move |i| make(ranges[i].clone()))
    }
}

/// Columns by name, each made only where it is wanted.
#[derive(Default)]
pub(crate) struct Columns<'a>(Vec<(&'static str, Make1<'a>)>);

type Make1<'a> = Box<dyn Fn() -> ArrayRef + 'a>;

impl<'a> Columns<'a> {
    /// One more.
    pub(crate) fn add(&mut self, name: &'static str, make: impl Fn() -> ArrayRef + 'a) {
        self.0.push((name, Box::new(make)));
    }
}

/// Which columns to make; empty for all.
pub(crate) type Wanted<'a> = &'a [String];

/// Makes a batch of some parts of a table.
type Of<T> = fn(&T, Range<usize>, Wanted<'_>) -> Result<RecordBatch>;

/// Query, document, position, clicks, impressions.
type ReleasedRow = (u64, u64, u16, u64, u64);

pub(crate) fn batch(columns: Columns<'_>, wanted: Wanted<'_>) -> Result<RecordBatch> {
    if let Some(unknown) = wanted.iter().find(|w| columns.0.iter().all(|(name, _)| name != w)) {
        let names: Vec<&str> = columns.0.iter().map(|(name, _)| *name).collect();
        return Err(Error::usage(format!("columns not found: [{unknown:?}]; available: {names:?}")));
    }
    let made: Vec<(&str, ArrayRef)> = columns
        .0
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
        .map(|(name, make)| (*name, make()))
        .collect();
    let fields: Vec<Field> =
        made.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = made.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Parts of `tables`, gathered to batches of about [`BATCH`] rows.
fn part_ranges(tables: &Tables, rows: impl Fn(Sizes) -> u64) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut held) = (Vec::new(), 0, 0);
    for part in 0..tables.len() {
        held += rows(tables.sizes_of(part)) as usize;
        if held >= BATCH {
            ranges.push(start..part + 1);
            (start, held) = (part + 1, 0);
        }
    }
    if held > 0 {
        ranges.push(start..tables.len());
    }
    ranges
}

pub(crate) fn row_ranges(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(BATCH).map(|start| start..(start + BATCH).min(rows)).collect()
}

/// What `each` gathers from the groups of these parts.
fn gathered<T>(
    tables: &Tables,
    parts: Range<usize>,
    mut each: impl FnMut(&mut Group, &mut Vec<T>),
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    for part in parts {
        tables.part(part, |group| {
            each(group, &mut out);
            Ok(())
        })?;
    }
    Ok(out)
}

fn text(strings: &Strings, codes: impl Iterator<Item = u64>) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(codes.size_hint().0, codes.size_hint().0 * 16);
    let (mut last, mut value) = (0, "");
    for code in codes {
        if code != last {
            (last, value) = (code, strings.get(code));
        }
        out.append_value(value);
    }
    Arc::new(out.finish())
}

pub(crate) fn int(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|v| v as i64)))
}

fn int32(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values.map(i32::from)))
}

/// 0 is null.
fn position(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values.map(|p| (p > 0).then(|| i32::from(p)))))
}

pub(crate) fn float(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

fn time(values: impl Iterator<Item = i64>) -> ArrayRef {
    let values = values.map(|t| (t != NULL_TIME).then_some(t));
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("UTC"))
}

/// First 16 hex digits of the SHA-256 of a query.
pub fn query_id(code: u64) -> String {
    format!("{code:016x}")
}

macro_rules! ints {
    ($out:expr, $rows:expr, $get:expr, $( $name:ident ),+ ) => {
        $( $out.add(stringify!($name), move || int($rows.iter().map(|r| { let r = $get(r); u64::from(r.$name) }))); )+
    };
}

macro_rules! column {
    ($out:expr, $name:expr, $make:expr) => {
        $out.add($name, move || $make)
    };
}
pub(crate) use column;

impl Counts {
    /// One of the counts tables by name; of its columns those `wanted`, all where none is named.
    ///
    /// # Errors
    /// [`Error::usage`] for a table that was not counted or does not exist.
    pub fn table(self: &Arc<Self>, name: &str, wanted: &[String]) -> Result<Table> {
        let not_counted =
            |what: &str| Error::usage(format!("{what} were not counted: ask for them when counting"));
        let has = self.has;
        let (make, rows): (Of<Self>, fn(Sizes) -> u64) = match name {
            "queries" => (Self::queries, |s| s.queries),
            "cells" if !has.cell_detail => return Err(not_counted("cells")),
            "cells" => (Self::cells, |s| s.cells),
            "pairs" => (Self::pairs, |s| s.pairs),
            "bounded" if has.bounded == 0 => return Err(not_counted("bounded")),
            "bounded" => (Self::bounded, |s| s.bounded),
            "preferences" | "successions" | "succession_clicks" if !has.preferences => {
                return Err(not_counted(name));
            }
            "preferences" => (Self::preferences, |s| s.preferences),
            "successions" => (Self::successions, |s| s.successions),
            "succession_clicks" => (Self::succession_clicks, |s| s.succession_clicks),
            "pages" if !has.page_counts => return Err(not_counted("pages")),
            "pages" => (Self::pages, |s| s.pages),
            _ => return Err(Error::usage(format!("no counts table is called {name:?}"))),
        };
        let (counts, wanted) = (self.clone(), wanted.to_vec());
        let ranges = part_ranges(&self.tables, rows);
        Table::new(rows(self.sizes()) as usize, ranges, move |parts| make(&counts, parts, &wanted))
    }

    fn queries(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows = &gathered(&self.tables, parts, |g, out| {
            out.push((g.query, u64::from(g.users), g.searches, g.searches_clicked));
        })?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.0)));
        column!(out, "users", int(rows.iter().map(|r| r.1)));
        column!(out, "searches", int(rows.iter().map(|r| r.2)));
        column!(out, "searches_clicked", int(rows.iter().map(|r| r.3)));
        batch(out, wanted)
    }

    fn cells(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows: &Vec<(u64, u64, Cell)> = &gathered(&self.tables, parts, |g, out| {
            for (i, pair) in g.pairs.iter().enumerate() {
                out.extend(g.cells_of(i).iter().map(|cell| (g.query, pair.doc, *cell)));
            }
        })?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.0)));
        column!(out, "doc_id", text(&self.doc_strings, rows.iter().map(|r| r.1)));
        column!(out, "position", int32(rows.iter().map(|r| r.2.position)));
        column!(out, "previous_click", int32(rows.iter().map(|r| r.2.previous_click)));
        column!(out, "fold", int32(rows.iter().map(|r| r.2.fold.into())));
        ints!(out, rows, |r: &(u64, u64, Cell)| r.2, impressions, clicks, satisfied_clicks);
        batch(out, wanted)
    }

    fn pairs(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows: &Vec<(u64, Pair)> = &gathered(&self.tables, parts, |g, out| {
            out.extend(g.pairs.iter().map(|p| (g.query, *p)));
        })?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.0)));
        column!(out, "doc_id", text(&self.doc_strings, rows.iter().map(|r| r.1.doc)));
        fn of(row: &(u64, Pair)) -> &Pair {
            &row.1
        }
        ints!(
            out,
            rows,
            of,
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
        );
        column!(out, "first_seen", time(rows.iter().map(|r| r.1.first_seen)));
        column!(out, "last_seen", time(rows.iter().map(|r| r.1.last_seen)));
        batch(out, wanted)
    }

    fn bounded(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows: &Vec<(u64, Pair)> = &gathered(&self.tables, parts, |g, out| {
            out.extend(g.pairs.iter().filter(|p| p.bounded_shown > 0).map(|p| (g.query, *p)));
        })?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.0)));
        column!(out, "doc_id", text(&self.doc_strings, rows.iter().map(|r| r.1.doc)));
        column!(out, "users_shown", int(rows.iter().map(|r| r.1.bounded_shown.into())));
        column!(out, "users_clicked", int(rows.iter().map(|r| r.1.bounded_clicked.into())));
        batch(out, wanted)
    }

    fn preferences(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows = &gathered(&self.tables, parts, |g, out| out.append(&mut g.preferences))?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.query)));
        column!(out, "preferred", text(&self.doc_strings, rows.iter().map(|r| r.preferred)));
        column!(out, "skipped", text(&self.doc_strings, rows.iter().map(|r| r.skipped)));
        column!(out, "rule", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.rule.name()))));
        column!(out, "users", int(rows.iter().map(|r| r.users.into())));
        column!(out, "position_preferred_sum", int(rows.iter().map(|r| r.position_preferred_sum)));
        column!(out, "position_skipped_sum", int(rows.iter().map(|r| r.position_skipped_sum)));
        batch(out, wanted)
    }

    fn successions(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows = &gathered(&self.tables, parts, |g, out| out.append(&mut g.successions))?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.query)));
        column!(out, "next_query", text(&self.query_strings, rows.iter().map(|r| r.next)));
        column!(out, "users", int(rows.iter().map(|r| r.users.into())));
        column!(out, "users_clicked_after", int(rows.iter().map(|r| r.users_clicked_after.into())));
        batch(out, wanted)
    }

    fn succession_clicks(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows = &gathered(&self.tables, parts, |g, out| out.append(&mut g.succession_clicks))?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.query)));
        column!(out, "next_query", text(&self.query_strings, rows.iter().map(|r| r.next)));
        column!(out, "doc_id", text(&self.doc_strings, rows.iter().map(|r| r.doc)));
        column!(out, "users", int(rows.iter().map(|r| r.users.into())));
        batch(out, wanted)
    }

    fn pages(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows = &gathered(&self.tables, parts, |g, out| out.append(&mut g.pages))?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.query)));
        column!(out, "documents", {
            let mut documents = ListBuilder::new(StringBuilder::new());
            for row in rows {
                row.shown
                    .iter()
                    .for_each(|(doc, _)| documents.values().append_value(self.doc_strings.get(*doc)));
                documents.append(true);
            }
            Arc::new(documents.finish())
        });
        column!(out, "clicks", {
            let mut clicks = ListBuilder::new(BooleanBuilder::new());
            for row in rows {
                row.shown.iter().for_each(|(_, clicked)| clicks.values().append_value(*clicked));
                clicks.append(true);
            }
            Arc::new(clicks.finish())
        });
        column!(out, "count", int(rows.iter().map(|r| r.count)));
        batch(out, wanted)
    }
}

impl Released {
    /// Table `released`. Under k-users one row a pair, without position: that K users were shown a document says nothing
    /// of how many were shown it at a position.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn table(self: &Arc<Self>) -> Result<Table> {
        let rows = match self.k {
            // Cells may keep previous click and fold apart, which this table does not.
            None => {
                let mut rows = 0;
                for part in 0..self.tables.len() {
                    rows += self.rows(part..part + 1)?.len();
                }
                rows
            }
            Some(_) => self.passed.after.pairs as usize,
        };
        let released = self.clone();
        Table::new(rows, part_ranges(&self.tables, |s| s.cells), move |parts| {
            let rows = &released.rows(parts)?;
            let zeros = || float(rows.iter().map(|_| Some(0.0)));
            let mut out = Columns::default();
            let shown = |n: u64| Some(released.shown(n) as f64);
            out.add("query", || text(&released.query_strings, rows.iter().map(|r| r.0)));
            out.add("doc_id", || text(&released.doc_strings, rows.iter().map(|r| r.1)));
            out.add("position", || position(rows.iter().map(|r| r.2)));
            out.add("clicks", || float(rows.iter().map(|r| shown(r.3))));
            out.add("impressions", || float(rows.iter().map(|r| shown(r.4))));
            out.add("clicks_variance", zeros);
            out.add("impressions_variance", zeros);
            out.add("weighting", || float(rows.iter().map(|_| Some(1.0))));
            batch(out, &[])
        })
    }

    fn rows(&self, parts: Range<usize>) -> Result<Vec<ReleasedRow>> {
        gathered(&self.tables, parts, |g, out| {
            for (i, pair) in g.pairs.iter().enumerate() {
                match self.k {
                    None => out.extend(g.by_position(i).map(|(p, n, c)| (g.query, pair.doc, p, c, n))),
                    Some(k) => {
                        let clicks = if pair.users_clicked < k { 0 } else { pair.clicks };
                        out.push((g.query, pair.doc, 0, clicks.into(), pair.impressions.into()));
                    }
                }
            }
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

/// What an evidence column is worked out from.
type Weighed = (Pair, EvidenceRow);

impl Evidence {
    /// One evidence column of these pairs. Under k-users counts are rounded, the mean position is a whole number, and
    /// rates, from which exact counts could be worked out, are null.
    fn column<'r>(&self, name: &str, rows: impl Iterator<Item = &'r Weighed>) -> ArrayRef {
        let released = &*self.released;
        let open = released.k.is_none();
        let k = released.k.unwrap_or(0);
        let as_int = |get: &dyn Fn(&Pair) -> Option<i64>, rows: &mut dyn Iterator<Item = &'r Weighed>| {
            Arc::new(Int64Array::from_iter(rows.map(|r| get(&r.0)))) as ArrayRef
        };
        let shown = |n: u32| released.shown(n.into()) as i64;
        let users = |n: u32| released.has.users.then(|| shown(n));
        let mut rows = rows;
        match name {
            "users_shown" => as_int(&|p| users(p.users_shown), &mut rows),
            "users_clicked" => as_int(&|p| users(p.users_clicked), &mut rows),
            "users_satisfied" => as_int(&|p| users(p.users_satisfied), &mut rows),
            "impressions" => as_int(&|p| Some(shown(p.impressions)), &mut rows),
            // Clicks of fewer than K users show as none, however many there were.
            "clicks" => as_int(&|p| Some(if p.users_clicked < k { 0 } else { shown(p.clicks) }), &mut rows),
            "satisfied_clicks" => as_int(
                &|p| Some(if p.users_satisfied < k { 0 } else { shown(p.satisfied_clicks) }),
                &mut rows,
            ),
            // How many users stand behind these three is not counted, so under k-users they are not shown.
            "rejections" => as_int(&|p| open.then(|| p.rejections.into()), &mut rows),
            "skips" => as_int(&|p| open.then(|| p.skips.into()), &mut rows),
            "skip_weight" => as_int(&|p| open.then(|| self.skip_weight(p)), &mut rows),
            "mean_position" => {
                float(rows.map(|r| mean_position(&r.0).map(|m| if open { m } else { (m + 0.5).floor() })))
            }
            "expected_clicks" => float(rows.map(|r| Some(released.shown_measure(r.1.expected_clicks)))),
            "coec" => float(rows.map(|r| open.then_some(r.1.coec))),
            "p_zero" => float(rows.map(|r| open.then_some(r.1.p_zero))),
            _ => float(rows.map(|r| open.then(|| wilson_upper(r.0.clicks, r.0.impressions)))),
        }
    }

    /// Table `evidence`.
    ///
    /// # Errors
    /// Only where Arrow refuses, which would be a bug.
    pub fn table(self: &Arc<Self>) -> Result<Table> {
        let evidence = self.clone();
        let tables = &self.released.tables;
        let rows = tables.sizes().pairs as usize;
        Table::new(rows, part_ranges(tables, |s| s.pairs), move |parts| {
            let released = &*evidence.released;
            let rows: Vec<(u64, Weighed)> = gathered(&released.tables, parts, |g, out| {
                out.extend((0..g.pairs.len()).map(|i| (g.query, (g.pairs[i], evidence.row(g, i)))));
            })?;
            let (rows, evidence) = (&rows, &evidence);
            let mut out = Columns::default();
            column!(out, "query", text(&released.query_strings, rows.iter().map(|r| r.0)));
            column!(out, "doc_id", text(&released.doc_strings, rows.iter().map(|r| r.1.0.doc)));
            for name in EVIDENCE_COLUMNS {
                column!(out, name, evidence.column(name, rows.iter().map(|r| &r.1)));
            }
            batch(out, &[])
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
        Table::new(rows.len(), row_ranges(rows.len()), move |range| {
            let rows = &rows[range];
            let mut out = Columns::default();
            column!(out, "position", position(rows.iter().map(|r| r.0)));
            column!(out, "impressions", int(rows.iter().map(|r| r.1)));
            column!(out, "clicks", int(rows.iter().map(|r| r.2)));
            column!(out, "ctr", float(rows.iter().map(|r| Some(r.2 as f64 / r.1 as f64))));
            batch(out, &[])
        })
    }

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
        let (evidence, selected) = (self.clone(), selected.clone());
        let rows = selected.negatives.len();
        Table::new(rows, row_ranges(rows), move |range| {
            let (rows, released) = (&selected.negatives[range], &*evidence.released);
            let n = rows.len();
            let docs = &*released.doc_strings;
            let weighed: &Vec<Weighed> = &rows.iter().map(|r| (r.pair, r.evidence)).collect();
            let nothing = || float(std::iter::repeat_n(None, n));
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
            column!(out, "examinations", nothing());
            column!(out, "users", Arc::new(Int64Array::from_iter(users())));
            column!(out, "p_false_negative", nothing());
            column!(out, "weight", nothing());
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
        let fields: Vec<Field> =
            names.iter().map(|n| Field::new(n, arrow_schema::DataType::Utf8, false)).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let (released, rows) = (self.released.clone(), rows.clone());
        Table::new(rows.len(), row_ranges(rows.len()), move |range| {
            let strings =
                |column| if column == 0 { &*released.query_strings } else { &*released.doc_strings };
            let columns = (0..num_negatives + 2)
                .map(|column| text(strings(column), rows.column(range.clone(), column)))
                .collect();
            Ok(RecordBatch::try_new(schema.clone(), columns)?)
        })
    }
}
