//! The one function through which every query text goes.
//!
//! NFKC, personal data scrubbed, full case folding, white space: in this order, fixed and public, so that the same query
//! is the same string everywhere and no step is fitted to the log. Unicode Standard Annex 15 for NFKC, section 3.13 of the
//! Unicode Standard for case folding.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::scrub::{Kinds, Scrubber, found, seen};
use crate::text::{Entries, TextColumn};
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

/// Folding can undo NFKC and NFKC can undo folding; this many rounds settle every string (one nearly always does).
const ROUNDS: usize = 4;

/// A mask ends what stood against it, so more can be found beside it: so many rounds more. What goes on longer is no text of
/// anybody, but made to take the square of its length, and all of it is replaced.
const SCRUBS: usize = 4;

/// Texts that a detector is asked about at once.
const ASKED: usize = 1 << 16;

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
    /// hardneg_core::normalize::Normalizer::default().normalize("  Ｗireless\tHEADPHONES ", &mut out)?;
    /// assert_eq!(out, "wireless headphones");
    /// # Ok::<(), hardneg_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the scrubber's detector reports.
    pub fn normalize(&self, text: &str, out: &mut String) -> Result<Kinds> {
        let mut kinds = Kinds::NONE;
        self.each([Some(text)].into_iter(), |text, detected| {
            kinds = text.map_or(Kinds::NONE, |text| self.one(text, detected, out));
        })?;
        Ok(kinds)
    }

    /// As [`Normalizer::normalize`], of many texts: `take` gets each result, in order, and nothing for None.
    ///
    /// # Errors
    /// What the scrubber's detector reports.
    pub fn normalize_all<'t>(
        &self,
        texts: impl Iterator<Item = Option<&'t str>>,
        mut take: impl FnMut(&str, Kinds),
    ) -> Result<()> {
        let mut out = String::new();
        self.each(texts, |text, detected| match text {
            Some(text) => {
                let kinds = self.one(text, detected, &mut out);
                take(&out, kinds);
            }
            None => take("", Kinds::NONE),
        })
    }

    /// Many texts with what the scrubber finds replaced, otherwise as they are: `take` gets each, in order. One with a match
    /// is in NFKC; where the scrubber drops texts, it is None.
    ///
    /// # Errors
    /// What the scrubber's detector reports.
    pub fn scrub_all<'t>(
        &self,
        texts: impl Iterator<Item = Option<&'t str>>,
        mut take: impl FnMut(Option<&str>),
    ) -> Result<()> {
        let mut out = String::new();
        self.each(texts, |text, detected| {
            let kinds = match (text, &self.scrubber) {
                (Some(text), Some(scrubber)) => self.scrubbed(scrubber, text, detected, &mut out),
                _ => Kinds::NONE,
            };
            take(if kinds.is_empty() { text } else { Some(out.as_str()).filter(|_| !self.drops()) });
        })
    }

    /// `take` gets each text and what the scrubber's detector found in it, which is asked for many texts at once.
    fn each<'t>(
        &self,
        texts: impl Iterator<Item = Option<&'t str>>,
        mut take: impl FnMut(Option<&'t str>, &[Range<usize>]),
    ) -> Result<()> {
        let Some(detector) = self.scrubber.as_ref().and_then(Scrubber::detector) else {
            texts.for_each(|text| take(text, &[]));
            return Ok(());
        };
        let mut texts = texts.peekable();
        while texts.peek().is_some() {
            let some: Vec<Option<&str>> = texts.by_ref().take(ASKED).collect();
            let looked: Vec<String> =
                some.iter().flatten().map(|text| seen(&self.composed(text)).into_owned()).collect();
            let asked: Vec<&str> = looked.iter().map(String::as_str).collect();
            let answers = if asked.is_empty() { Vec::new() } else { found(detector, &asked)? };
            let mut answers = answers.iter();
            for text in some {
                let answer = text.and_then(|_| answers.next());
                take(text, answer.map_or(&[], Vec::as_slice));
            }
        }
        Ok(())
    }

    fn one(&self, text: &str, detected: &[Range<usize>], out: &mut String) -> Kinds {
        let Some(scrubber) = &self.scrubber else {
            self.fold(text, out);
            return Kinds::NONE;
        };
        let mut kinds = self.scrubbed(scrubber, text, detected, out);
        let masked = std::mem::take(out);
        let left = if kinds.is_empty() { text } else { &masked };
        self.fold(left, out);
        // Folding can make of capitals, or of one letter two, what is then found: looked at again, so that the whole is the
        // same done once and twice.
        if left != out && (kinds.is_empty() || !scrubber.drops()) {
            let folded = std::mem::take(out);
            let more = self.scrubbed(scrubber, &folded, &[], out);
            if more.is_empty() {
                *out = folded;
            } else {
                let scrubbed = std::mem::take(out);
                self.fold(&scrubbed, out);
                kinds.extend(more);
            }
        }
        kinds
    }

    /// Whether a detector of the user's own is asked, for which every distinct text should come once.
    pub fn asks(&self) -> bool {
        self.scrubber.as_ref().is_some_and(|s| s.detector().is_some())
    }

    /// Whether nothing is left of a text with a match.
    pub fn drops(&self) -> bool {
        self.scrubber.as_ref().is_some_and(Scrubber::drops)
    }

    /// `text` with what is found replaced, in `out` (cleared first); what has no width is gone there. Without a match `out`
    /// stays empty. Scrubs until nothing more is found.
    fn scrubbed(
        &self,
        scrubber: &Scrubber,
        text: &str,
        detected: &[Range<usize>],
        out: &mut String,
    ) -> Kinds {
        let mut all = scrubber.scrub(&self.composed(text), detected, out);
        for round in 1.. {
            if all.is_empty() || scrubber.drops() {
                break;
            }
            let last = std::mem::take(out);
            let more = scrubber.scrub(&self.composed(&last), &[], out);
            let Some(kind) = more.iter().next() else {
                *out = last;
                break;
            };
            all.extend(more);
            if round == SCRUBS {
                scrubber.whole(text, kind, out);
                break;
            }
        }
        all
    }

    fn composed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.is_ascii() { Cow::Borrowed(text) } else { self.nfkc.normalize(text) }
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
///
/// # Errors
/// What the scrubber's detector reports.
pub fn normalized(normalizer: &Normalizer, column: &TextColumn, entries: &Entries) -> Result<Texts> {
    let (mut text, mut ends) = (String::new(), Vec::with_capacity(entries.len()));
    let mut scrubbed = Vec::new();
    let raw = (0..entries.len()).map(|i| entries.get(column, i).and_then(|v| std::str::from_utf8(v).ok()));
    normalizer.normalize_all(raw, |one, kinds| {
        if !kinds.is_empty() {
            scrubbed.resize(entries.len(), Kinds::NONE);
            scrubbed[ends.len()] = kinds;
        }
        text.push_str(one);
        ends.push(text.len());
    })?;
    Ok(Texts { text, ends, scrubbed })
}
