//! Personal data in query text: what is found, by structure alone, and what stands in its place.
//!
//! Two steps. A look at each byte tells whether a text can hold anything (most cannot, and are done); then hand-written
//! matchers, each with the check that its kind has: Luhn, mod 97, country lengths, area rules. Names and addresses have
//! no structure and are not found: rare text is what thresholds are for.

mod action;
mod detector;
mod digits;
mod encoded;
mod groups;
mod ids;
mod numbers;
mod secrets;
mod shadow;
mod web;

use std::borrow::Cow;
use std::ops::Range;

pub use action::{Action, Choice, Kinds, Off, ScrubConfig, Scrubber};
pub(crate) use detector::found;
pub use detector::{Detector, Offsets};
pub(crate) use shadow::seen;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address (RFC 5321, unquoted local parts).
    Email,
    /// A URL with a password, a token or a signature in it.
    UrlToken,
    /// A JSON web token (RFC 7519).
    Jwt,
    /// A key of an API, by its prefix or by looking random.
    ApiKey,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A hardware address.
    Mac,
    /// A pair of coordinates.
    Gps,
    /// An account number (ISO 13616).
    Iban,
    /// A payment card number (ISO/IEC 7812).
    Card,
    /// A number that a state gives to a person.
    NationalId,
    /// A telephone number.
    Phone,
    /// Nine digits or more that are nothing else.
    LongNumber,
    /// What a user's own [`Detector`] found.
    Detector,
}

impl Kind {
    /// All kinds; where two matches overlap, the one that begins first stands, then the longer, then the first of these.
    pub const ALL: [Self; 13] = [
        Self::Email,
        Self::UrlToken,
        Self::Jwt,
        Self::ApiKey,
        Self::Ip,
        Self::Mac,
        Self::Gps,
        Self::Iban,
        Self::Card,
        Self::NationalId,
        Self::Phone,
        Self::LongNumber,
        Self::Detector,
    ];

    /// Name in options, masks and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::UrlToken => "url_token",
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Gps => "gps",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::NationalId => "national_id",
            Self::Phone => "phone",
            Self::LongNumber => "long_number",
            Self::Detector => "detector",
        }
    }

    /// What a token is made of: of numbers their letters and digits, however they are grouped; else all of the match, in
    /// lower case where case says nothing.
    fn told(self, found: &str) -> Cow<'_, str> {
        match self {
            Self::Card | Self::Phone | Self::Iban | Self::NationalId | Self::LongNumber => {
                found.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
            }
            // A space beside the sign slipped in.
            Self::Email if found.contains(' ') => {
                found.to_lowercase().replace(" @", "@").replace("@ ", "@").into()
            }
            Self::Email | Self::Ip | Self::Mac | Self::Gps | Self::Detector => found.to_lowercase().into(),
            Self::UrlToken | Self::Jwt | Self::ApiKey => found.into(),
        }
    }
}

/// A match: bytes of the text, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    range: Range<usize>,
    kind: Kind,
}

/// What the look at each byte says.
#[derive(Default, Clone, Copy)]
struct Signs {
    digits: u32,
    colons: u32,
    dots: u32,
    dashes: u32,
    at: bool,
    /// `/`, `=` or `?`.
    web: bool,
    /// `%`.
    percent: bool,
    /// `+`, or what an ideographic full stop begins with.
    joined: bool,
    /// The longest stretch of characters that secrets are made of.
    longest: u32,
    len: usize,
}

impl Signs {
    fn of(text: &[u8]) -> Self {
        let (mut seen, mut flags, mut run, mut longest) = (0_u64, 0_u64, 0_u32, 0_u32);
        for byte in text {
            let class = CLASS[usize::from(*byte)];
            // Counters of ten bits side by side; what overflows into the next was more than enough of the first.
            seen += class >> 8;
            flags |= class;
            run = if class & SECRET != 0 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let count = |shift: u32| (seen >> shift & 0x3ff) as u32;
        Self {
            digits: count(0),
            colons: count(10),
            dots: count(20),
            dashes: count(30),
            at: count(40) > 0,
            web: count(50) > 0,
            percent: flags & PERCENT != 0,
            joined: flags & JOINED != 0,
            longest,
            len: text.len(),
        }
    }

    /// Longer texts than the counters can tell of: everything is looked for.
    fn all(len: usize) -> Self {
        let (at, web, percent, joined) = (true, true, true, true);
        Self {
            digits: 99,
            colons: 99,
            dots: 99,
            dashes: 99,
            at,
            web,
            percent,
            joined,
            longest: u32::MAX,
            len,
        }
    }

    fn names_machines(self) -> bool {
        self.dots >= 2 || self.colons >= 2 || self.dashes >= 5
    }

    /// Whether there is anything to look for.
    fn any(self) -> bool {
        let iban = self.digits >= 2 && self.len >= ids::SHORTEST;
        let number = self.digits >= FEWEST_DIGITS || iban;
        let named = self.web || self.colons > 0;
        self.at || named || number || self.names_machines() || self.longest >= secrets::SHORTEST
    }
}

const SECRET: u64 = 1;
const PERCENT: u64 = 2;
const JOINED: u64 = 4;

/// By byte: one in the counter of its sign, whether secrets are made of it, and whether it may stand for another sign.
const CLASS: [u64; 256] = {
    const fn counted(shift: u32) -> u64 {
        1 << (shift + 8)
    }
    let mut class = [0; 256];
    let mut b = 0;
    while b < 256 {
        class[b] = match b as u8 {
            b'0'..=b'9' => counted(0) | SECRET,
            b':' => counted(10),
            b'.' => counted(20) | SECRET,
            b'-' => counted(30) | SECRET,
            b'@' => counted(40),
            b'/' | b'=' => counted(50) | SECRET,
            b'?' => counted(50),
            b'%' => PERCENT,
            b'+' => SECRET | JOINED,
            0xe3 => JOINED,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => SECRET,
            _ => 0,
        };
        b += 1;
    }
    class
};

/// Fewer digits than this are no number of anybody.
const FEWEST_DIGITS: u32 = 6;

fn signs(text: &[u8]) -> Signs {
    if text.len() < 1024 { Signs::of(text) } else { Signs::all(text.len()) }
}

/// Adds matches in a shadow text to those of a detector: all in order, none overlapping.
fn matches(text: &str, signs: Signs, kinds: Kinds, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    if signs.at {
        web::emails(text, hits);
    }
    if signs.web {
        web::urls(text, hits);
    }
    if signs.longest >= secrets::SHORTEST {
        secrets::find(bytes, hits);
    }
    if signs.web || signs.colons > 0 {
        secrets::passwords(text, hits);
    }
    if signs.names_machines() {
        web::addresses(bytes, hits);
    }
    if signs.digits >= 2 && bytes.len() >= ids::SHORTEST {
        ids::ibans(bytes, hits);
    }
    if signs.digits >= FEWEST_DIGITS {
        let groups = groups::Groups::of(text);
        ids::find(&groups, hits);
        numbers::find(&groups, kinds, hits);
    }
    // Before they are settled: one that is not asked for must not swallow one that is.
    hits.retain(|hit| kinds.contains(hit.kind) || hit.kind == Kind::Detector);
    settle(hits);
}

/// Of matches that overlap one stands, but nothing that another had found stays uncovered: it takes their union.
fn settle(hits: &mut Vec<Hit>) {
    if hits.len() < 2 {
        return;
    }
    hits.sort_by_key(|h| (h.range.start, std::cmp::Reverse(h.range.end), h.kind));
    let mut kept = 0;
    for i in 1..hits.len() {
        let hit = hits[i].clone();
        let last = &mut hits[kept];
        if hit.range.start < last.range.end {
            last.range.end = last.range.end.max(hit.range.end);
        } else {
            kept += 1;
            hits[kept] = hit;
        }
    }
    hits.truncate(kept + 1);
}

/// Whether an ASCII letter or digit stands at `at`. Other letters end no number: many scripts set no spaces.
fn word_at(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// Whether a word ends right before `at`; the sign for "number", which NFKC makes two letters, is none.
fn word_before(text: &[u8], at: usize) -> bool {
    if at == 0 || !word_at(text, at - 1) {
        return false;
    }
    let word = &text[at.saturating_sub(3)..at];
    let word = if word.len() == 3 && !word[0].is_ascii_alphanumeric() { &word[1..] } else { word };
    !(word.eq_ignore_ascii_case(b"no") || word.eq_ignore_ascii_case(b"nr"))
}

/// The word after `at`, across what is no letter, in lower case.
fn hint_after(text: &str, at: usize) -> String {
    let rest = text[at..].trim_start_matches(|c: char| !c.is_alphanumeric());
    rest[..rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len())].to_lowercase()
}

/// Bytes around a match that may say what it is.
const NEAR: usize = 32;

/// The word before `at`, across what is no letter, in lower case; at most 16 letters of it.
fn hint_before(text: &[u8], at: usize) -> String {
    // Nothing here looks further than a few words, so that no text takes the square of its length.
    let from = at.saturating_sub(NEAR);
    let (text, at) = (&text[from..], at - from);
    let end = text[..at].iter().rposition(u8::is_ascii_alphabetic).map_or(0, |i| i + 1);
    // A number between the two, or what was one, is what the word was about.
    let mask = text[end..at].windows(3).any(|w| w == "\u{fffc}".as_bytes());
    if mask || text[end..at].iter().any(u8::is_ascii_digit) {
        return String::new();
    }
    let start = text[..end].iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |i| i + 1);
    let start = start.max(end.saturating_sub(16));
    String::from_utf8_lossy(&text[start..end]).to_ascii_lowercase()
}
