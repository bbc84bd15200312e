//! Signs that are written otherwise: as URLs and forms encode them (RFC 3986, 2.1; URL Standard, 5), or by a keyboard that is
//! set to Chinese or Japanese.

/// A text read from its beginning to its end, sign by sign.
#[derive(Default)]
pub(super) struct Encoded {
    /// A question mark or ampersand was in this word.
    asked: bool,
    /// Its words are parted by `+`, as forms part them.
    form: bool,
    /// In a number that begins like one to be called: with 0 or `+`.
    called: bool,
}

/// Whether a text may hold anything to decode.
pub(super) fn any(text: &[u8]) -> bool {
    let digit = |b: u8| b.is_ascii_digit();
    text.windows(3).any(|w| match w {
        [b'%', code @ ..] => escaped(code).is_some(),
        [before, b'+', after] => digit(*before) && digit(*after),
        w => w == STOP_BYTES,
    })
}

/// Whether it holds signs as URLs encode them.
pub(super) fn escapes(text: &[u8]) -> bool {
    text.windows(3).any(|w| w[0] == b'%' && escaped(&w[1..]).is_some())
}

impl Encoded {
    /// The sign that the bytes from `at` on stand for, and how many they are; None where it is the one that is written.
    pub(super) fn sign(&mut self, text: &str, at: usize) -> Option<(char, usize)> {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let next = bytes.get(at + 1).copied();
        let is = |byte: Option<u8>, what: fn(&u8) -> bool| byte.as_ref().is_some_and(what);
        match bytes[at] {
            b'0'..=b'9' => {
                if !is(before, u8::is_ascii_digit) && !self.called {
                    self.called = before == Some(b'+') || (bytes[at] == b'0' && is(next, u8::is_ascii_digit));
                }
                return None;
            }
            b'+' if is(before, u8::is_ascii_digit) && is(next, u8::is_ascii_digit) => {
                // Sums have pluses, too.
                return (self.form || self.called).then_some((' ', 1));
            }
            b'%' => {
                let sign = escaped(&bytes[at + 1..]);
                self.form |= sign.is_some();
                self.called = false;
                return sign.map(|sign| (sign, 3));
            }
            b'?' | b'&' => self.asked = true,
            b'=' => self.form |= self.asked,
            b' ' => *self = Self::default(),
            _ => {}
        }
        self.called = false;
        let stop = text[at..].starts_with(STOP) && is(before, u8::is_ascii_alphanumeric);
        let after = bytes.get(at + STOP.len_utf8()).copied();
        (stop && is(after, u8::is_ascii_alphanumeric)).then_some(('.', STOP.len_utf8()))
    }
}

/// The ideographic full stop; NFKC makes its halfwidth form the same.
const STOP: char = '\u{3002}';
const STOP_BYTES: [u8; 3] = [0xe3, 0x80, 0x82];

/// The ASCII sign of two hexadecimal digits; a line's end is a space.
fn escaped(code: &[u8]) -> Option<char> {
    let digit = |i: usize| char::from(*code.get(i)?).to_digit(16);
    match (digit(0)? * 16 + digit(1)?) as u8 {
        b'\t' | b'\n' | b'\r' => Some(' '),
        sign @ b' '..=b'~' => Some(sign.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        let (mut encoded, mut out, mut at) = (Encoded::default(), String::new(), 0);
        while let Some(c) = text[at..].chars().next() {
            let (sign, len) = encoded.sign(text, at).unwrap_or((c, c.len_utf8()));
            out.push(sign);
            at += len;
        }
        out
    }

    #[test]
    fn what_stands_for_another_sign() {
        for (written, read) in [
            ("a%40b.com%2c %2B49%0a%7E", "a@b.com, +49 ~"),
            ("50% off %4 %zz %80 %", "50% off %4 %zz %80 %"),
            ("0170+1234567 +49+30+12", "0170 1234567 +49 30 12"),
            ("212+555 0+1 c++ 1+1", "212+555 0+1 c++ 1+1"),
            ("x?q=212+555 212+555", "x?q=212 555 212+555"),
            ("gmail\u{3002}com \u{4eca}\u{3002}a a\u{3002}", "gmail.com \u{4eca}\u{3002}a a\u{3002}"),
        ] {
            assert_eq!(decoded(written), read);
        }
    }
}
