//! Interning: whatever the arrival, the frozen order is by (head of SHA-256, bytes).

use std::collections::BTreeSet;

use hardneg_core::intern::{Interner, Strings, hash};
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

fn canonical<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut values: Vec<&String> = values.into_iter().collect();
    values.sort_by_key(|v| (hash(v.as_bytes()), v.as_bytes()));
    values
}

fn listed(strings: &Strings) -> Vec<&str> {
    (0..strings.len() as u32).map(|r| strings.get(r)).collect()
}

fn interned(values: &BTreeSet<String>) -> Strings {
    let interner = Interner::default();
    interner.intern(values.iter().map(|v| Some(v.as_bytes()))).expect("few strings");
    interner.freeze().0
}

proptest! {
    #[test]
    fn frozen_order_is_canonical(batches in vec(vec(of(".{0,3}"), 0..40), 0..6)) {
        let interner = Interner::default();
        let mut codes = Vec::new();
        for batch in &batches {
            codes.push(interner.intern(batch.iter().map(|v| v.as_deref().map(str::as_bytes))).expect("few strings"));
        }
        let (strings, ranks) = interner.freeze();
        let distinct: BTreeSet<String> = batches.iter().flatten().flatten().cloned().collect();
        prop_assert_eq!(listed(&strings), canonical(&distinct));
        prop_assert_eq!((strings.len(), strings.is_empty()), (distinct.len(), distinct.is_empty()));
        for (value, code) in batches.iter().flatten().zip(codes.iter().flatten()) {
            prop_assert_eq!(code.map(|c| strings.get(ranks.of(c))), value.as_deref());
        }
        for rank in 0..strings.len() as u32 {
            prop_assert_eq!(strings.hash(rank), hash(strings.get(rank).as_bytes()));
        }
    }

    #[test]
    fn merging_is_interning_the_union(a in btree_set(".{0,2}", 0..60), b in btree_set(".{0,2}", 0..60)) {
        let (left, right) = (interned(&a), interned(&b));
        let (merged, ours, theirs) = left.merge(&right);
        let union: BTreeSet<String> = a.union(&b).cloned().collect();
        prop_assert_eq!(listed(&merged), canonical(&union));
        for (from, map) in [(&left, ours), (&right, theirs)] {
            prop_assert_eq!(from.len(), map.len());
            for (rank, new) in map.iter().enumerate() {
                prop_assert_eq!(from.get(rank as u32), merged.get(*new));
                prop_assert_eq!(from.hash(rank as u32), merged.hash(*new));
            }
            prop_assert!(map.is_sorted());
        }
    }

    #[test]
    fn a_subset_keeps_its_strings(all in btree_set(".{0,3}", 1..60), keep in vec(any::<bool>(), 60)) {
        let strings = interned(&all);
        let ranks: Vec<u32> = (0..strings.len() as u32).filter(|r| keep[*r as usize]).collect();
        let expected: Vec<&str> = ranks.iter().map(|r| strings.get(*r)).collect();
        let subset = strings.subset(&ranks);
        prop_assert_eq!(listed(&subset), expected);
    }
}

/// Four threads intern overlapping parts of the same strings, each from another end.
#[test]
fn threads_agree_on_codes() {
    let values: Vec<String> = (0..20_000).map(|i| format!("query {}", i % 7_000)).collect();
    let interner = Interner::default();
    let codes: Vec<Vec<Option<u32>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let (values, interner) = (&values, &interner);
                scope.spawn(move || {
                    let turned = values[t * 5_000..].iter().chain(&values[..t * 5_000]);
                    let turned: Vec<&String> = turned.collect();
                    let batches = turned.chunks(777);
                    batches
                        .flat_map(|b| interner.intern(b.iter().map(|v| Some(v.as_bytes()))).unwrap())
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let (strings, ranks) = interner.freeze();
    assert_eq!(strings.len(), 7_000);
    for (t, codes) in codes.iter().enumerate() {
        let turned = values[t * 5_000..].iter().chain(&values[..t * 5_000]);
        for (value, code) in turned.zip(codes) {
            assert_eq!(code.map(|c| strings.get(ranks.of(c))), Some(value.as_str()));
        }
    }
}
