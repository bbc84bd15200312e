//! Interning: codes are heads of SHA-256, whatever the arrival, and strings are found by them again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use hardneg_core::budget::Budget;
use hardneg_core::intern::{Interner, code};
use hardneg_core::pulse::Pulse;
use hardneg_core::strings::Strings;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

fn canonical<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut values: Vec<&String> = values.into_iter().collect();
    values.sort_by_key(|v| code(v.as_bytes()));
    values
}

fn listed(strings: &Strings) -> Vec<&str> {
    strings.iter().map(|(_, value)| value).collect()
}

fn budget() -> Arc<Budget> {
    Arc::new(Budget::new(1 << 30, Path::new("/nowhere")))
}

fn interned(values: &BTreeSet<String>) -> Strings {
    let budget = budget();
    let interner = Interner::new(&budget);
    let values: Vec<&String> = values.iter().collect();
    interner.intern(values.len(), |i| Some(values[i].as_bytes())).expect("few strings");
    interner.freeze(&mut Pulse::silent(), || Ok(())).expect("nothing to fail")
}

proptest! {
    #[test]
    fn codes_find_their_strings(batches in vec(vec(of(".{0,3}"), 0..40), 0..6)) {
        let budget = budget();
        let interner = Interner::new(&budget);
        let mut codes = Vec::new();
        for batch in &batches {
            let value = |i: usize| batch[i].as_deref().map(str::as_bytes);
            codes.push(interner.intern(batch.len(), value).expect("few strings"));
        }
        let strings = interner.freeze(&mut Pulse::silent(), || Ok(())).expect("nothing to fail");
        let distinct: BTreeSet<String> = batches.iter().flatten().flatten().cloned().collect();
        prop_assert_eq!(listed(&strings), canonical(&distinct));
        prop_assert_eq!((strings.len(), strings.is_empty()), (distinct.len(), distinct.is_empty()));
        prop_assert!(strings.clashes().is_empty());
        for (value, found) in batches.iter().flatten().zip(codes.iter().flatten()) {
            match value {
                None => prop_assert_eq!(*found, 0),
                Some(value) => {
                    prop_assert_eq!(*found, code(value.as_bytes()));
                    prop_assert_eq!(strings.get(*found), value.as_str());
                }
            }
        }
        prop_assert_eq!(strings.find(12345), None);
    }

    /// Codes that are places: no two strings have one, and each finds its string.
    #[test]
    fn exact_codes_find_their_strings(batches in vec(vec(of(".{0,3}"), 0..40), 0..6)) {
        let budget = budget();
        let interner = Interner::exact(&budget);
        let mut found: BTreeMap<u64, String> = BTreeMap::new();
        for batch in &batches {
            let value = |i: usize| batch[i].as_deref().map(str::as_bytes);
            let codes = interner.intern(batch.len(), value).expect("few strings");
            for (code, value) in codes.into_iter().zip(batch) {
                let Some(value) = value else {
                    prop_assert_eq!(code, 0);
                    continue;
                };
                prop_assert!(code != 0);
                prop_assert_eq!(found.entry(code).or_insert_with(|| value.clone()), value);
            }
        }
        let strings = interner.freeze(&mut Pulse::silent(), || Ok(())).expect("nothing to fail");
        prop_assert!(strings.iter().eq(found.iter().map(|(code, value)| (*code, value.as_str()))));
        let texts = found.values().map(String::as_str).chain(["a text of none of them"]);
        let codes = strings.codes_of(texts);
        prop_assert!(codes.into_iter().eq(found.keys().copied().chain([0])));
    }

    #[test]
    fn merging_is_interning_the_union(a in btree_set(".{0,2}", 0..60), b in btree_set(".{0,2}", 0..60)) {
        let (merged, clashes) = interned(&a).merge(&interned(&b), &mut Pulse::silent()).expect("nobody objects");
        let union: BTreeSet<String> = a.union(&b).cloned().collect();
        prop_assert_eq!(listed(&merged), canonical(&union));
        prop_assert!(clashes.is_empty());
    }

    #[test]
    fn a_subset_keeps_its_strings(all in btree_set(".{0,3}", 1..60), keep in vec(any::<bool>(), 60)) {
        let strings = interned(&all);
        let codes: Vec<u64> =
            strings.codes().zip(&keep).filter(|(_, keep)| **keep).map(|(code, _)| code).collect();
        let expected: Vec<&str> = codes.iter().map(|c| strings.get(*c)).collect();
        let subset = strings.subset(&codes);
        prop_assert_eq!(listed(&subset), expected);
    }
}

/// Strings of one code cannot be made here, but two lists can claim one.
#[test]
fn different_strings_of_one_code_are_told() {
    let (ours, theirs) =
        (Strings::of([(1, "a"), (2, "b")].into_iter()), Strings::of([(2, "c"), (3, "d")].into_iter()));
    let (merged, clashes) = ours.merge(&theirs, &mut Pulse::silent()).expect("nobody objects");
    assert_eq!((listed(&merged), clashes), (vec!["a", "d"], vec![2]));
}

/// Four threads intern overlapping parts of the same strings, each from another end.
#[test]
fn threads_agree() {
    let values: Vec<String> = (0..20_000).map(|i| format!("query {}", i % 7_000)).collect();
    let budget = budget();
    let interner = Interner::new(&budget);
    std::thread::scope(|scope| {
        for t in 0..4 {
            let (values, interner) = (&values, &interner);
            scope.spawn(move || {
                let turned: Vec<&String> = values[t * 5_000..].iter().chain(&values[..t * 5_000]).collect();
                for batch in turned.chunks(777) {
                    let codes = interner.intern(batch.len(), |i| Some(batch[i].as_bytes())).unwrap();
                    assert!(batch.iter().zip(codes).all(|(value, found)| found == code(value.as_bytes())));
                }
            });
        }
    });
    let strings = interner.freeze(&mut Pulse::silent(), || Ok(())).expect("nothing to fail");
    assert_eq!(strings.len(), 7_000);
    assert!(values.iter().all(|v| strings.get(code(v.as_bytes())) == v));
    assert!(budget.held() > 7_000 * 10);
}
