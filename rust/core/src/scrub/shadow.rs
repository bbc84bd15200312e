//! What matchers look at in place of a text: the digits of every script as ASCII digits, and what was scrubbed before as
//! one sign that belongs to nothing.

use std::borrow::Cow;
use std::ops::Range;

use super::Kind;
use super::encoded::{self, Encoded};
use super::numbers::LONG;
use crate::normalize::squeeze;

/// Stands for a mask or token that is in the text already.
pub(super) const MASK: char = '\u{fffc}';

/// A text as matchers see it, and where its bytes are in the text itself.
pub(super) struct Shadow<'a> {
    /// What is matched.
    pub(super) text: Cow<'a, str>,
    /// What is of another length here than in the text itself, in order.
    steps: Vec<Step>,
}

/// One sign here, and what it stands for there.
struct Step {
    here: Range<usize>,
    there: Range<usize>,
}

impl<'a> Shadow<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let masks = masks(text);
        // No digit beyond ASCII begins with a lesser byte: most scripts of Europe are done here.
        let foreign = text.bytes().any(|b| b >= 0xd9) && text.chars().any(|c| digit(c).is_some());
        if masks.is_empty() && !foreign {
            return Self { text: Cow::Borrowed(text), steps: Vec::new() };
        }
        Self::read(text, masks, |_| None)
    }

    /// Likewise with signs that are written otherwise as what they stand for ([`Encoded`]); None where there are none.
    pub(super) fn decoded(text: &'a str) -> Option<Self> {
        if !encoded::any(text.as_bytes()) {
            return None;
        }
        let (mut encoded, mut some) = (Encoded::default(), false);
        let shadow = Self::read(text, masks(text), |at| {
            let sign = encoded.sign(text, at);
            some |= sign.is_some();
            sign
        });
        some.then_some(shadow)
    }

    fn read(
        text: &'a str,
        masks: Vec<Range<usize>>,
        mut sign: impl FnMut(usize) -> Option<(char, usize)>,
    ) -> Self {
        let (mut out, mut steps) = (String::with_capacity(text.len()), Vec::new());
        let mut masks = masks.into_iter().peekable();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let mask = masks.next_if(|m| m.start == at).map(|mask| (MASK, mask.len()));
            let other = mask.or_else(|| digit(c).map(|d| (d, c.len_utf8()))).or_else(|| sign(at));
            let Some((sign, len)) = other else {
                out.push(c);
                at += c.len_utf8();
                continue;
            };
            let end = at + len;
            let here = out.len();
            out.push(sign);
            steps.push(Step { here: here..out.len(), there: at..end });
            at = end;
        }
        Self { text: Cow::Owned(out), steps }
    }

    /// The same place in the text itself.
    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        let of = |at: usize| match self.steps.partition_point(|step| step.here.end <= at).checked_sub(1) {
            Some(i) => self.steps[i].there.end + at - self.steps[i].here.end,
            None => at,
        };
        of(range.start)..of(range.end)
    }

    /// The place here of one in the text itself, wider where that cuts a mask; None where it is no more than a mask.
    pub(super) fn shadowed(&self, range: Range<usize>) -> Option<Range<usize>> {
        let start = match self.steps.partition_point(|step| step.there.start <= range.start).checked_sub(1) {
            Some(i) if range.start < self.steps[i].there.end => self.steps[i].here.start,
            Some(i) => self.steps[i].here.end + range.start - self.steps[i].there.end,
            None => range.start,
        };
        let end = match self.steps.partition_point(|step| step.there.start < range.end).checked_sub(1) {
            Some(i) if range.end <= self.steps[i].there.end => self.steps[i].here.end,
            Some(i) => self.steps[i].here.end + range.end - self.steps[i].there.end,
            None => range.end,
        };
        (self.text[start..end] != *MASK.encode_utf8(&mut [0; 4])).then_some(start..end)
    }
}

/// Masks and tokens in a text: exactly as this library writes them.
pub(super) fn masks(text: &str) -> Vec<Range<usize>> {
    if !text.as_bytes().contains(&b'<') {
        return Vec::new();
    }
    text.match_indices('<').filter_map(|(at, _)| Some(at..at + mask(&text[at..])?)).collect()
}

/// The sixteen digits of a token. Never [`LONG`] decimal ones in a row: there a number could pass for a token.
pub(super) fn token(code: u64) -> String {
    let mut run = 0;
    let digits = format!("{code:016x}").into_bytes().into_iter().map(|digit| {
        run = if digit.is_ascii_digit() { run + 1 } else { 0 };
        if run < LONG {
            return char::from(digit);
        }
        run = 0;
        char::from(b'a' + (digit - b'0') % 6)
    });
    digits.collect()
}

/// Length of the mask that `text` begins with.
fn mask(text: &str) -> Option<usize> {
    let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    Kind::ALL.into_iter().find_map(|kind| {
        let rest = text[1..].strip_prefix(kind.name())?;
        let rest = match rest.strip_prefix(':') {
            Some(token)
                if token.len() > 16
                    && token.as_bytes()[..16].iter().all(hex)
                    && !token.as_bytes()[..16]
                        .windows(LONG)
                        .any(|run| run.iter().all(u8::is_ascii_digit)) =>
            {
                &token[16..]
            }
            Some(_) => return None,
            None => rest,
        };
        rest.strip_prefix('>').map(|rest| text.len() - rest.len())
    })
}

/// Zeros of the scripts that have digits of their own (Unicode 17, category Nd; nine more follow each). Those that NFKC
/// makes ASCII digits are not here.
const ZEROS: [u32; 65] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0,
    0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0,
    0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11de0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x16d70,
    0x1e140, 0x1e2f0, 0x1e4f0,
];

/// Zeros from U+1E5F1 on.
const LATE_ZEROS: [u32; 2] = [0x1e5f1, 0x1e950];

/// The ASCII digit that a digit of another script stands for.
fn digit(c: char) -> Option<char> {
    let c = c as u32;
    // Han, Kana and Hangul have none.
    if c < ZEROS[0] || (0x1c5a..0xa620).contains(&c) || (0xac00..0x104a0).contains(&c) {
        return None;
    }
    let zeros: &[u32] = if c < LATE_ZEROS[0] { &ZEROS } else { &LATE_ZEROS };
    let zero = zeros[zeros.partition_point(|zero| *zero <= c).checked_sub(1)?];
    char::from_digit(c - zero, 10)
}

/// The text as readers see it: white space as single spaces, and nothing that has no width, which would keep a number
/// from being one.
pub(crate) fn seen(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ') || is_hidden(c);
    let (mut doubled, mut last) = (false, 0);
    for byte in text.bytes() {
        doubled |= (byte == b' ' && last == b' ') || byte < b' ' || byte == 0x7f;
        last = byte;
    }
    if !doubled && (text.is_ascii() || !text.chars().any(odd)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    squeeze(text.chars().filter(|c| !is_hidden(*c)), &mut out);
    Cow::Owned(out)
}

/// Characters without width: the property Default_Ignorable_Code_Point (Unicode Standard, 5.21).
fn is_hidden(c: char) -> bool {
    c >= '\u{ad}'
        && matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_have_their_value() {
        for (zero, expected) in [
            '\u{660}',
            '\u{6f0}',
            '\u{966}',
            '\u{1d7ce}',
            '\u{1e4f0}',
            '\u{1e5f1}',
            '\u{1e950}',
            'a',
            '\u{4e00}',
        ]
        .into_iter()
        .zip([true, true, true, false, true, true, true, false, false])
        {
            for value in 0..10_u32 {
                let c = char::from_u32(zero as u32 + value).unwrap_or_default();
                assert_eq!(digit(c), if expected { char::from_digit(value, 10) } else { None }, "{c:?}");
            }
        }
        assert!(ZEROS.is_sorted_by(|a, b| a + 9 < *b));
    }

    #[test]
    fn places_are_those_of_the_text_itself() {
        let text = "\u{661}a\u{662}<email>\u{663}b<ip:01234567a9abcdef>c";
        let shadow = Shadow::of(text);
        assert_eq!(shadow.text, "1a2\u{fffc}3b\u{fffc}c");
        assert_eq!(&text[shadow.original(0..1)], "\u{661}");
        assert_eq!(&text[shadow.original(2..6)], "\u{662}<email>");
        assert_eq!(&text[shadow.original(3..6)], "<email>");
        assert_eq!(&text[shadow.original(6..8)], "\u{663}b");
        assert_eq!(&text[shadow.original(8..12)], "<ip:01234567a9abcdef>c");
        for range in [0..1, 0..2, 2..6, 6..8, 3..7, 8..12, 0..12] {
            assert_eq!(shadow.shadowed(shadow.original(range.clone())), Some(range));
        }
        // A mask that is cut is held whole; by itself it stays.
        let mask = shadow.original(3..6);
        assert_eq!(shadow.shadowed(mask.start + 2..mask.end + 2), Some(3..7));
        assert_eq!(shadow.shadowed(mask.start - 2..mask.end - 1), Some(2..6));
        assert_eq!(shadow.shadowed(mask.start + 1..mask.end - 1), None);
    }

    #[test]
    fn places_of_decoded_signs_are_those_of_the_text_itself() {
        let text = "a%40b <ip>%2B\u{661}";
        assert!(Shadow::decoded("50% c++ <ip>").is_none());
        let shadow = Shadow::decoded(text).expect("something to decode");
        assert_eq!(shadow.text, "a@b \u{fffc}+1");
        assert_eq!(&text[shadow.original(1..3)], "%40b");
        assert_eq!(&text[shadow.original(7..9)], "%2B\u{661}");
        // What cuts an encoded sign takes all of it.
        assert_eq!(shadow.shadowed(2..5), Some(1..3));
    }

    #[test]
    fn tokens_hide_no_number() {
        for (code, digits) in [
            (0x0123_4567_89ab_cdef, "01234567c9abcdef"),
            (0x4111_1111_1111_1111, "41111111b1111111"),
            (0x1234_5678_a123_4567, "12345678a1234567"),
        ] {
            assert_eq!(token(code), digits);
            assert_eq!(masks(&format!("<card:{digits}>")).len(), 1);
        }
        for no in ["<card:4111111111111111>", "<ip:a123456789abcdef>", "<phone:aaaaaaa123456789>"] {
            assert!(masks(no).is_empty(), "{no}");
        }
    }

    #[test]
    fn only_exact_masks_are_masks() {
        for no in
            ["<emails>", "<email", "<email:0123>", "<EMAIL>", "<email:0123456789ABCDEF>", "<email:>", "< ip>"]
        {
            assert!(masks(no).is_empty(), "{no}");
        }
        assert_eq!(masks("<<ip><ip>"), [1..5, 5..9]);
    }
}
