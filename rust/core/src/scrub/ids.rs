//! Numbers that states and banks give to people, each by its own check.

use std::ops::Range;

use super::digits::{cpf, luhn, mod_97, verhoeff};
use super::groups::Groups;
use super::{Hit, Kind, word_at, word_before};

/// Characters of the shortest number here that has few digits: an account number of Norway.
pub(super) const SHORTEST: usize = 15;

/// Characters of an account number, by country (ISO 13616 registry, release 99).
const IBAN_LENGTHS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Account numbers: two letters and two digits begin one.
pub(super) fn ibans(text: &[u8], hits: &mut Vec<Hit>) {
    let mut taken = 0;
    for (start, head) in text.windows(4).enumerate() {
        if head[2].is_ascii_digit()
            && head[3].is_ascii_digit()
            && head[..2].iter().all(u8::is_ascii_alphabetic)
            && (start == taken || !word_before(text, start))
            && let Some(range) = iban(text, start)
        {
            taken = range.end;
            hits.push(Hit { range, kind: Kind::Iban });
        }
    }
}

/// National numbers.
pub(super) fn find(groups: &Groups<'_>, hits: &mut Vec<Hit>) {
    let text = groups.text.as_bytes();
    let mut taken = 0;
    for i in 0..groups.all.len() {
        let group = groups.all[i];
        let found = grouped(groups, i, taken).or_else(|| lettered(text, group.start, group.end));
        if let Some(range) = found {
            taken = range.end;
            hits.push(Hit { range, kind: Kind::NationalId });
        }
    }
}

/// An account number that begins at `start`. Its end is where its country's length is reached: whatever word
/// comes next is none of it.
fn iban(text: &[u8], start: usize) -> Option<Range<usize>> {
    let country = [text[start].to_ascii_uppercase(), text[start + 1].to_ascii_uppercase()];
    let at_country = IBAN_LENGTHS.binary_search_by_key(&country, |(code, _)| **code).ok()?;
    let (_, length) = &IBAN_LENGTHS[at_country];
    let mut compact = Vec::with_capacity(*length);
    let mut end = start;
    while compact.len() < *length {
        let byte = *text.get(end)?;
        if byte.is_ascii_alphanumeric() {
            compact.push(byte);
        } else if !matches!(byte, b' ' | b'-' | b'.' | b'_' | b'+')
            || !text.get(end + 1)?.is_ascii_alphanumeric()
        {
            return None;
        }
        end += 1;
    }
    // A word may follow at once, but not on something that is mostly words itself: one in 97 of these would pass.
    let digits = compact.iter().filter(|b| b.is_ascii_digit()).count();
    let ends = match text.get(end) {
        Some(b) if b.is_ascii_alphabetic() => text[end - 1].is_ascii_digit() && digits * 5 >= *length * 3,
        next => !next.is_some_and(u8::is_ascii_digit),
    };
    (ends && mod_97(&compact)).then_some(start..end)
}

/// National numbers of digits alone, as they are grouped; the one before ended at `taken`.
fn grouped(groups: &Groups<'_>, i: usize, taken: usize) -> Option<Range<usize>> {
    let text = groups.text.as_bytes();
    let most = groups.joined(i);
    for n in (2..=most.min(8)).rev() {
        let these = i..i + n;
        let range = groups.range(these.clone());
        let told = groups.is_tail(&these, taken) || groups.is_quantity(&these);
        let lengths = groups.lengths(these.clone());
        let even = |allowed: &[char]| groups.evenly(these.clone(), allowed);
        // The dashes of a social security number tell enough for a word to follow at once.
        let runs_on = word_at(text, range.end) && !(lengths == [3, 2, 4] && even(&['-']));
        if word_before(text, range.start) || runs_on || told {
            continue;
        }
        let digits = groups.digits(these.clone());
        let number = |range: Range<usize>| digits[range].iter().fold(0_u64, |n, d| n * 10 + u64::from(*d));
        let holds = match lengths[..] {
            // United States: no area 000, 666 or 9xx, no group 00, no serial 0000; ITINs begin with 9.
            [3, 2, 4] if even(&['-', ' ', '.']) => {
                let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
                let ssn = area > 0 && area != 666 && area < 900 && group > 0 && serial > 0;
                ssn || (area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99))
            }
            // Canada.
            [3, 3, 3] if even(&['-', ' ']) => digits[0] != 0 && digits[0] != 8 && luhn(&digits),
            // Brazil.
            [3, 3, 3, 2] => cpf(&digits),
            // India.
            [4, 4, 4] if even(&['-', ' ']) => digits[0] >= 2 && verhoeff(&digits),
            // France: sex, year, month, place, order, key.
            [1, 2, 2, 2, 3, 3, 2] | [1, 2, 2, 2, 3, 3] if matches!(digits[0], 1 | 2 | 7 | 8) => {
                digits.len() < 15 || 97 - number(0..13) % 97 == number(13..15)
            }
            // Germany: one digit of the first ten occurs twice or thrice.
            [2, 3, 3, 3] if even(&[' ']) => digits[0] != 0 && german(&digits),
            _ => false,
        };
        if holds {
            return Some(range);
        }
    }
    None
}

/// ISO 7064 mod 11-10 over a German tax number.
fn german(digits: &[u8]) -> bool {
    let mut product = 10;
    for d in &digits[..10] {
        let sum = (u32::from(*d) + product) % 10;
        product = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    (11 - product) % 10 == u32::from(digits[10])
}

/// National numbers with letters among their digits; `start..end` are digits.
fn lettered(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let spaced =
        || dotted(text, start).and_then(|(digits, from, end)| spanish_letter(text, digits, from, end));
    spanish(text, start, end)
        .or_else(spaced)
        .or_else(|| british(text, start))
        .or_else(|| italian(text, start))
}

/// DNI: eight digits and the letter that they come to, mod 23; NIE: X, Y or Z stands for the first digit.
fn spanish(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let mut digits = text[start..end].to_vec();
    let mut from = start;
    if digits.len() == 7 {
        let skip = usize::from(start > 0 && matches!(text[start - 1], b'-' | b' '));
        from = start.checked_sub(1 + skip)?;
        let first = b"XYZ".iter().position(|l| *l == text[from].to_ascii_uppercase())?;
        digits.insert(0, b'0' + first as u8);
    }
    if digits.len() != 8 {
        return None;
    }
    spanish_letter(text, digits, from, end)
}

/// Eight digits with dots after the second and the fifth.
fn dotted(text: &[u8], start: usize) -> Option<(Vec<u8>, usize, usize)> {
    let end = start + 10;
    let piece = text.get(start..end)?;
    let fits = piece
        .iter()
        .enumerate()
        .all(|(i, b)| if matches!(i, 2 | 6) { *b == b'.' } else { b.is_ascii_digit() });
    fits.then(|| (piece.iter().copied().filter(u8::is_ascii_digit).collect(), start, end))
}

/// The end of the number where the letter behind its eight digits is right.
fn spanish_letter(text: &[u8], digits: Vec<u8>, from: usize, end: usize) -> Option<Range<usize>> {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    if word_before(text, from) {
        return None;
    }
    let to = end + usize::from(matches!(text.get(end), Some(b'-' | b' ')));
    let letter = text.get(to)?.to_ascii_uppercase();
    let number = digits.iter().fold(0_usize, |n, d| n * 10 + usize::from(d - b'0'));
    (LETTERS[number % 23] == letter && !word_at(text, to + 1)).then_some(from..to + 1)
}

/// National insurance number: two letters, three pairs of digits, a letter from A to D.
fn british(text: &[u8], start: usize) -> Option<Range<usize>> {
    let skip = usize::from(start > 0 && matches!(text[start - 1], b' ' | b'-'));
    let from = start.checked_sub(2 + skip)?;
    let (first, second) = (text[from].to_ascii_uppercase(), text[from + 1].to_ascii_uppercase());
    let letters = first.is_ascii_uppercase() && second.is_ascii_uppercase();
    let given = !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && ![*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&[first, second]);
    if !letters || !given || word_before(text, from) {
        return None;
    }
    let (mut at, mut digits) = (start, 0);
    while digits < 6 {
        match text.get(at)? {
            b if b.is_ascii_digit() => digits += 1,
            b' ' | b'-' if digits % 2 == 0 && digits > 0 => {}
            _ => return None,
        }
        at += 1;
    }
    let to = at + usize::from(matches!(text.get(at), Some(b' ' | b'-')));
    let last = text.get(to)?.to_ascii_uppercase();
    // Nine characters of hexadecimal in small letters are a hash.
    if text[from..=to].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)) {
        return None;
    }
    ((b'A'..=b'D').contains(&last) && !word_at(text, to + 1)).then_some(from..to + 1)
}

/// Codice fiscale: letters and digits in fixed places, the last a check (decree of 23 December 1976).
fn italian(text: &[u8], start: usize) -> Option<Range<usize>> {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    // Together, or in pieces of three, three, five and five.
    let spaces = if start > 3 && text[start - 1] == b' ' { 1 } else { 0 };
    let from = start.checked_sub(6 + 2 * spaces)?;
    let end = from + 16 + 3 * spaces;
    let mut code = text.get(from..end)?.to_ascii_uppercase();
    if spaces > 0 {
        let at = |i: usize| code[i] == b' ';
        if !(at(3) && at(7) && at(13)) {
            return None;
        }
        code.retain(|b| *b != b' ');
    }
    let form = code.iter().zip(b"AAAAAA00A00A000A");
    let fits = code.len() == 16
        && form.clone().all(|(b, f)| if *f == b'A' { b.is_ascii_uppercase() } else { b.is_ascii_digit() });
    if !fits || word_before(text, from) || word_at(text, end) {
        return None;
    }
    let value = |b: u8| u32::from(if b.is_ascii_digit() { b - b'0' } else { b - b'A' });
    let sum: u32 = code[..15]
        .iter()
        .enumerate()
        .map(|(i, b)| if i % 2 == 0 { ODD[value(*b) as usize] } else { value(*b) })
        .sum();
    (sum % 26 == value(code[15])).then_some(from..end)
}
