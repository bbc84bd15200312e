//! Numbers that reach people or name their accounts: payment cards, telephones, places, and long numbers at large.

use std::ops::Range;

use super::digits::{gs1, isbn_10, luhn};
use super::groups::{Group, Groups, is_dash};
use super::{Hit, Kind, Kinds, NEAR, hint_after, hint_before, word_at};

/// Everything here of these kinds, in the order of how sure it is. A number that could be of several is of the first kind
/// that is asked for; one that is not asked for takes nothing from the others.
pub(super) fn find(groups: &Groups<'_>, kinds: Kinds, hits: &mut Vec<Hit>) {
    coordinates(groups.text, hits);
    // Cards first: what stands before one (an expiry date) would make a telephone number with its head.
    let cards = hits.len();
    let mut taken = 0;
    for i in (0..groups.all.len()).filter(|_| kinds.contains(Kind::Card)) {
        if groups.all[i].start >= taken
            && let Some(range) = card(groups, i)
        {
            taken = range.end;
            hits.push(Hit { range, kind: Kind::Card });
        }
    }
    let cards: Vec<Range<usize>> = hits[cards..].iter().map(|h| h.range.clone()).collect();
    let free = |range: &Range<usize>| {
        let next = cards.partition_point(|card| card.end <= range.start);
        cards.get(next).is_none_or(|card| range.end <= card.start)
    };
    taken = 0;
    for i in 0..groups.all.len() {
        let start = groups.all[i].start;
        if start < taken || !free(&(start..groups.all[i].end)) {
            continue;
        }
        // Where the number before ended: what stands behind it begins there.
        let card = cards[..cards.partition_point(|card| card.end <= start)].last();
        let taken_here = taken.max(card.map_or(0, |card| card.end));
        let phone =
            || phone(groups, i, taken_here).filter(free).map(|range| Hit { range, kind: Kind::Phone });
        let long = || long(groups, i, taken_here).map(|range| Hit { range, kind: Kind::LongNumber });
        let found = kinds.contains(Kind::Phone).then(phone).flatten();
        let found = found.or_else(|| kinds.contains(Kind::LongNumber).then(long).flatten());
        if let Some(hit) = found {
            taken = hit.range.end;
            hits.push(hit);
        }
    }
}

/// Whether a number can be a card's: what it begins with says whose, and how long it is.
fn issued(digits: &[u8]) -> bool {
    let head = |n: usize| digits[..n].iter().fold(0_u32, |sum, d| sum * 10 + u32::from(*d));
    let n = digits.len();
    match head(2) {
        40..=49 => matches!(n, 13 | 16 | 19),
        51..=55 => n == 16,
        34 | 37 => n == 15,
        36 | 38 | 39 => (14..=19).contains(&n),
        30 => (14..=19).contains(&n) && matches!(head(3), 300..=305 | 309),
        35 => (16..=19).contains(&n) && (3528..=3589).contains(&head(4)),
        22..=27 => n == 16 && (2221..=2720).contains(&head(4)),
        62 | 81 => (16..=19).contains(&n),
        60 | 64 | 65 => (16..=19).contains(&n) || (matches!(head(2), 60) && n >= 12),
        50 | 56..=59 | 61 | 63 | 66..=69 => (12..=19).contains(&n),
        _ => false,
    }
}

fn card(groups: &Groups<'_>, i: usize) -> Option<Range<usize>> {
    let (linked, signed) =
        (groups.linked(i).min(7), if groups.all[i].len() == 4 { groups.signed(i) } else { 1 });
    for n in (1..=linked.max(signed)).rev() {
        let these = i..i + n;
        let lengths = groups.lengths(these.clone());
        let total: usize = lengths.iter().sum();
        // As cards have it embossed, whatever joins numbers or any one sign between; else one of few throughout.
        let embossed = matches!(lengths[..], [4, 4, 4, 4] | [4, 4, 4, 4, _] | [4, 6, 5] | [4, 6, 4]);
        if !(12..=19).contains(&total) || !(embossed || groups.evenly(these.clone(), &[' ', '-', '.', '_'])) {
            continue;
        }
        let digits = groups.digits(these.clone());
        if issued(&digits) && luhn(&digits) {
            return Some(groups.range(these));
        }
    }
    None
}

/// Words after which a number is somebody's telephone.
const CALLS: [&str; 24] = [
    "tel",
    "tell",
    "telephone",
    "phone",
    "call",
    "callto",
    "whatsapp",
    "mobile",
    "mob",
    "cell",
    "fax",
    "sms",
    "telefon",
    "handy",
    "telefono",
    "numero",
    "telefone",
    "celular",
    "telegram",
    "signal",
    "viber",
    "ph",
    "mobil",
    "telefoon",
];

fn phone(groups: &Groups<'_>, i: usize, taken: usize) -> Option<Range<usize>> {
    let bytes = groups.text.as_bytes();
    let first = groups.all[i];
    let gap = groups.gap(i);
    let most = groups.joined(i);
    // Longest first: an area code is no telephone.
    for n in (1..=most.min(8)).rev() {
        let these = i..i + n;
        let lengths = groups.lengths(these.clone());
        let total: usize = lengths.iter().sum();
        if !(7..=17).contains(&total) {
            continue;
        }
        let digits = groups.digits(these.clone());
        let range = groups.range(these.clone());
        if word_at(bytes, range.end) {
            continue;
        }
        let plus = gap.ends_with('+') || gap.ends_with("+ ") || gap.ends_with("+(") || gap.ends_with("(+");
        let international = if plus {
            (8..=16).contains(&total) && digits[0] != 0
        } else {
            digits.starts_with(&[0, 0]) && digits[2] != 0 && (11..=17).contains(&total)
        };
        if international {
            let from = first.start - if plus { gap.len() - gap.rfind('+').unwrap_or(0) } else { 0 };
            return Some(from..range.end);
        }
        if plus {
            continue;
        }
        let called = CALLS.contains(&hint_before(bytes, first.start).as_str()) && (7..=15).contains(&total);
        let area = gap.ends_with('(') && n > 1 && groups.gap(i + 1).starts_with(')');
        if called
            || (area && (8..=12).contains(&total) && first.len() <= 5)
            || national(groups, these, &lengths, &digits, taken)
        {
            return Some(first.start - usize::from(area)..range.end);
        }
    }
    None
}

/// Telephone numbers as their countries write them, by what they begin with and how they are grouped.
fn national(
    groups: &Groups<'_>,
    these: Range<usize>,
    lengths: &[usize],
    digits: &[u8],
    taken: usize,
) -> bool {
    let bytes = groups.text.as_bytes();
    let (first, total) = (groups.all[these.start], digits.len());
    // Part of a longer number, of a decimal, or of a part number that begins with letters.
    let part = first.start > 0 && matches!(bytes[first.start - 1], b'#' | b',');
    if part || groups.is_tail(&these, taken) || groups.is_quantity(&these) {
        return false;
    }
    if super::word_before(bytes, first.start) {
        return false;
    }
    let years = these.clone().all(|i| {
        let year = groups.digits(i..i + 1);
        matches!(year[..], [1, 9, _, _] | [2, 0, _, _])
    });
    if years || is_date(groups, &these) {
        return false;
    }
    let d = |i: usize| digits[i];
    match lengths {
        // North America: area and exchange begin with 2 to 9.
        [3, 3, 4] | [3, 7] if d(0) >= 2 && d(3) >= 2 => true,
        [1, 3, 3, 4] | [1, 3, 7] if d(0) == 1 && d(1) >= 2 && d(4) >= 2 => true,
        // Italian mobiles; Chinese mobiles; Russia.
        [3, 3, 4] | [3, 7] if d(0) == 3 => true,
        [3, 4, 4] if d(0) == 1 && d(1) >= 3 => true,
        [1, 3, 3, 2, 2] if matches!(d(0), 7 | 8) => true,
        // Spain, Portugal, Poland.
        [3, 3, 3] | [3, 2, 2, 2] if d(0) >= 5 => true,
        [2, 3, 2, 2] if d(0) >= 8 => true,
        // India; Brazil, Mexico, Argentina.
        [5, 5] if d(0) >= 6 => true,
        [2, 5, 4] if d(0) >= 1 && d(2) == 9 => true,
        [2, 4, 4] if d(0) >= 1 && d(1) >= 1 => true,
        // A trunk 0 before the area code, in most of the world; never a group of its own.
        [2..=6, ..] if lengths.len() >= 2 && d(0) == 0 && d(1) != 0 && (9..=12).contains(&total) => {
            // In pairs there are five of them.
            let pairs = lengths.iter().all(|n| *n == 2);
            lengths[1..].iter().all(|n| *n >= 2) && !(pairs && total != 10) && !is_draw(groups, &these)
        }
        _ => false,
    }
}

/// Day, month and year, or year, month and day, whatever comes after.
fn is_date(groups: &Groups<'_>, these: &Range<usize>) -> bool {
    let number = |i: usize| groups.digits(i..i + 1).iter().fold(0_u32, |n, d| n * 10 + u32::from(*d));
    let lengths = groups.lengths(these.clone());
    let (a, b, c) = match lengths[..] {
        [2, 2, 4, ..] => (number(these.start), number(these.start + 1), number(these.start + 2)),
        [4, 2, 2, ..] => (number(these.start + 2), number(these.start + 1), number(these.start)),
        _ => return false,
    };
    a <= 31 && b <= 31 && (1900..2100).contains(&c)
}

/// Lottery numbers: pairs of digits that rise.
fn is_draw(groups: &Groups<'_>, these: &Range<usize>) -> bool {
    let pairs: Vec<Vec<u8>> = these.clone().map(|i| groups.digits(i..i + 1)).collect();
    pairs.iter().all(|p| p.len() == 2)
        && pairs.windows(2).all(|w| w[0] < w[1])
        && pairs.iter().all(|p| p[0] < 7)
}

/// Digits that make a number long; what has fewer is a model, a price, a date.
pub(super) const LONG: usize = 9;

fn long(groups: &Groups<'_>, i: usize, taken: usize) -> Option<Range<usize>> {
    let bytes = groups.text.as_bytes();
    let group = groups.all[i];
    let decimal = |at: usize| {
        at > 1 && matches!(bytes[at - 1], b'.' | b',') && bytes[at - 2].is_ascii_digit() && at - 2 >= taken
    };
    if group.len() >= LONG {
        let digits = groups.digits(i..i + 1);
        let isbn = digits.len() == 13 && matches!(digits[..3], [9, 7, 8 | 9]) && gs1(&digits);
        let none = decimal(group.start)
            || isbn
            || in_hex(bytes, group.start, group.end)
            || is_catalogued(groups.text, group, &digits);
        return (!none).then_some(group.start..group.end);
    }
    // Account numbers in fours.
    let n = groups.joined(i);
    let fours = (0..n).take_while(|k| groups.all[i + k].len() == 4).count();
    let these = i..i + fours;
    let is_year = |k: usize| matches!(groups.digits(k..k + 1)[..], [1, 9, ..] | [2, 0, ..]);
    if fours >= 3 && groups.evenly(these.clone(), &[' ', '-']) && !these.clone().all(is_year) {
        return Some(groups.range(these));
    }
    None
}

/// Whether the word next to a number says that it is one of books or goods, and its check digit says so, too.
fn is_catalogued(text: &str, group: Group, digits: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let tenth = digits.len() == 9 && matches!(bytes.get(group.end), Some(b'X' | b'x'));
    let is = |word: &str| match word {
        "isbn" => {
            let short = if tenth { &[digits, &[10]].concat()[..] } else { digits };
            isbn_10(short) || (digits.len() == 13 && gs1(digits))
        }
        "ean" => digits.len() == 13 && gs1(digits),
        "upc" => digits.len() == 12 && gs1(digits),
        "gtin" => gs1(digits),
        _ => false,
    };
    // "upc code no. 0360…", "ean-13: 4006…"
    let near = &bytes[group.start.saturating_sub(NEAR)..group.start];
    let words = near.rsplit(|b| !b.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let named = words.take(3).map(|w| String::from_utf8_lossy(w).to_ascii_lowercase()).find(|w| {
        let length = w.len() <= 2 && w.bytes().all(|b| b.is_ascii_digit());
        !length && !matches!(w.as_str(), "a" | "code" | "no" | "nr" | "number" | "barcode")
    });
    named.is_some_and(|w| is(w.trim_end_matches(|c: char| c.is_ascii_digit())))
        || is(&hint_after(text, group.end + usize::from(tenth)))
}

/// Whether the digits stand in a hash of which letters are a part.
fn in_hex(text: &[u8], start: usize, end: usize) -> bool {
    let start = start - text[..start].iter().rev().take(13).take_while(|b| b.is_ascii_alphanumeric()).count();
    let end = end + text[end..].iter().take(13).take_while(|b| b.is_ascii_alphanumeric()).count();
    let word = &text[start..end];
    word.len() <= 12 && word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_alphabetic)
}

/// Latitude and longitude: two decimals of four places or more, or degrees, minutes and seconds.
fn coordinates(text: &str, hits: &mut Vec<Hit>) {
    let mut last: Option<(Range<usize>, f64)> = None;
    let mut from = 0;
    while let Some(found) = text[from..].find(|c: char| c.is_ascii_digit()) {
        let start = from + found;
        let (end, value, telling) = angle(text, start);
        let signed =
            text[..start].chars().next_back().filter(|c| *c == '+' || is_dash(*c)).map_or(0, char::len_utf8);
        let begin = start - signed;
        if telling {
            if let Some((before, latitude)) = &last
                && apart(&text[before.end..begin])
                && *latitude <= 90.0
                && value <= 180.0
            {
                let end = compass(text, end);
                let start = before.start - leading_compass(&text[..before.start]);
                hits.push(Hit { range: start..end, kind: Kind::Gps });
                last = None;
            } else {
                last = Some((begin..compass(text, end), value));
            }
        }
        from = end.max(start + 1);
    }
}

/// Where the angle at `start` ends, its size in degrees, and whether it is written as exactly as a place.
fn angle(text: &str, start: usize) -> (usize, f64, bool) {
    let bytes = text.as_bytes();
    let digits = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(start);
    let mut end = start + whole;
    let number = |range: Range<usize>| text[range].parse::<f64>().unwrap_or(f64::INFINITY);
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        let places = digits(end + 1);
        end += 1 + places;
        let value = number(start..end);
        let degree = text[end..].starts_with('\u{b0}');
        return (end + if degree { 2 } else { 0 }, value, whole <= 3 && places >= 4);
    }
    let value = number(start..end);
    let rest = &text[end..];
    let Some(mut rest) = rest.strip_prefix('\u{b0}').or_else(|| rest.strip_prefix('\u{ba}')) else {
        return (end, value, false);
    };
    // 40°26'46"N: minutes, then seconds, each with its sign, and the compass behind.
    let mut signs = 0;
    loop {
        let part = rest.trim_start_matches(' ');
        let n = part.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let after = &part[n..];
        let sign = after
            .chars()
            .next()
            .filter(|c| matches!(c, '\'' | '"' | '\u{2032}' | '\u{2033}' | '\u{2019}' | '\u{201d}'));
        match sign {
            Some(sign) if n > 0 => {
                signs += 1;
                rest = after[sign.len_utf8()..].trim_start_matches(['\'', '\u{2032}']);
            }
            _ => break,
        }
    }
    (text.len() - rest.len(), value, signs > 0)
}

fn apart(gap: &str) -> bool {
    !gap.is_empty()
        && gap.chars().count() <= 4
        && gap
            .chars()
            .all(|c| matches!(c, ' ' | ',' | ';' | '/' | 'N' | 'S' | 'n' | 's' | 'E' | 'W' | 'e' | 'w'))
}

/// Past a compass letter behind an angle.
fn compass(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    let spaces = rest.len() - rest.trim_start_matches(' ').len();
    let letter = rest[spaces..].chars().next().is_some_and(|c| "NSEWnsew".contains(c));
    let alone = !rest[spaces..].chars().nth(1).is_some_and(char::is_alphanumeric);
    if letter && alone && spaces <= 1 { end + spaces + 1 } else { end }
}

/// Bytes of a compass letter before an angle.
fn leading_compass(before: &str) -> usize {
    let trimmed = before.trim_end_matches(' ');
    let letter = trimmed.chars().next_back().is_some_and(|c| "NSEW".contains(c));
    let alone = !trimmed.chars().nth_back(1).is_some_and(char::is_alphanumeric);
    if letter && alone && before.len() - trimmed.len() <= 1 { before.len() - trimmed.len() + 1 } else { 0 }
}
