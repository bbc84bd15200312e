//! Interleaved hashing: equal to the `sha2` and `hmac` crates for messages of any lengths, by every backend.

use std::path::Path;

use hardneg_core::digest::{Backend, Mac, heads, heads_by};
use hardneg_core::intern;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hmac::{Hmac, KeyInit, Mac as _};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use sha2::Sha256;

/// Both, so that a machine with SHA instructions tests what one without them runs.
fn backends() -> [Backend; 2] {
    [Backend::portable(), Backend::detect()]
}

fn slices(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

fn naive_tag(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(value);
    mac.finalize().into_bytes().into()
}

fn pseudonymizer() -> Pseudonymizer {
    Pseudonymizer::new(&MasterKey::new(&[9; 32]).expect("32 bytes"), "user_id", "", "").expect("short names")
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
}

#[derive(Deserialize)]
struct Vector {
    case: u32,
    key: String,
    data: String,
    tag: String,
}

#[test]
fn rfc_4231() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/rfc4231_vectors.json");
    let vectors: Vec<Vector> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors.len(), 7);
    for backend in backends() {
        for v in &vectors {
            let (data, want) = (bytes(&v.data), bytes(&v.tag));
            let mut tags = Vec::new();
            // Five of the same: four lanes and one that comes alone.
            Mac::new(&bytes(&v.key)).with_backend(backend).tags(&[&data[..]; 5], &mut tags);
            for tag in tags {
                assert_eq!(tag[..want.len()], want, "case {}", v.case);
            }
        }
    }
}

/// Every length from nothing to several blocks, one by one and side by side with every other.
#[test]
fn every_length() {
    let values: Vec<Vec<u8>> = (0..300_usize).map(|n| (0..n).map(|i| (i * 7 + n) as u8).collect()).collect();
    let values = slices(&values);
    let want: Vec<u64> = values.iter().map(|v| intern::code(v)).collect();
    for backend in backends() {
        let mut all = Vec::new();
        heads_by(backend, &values, &mut all);
        assert_eq!(all, want);
        for (value, want) in values.iter().zip(&want) {
            for copies in 1..=5 {
                let mut alone = Vec::new();
                heads_by(backend, &vec![*value; copies], &mut alone);
                assert_eq!(alone, vec![*want; copies], "{} bytes, {copies} times", value.len());
            }
        }
    }
}

/// The detected backend is what a caller gets, and appends.
#[test]
fn heads_are_appended() {
    let mut out = vec![1];
    heads(&[b"abc"], &mut out);
    heads(&[], &mut out);
    assert_eq!(out, [1, 0xba78_16bf_8f01_cfea]);
    let mut codes = vec![1];
    pseudonymizer().codes(&[b"abc"], &mut codes);
    assert_eq!(codes, [1, pseudonymizer().code(b"abc")]);
}

/// On a machine with SHA instructions the interleaved path must be the one that is tested.
#[cfg(target_arch = "x86_64")]
#[test]
fn detection() {
    let has = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    assert_eq!(Backend::detect().is_interleaved(), has);
    assert!(!Backend::portable().is_interleaved());
}

/// Lengths about the ends of blocks, where padding moves into a block of its own, and any others.
fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let edge = prop::sample::select(vec![0_usize, 50, 51, 55, 56, 58, 59, 63, 64, 114, 115, 119, 120, 128]);
    let len = prop_oneof![0_usize..300, edge];
    vec(len.prop_flat_map(|n| vec(any::<u8>(), n)), 0..20)
}

proptest! {
    #[test]
    fn heads_are_those_of_sha2(values in values()) {
        let want: Vec<u64> = values.iter().map(|v| intern::code(v)).collect();
        for backend in backends() {
            let mut made = Vec::new();
            heads_by(backend, &slices(&values), &mut made);
            prop_assert_eq!(&made, &want);
        }
    }

    #[test]
    fn tags_are_those_of_hmac(key in vec(any::<u8>(), 0..140), values in values()) {
        let want: Vec<[u8; 32]> = values.iter().map(|v| naive_tag(&key, v)).collect();
        for backend in backends() {
            let mut made = Vec::new();
            Mac::new(&key).with_backend(backend).tags(&slices(&values), &mut made);
            prop_assert_eq!(&made, &want);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// More values than one batch takes, short and long mixed.
    #[test]
    fn many_are_as_one_by_one(n in 250_usize..800, seed in any::<u64>()) {
        let values: Vec<Vec<u8>> = (0..n as u64)
            .map(|i| {
                let x = (seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                vec![x as u8; if x >> 60 == 0 { (x >> 32) as usize % 200 } else { 17 }]
            })
            .collect();
        for backend in backends() {
            let users = pseudonymizer().with_backend(backend);
            let made = users.pseudonyms(&slices(&values));
            let want: Vec<_> = values.iter().map(|v| users.pseudonym(v)).collect();
            prop_assert_eq!(made, want);
            let mut codes = Vec::new();
            users.codes(&slices(&values), &mut codes);
            let want: Vec<_> = values.iter().map(|v| users.code(v)).collect();
            prop_assert_eq!(codes, want);
        }
    }
}
