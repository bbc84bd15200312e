//! Numbers and flags of whatever Arrow type, with what could not be read marked row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::text::{undictionaried, utf8};

/// Stands for null in integer columns.
pub const NONE: i64 = i64::MIN;

/// Integers read from a column: [`NONE`] where null, `bad` where there was something else.
pub struct Ints {
    /// The numbers.
    pub values: Vec<i64>,
    /// Rows whose value is not a whole number in range; empty where all are.
    pub bad: Vec<bool>,
}

impl Ints {
    /// Whether row `i` held something that is no whole number in range.
    #[inline]
    pub fn is_bad(&self, i: usize) -> bool {
        self.bad.get(i).copied().unwrap_or(false)
    }
}

fn lenient(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

fn refuse(name: &str, data_type: &DataType, expected: &str) -> Error {
    Error::column(format!("column {name:?} has type {data_type}, expected {expected}"))
}

/// Dictionaries by their values; binary is text.
fn plain(name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let array = undictionaried(name, array)?;
    match array.data_type() {
        DataType::Dictionary(..) => plain(name, &array),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => utf8(name, &array),
        _ => Ok(array),
    }
}

fn is_number(t: &DataType) -> bool {
    t.is_integer()
        || t.is_floating()
        || matches!(t, DataType::Utf8 | DataType::Null | DataType::Boolean | DataType::Decimal128(_, 0))
}

/// Whole numbers; fractions are bad.
///
/// # Errors
/// [`Error::column`] for types that hold no numbers.
pub fn ints(name: &str, array: &ArrayRef) -> Result<Ints> {
    let array = plain(name, array)?;
    if !is_number(array.data_type()) || array.data_type() == &DataType::Boolean {
        return Err(refuse(name, array.data_type(), "whole numbers"));
    }
    if array.data_type().is_floating() {
        return Ok(from_floats(&array, &lenient(&array, &DataType::Float64)?, |x| {
            (x.fract() == 0.0).then_some(x)
        }));
    }
    let read = lenient(&array, &DataType::Int64)?;
    let read = read.as_primitive::<Int64Type>();
    // Text such as "3.0" is a whole number too: CSV written by dataframes is full of it.
    if array.data_type() == &DataType::Utf8 && read.null_count() > array.null_count() {
        let mut out =
            from_floats(&array, &lenient(&array, &DataType::Float64)?, |x| (x.fract() == 0.0).then_some(x));
        // A row is read as it would be without the others: doubles are not exact where integers still are.
        for i in (0..read.len()).filter(|i| read.is_valid(*i)) {
            (out.values[i], out.bad[i]) = (read.value(i), false);
        }
        return Ok(out);
    }
    let values = match read.nulls() {
        None => read.values().to_vec(),
        Some(nulls) => read.values().iter().zip(nulls).map(|(&v, ok)| if ok { v } else { NONE }).collect(),
    };
    let bad = if read.null_count() == 0 {
        Vec::new()
    } else {
        (0..array.len()).map(|i| read.is_null(i) && !is_blank(&array, i)).collect()
    };
    Ok(Ints { values, bad })
}

/// Whole numbers from numbers of any kind, fractions rounded.
///
/// # Errors
/// [`Error::column`] for types that hold no numbers.
pub fn rounded(name: &str, array: &ArrayRef) -> Result<Ints> {
    let array = plain(name, array)?;
    if array.data_type().is_floating() || array.data_type() == &DataType::Utf8 {
        return Ok(from_floats(&array, &lenient(&array, &DataType::Float64)?, |x| Some(x.round())));
    }
    ints(name, &array)
}

/// Numbers; NaN where null or unreadable.
///
/// # Errors
/// [`Error::column`] for types that hold no numbers.
pub fn floats(name: &str, array: &ArrayRef) -> Result<Vec<f64>> {
    let array = plain(name, array)?;
    if !is_number(array.data_type()) {
        return Err(refuse(name, array.data_type(), "numbers"));
    }
    let read = lenient(&array, &DataType::Float64)?;
    Ok(read.as_primitive::<Float64Type>().iter().map(|x| x.unwrap_or(f64::NAN)).collect())
}

fn from_floats(from: &ArrayRef, read: &ArrayRef, whole: impl Fn(f64) -> Option<f64>) -> Ints {
    let read = read.as_primitive::<Float64Type>();
    let limit = 9.0e15; // below 2^53: exact in a double
    let mut out = Ints { values: vec![NONE; read.len()], bad: vec![false; read.len()] };
    for i in 0..read.len() {
        if read.is_null(i) {
            out.bad[i] = !is_blank(from, i);
            continue;
        }
        let x = read.value(i);
        match whole(x).filter(|x| x.abs() < limit) {
            Some(x) => out.values[i] = x as i64,
            // Dataframes write a missing integer as NaN.
            None => out.bad[i] = !x.is_nan(),
        }
    }
    out
}

/// Whether row `i` is null or empty text.
fn is_blank(array: &ArrayRef, i: usize) -> bool {
    array.is_null(i)
        || array.data_type() == &DataType::Null
        || array.as_string_opt::<i32>().is_some_and(|text| text.value(i).is_empty())
}

/// Flags: 0, 1, 2 for null, 3 for what is no flag.
///
/// # Errors
/// [`Error::column`] for types that hold no flags.
pub fn flags(name: &str, array: &ArrayRef) -> Result<Vec<u8>> {
    let array = plain(name, array)?;
    if let Some(flags) = array.as_boolean_opt() {
        return Ok(match flags.nulls() {
            None => flags.values().iter().map(u8::from).collect(),
            Some(_) => flags.iter().map(|f| f.map_or(2, u8::from)).collect(),
        });
    }
    if let Some(text) = array.as_string_opt::<i32>() {
        return Ok(text.iter().map(|t| t.map_or(2, flag_of_text)).collect());
    }
    if !is_number(array.data_type()) {
        return Err(refuse(name, array.data_type(), "booleans or 0/1"));
    }
    let read = ints(name, &array)?;
    let flag = |(i, &v): (usize, &i64)| match v {
        _ if read.is_bad(i) => 3,
        NONE => 2,
        0 | 1 => v as u8,
        _ => 3,
    };
    Ok(read.values.iter().enumerate().map(flag).collect())
}

fn flag_of_text(text: &str) -> u8 {
    match text {
        "" => 2,
        "0" | "false" | "False" | "FALSE" | "0.0" => 0,
        "1" | "true" | "True" | "TRUE" | "1.0" => 1,
        _ => 3,
    }
}
