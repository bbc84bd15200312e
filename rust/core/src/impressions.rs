//! The `impressions` table: columns of whatever Arrow type made canonical, bad rows set aside with their reason.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};

use crate::error::{Error, Result};
use crate::logged::Logged;
use crate::scalar::{Ints, NONE, flags, floats, ints, rounded};
use crate::scrub::Kinds;
use crate::text::{NULL, TextColumn};
use crate::time::times;

/// Longest raw query that is read, in characters: longer ones are pasted documents or attacks, not searches.
pub const MAX_QUERY_CHARS: usize = 1024;

/// Canonical names, in canonical order.
pub const COLUMNS: [&str; 15] = [
    "user_id",
    "session_id",
    "search_id",
    "query",
    "doc_id",
    "position",
    "clicked",
    "dwell_ms",
    "click_ms",
    "timestamp",
    "n_clicks",
    "visible",
    "propensity",
    "action",
    "surface",
];

/// What reading found: rows, quarantined rows by reason, and the notations of timestamps.
#[derive(Debug, Default, Clone)]
pub struct ReadStats {
    /// Rows that came in.
    pub rows: u64,
    /// Reason → rows set aside (or, for `*_impossible` of optional measures, values set to null).
    pub quarantine: BTreeMap<&'static str, u64>,
    /// Notation of timestamps → rows.
    pub notations: BTreeMap<&'static str, u64>,
    /// Kind of personal data → rows whose query held some.
    pub scrubbed: BTreeMap<&'static str, u64>,
    /// Propensities in the log, where something looked at them.
    pub logged: Logged,
}

impl ReadStats {
    /// Adds what another worker found.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (reason, n) in &other.quarantine {
            *self.quarantine.entry(reason).or_default() += n;
        }
        for (notation, n) in &other.notations {
            *self.notations.entry(notation).or_default() += n;
        }
        for (kind, n) in &other.scrubbed {
            *self.scrubbed.entry(kind).or_default() += n;
        }
        self.logged.add(&other.logged);
    }

    /// Counts a row whose query held personal data.
    pub(crate) fn scrub(&mut self, kinds: Kinds) {
        for kind in kinds.iter() {
            *self.scrubbed.entry(kind.name()).or_default() += 1;
        }
    }

    pub(crate) fn count(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.quarantine.entry(reason).or_default() += n;
        }
    }
}

/// One batch in canonical form. Columns the log lacks are None. `keep[i]` is false for quarantined rows.
pub struct Impressions {
    /// Rows, quarantined ones included.
    pub rows: usize,
    /// Who.
    pub user: Option<TextColumn>,
    /// Which run of searches.
    pub session: Option<TextColumn>,
    /// Which result page.
    pub search: Option<TextColumn>,
    /// Raw query.
    pub query: TextColumn,
    /// Document shown.
    pub doc: TextColumn,
    /// Slot or sort order.
    pub surface: Option<TextColumn>,
    /// 1-based; 0 for null.
    pub position: Option<Vec<u16>>,
    /// 1 where clicked.
    pub clicked: Vec<u8>,
    /// Milliseconds; [`NONE`] for null.
    pub dwell_ms: Option<Vec<i64>>,
    /// Milliseconds from page to first click; [`NONE`] for null.
    pub click_ms: Option<Vec<i64>>,
    /// Microseconds since 1970, UTC.
    pub timestamp: Option<Vec<i64>>,
    /// 0, 1, or 2 for null.
    pub visible: Option<Vec<u8>>,
    /// Clicks on this result; [`NONE`] for null.
    pub n_clicks: Option<Vec<i64>>,
    /// Given examination or action probability; NaN for null.
    pub propensity: Option<Vec<f64>>,
    /// Kind of event, carried through.
    pub action: Option<TextColumn>,
    /// Rows that stay.
    pub keep: Vec<bool>,
}

/// Refuses schemas that cannot be impressions; `columns not found` names what exists.
///
/// # Errors
/// [`Error::column`] for missing, doubled or unreadable columns.
pub fn check_schema(schema: &Schema) -> Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(Error::column(format!("column {name:?} occurs more than once")));
        }
    }
    let missing: Vec<&str> =
        ["query", "doc_id", "clicked"].into_iter().filter(|n| !names.contains(n)).collect();
    if !missing.is_empty() {
        return Err(Error::column(format!("columns not found: {missing:?}; available: {names:?}")));
    }
    for field in schema.fields() {
        if COLUMNS.contains(&field.name().as_str()) {
            check_type(field.name(), field.data_type())?;
        }
    }
    Ok(())
}

fn check_type(name: &str, data_type: &DataType) -> Result<()> {
    let refused = match data_type {
        DataType::Dictionary(_, values) => return check_type(name, values),
        DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::RunEndEncoded(..)
        | DataType::Union(..)
        | DataType::Interval(_)
        | DataType::Map(..)
        | DataType::Struct(_)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => true,
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => *s != 0,
        _ => false,
    };
    if refused {
        return Err(Error::column(format!(
            "column {name:?} has type {data_type}, which cannot be read: cast it to text, numbers, booleans or timestamps"
        )));
    }
    Ok(())
}

/// Makes one batch canonical.
///
/// `position_base` is 0 or 1: what the log calls the top position.
///
/// # Errors
/// As [`check_schema`].
pub fn canonical(
    batch: &RecordBatch,
    position_base: i64,
    stats: &mut ReadStats,
    verdicts: &mut Verdicts,
) -> Result<Impressions> {
    let rows = batch.num_rows();
    stats.rows += rows as u64;
    let text = |name: &str| batch.column_by_name(name).map(|a| TextColumn::new(name, a)).transpose();
    let need =
        |name: &str| text(name)?.ok_or_else(|| Error::column(format!("columns not found: [{name:?}]")));
    let mut keep = Quarantine { keep: vec![true; rows], stats };

    let (user, session, search) = (text("user_id")?, text("session_id")?, text("search_id")?);
    for (column, verdicts, reason) in
        [(&user, &mut verdicts.user, "null_user_id"), (&search, &mut verdicts.search, "null_search_id")]
    {
        if let Some(column) = column {
            keep.text(column, verdicts, |value| value.is_none().then_some(reason));
        }
    }
    let (query, doc) = (need("query")?, need("doc_id")?);
    // Text columns are checked too: what crosses the C interface is not always what its type says.
    keep.text(&query, &mut verdicts.query, query_fault);
    keep.text(&doc, &mut verdicts.doc, |value| match value {
        None => Some("null_doc_id"),
        Some(v) if !is_utf8(v) => Some("invalid_utf8"),
        _ => None,
    });

    let column = |name: &str| batch.column_by_name(name);
    let clicked = match column("clicked") {
        Some(array) => flags("clicked", array)?,
        None => return Err(Error::column("columns not found: [\"clicked\"]")),
    };
    if clicked.iter().any(|c| *c > 1) {
        keep.rows(|i| match clicked[i] {
            0 | 1 => None,
            2 => Some("null_clicked"),
            _ => Some("clicked_impossible"),
        });
    }
    let position = match column("position") {
        Some(array) => Some(keep.positions(&ints("position", array)?, position_base)),
        None => None,
    };
    let timestamp = match column("timestamp") {
        Some(array) => {
            let read = times(array, &mut keep.stats.notations)?;
            keep.rows(|i| read.fault(i));
            Some(read.micros)
        }
        None => None,
    };
    let mut measure = |name: &'static str, reason: &'static str| -> Result<Option<Vec<i64>>> {
        let Some(array) = column(name) else { return Ok(None) };
        let mut read = rounded(name, array)?;
        if !read.bad.is_empty() || read.values.iter().any(|v| *v < 0) {
            let fault = |i: usize| read.is_bad(i) || (read.values[i] < 0 && read.values[i] != NONE);
            // A row that is set aside is counted once, under its own reason.
            let bad = (0..rows).filter(|i| keep.keep[*i] && fault(*i)).count();
            keep.stats.count(reason, bad as u64);
            for i in 0..rows {
                if read.is_bad(i) || read.values[i] < 0 {
                    read.values[i] = NONE;
                }
            }
        }
        Ok(Some(read.values))
    };
    let dwell_ms = measure("dwell_ms", "dwell_impossible")?;
    let click_ms = measure("click_ms", "click_ms_impossible")?;
    let n_clicks = measure("n_clicks", "n_clicks_impossible")?;
    let visible = column("visible").map(|a| flags("visible", a)).transpose()?;
    let propensity = column("propensity").map(|a| floats("propensity", a)).transpose()?;
    Ok(Impressions {
        rows,
        user,
        session,
        search,
        query,
        doc,
        surface: text("surface")?,
        position,
        clicked,
        dwell_ms,
        click_ms,
        timestamp,
        visible,
        n_clicks,
        propensity,
        action: text("action")?,
        keep: keep.keep,
    })
}

/// A query may be missing here: pages without one belong to the log, and `anonymize` sets them aside.
pub(crate) fn query_fault(value: Option<&[u8]>) -> Option<&'static str> {
    let value = value?;
    if !is_utf8(value) {
        return Some("invalid_utf8");
    }
    let too_long = |v| std::str::from_utf8(v).is_ok_and(|text| text.chars().count() > MAX_QUERY_CHARS);
    (value.len() > MAX_QUERY_CHARS && too_long(value)).then_some("query_too_long")
}

/// Whether bytes are text. Most are ASCII, which is told faster.
fn is_utf8(value: &[u8]) -> bool {
    value.is_ascii() || std::str::from_utf8(value).is_ok()
}

/// What the entries of the last dictionaries were found to be; one per worker.
#[derive(Default)]
pub struct Verdicts {
    user: Verdict,
    search: Verdict,
    query: Verdict,
    doc: Verdict,
}

/// Holding the column keeps its memory from being used again, so that the next dictionary is known to be another.
#[derive(Default)]
struct Verdict {
    column: Option<TextColumn>,
    faults: Vec<Option<&'static str>>,
    any: bool,
}

/// Marks rows, each for the first reason that holds.
struct Quarantine<'a> {
    keep: Vec<bool>,
    stats: &'a mut ReadStats,
}

impl Quarantine<'_> {
    fn rows(&mut self, fault: impl Fn(usize) -> Option<&'static str>) {
        for i in 0..self.keep.len() {
            if self.keep[i]
                && let Some(reason) = fault(i)
            {
                self.keep[i] = false;
                self.stats.count(reason, 1);
            }
        }
    }

    /// Judges a text column once per entry, and a dictionary once however many batches bring it.
    fn text(
        &mut self,
        column: &TextColumn,
        verdict: &mut Verdict,
        fault: impl Fn(Option<&[u8]>) -> Option<&'static str>,
    ) {
        let Some((values, keys)) = column.dictionary() else {
            return self.rows(|i| fault(column.row(i)));
        };
        if verdict.column.as_ref().is_none_or(|last| !last.same_dictionary(column)) {
            // Nearly always there is none, and nothing to remember.
            verdict.any = (0..values).any(|i| fault(column.entry(i)).is_some());
            let remembered = if verdict.any { values } else { 0 };
            verdict.faults = (0..remembered).map(|i| fault(column.entry(i))).collect();
            verdict.column = Some(column.clone());
        }
        if verdict.any || column.has_null_rows() {
            let null = fault(None);
            let faults = &verdict.faults;
            let of = |key: u32| faults.get(key as usize).copied().flatten();
            self.rows(|i| if keys[i] == NULL { null } else { of(keys[i]) });
        }
    }

    fn positions(&mut self, read: &Ints, base: i64) -> Vec<u16> {
        let shift = 1_i64.saturating_sub(base);
        let mut out = vec![0_u16; read.values.len()];
        let mut bad = Vec::new();
        for (i, (to, &value)) in out.iter_mut().zip(&read.values).enumerate() {
            match value.checked_add(shift).map(u16::try_from) {
                _ if read.is_bad(i) => bad.push(i),
                _ if value == NONE => {}
                Some(Ok(p)) if p >= 1 => *to = p,
                _ => bad.push(i),
            }
        }
        if !bad.is_empty() {
            self.rows(|i| bad.binary_search(&i).is_ok().then_some("position_impossible"));
        }
        out
    }
}
