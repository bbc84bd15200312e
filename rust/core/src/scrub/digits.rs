//! Check digits.

/// Luhn's formula (ISO/IEC 7812-1, annex B) over digits 0–9.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d);
            if i % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 97-10 of an account number: the first four characters moved to the end, letters as 10–35.
pub(super) fn mod_97(iban: &[u8]) -> bool {
    let (head, rest) = iban.split_at(4);
    let mut remainder = 0_u32;
    for byte in rest.iter().chain(head) {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => remainder * 100 + u32::from(byte - b'A') + 10,
            b'a'..=b'z' => remainder * 100 + u32::from(byte - b'a') + 10,
            _ => return false,
        } % 97;
    }
    remainder == 1
}

/// Verhoeff's check (1969) over digits, as Aadhaar numbers have it.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const D: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const P: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (i, d)| D[usize::from(check)][usize::from(P[i % 8][usize::from(*d)])]);
    check == 0
}

/// Check digit of a GTIN (GS1 general specifications, 7.9): EAN-8, UPC-A, EAN-13 with ISBN-13, GTIN-14.
pub(super) fn gs1(digits: &[u8]) -> bool {
    let weigh = |(i, d): (usize, &u8)| u32::from(*d) * if i % 2 == 0 { 1 } else { 3 };
    matches!(digits.len(), 8 | 12 | 13 | 14)
        && digits.iter().rev().enumerate().map(weigh).sum::<u32>().is_multiple_of(10)
}

/// ISBN-10 (ISO 2108:1992): weights from 10 down to 1, the sum a multiple of 11; the last may be 10, which is written X.
pub(super) fn isbn_10(digits: &[u8]) -> bool {
    let weigh = |(i, d): (usize, &u8)| u32::from(*d) * (10 - i as u32);
    digits.len() == 10 && digits.iter().enumerate().map(weigh).sum::<u32>().is_multiple_of(11)
}

/// The two last digits of a Brazilian CPF, each a weighted sum mod 11 of those before.
pub(super) fn cpf(digits: &[u8]) -> bool {
    let check = |n: usize| {
        let sum: u32 = (0..n).map(|i| u32::from(digits[i]) * (n as u32 + 1 - i as u32)).sum();
        sum * 10 % 11 % 10 == u32::from(digits[n])
    };
    digits.len() == 11 && digits.iter().any(|d| *d != digits[0]) && check(9) && check(10)
}
