//! Normalising: the published vectors, once is enough, and the short way equals the long one.

use std::path::Path;

use hardneg_core::intern;
use hardneg_core::normalize::Normalizer;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    raw: String,
    normalized: String,
    query_id: String,
    why: String,
}

fn normalize(text: &str) -> String {
    let mut out = "left from before".to_owned();
    Normalizer::default().normalize(text, &mut out).expect("no detector");
    out
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Any character, but often one of those that make trouble: marks that reorder, letters that fold to several, jamo that
/// compose, white space and controls of every kind.
fn text() -> impl Strategy<Value = String> {
    let trouble = prop::sample::select(
        "\u{300}\u{345}\u{323}\u{327}\u{5b0}\u{3099}\u{1e9e}\u{130}\u{131}\u{1f0}\u{390}\u{3b0}\u{1fb7}\u{1ff4}\u{fb03}\u{fdfa}\
         \u{1100}\u{1161}\u{11a8}\u{ac00}\u{212b}\u{2126}\u{df}\u{3c2}Σσǅŉẖΐ\u{13a0}\u{ab70}\u{1c89}\u{200d}\u{200b}\u{feff}\
         \u{ad}\u{34f}\u{180e} \t\u{a0}\u{85}\u{3000}\u{2028}\u{0}\u{7f}\u{9f}aAiI"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![trouble, any::<char>()], 0..24).prop_map(|c| c.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn twice_is_once(text in text()) {
        let once = normalize(&text);
        prop_assert_eq!(normalize(&once), once);
    }

    #[test]
    fn gaps_are_single_inner_spaces(text in text()) {
        let out = normalize(&text);
        prop_assert_eq!(out.split(is_gap).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "), out);
    }

    /// An ideograph, which no rule touches, sends the same text the long way.
    #[test]
    fn ascii_goes_the_same_way(ascii in prop::collection::vec(0_u8..128, 0..40)) {
        let ascii = String::from_utf8(ascii).unwrap_or_default();
        let long = normalize(&format!("{ascii}字"));
        let short = normalize(&ascii);
        prop_assert_eq!(long.strip_suffix('字').map(str::trim_end), Some(short.as_str()));
        let naive = ascii.to_lowercase().split(is_gap).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(short, naive);
    }
}

/// Every assigned character by itself, and with a mark that may compose with it; of the empty and private planes some.
#[test]
fn twice_is_once_for_every_character() {
    let normalizer = Normalizer::default();
    let (mut text, mut once, mut twice) = (String::new(), String::new(), String::new());
    let empty = |c: &char| ('\u{33480}'..'\u{e0000}').contains(c) || *c > '\u{e0fff}';
    for c in ('\0'..=char::MAX).filter(|c| !empty(c) || (*c as u32).is_multiple_of(997)) {
        text.clear();
        text.extend([c, '\u{345}', c]);
        for text in [&text[..c.len_utf8()], &text] {
            normalizer.normalize(text, &mut once).expect("no detector");
            normalizer.normalize(&once, &mut twice).expect("no detector");
            assert_eq!(once, twice, "U+{:04X}", c as u32);
        }
    }
}

#[test]
fn vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/normalize_vectors.json");
    let vectors: Vec<Vector> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() > 10);
    for v in vectors {
        assert_eq!(normalize(&v.raw), v.normalized, "{}", v.why);
        assert_eq!(format!("{:016x}", intern::code(v.normalized.as_bytes())), v.query_id, "{}", v.why);
    }
}
