//! Timestamps of mixed notations, to microseconds since 1970 in UTC.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef};
use arrow_cast::parse::string_to_datetime;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use chrono::Utc;

use crate::error::{Error, Result};
use crate::scalar::{NONE, ints};
use crate::text::{undictionaried, utf8};

/// Stands for a missing timestamp; sorts before all others.
pub const NULL_TIME: i64 = i64::MIN;

/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

/// 1990-01-01 up to the end of 2100: what lies outside is a unit mistaken or a field misused.
const POSSIBLE: std::ops::Range<i64> = 631_152_000_000_000..4_133_980_800_000_000;

/// Timestamps of one column.
pub struct Times {
    /// Microseconds, [`NULL_TIME`] where null or unreadable.
    pub micros: Vec<i64>,
    unreadable: Vec<bool>,
}

impl Times {
    /// Why row `i` cannot stay, if so.
    pub fn fault(&self, i: usize) -> Option<&'static str> {
        match self.micros[i] {
            _ if self.unreadable[i] => Some("timestamp_unreadable"),
            NULL_TIME => Some("null_timestamp"),
            t if !POSSIBLE.contains(&t) => Some("timestamp_impossible"),
            _ => None,
        }
    }
}

/// Reads timestamps; counts their notations.
///
/// # Errors
/// [`Error::column`] for types that hold no times.
pub fn times(array: &ArrayRef, notations: &mut BTreeMap<&'static str, u64>) -> Result<Times> {
    let data_type = array.data_type().clone();
    let mut tally = |notation: &'static str, n: u64| {
        if n > 0 {
            *notations.entry(notation).or_default() += n;
        }
    };
    match data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let to = DataType::Timestamp(TimeUnit::Microsecond, None);
            let cast = |a: &ArrayRef, t: &DataType| {
                cast_with_options(a, t, &CastOptions { safe: true, ..CastOptions::default() })
            };
            let read = match &data_type {
                // Casting away a zone shifts to local time; UTC instants are wanted.
                DataType::Timestamp(unit, Some(_)) => {
                    let utc = cast(array, &DataType::Timestamp(*unit, Some("UTC".into())))?;
                    cast(&utc, &to)?
                }
                // Arrow multiplies dates in milliseconds unchecked; as timestamps it checks.
                DataType::Date64 => {
                    cast(&cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?, &to)?
                }
                _ => cast(array, &to)?,
            };
            let read = read.as_primitive::<TimestampMicrosecondType>();
            tally("timestamp", (array.len() - array.null_count()) as u64);
            let micros = match read.nulls() {
                None => read.values().to_vec(),
                Some(nulls) => {
                    read.values().iter().zip(nulls).map(|(&t, ok)| if ok { t } else { NULL_TIME }).collect()
                }
            };
            let unreadable = (0..array.len()).map(|i| read.is_null(i) && array.is_valid(i)).collect();
            Ok(Times { micros, unreadable })
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = utf8("timestamp", array)?;
            let mut out =
                Times { micros: vec![NULL_TIME; array.len()], unreadable: vec![false; array.len()] };
            for (i, value) in text.as_string::<i32>().iter().enumerate() {
                let Some(value) = value.map(str::trim).filter(|v| !v.is_empty()) else { continue };
                match read_text(value) {
                    Some((t, notation)) => {
                        out.micros[i] = t;
                        tally(notation, 1);
                    }
                    None => out.unreadable[i] = true,
                }
            }
            Ok(out)
        }
        DataType::Dictionary(..) => times(&undictionaried("timestamp", array)?, notations),
        t if t.is_integer()
            || t.is_floating()
            || matches!(t, DataType::Null | DataType::Decimal128(_, 0)) =>
        {
            let seconds_float =
                t.is_floating().then(|| crate::scalar::floats("timestamp", array)).transpose()?;
            let mut out =
                Times { micros: vec![NULL_TIME; array.len()], unreadable: vec![false; array.len()] };
            if let Some(values) = seconds_float {
                for (i, x) in values.into_iter().enumerate().filter(|(_, x)| !x.is_nan()) {
                    let (t, notation) = from_number(x);
                    out.micros[i] = t;
                    tally(notation, 1);
                }
                return Ok(out);
            }
            let read = ints("timestamp", array)?;
            for (i, &v) in read.values.iter().enumerate() {
                if v != NONE {
                    let (t, notation) = from_epoch(v);
                    out.micros[i] = t;
                    tally(notation, 1);
                }
                out.unreadable[i] = read.is_bad(i);
            }
            Ok(out)
        }
        t => Err(Error::column(format!(
            "column \"timestamp\" has type {t}, expected timestamps, dates, ISO 8601 text or epoch numbers"
        ))),
    }
}

fn read_text(text: &str) -> Option<(i64, &'static str)> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(from_epoch(number));
    }
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then(|| from_number(number));
    }
    Some((string_to_datetime(&Utc, text).ok()?.timestamp_micros(), "iso8601"))
}

/// Epoch numbers, told apart by size: today's seconds have 10 digits, milliseconds 13, microseconds 16.
fn from_epoch(v: i64) -> (i64, &'static str) {
    match v.unsigned_abs() {
        0..100_000_000_000 => (v * 1_000_000, "epoch_s"),
        100_000_000_000..100_000_000_000_000 => (v * 1_000, "epoch_ms"),
        100_000_000_000_000..100_000_000_000_000_000 => (v, "epoch_us"),
        _ => (v / 1_000, "epoch_ns"),
    }
}

fn from_number(x: f64) -> (i64, &'static str) {
    match x.abs() {
        a if a < 1e11 => ((x * 1e6).round() as i64, "epoch_s"),
        a if a < 1e14 => ((x * 1e3).round() as i64, "epoch_ms"),
        a if a < 1e17 => (x.round() as i64, "epoch_us"),
        _ => ((x / 1e3) as i64, "epoch_ns"),
    }
}

/// Microseconds at the start of the day, UTC.
pub fn start_of_day(t: i64) -> i64 {
    t.div_euclid(DAY).saturating_mul(DAY)
}
