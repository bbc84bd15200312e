//! Pseudonyms: the published vectors byte for byte, and no two inputs meet.

use std::collections::BTreeMap;
use std::path::Path;

use hardneg_core::digest::Backend;
use hardneg_core::error::ErrorKind;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    master_key: String,
    field: String,
    epoch: String,
    dataset: String,
    value: String,
    pseudonym: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
}

fn pseudonymizer(key: &[u8], field: &str, epoch: &str, dataset: &str) -> Pseudonymizer {
    let key = MasterKey::new(key).expect("32 bytes");
    Pseudonymizer::new(&key, field, epoch, dataset).expect("short names")
}

fn of(key: &[u8], [field, epoch, dataset, value]: [&str; 4]) -> [u8; 16] {
    pseudonymizer(key, field, epoch, dataset).pseudonym(value.as_bytes())
}

#[test]
fn vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pseudonym_vectors.json");
    let vectors: Vec<Vector> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() > 5);
    for v in vectors {
        let made = of(&bytes(&v.master_key), [&v.field, &v.epoch, &v.dataset, &v.value]);
        assert_eq!(made.to_vec(), bytes(&v.pseudonym), "{} of {:?}", v.field, v.value);
        for backend in [Backend::portable(), Backend::detect()] {
            let many =
                pseudonymizer(&bytes(&v.master_key), &v.field, &v.epoch, &v.dataset).with_backend(backend);
            assert_eq!(many.pseudonyms(&[v.value.as_bytes(); 5]), [made; 5], "{} of {:?}", v.field, v.value);
        }
    }
}

/// Names that run into one another unless lengths keep them apart.
#[test]
fn lengths_keep_names_apart() {
    let mut seen = BTreeMap::new();
    let parts = ["", "a", "aa", "ab", "b", "ba", "\0", "a\0", "\0\0\0\u{1}a", "s"];
    for field in parts {
        for epoch in parts {
            for dataset in parts {
                let names = [field, epoch, dataset, "x"];
                let twin = seen.insert(of(&[7; 32], names), names);
                assert_eq!(twin, None, "{names:?}");
            }
        }
    }
    for value in parts {
        let names = ["a", "", "", value];
        assert_eq!(seen.insert(of(&[7; 32], names), names), None, "{names:?}");
    }
}

#[test]
fn keys_have_32_bytes() {
    for n in [0, 1, 16, 31, 33, 64] {
        let refused = MasterKey::new(&vec![1; n]).err().map(|e| e.kind());
        assert_eq!(refused, Some(ErrorKind::Usage), "{n} bytes");
    }
}

proptest! {
    #[test]
    fn same_pseudonym_only_for_the_same_input(
        a in any::<([u8; 2], [bool; 3], String)>(),
        b in any::<([u8; 2], [bool; 3], String)>(),
    ) {
        let make = |(key, names, value): &([u8; 2], [bool; 3], String)| {
            let name = |i: usize, yes, no| if names[i] { yes } else { no };
            let names = [name(0, "user_id", "session_id"), name(1, "2024", ""), name(2, "shop", ""), value];
            of(&[key[0] % 2; 32], names)
        };
        let same = (a.0[0] % 2, &a.1, &a.2) == (b.0[0] % 2, &b.1, &b.2);
        prop_assert_eq!(make(&a) == make(&b), same);
    }

    #[test]
    fn codes_are_heads(value in any::<Vec<u8>>()) {
        let key = MasterKey::new(&[9; 32]).expect("32 bytes");
        let users = Pseudonymizer::new(&key, "user_id", "", "").expect("short names");
        let head = users.pseudonym(&value)[..8].iter().fold(0_u64, |code, b| code << 8 | u64::from(*b));
        prop_assert_eq!(users.code(&value), head.max(1));
        let mut idents = Vec::new();
        users.idents(&[&value, b"another"], &mut idents);
        let whole: Vec<_> = idents.iter().map(|ident| (ident.code, ident.check)).collect();
        let rest = |value: &[u8]| users.pseudonym(value)[8..].iter().fold(0_u64, |code, b| code << 8 | u64::from(*b));
        prop_assert_eq!(whole, [(head.max(1), rest(&value)), (users.code(b"another"), rest(b"another"))]);
    }
}
