//! What is done with what was found.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;

use super::detector::Detector;
use super::shadow::{self, Shadow, seen};
use super::{Hit, Kind, encoded, matches, settle, signs};
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonymizer;

/// What becomes of a text with a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The match becomes its kind in angle brackets.
    Mask,
    /// The match becomes its kind and a keyed token: equal matches stay equal, and whoever has the key can test a guess.
    Token,
    /// Nothing is left of the text.
    Drop,
}

/// Options; see docs/ARCHITECTURE.md, anonymize.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubConfig {
    /// What becomes of matches; `off` looks for none.
    pub action: Choice,
    /// Which kinds; none named: all.
    pub kinds: Vec<String>,
}

/// An action, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// Scrub.
    Action(Action),
    /// Do not.
    Off(Off),
}

/// The word for no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Off {
    /// No action.
    Off,
}

/// Some of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All that are found by structure.
    pub const STRUCTURED: Self = Self((1 << Kind::Detector as u16) - 1);

    /// Those of these names.
    ///
    /// # Errors
    /// [`Error::usage`] for a name that none has.
    pub fn named(names: &[String]) -> Result<Self> {
        let mut kinds = Self::NONE;
        for name in names {
            let known = Self::STRUCTURED.iter().find(|k| k.name() == name).ok_or_else(|| {
                let all: Vec<&str> = Self::STRUCTURED.iter().map(Kind::name).collect();
                let all = all.join(", ");
                Error::usage(format!("no kind of personal data is called {name:?}; there are {all}"))
            })?;
            kinds.insert(known);
        }
        Ok(kinds)
    }

    /// Adds all of others.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Adds one.
    pub fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u16;
    }

    /// Whether one is among them.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |k| self.contains(*k))
    }
}

/// Finds personal data of some kinds and does something about it.
#[derive(Clone)]
pub struct Scrubber {
    kinds: Kinds,
    action: Action,
    token: Option<Pseudonymizer>,
    detector: Option<Arc<dyn Detector>>,
}

/// Action, kinds and detector, in words that tell scrubbers apart; nothing of a key.
impl fmt::Display for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.kinds.iter().map(Kind::name).collect();
        write!(f, "{:?} {}", self.action, kinds.join(","))?;
        self.detector.as_ref().map_or(Ok(()), |d| write!(f, " and detector {:?}", d.name()))
    }
}

impl Scrubber {
    /// The scrubber that `config` asks for, if any; `token` is asked for a key where tokens are to be made.
    ///
    /// # Errors
    /// [`Error::usage`] for a kind that does not exist; what `token` reports.
    pub fn of(config: &ScrubConfig, token: impl FnOnce() -> Result<Pseudonymizer>) -> Result<Option<Self>> {
        let Choice::Action(action) = config.action else { return Ok(None) };
        let kinds = if config.kinds.is_empty() { Kinds::STRUCTURED } else { Kinds::named(&config.kinds)? };
        let token = (action == Action::Token).then(token).transpose()?;
        Self::new(kinds, action, token).map(Some)
    }

    /// Tokens are made by `token`, a key of the field `query`.
    ///
    /// # Errors
    /// [`Error::usage`] for tokens without a key.
    pub fn new(kinds: Kinds, action: Action, token: Option<Pseudonymizer>) -> Result<Self> {
        if action == Action::Token && token.is_none() {
            return Err(Error::usage("tokens need a key: give one, or mask"));
        }
        Ok(Self { kinds, action, token, detector: None })
    }

    /// Also replaces what `detector` finds, whatever the kinds.
    #[must_use]
    pub fn with(mut self, detector: Arc<dyn Detector>) -> Self {
        self.detector = Some(detector);
        self
    }

    /// The user's own detector, if any.
    pub(crate) fn detector(&self) -> Option<&dyn Detector> {
        self.detector.as_deref()
    }

    /// Whether a text with a match is dropped.
    pub fn drops(&self) -> bool {
        self.action == Action::Drop
    }

    /// `text`, which is in NFKC, with matches replaced, in `out` (cleared first); and of what kinds they were. Without a
    /// match `out` stays empty. `detected` are bytes of the text as it is [`seen`] that the detector found.
    pub(crate) fn scrub(&self, text: &str, detected: &[Range<usize>], out: &mut String) -> Kinds {
        out.clear();
        let signs = signs(text.as_bytes());
        // What has no width can stand between what else would be a sign's neighbours, but it is none itself.
        let escapes = || signs.percent && encoded::escapes(text.as_bytes());
        if !signs.any() && text.is_ascii() && detected.is_empty() && !escapes() {
            return Kinds::NONE;
        }
        let text = seen(text);
        let shadow = Shadow::of(&text);
        let mut hits = Vec::new();
        let signs = match (&text, &shadow.text) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => signs,
            (_, changed) => super::signs(changed.as_bytes()),
        };
        hits.extend(
            detected.iter().filter_map(|range| {
                Some(Hit { range: shadow.shadowed(range.clone())?, kind: Kind::Detector })
            }),
        );
        matches(&shadow.text, signs, self.kinds, &mut hits);
        let may_stand = signs.percent || signs.joined;
        let shadow = match may_stand.then(|| Shadow::decoded(&text)).flatten() {
            Some(decoded) => {
                // As it is written and as it is read: neither hides what the other shows.
                let mut both = Vec::new();
                matches(&decoded.text, super::signs(decoded.text.as_bytes()), self.kinds, &mut both);
                both.extend(hits.into_iter().filter_map(|Hit { range, kind }| {
                    Some(Hit { range: decoded.shadowed(shadow.original(range))?, kind })
                }));
                hits = both;
                settle(&mut hits);
                decoded
            }
            None => shadow,
        };
        let mut kinds = Kinds::NONE;
        hits.iter().for_each(|hit| kinds.insert(hit.kind));
        if !hits.is_empty() && self.action != Action::Drop {
            self.replace(&text, &shadow, &hits, out);
        }
        kinds
    }

    /// All of `text` replaced, as one match, in `out`.
    pub(crate) fn whole(&self, text: &str, kind: Kind, out: &mut String) {
        let shadow = Shadow::of(text);
        let range = 0..shadow.text.len();
        out.clear();
        self.replace(text, &shadow, &[Hit { range, kind }], out);
    }

    fn replace(&self, text: &str, shadow: &Shadow<'_>, hits: &[Hit], out: &mut String) {
        let mut at = 0;
        for hit in hits {
            let place = shadow.original(hit.range.clone());
            out.push_str(&text[at..place.start]);
            out.push('<');
            out.push_str(hit.kind.name());
            if let (Action::Token, Some(token)) = (self.action, &self.token) {
                // Sixteen digits: equal by chance once in some 10^9 distinct matches.
                let told = hit.kind.told(&shadow.text[hit.range.clone()]);
                out.push(':');
                out.push_str(&shadow::token(token.code(told.as_bytes())));
            }
            out.push('>');
            at = place.end;
        }
        out.push_str(&text[at..]);
    }
}
