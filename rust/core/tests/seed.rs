//! Seed hashes: the published vectors, and lengths that keep parts apart.

use std::hash::Hasher;
use std::path::Path;

use hardneg_core::seed::Seed;
use proptest::prelude::*;
use serde::Deserialize;
use siphasher::sip::SipHasher24;

#[derive(Deserialize)]
struct Vectors {
    siphash24: Vec<Raw>,
    seed_hash: Vec<Derived>,
}

#[derive(Deserialize)]
struct Raw {
    key: String,
    message: String,
    hash: String,
}

#[derive(Deserialize)]
struct Derived {
    seed: u64,
    domain: String,
    parts: Vec<String>,
    hash: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
}

fn vectors() -> Vectors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/seed_hash_vectors.json");
    serde_json::from_slice(&std::fs::read(path).expect("the file is there")).expect("JSON")
}

#[test]
fn the_hash_is_siphash_2_4() {
    for v in vectors().siphash24 {
        let mut hasher = SipHasher24::new_with_key(&bytes(&v.key).try_into().unwrap());
        hasher.write(&bytes(&v.message));
        assert_eq!(format!("{:016x}", hasher.finish()), v.hash, "{}", v.message);
    }
}

#[test]
fn seeds_domains_and_parts() {
    let vectors = vectors().seed_hash;
    assert!(vectors.len() > 5);
    for v in vectors {
        let parts: Vec<Vec<u8>> = v.parts.iter().map(|p| bytes(p)).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let made = Seed::new(v.seed).hash(&v.domain, &parts);
        assert_eq!(format!("{made:016x}"), v.hash, "{} {} {:?}", v.seed, v.domain, v.parts);
    }
}

proptest! {
    #[test]
    fn what_is_begun_ends_the_same(seed: u64, domain in "[a-z ]{0,30}", first: u64, second: u64) {
        let seed = Seed::new(seed);
        let whole = seed.hash(&domain, &[&first.to_be_bytes(), &second.to_be_bytes()]);
        prop_assert_eq!(seed.begin(&domain, first).hash(second), whole);
    }

    #[test]
    fn cutting_parts_elsewhere_changes_the_hash(text in "[a\0]{1,12}", at in any::<prop::sample::Index>()) {
        let (seed, text) = (Seed::new(3), text.as_bytes());
        let (head, tail) = text.split_at(at.index(text.len()));
        prop_assert_ne!(seed.hash("d", &[head, tail]), seed.hash("d", &[text]));
        prop_assert_ne!(seed.hash("d", &[head, tail]), seed.hash("d", &[tail, head, b""]));
        prop_assert_ne!(seed.hash("d", &[text]), seed.hash("da", &[text]));
        prop_assert_ne!(seed.hash("d", &[text]), Seed::new(4).hash("d", &[text]));
    }
}
