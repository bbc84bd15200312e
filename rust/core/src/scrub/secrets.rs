//! Keys of machines: by the prefixes that their makers gave them to be found by, or by looking random.

use super::shadow::MASK;
use super::{Hit, Kind};

/// Longer keys there are none.
const LONGEST: usize = 512;

/// Shorter stretches hold no key.
pub(super) const SHORTEST: u32 = 16;

/// Prefix, and how many characters follow at least.
const PREFIXES: [(&str, usize); 48] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("AGPA", 16),
    ("AIDA", 16),
    ("AROA", 16),
    ("ANPA", 16),
    ("ANVA", 16),
    ("ABIA", 16),
    ("ACCA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("pk_live_", 10),
    ("pk_test_", 10),
    ("rk_live_", 10),
    ("rk_test_", 10),
    ("whsec_", 16),
    ("AIza", 30),
    ("sk-", 18),
    ("npm_", 20),
    ("pypi-", 16),
    ("SG.", 20),
    ("hf_", 20),
    ("ya29.", 16),
    ("GOCSPX-", 16),
    ("dop_v1_", 20),
    ("shpat_", 20),
    ("shpss_", 20),
    ("key-", 28),
    ("EAACEdEose0cBA", 4),
    ("dckr_pat_", 16),
    ("lin_api_", 20),
    ("sq0atp-", 16),
    ("sq0csp-", 16),
    ("rzp_live_", 10),
];

/// What prefixes begin with.
const FIRST: [bool; 256] = {
    let (mut first, mut i) = ([false; 256], 0);
    while i < PREFIXES.len() {
        let byte = PREFIXES[i].0.as_bytes()[0];
        first[byte as usize] = true;
        first[byte.to_ascii_uppercase() as usize] = true;
        i += 1;
    }
    first
};

/// JSON web tokens and keys.
pub(super) fn find(text: &[u8], hits: &mut Vec<Hit>) {
    let mut at = 0;
    while at < text.len() {
        let len = text[at..].iter().take_while(|b| is_part(**b)).count();
        if len >= SHORTEST as usize {
            stretch(text, at, at + len, hits);
        }
        at += len.max(1);
    }
}

fn is_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'/' | b'=' | b'.')
}

fn stretch(text: &[u8], start: usize, end: usize, hits: &mut Vec<Hit>) {
    // A name in front: key=…
    let mut from = start;
    while from < end {
        let piece = &text[from..end];
        if let Some(len) = jwt(piece) {
            hits.push(Hit { range: from..from + len, kind: Kind::Jwt });
            from += len;
            continue;
        }
        if let Some(len) = prefixed(piece) {
            hits.push(Hit { range: from..from + len, kind: Kind::ApiKey });
            from += len;
            continue;
        }
        // On to what stands behind the next separator.
        from += piece.iter().take_while(|b| b.is_ascii_alphanumeric()).count().max(1);
    }
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-');
    let mut from = start;
    for token in text[start..end].split(|b| !is_token(b)) {
        if random(token) {
            let padded = text[from + token.len()..end].iter().take_while(|b| **b == b'=').count();
            hits.push(Hit { range: from..from + token.len() + padded, kind: Kind::ApiKey });
        }
        from += token.len() + 1;
    }
}

/// Length of the token that `text` begins with: a header that is JSON (`{"` is `eyJ`), claims, a signature.
fn jwt(text: &[u8]) -> Option<usize> {
    let part = |from: usize| {
        let code = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        text.get(from..).map_or(0, |t| t.iter().take_while(code).count())
    };
    // Asked first: most of what is looked at is no token, and its length is nobody's concern.
    if !text.starts_with(b"eyJ") {
        return None;
    }
    let header = part(0);
    if header < 10 || text.get(header) != Some(&b'.') {
        return None;
    }
    let claims = part(header + 1);
    let end = header + 1 + claims;
    if claims < 4 {
        return None;
    }
    Some(if text.get(end) == Some(&b'.') { end + 1 + part(end + 1) } else { end })
}

fn prefixed(text: &[u8]) -> Option<usize> {
    if !FIRST[usize::from(*text.first()?)] {
        return None;
    }
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| begins(text, prefix.as_bytes()))?;
    let body = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let len = text[prefix.len()..].iter().take(LONGEST).take_while(body).count();
    let value = &text[prefix.len()..prefix.len() + len];
    // sk-learn-pipelines are no keys.
    let mixed = value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let telling = mixed || value.iter().any(u8::is_ascii_digit);
    let len = len - value.iter().rev().take_while(|b| matches!(b, b'.' | b'-' | b'_')).count();
    (len >= *least && telling).then_some(prefix.len() + len)
}

/// Whether a text begins with a prefix. One in small letters may be typed in capitals: folding makes them equal later.
fn begins(text: &[u8], prefix: &[u8]) -> bool {
    let small = !prefix.iter().any(u8::is_ascii_uppercase);
    text.get(..prefix.len()).is_some_and(|t| if small { t.eq_ignore_ascii_case(prefix) } else { t == prefix })
}

/// Hexadecimal of 32 digits or more, or 24 characters or more of base64 that no word or name looks like.
fn random(token: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| token.iter().filter(|b| is(b)).count();
    let (digits, upper, lower) =
        (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let letters = upper + lower;
    if token.len() >= 32 && token.iter().all(u8::is_ascii_hexdigit) {
        return digits >= 4 && letters >= 4;
    }
    let fewest = if token.len() >= 36 { 1 } else { 3 };
    if token.len() < 24 || digits < fewest || letters < 8 {
        return false;
    }
    // Names are words with numbers behind them: they change seldom from one kind of character to another.
    let kind = |b: u8| match b {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        b'a'..=b'z' => 2,
        _ => 3,
    };
    let turns = token.windows(2).filter(|w| kind(w[0]) != kind(w[1])).count();
    let separators = token.iter().filter(|b| matches!(b, b'-' | b'_' | b'/')).count();
    turns * 3 >= token.len() && separators * 6 <= token.len()
}

/// Words for a password.
const PASSWORDS: [&str; 10] = [
    "passwd",
    "passwort",
    "passcode",
    "passphrase",
    "pwd",
    "kennwort",
    "contrase\u{f1}a",
    "senha",
    "wachtwoord",
    "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}",
];

/// What stands after `password=` and is none.
const NOT_SECRET: [&str; 8] = ["true", "false", "null", "none", "yes", "no", "string", "password"];

/// Characters of a value that are looked at to tell whether it is a password.
const LOOKED_AT: usize = 128;

/// What a text calls a password: right after `password=`, three characters or more; after a colon or spaces, four or more,
/// one of them a digit, so that no sentence is one.
pub(super) fn passwords(text: &str, hits: &mut Vec<Hit>) {
    let mut taken = 0;
    for (at, sign) in text.match_indices(['=', ':']) {
        let before = &text[..at];
        let spaced = before.strip_suffix(' ').unwrap_or(before);
        if at < taken || !is_named(spaced) {
            continue;
        }
        let after = &text[at + 1..];
        let value = after.strip_prefix(' ').unwrap_or(after);
        let close = sign == "=" && spaced == before && value == after;
        let lead = value.len() - value.trim_start_matches(QUOTES).len();
        let from = text.len() - value.len() + lead;
        let looked: String =
            text[from..].chars().take(LOOKED_AT).take_while(|c| !c.is_whitespace()).collect();
        let told = looked.trim_matches(MASK).trim_end_matches(QUOTES);
        let (length, lower) = (told.chars().count(), told.to_lowercase());
        let secret = if close {
            length >= 3 && told.chars().any(char::is_alphanumeric) && !NOT_SECRET.contains(&lower.as_str())
        } else {
            length >= 4 && told.chars().any(|c| c.is_ascii_digit())
        };
        if secret {
            let rest = &text[from..];
            let whole = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
            taken = from + whole.trim_end_matches(QUOTES).len();
            hits.push(Hit { range: from..taken, kind: Kind::ApiKey });
        }
    }
}

/// What stands around a value, or behind it.
const QUOTES: [char; 9] = ['"', '\'', '`', '(', ')', ',', ';', '.', '\u{201c}'];

/// Whether `before` ends with a word for a password, alone or as the end of a name.
fn is_named(before: &str) -> bool {
    let letters: Vec<char> = before.chars().rev().take(24).take_while(|c| c.is_alphabetic()).collect();
    let word: String = letters.into_iter().rev().flat_map(char::to_lowercase).collect();
    PASSWORDS.contains(&word.as_str()) || word.ends_with("password") || word.ends_with("passwd")
}
