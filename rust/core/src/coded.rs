//! Codes of the texts of a stream, without its users: each dictionary entry looked at once, its faults named.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int64Array, UInt32Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::error::Result;
use crate::impressions::query_fault;
use crate::intern::Interner;
use crate::normalize::Normalizer;
use crate::scrub::Scrubber;
use crate::text::{NULL, TextColumn};

/// What becomes of query texts.
#[derive(Clone)]
pub enum Queries {
    /// They are compared as they are.
    Given,
    /// They go through the one function of [`crate::normalize`], with this scrubber.
    Normalized(Option<Scrubber>),
}

/// Code of a value, or why its row is set aside.
pub(crate) type Code = std::result::Result<u64, &'static str>;

/// Codes of one column, each dictionary entry looked at once, when a clicked row first has it.
pub(crate) struct Codes<'a> {
    interner: &'a Interner<'a>,
    /// None for documents; for queries how, if at all, they are normalised.
    queries: Option<Option<Normalizer>>,
    /// Keeps the dictionary alive that `known` is about.
    column: Option<TextColumn>,
    /// By entry: 0 for not looked at yet, else one more than its place in `codes`.
    known: Vec<u32>,
    codes: Vec<Code>,
}

impl<'a> Codes<'a> {
    /// For queries, of which `queries` says what becomes of them.
    pub(crate) fn of_queries(interner: &'a Interner<'a>, queries: &Queries) -> Self {
        let normalizer = match queries {
            Queries::Given => None,
            Queries::Normalized(scrubber) => Some(Normalizer::new(scrubber.clone())),
        };
        Self::new(interner, Some(normalizer))
    }

    /// For documents.
    pub(crate) fn of_docs(interner: &'a Interner<'a>) -> Self {
        Self::new(interner, None)
    }

    fn new(interner: &'a Interner<'a>, queries: Option<Option<Normalizer>>) -> Self {
        Self { interner, queries, column: None, known: Vec::new(), codes: Vec::new() }
    }

    /// Code of each row.
    pub(crate) fn of(&mut self, column: &TextColumn) -> Result<Vec<Code>> {
        let entries = column.entries();
        if !self.column.as_ref().is_some_and(|c| c.same_dictionary(column)) {
            self.known.clear();
            self.known.resize(entries.len(), 0);
            self.codes.clear();
            self.column = Some(column.clone());
        }
        let mut fresh: Vec<Option<&[u8]>> = Vec::new();
        let before = self.codes.len();
        for &entry in entries.rows.iter().filter(|e| **e != NULL) {
            let known = &mut self.known[entry as usize];
            if *known == 0 {
                fresh.push(entries.get(column, entry as usize));
                *known = (before + fresh.len()) as u32;
            }
        }
        self.look_at(&fresh)?;
        let null = self.fault(None).unwrap_or("null");
        let code = |entry: &u32| match *entry {
            NULL => Err(null),
            entry => self.codes[self.known[entry as usize] as usize - 1],
        };
        Ok(entries.rows.iter().map(code).collect())
    }

    /// Appends the codes of values that were not seen in this dictionary.
    fn look_at(&mut self, fresh: &[Option<&[u8]>]) -> Result<()> {
        let normalizer = self.queries.as_ref().and_then(Option::as_ref);
        let mut faults: Vec<Option<&'static str>> = fresh.iter().map(|v| self.fault(*v)).collect();
        let sound: Vec<Option<&[u8]>> =
            fresh.iter().zip(&faults).map(|(v, f)| v.filter(|_| f.is_none())).collect();
        let sound = |i: usize| sound[i];
        let codes = match normalizer {
            None => self.interner.intern(fresh.len(), sound)?,
            Some(normalizer) => {
                let mut texts = Vec::with_capacity(fresh.len());
                let raw = (0..fresh.len()).map(|i| sound(i).and_then(|v| std::str::from_utf8(v).ok()));
                normalizer.normalize_all(raw, |text, kinds| {
                    if !kinds.is_empty() && normalizer.drops() {
                        faults[texts.len()] = Some("personal_data");
                    }
                    let kept = !text.is_empty() && faults[texts.len()].is_none();
                    texts.push(kept.then(|| text.to_owned()));
                })?;
                self.interner.intern(texts.len(), |i| texts[i].as_deref().map(str::as_bytes))?
            }
        };
        // What is sound and has no code is a query of which normalising left nothing.
        let code = |(code, fault): (u64, &Option<&'static str>)| match code {
            0 => Err(fault.unwrap_or("null_query")),
            code => Ok(code),
        };
        self.codes.extend(codes.into_iter().zip(&faults).map(code));
        Ok(())
    }

    /// Why a row with this value is set aside, if it is.
    fn fault(&self, value: Option<&[u8]>) -> Option<&'static str> {
        match (value, &self.queries) {
            (None, Some(_)) => Some("null_query"),
            (None, None) => Some("null_doc_id"),
            (Some(_), Some(_)) => query_fault(value),
            (Some(v), None) => std::str::from_utf8(v).is_err().then_some("invalid_utf8"),
        }
    }
}

/// A column of whole numbers as a dictionary of them: their texts are then made once for each number, not for each row.
/// Other columns come back as they are.
pub(crate) fn narrowed(array: &ArrayRef) -> Result<ArrayRef> {
    // Beyond the signed range there are texts only.
    if !array.data_type().is_integer() || array.data_type() == &DataType::UInt64 {
        return Ok(array.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let wide = cast_with_options(array, &DataType::Int64, &options)?;
    let wide = wide.as_primitive::<Int64Type>();
    let mut known: HashMap<i64, u32, RandomState> =
        HashMap::with_capacity_and_hasher(1024, RandomState::default());
    let mut distinct = Vec::new();
    let mut last: Option<(i64, u32)> = None;
    let mut key = |value: i64| match last {
        Some((before, key)) if before == value => key,
        _ => {
            let key = *known.entry(value).or_insert_with(|| {
                distinct.push(value);
                distinct.len() as u32 - 1
            });
            last = Some((value, key));
            key
        }
    };
    let keys: UInt32Array = match wide.nulls() {
        None => UInt32Array::from_iter_values(wide.values().iter().map(|v| key(*v))),
        Some(_) => wide.iter().map(|v| v.map(&mut key)).collect(),
    };
    Ok(Arc::new(DictionaryArray::new(keys, Arc::new(Int64Array::from(distinct)))))
}
