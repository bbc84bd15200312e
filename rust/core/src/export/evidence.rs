//! What was released, and the evidence made of it, as Arrow. Whatever comes from a k-users release is rounded here, on its
//! way out.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};

use super::{Columns, Table, batch, column, float, gathered, int, part_ranges, position, row_ranges, text};
use crate::error::Result;
use crate::evidence::{Evidence, EvidenceRow, PositionRow, mean_position, wilson_upper};
use crate::release::Released;
use crate::tables::Pair;

/// Query, document, position, clicks, impressions.
type ReleasedRow = (u64, u64, u16, u64, u64);

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
        Table::new(rows, part_ranges(&self.tables, |s| s.cells), move |parts, wanted| {
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
            batch(out, wanted)
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

/// Names of the evidence columns beyond query and doc_id.
pub const EVIDENCE_COLUMNS: [&str; 20] = [
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
    "examinations",
    "p_examined",
    "attractiveness",
    "attractiveness_lower",
    "attractiveness_upper",
    "p_relevant",
];

/// Evidence columns that are columns of `negatives` anyway, or follow from what is said of alike queries there.
const NOT_CARRIED: [&str; 3] = ["expected_clicks", "examinations", "p_relevant"];

/// Evidence columns that can be carried into `negatives`.
pub(super) fn carried() -> impl Iterator<Item = &'static str> {
    EVIDENCE_COLUMNS.into_iter().filter(|name| !NOT_CARRIED.contains(name))
}

/// What an evidence column is worked out from.
pub(super) type Weighed = (Pair, EvidenceRow);

impl Evidence {
    /// One evidence column of these pairs. Under k-users counts are rounded, the mean position is a whole number, and
    /// rates, from which exact counts could be worked out, are null; examinations and relevance follow from those figures.
    pub(super) fn column<'r>(&self, name: &str, rows: impl Iterator<Item = &'r Weighed>) -> ArrayRef {
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
            "ctr_upper" => float(rows.map(|r| open.then(|| wilson_upper(r.0.clicks, r.0.impressions)))),
            "examinations" => float(rows.map(|r| Some(self.shown_examinations(&r.0, &r.1)))),
            "p_examined" => float(rows.map(|r| open.then_some(r.1.p_examined))),
            "attractiveness" => {
                float(rows.map(|r| open.then(|| self.attractiveness.mean(r.1.satisfied, r.1.examinations))))
            }
            "attractiveness_lower" | "attractiveness_upper" => {
                let p = if name == "attractiveness_upper" { self.bound } else { 1.0 - self.bound };
                let mut below = self.attractiveness_below(p);
                float(rows.map(|r| open.then(|| below(&r.1))))
            }
            _ => float(rows.map(|r| {
                let p = if open { r.1.p_relevant } else { self.rounded(self.shown_row(&r.0).p_relevant) };
                (!p.is_nan()).then_some(p)
            })),
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
        Table::new(rows, part_ranges(tables, |s| s.pairs), move |parts, wanted| {
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
            batch(out, wanted)
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
        Table::new(rows.len(), row_ranges(rows.len()), move |range, wanted| {
            let rows = &rows[range];
            let mut out = Columns::default();
            column!(out, "position", position(rows.iter().map(|r| r.0)));
            column!(out, "impressions", int(rows.iter().map(|r| r.1)));
            column!(out, "clicks", int(rows.iter().map(|r| r.2)));
            column!(out, "ctr", float(rows.iter().map(|r| Some(r.2 as f64 / r.1 as f64))));
            batch(out, wanted)
        })
    }
}
