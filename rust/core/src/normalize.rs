//! The one function through which every query text goes.
//!
//! NFKC, personal data scrubbed, full case folding, white space: in this order, fixed and public, so that the same query
//! is the same string everywhere and no step is fitted to the log. Unicode Standard Annex 15 for NFKC, section 3.13 of the
//! Unicode Standard for case folding.

use crate::scrub::{Kinds, Scrubber};
use crate::text::{Entries, TextColumn};
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

/// Folding can undo NFKC and NFKC can undo folding; this many rounds settle every string (one nearly always does).
const ROUNDS: usize = 4;

/// Normalises query texts; holds the Unicode tables and how to scrub.
pub struct Normalizer {
    nfkc: ComposingNormalizerBorrowed<'static>,
    fold: CaseMapperBorrowed<'static>,
    scrubber: Option<Scrubber>,
}

impl Default for Normalizer {
    /// Without scrubbing.
    fn default() -> Self {
        Self::new(None)
    }
}

impl Normalizer {
    /// Scrubs by `scrubber`, if any.
    pub fn new(scrubber: Option<Scrubber>) -> Self {
        Self { nfkc: ComposingNormalizer::new_nfkc(), fold: CaseMapper::new(), scrubber }
    }

    /// The normalised form of `text` appended to `out` (cleared first), and what was scrubbed from it. Where the scrubber
    /// drops texts, nothing is left of one with a match.
    ///
    /// Applying it twice changes nothing.
    ///
    /// ```
    /// let mut out = String::new();
    /// hardneg_core::normalize::Normalizer::default().normalize("  Ｗireless\tHEADPHONES ", &mut out);
    /// assert_eq!(out, "wireless headphones");
    /// ```
    pub fn normalize(&self, text: &str, out: &mut String) -> Kinds {
        let Some(scrubber) = &self.scrubber else {
            self.fold(text, out);
            return Kinds::NONE;
        };
        let kinds = if text.is_ascii() {
            scrubber.scrub(text, out)
        } else {
            scrubber.scrub(&self.nfkc.normalize(text), out)
        };
        if kinds.is_empty() {
            self.fold(text, out);
        } else {
            let scrubbed = std::mem::take(out);
            self.fold(&scrubbed, out);
        }
        kinds
    }

    /// Whether nothing is left of a text with a match.
    pub fn drops(&self) -> bool {
        self.scrubber.as_ref().is_some_and(Scrubber::drops)
    }

    /// `text` with what the scrubber finds replaced, otherwise as it is; and what that was. A text with a match is in NFKC.
    pub fn scrub(&self, text: &str, out: &mut String) -> Kinds {
        out.clear();
        let Some(scrubber) = &self.scrubber else { return Kinds::NONE };
        if text.is_ascii() {
            scrubber.scrub(text, out)
        } else {
            scrubber.scrub(&self.nfkc.normalize(text), out)
        }
    }

    fn fold(&self, text: &str, out: &mut String) {
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
pub(crate) fn squeeze(chars: impl Iterator<Item = char>, out: &mut String) {
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
    /// What was scrubbed from each entry; empty where nothing was from any.
    pub scrubbed: Vec<Kinds>,
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
    let mut scrubbed = Vec::new();
    let ends = (0..entries.len())
        .map(|i| {
            if let Some(raw) = entries.get(column, i).and_then(|v| std::str::from_utf8(v).ok()) {
                let kinds = normalizer.normalize(raw, &mut one);
                text.push_str(&one);
                if !kinds.is_empty() {
                    scrubbed.resize(entries.len(), Kinds::NONE);
                    scrubbed[i] = kinds;
                }
            }
            text.len()
        })
        .collect();
    Texts { text, ends, scrubbed }
}
