//! The one function through which every query text goes.
//!
//! NFKC, (PII scrubbing joins here), full case folding, white space: in this order, fixed and public, so that the
//! same query is the same string everywhere and no step is fitted to the log. Unicode Standard Annex 15 for NFKC,
//! section 3.13 of the Unicode Standard for case folding.

use crate::text::{Entries, TextColumn};
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

/// Folding can undo NFKC and NFKC can undo folding; this many rounds settle every string (one nearly always does).
const ROUNDS: usize = 4;

/// Normalises query texts; holds the Unicode tables and a buffer.
pub struct Normalizer {
    nfkc: ComposingNormalizerBorrowed<'static>,
    fold: CaseMapperBorrowed<'static>,
}

impl Default for Normalizer {
    fn default() -> Self {
        Self { nfkc: ComposingNormalizer::new_nfkc(), fold: CaseMapper::new() }
    }
}

impl Normalizer {
    /// The normalised form of `text` appended to `out` (cleared first).
    ///
    /// Applying it twice changes nothing.
    ///
    /// ```
    /// let mut out = String::new();
    /// hardneg_core::normalize::Normalizer::default().normalize("  Ｗireless\tHEADPHONES ", &mut out);
    /// assert_eq!(out, "wireless headphones");
    /// ```
    pub fn normalize(&self, text: &str, out: &mut String) {
        out.clear();
        if text.is_ascii() {
            squeeze(text.bytes().map(|b| b.to_ascii_lowercase() as char), out);
            return;
        }
        let mut now = text.to_owned();
        for _ in 0..ROUNDS {
            let composed = self.nfkc.normalize(&now);
            let folded = self.fold.fold_string(&composed).into_owned();
            if folded == now {
                break;
            }
            now = folded;
        }
        squeeze(now.chars(), out);
    }
}

/// Each run of white space or control characters becomes one space; none at the ends.
fn squeeze(chars: impl Iterator<Item = char>, out: &mut String) {
    let mut gap = false;
    for c in chars {
        if c.is_whitespace() || c.is_control() {
            gap = !out.is_empty();
        } else {
            if gap {
                out.push(' ');
                gap = false;
            }
            out.push(c);
        }
    }
}

/// Normalised texts of a column's entries, end to end.
pub struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Text of entry `i`; None where nothing is left, or there was none.
    pub fn get(&self, i: usize) -> Option<&str> {
        let start = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        Some(&self.text[start..*self.ends.get(i)?]).filter(|t| !t.is_empty())
    }
}

/// Normalised text of every entry.
pub fn normalized(normalizer: &Normalizer, column: &TextColumn, entries: &Entries) -> Texts {
    let (mut text, mut one) = (String::new(), String::new());
    let ends = (0..entries.len())
        .map(|i| {
            if let Some(raw) = entries.get(column, i).and_then(|v| std::str::from_utf8(v).ok()) {
                normalizer.normalize(raw, &mut one);
                text.push_str(&one);
            }
            text.len()
        })
        .collect();
    Texts { text, ends }
}
