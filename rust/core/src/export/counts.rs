//! Counts tables as Arrow.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::{
    Columns, Table, Wanted, batch, column, gathered, int, int32, is_wanted, part_ranges, text, time,
};
use crate::counts::Counts;
use crate::error::{Error, Result};
use crate::packed::Sizes;
use crate::tables::{Cell, Pair};

/// Makes a batch of some parts of a table.
type Of<T> = fn(&T, Range<usize>, Wanted<'_>) -> Result<RecordBatch>;

/// Reads a column off a pair.
type Get = fn(&Pair) -> i64;

macro_rules! getters {
    ( $( $name:ident ),+ ) => { [ $( (stringify!($name), |p: &Pair| p.$name as i64) ),+ ] };
}

/// Columns of the table `pairs` after query and doc_id.
#[allow(clippy::unnecessary_cast, reason = "times are whole numbers already, counts are made such")]
const PAIR_COLUMNS: [(&str, Get); 18] = getters!(
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
    dwells,
    first_seen,
    last_seen
);

macro_rules! ints {
    ($out:expr, $rows:expr, $get:expr, $( $name:ident ),+ ) => {
        $( $out.add(stringify!($name), move || int($rows.iter().map(|r| { let r = $get(r); u64::from(r.$name) }))); )+
    };
}

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
        let counts = self.clone();
        let ranges = part_ranges(&self.tables, rows);
        let table = Table::new(rows(self.sizes()) as usize, ranges, move |parts, wanted| {
            make(&counts, parts, wanted)
        })?;
        if wanted.is_empty() { Ok(table) } else { table.select(wanted) }
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
        let rows = parts.clone().map(|part| self.tables.sizes_of(part).pairs as usize).sum();
        let room = || Vec::<u64>::with_capacity(rows);
        let (mut queries, mut docs) = (room(), room());
        // Column by column: whole pairs would be moved through memory once for each.
        let mut columns: Vec<(&str, Get, Vec<i64>)> = PAIR_COLUMNS
            .into_iter()
            .filter(|(name, _)| is_wanted(name, wanted))
            .map(|(name, get)| (name, get, Vec::with_capacity(rows)))
            .collect();
        for part in parts {
            self.tables.part(part, |group| {
                queries.extend(group.pairs.iter().map(|_| group.query));
                docs.extend(group.pairs.iter().map(|p| p.doc));
                columns.iter_mut().for_each(|(_, get, to)| to.extend(group.pairs.iter().map(*get)));
                Ok(())
            })?;
        }
        let (queries, docs) = (&queries, &docs);
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, queries.iter().copied()));
        column!(out, "doc_id", text(&self.doc_strings, docs.iter().copied()));
        for (name, _, values) in columns {
            let array: ArrayRef = match name {
                "first_seen" | "last_seen" => time(values.into_iter()),
                _ => Arc::new(Int64Array::from(values)),
            };
            column!(out, name, array.clone());
        }
        batch(out, wanted)
    }

    fn bounded(&self, parts: Range<usize>, wanted: Wanted<'_>) -> Result<RecordBatch> {
        let rows: &Vec<(u64, u64, u32, u32)> = &gathered(&self.tables, parts, |g, out| {
            let bounded = g.pairs.iter().filter(|p| p.bounded_shown > 0);
            out.extend(bounded.map(|p| (g.query, p.doc, p.bounded_shown, p.bounded_clicked)));
        })?;
        let mut out = Columns::default();
        column!(out, "query", text(&self.query_strings, rows.iter().map(|r| r.0)));
        column!(out, "doc_id", text(&self.doc_strings, rows.iter().map(|r| r.1)));
        column!(out, "users_shown", int(rows.iter().map(|r| r.2.into())));
        column!(out, "users_clicked", int(rows.iter().map(|r| r.3.into())));
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
