//! Personal data in query text: what is found, by structure alone, and what stands in its place.
//!
//! Two steps. A look at each byte tells whether a text can hold anything (most cannot, and are done); then hand-written
//! matchers, each with the check that its kind has: Luhn, mod 97, country lengths, area rules. Names and addresses have
//! no structure and are not found: rare text is what thresholds are for.

mod action;
mod digits;
mod groups;
mod ids;
mod numbers;
mod secrets;
mod web;

use std::ops::Range;

pub use action::{Action, Choice, Kinds, Off, ScrubConfig, Scrubber};

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
}

impl Kind {
    /// All kinds; where two matches overlap, the one that begins first stands, then the longer, then the first of these.
    pub const ALL: [Self; 12] = [
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
        }
    }
}

/// A match: bytes of the text, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// What they are.
    pub kind: Kind,
}

/// What the look at each byte says.
#[derive(Default, Clone, Copy)]
struct Signs {
    digits: u32,
    at: bool,
    colons: u32,
    /// `/`, `=` or `?`.
    web: bool,
    /// The longest stretch of characters that secrets are made of.
    longest: u32,
}

impl Signs {
    fn of(text: &[u8]) -> Self {
        let (mut signs, mut run) = (Self::default(), 0_u32);
        for byte in text {
            let class = CLASS[usize::from(*byte)];
            signs.digits += u32::from(class & DIGIT != 0);
            signs.at |= class & AT != 0;
            signs.colons += u32::from(class & COLON != 0);
            signs.web |= class & WEB != 0;
            run = if class & SECRET != 0 { run + 1 } else { 0 };
            signs.longest = signs.longest.max(run);
        }
        signs
    }
}

const DIGIT: u8 = 1;
const AT: u8 = 2;
const COLON: u8 = 4;
const WEB: u8 = 8;
const SECRET: u8 = 16;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        class[b] = match byte {
            b'0'..=b'9' => DIGIT | SECRET,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'+' | b'.' => SECRET,
            b'@' => AT,
            b':' => COLON,
            b'/' | b'=' => WEB | SECRET,
            b'?' => WEB,
            _ => 0,
        };
        b += 1;
    }
    class
};

/// Fewer digits than this are no number of anybody.
const FEWEST_DIGITS: u32 = 7;

/// Whether the look at each byte of an ASCII text leaves anything to look for.
fn may_hold(text: &[u8]) -> bool {
    let signs = Signs::of(text);
    signs.at || signs.web || signs.colons >= 2 || signs.digits >= 4 || signs.longest >= secrets::SHORTEST
}

/// Finds personal data in `text`, which is in NFKC: matches in order, none overlapping, appended to `hits`.
pub fn find(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let signs = Signs::of(bytes);
    let start = hits.len();
    if signs.at {
        web::emails(text, hits);
    }
    if signs.web && (signs.colons > 0 || signs.at || signs.longest >= 12) {
        web::urls(text, hits);
    }
    if signs.longest >= secrets::SHORTEST {
        secrets::find(bytes, hits);
    }
    if signs.colons >= 2 || signs.digits >= 4 {
        web::addresses(bytes, hits);
    }
    if signs.digits >= FEWEST_DIGITS - 1 {
        let groups = groups::Groups::of(text);
        ids::find(&groups, hits);
        numbers::find(&groups, hits);
    }
    if hits.len() > start + 1 {
        settle(hits, start);
    }
}

/// Of matches that overlap one stands, but nothing that another had found stays uncovered: it takes their union.
fn settle(hits: &mut Vec<Hit>, start: usize) {
    hits[start..].sort_by_key(|h| (h.range.start, std::cmp::Reverse(h.range.end), h.kind));
    let mut kept = start;
    for i in start + 1..hits.len() {
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

/// Whether a letter or digit stands at `at`; a character beyond ASCII counts as a letter.
fn word_at(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii())
}

/// Whether a word ends right before `at`.
fn word_before(text: &[u8], at: usize) -> bool {
    at > 0 && word_at(text, at - 1)
}

/// The word before `at`, across what is no letter, in lower case; at most 16 letters of it.
fn hint_before(text: &[u8], at: usize) -> String {
    let end = text[..at].iter().rposition(u8::is_ascii_alphabetic).map_or(0, |i| i + 1);
    // A number between the two is what the word was about.
    if text[end..at].iter().any(u8::is_ascii_digit) {
        return String::new();
    }
    let start = text[..end].iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |i| i + 1);
    let start = start.max(end.saturating_sub(16));
    String::from_utf8_lossy(&text[start..end]).to_ascii_lowercase()
}
