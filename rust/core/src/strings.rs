//! Distinct strings at rest, to be found by code.

use std::collections::HashMap;
use std::sync::Arc;

use crate::budget::{Budget, Held};
use crate::error::Result;
use crate::pulse::Pulse;

/// A string's code, and where its text ends.
#[derive(Clone, Copy)]
struct Entry {
    code: u64,
    end: usize,
}

/// Distinct UTF-8 strings in canonical order, to be found by code.
#[derive(Default, Clone)]
pub struct Strings {
    /// In one list, so that finding a string touches one place of it.
    entries: Vec<Entry>,
    text: String,
    /// Where the codes with each head of `bits` bits begin: codes are uniform, so a head has one or two.
    starts: Vec<u32>,
    bits: u32,
    clashes: Vec<u64>,
    /// What the budget knows of them; copies are few, and not known.
    held: Option<Arc<Held>>,
}

impl Strings {
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self { entries: Vec::with_capacity(strings), text: String::with_capacity(bytes), ..Self::default() }
    }

    /// Adds a string, whose code is above those of all before; [`Strings::index`] ends it.
    pub(crate) fn push(&mut self, code: u64, value: &str) {
        self.text.push_str(value);
        self.entries.push(Entry { code, end: self.text.len() });
    }

    /// Notes a code of several strings, above those of all before.
    pub(crate) fn push_clash(&mut self, code: u64) {
        self.clashes.push(code);
    }

    /// Makes the strings ready to be found.
    pub(crate) fn index(&mut self) {
        self.bits = self.entries.len().max(2).ilog2().min(28);
        self.starts = vec![0; (1 << self.bits) + 1];
        for Entry { code, .. } in &self.entries {
            self.starts[(code >> (64 - self.bits)) as usize + 1] += 1;
        }
        for i in 1..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
    }

    /// The strings of these (code, value)s, which ascend by code.
    pub fn of<'a>(sorted: impl Iterator<Item = (u64, &'a str)>) -> Self {
        let mut out = Self::default();
        sorted.for_each(|(code, value)| out.push(code, value));
        out.index();
        out
    }

    /// Only the strings of these codes, which ascend; held by the same budget.
    pub fn subset(&self, codes: &[u64]) -> Self {
        let mut out = Self::of(codes.iter().map(|c| (*c, self.get(*c))));
        if let Some(held) = &self.held {
            out.hold(held.budget());
        }
        out
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Codes, ascending.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = u64> + DoubleEndedIterator {
        self.entries.iter().map(|e| e.code)
    }

    /// Codes that different strings share; their rows are set aside.
    pub fn clashes(&self) -> &[u64] {
        &self.clashes
    }

    /// Place of a code among the codes.
    #[inline]
    pub fn find(&self, code: u64) -> Option<usize> {
        let head = (code >> (64 - self.bits)) as usize;
        let (start, end) = (*self.starts.get(head)? as usize, *self.starts.get(head + 1)? as usize);
        self.entries[start..end].iter().position(|e| e.code == code).map(|i| start + i)
    }

    /// Code of string number `i`.
    #[inline]
    pub(crate) fn code_at(&self, i: usize) -> u64 {
        self.entries[i].code
    }

    /// String number `i` in canonical order.
    #[inline]
    pub fn at(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.entries[i - 1].end };
        &self.text[start..self.entries[i].end]
    }

    /// The string of a code.
    #[inline]
    pub fn get(&self, code: u64) -> &str {
        self.find(code).map_or("", |i| self.at(i))
    }

    /// The codes of these texts; 0 for one that is not here. One walk through all strings, where codes do not follow from
    /// texts.
    pub fn codes_of<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Vec<u64> {
        let texts: Vec<&str> = texts.collect();
        let mut codes: HashMap<&str, u64> = texts.iter().map(|text| (*text, 0)).collect();
        for (code, text) in self.iter() {
            if let Some(found) = codes.get_mut(text) {
                *found = code;
            }
        }
        texts.iter().map(|text| codes[text]).collect()
    }

    /// (code, string)s in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        self.codes().enumerate().map(|(i, code)| (code, self.at(i)))
    }

    /// Both lists as one. Codes that name different strings in the two are returned beside it, without a string; so are those
    /// that one list set aside and the other has.
    ///
    /// # Errors
    /// What `pulse` reports.
    pub fn merge(&self, other: &Self, pulse: &mut Pulse<'_>) -> Result<(Self, Vec<u64>)> {
        let mut out = Self::with_capacity(self.len() + other.len(), self.text.len() + other.text.len());
        let mut clashes = Vec::new();
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        loop {
            pulse.beat()?;
            let (code, value) = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    let (a, b) = (*a, *b);
                    ours.next();
                    theirs.next();
                    if a.1 != b.1 {
                        clashes.push(a.0);
                        continue;
                    }
                    a
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                    let a = *a;
                    ours.next();
                    a
                }
                (_, Some(b)) => {
                    let b = *b;
                    theirs.next();
                    b
                }
                _ => break,
            };
            out.push(code, value);
        }
        clashes.extend(self.clashes.iter().filter(|code| other.find(**code).is_some()));
        clashes.extend(other.clashes.iter().filter(|code| self.find(**code).is_some()));
        clashes.sort_unstable();
        out.clashes = [self.clashes(), other.clashes()].concat();
        out.clashes.sort_unstable();
        out.clashes.dedup();
        out.index();
        Ok((out, clashes))
    }

    /// Tells a budget of them, for as long as they are there.
    pub fn hold(&mut self, budget: &Arc<Budget>) {
        self.held = Some(Arc::new(budget.holding(self.memory())));
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.text.capacity() + size_of::<Entry>() * self.entries.capacity() + 4 * self.starts.capacity()
    }
}
