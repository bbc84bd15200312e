//! Documents by number, and those that satisfied somebody, by query.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::strings::Strings;

/// What numbers of documents stand for.
#[derive(Serialize, Deserialize)]
pub(super) enum Docs {
    /// Codes, ascending.
    Codes(Vec<u64>),
    /// The strings of a release, which stay where they are.
    #[serde(skip)]
    Strings(Arc<Strings>),
}

impl Default for Docs {
    fn default() -> Self {
        Self::Codes(Vec::new())
    }
}

impl Docs {
    /// Of these codes, in any order.
    pub(super) fn of(codes: impl Iterator<Item = u64>) -> Self {
        let mut codes: Vec<u64> = codes.collect();
        codes.sort_unstable();
        codes.dedup();
        Self::Codes(codes)
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Codes(codes) => codes.len(),
            Self::Strings(strings) => strings.len(),
        }
    }

    /// Number of a code, if it has one.
    pub(super) fn number(&self, code: u64) -> Option<u32> {
        let found = match self {
            Self::Codes(codes) => codes.binary_search(&code).ok(),
            Self::Strings(strings) => strings.find(code),
        };
        found.map(|i| i as u32)
    }

    /// Code of a number.
    pub(super) fn code(&self, number: u32) -> u64 {
        match self {
            Self::Codes(codes) => codes[number as usize],
            Self::Strings(strings) => strings.code_at(number as usize),
        }
    }
}

/// Documents that satisfied somebody, by number of the query.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Satisfying {
    /// Where those of each query end.
    ends: Vec<usize>,
    numbers: Vec<u32>,
    docs: Docs,
}

impl Satisfying {
    pub(super) fn new(ends: Vec<usize>, numbers: Vec<u32>, docs: Docs) -> Self {
        Self { ends, numbers, docs }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        8 * self.ends.len() + 4 * self.numbers.len()
    }

    /// Codes of those of a query.
    pub(super) fn of(&self, query: usize) -> impl Iterator<Item = u64> {
        let start = if query == 0 { 0 } else { self.ends[query - 1] };
        self.numbers[start..self.ends[query]].iter().map(|number| self.docs.code(*number))
    }

    /// Of some queries alone, by a number of their own.
    pub(super) fn excerpt(&self, queries: &[usize]) -> Self {
        let docs = Docs::of(queries.iter().flat_map(|i| self.of(*i)));
        let mut out = Self { docs, ..Self::default() };
        for query in queries {
            out.numbers.extend(self.of(*query).filter_map(|code| out.docs.number(code)));
            out.ends.push(out.numbers.len());
        }
        out
    }
}
