//! Every reader of one column: a row is read as it would be by itself, wherever it lies.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use arrow_array::Array;
use hardneg_core::scalar::{flags, floats, ints, rounded};
use hardneg_core::text::{NULL, TextColumn};
use hardneg_core::time::times;
use hardneg_fuzz::arrays::{ROWS, array};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut u = Unstructured::new(bytes);
    let Ok(rows) = u.int_in_range(0..=ROWS) else { return Corpus::Reject };
    let Ok(whole) = array(&mut u, rows) else { return Corpus::Reject };
    let from = rows / 3;
    let part = whole.slice(from, rows - from);
    if let (Ok(all), Ok(some)) = (ints("n", &whole), ints("n", &part)) {
        assert_eq!(all.values.len(), rows);
        for i in from..rows {
            assert_eq!((all.values[i], all.is_bad(i)), (some.values[i - from], some.is_bad(i - from)));
        }
    }
    if let (Ok(all), Ok(some)) = (rounded("n", &whole), rounded("n", &part)) {
        assert_eq!(all.values[from..], some.values);
    }
    if let (Ok(all), Ok(some)) = (floats("n", &whole), floats("n", &part)) {
        assert!(all[from..].iter().zip(&some).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    if let (Ok(all), Ok(some)) = (flags("n", &whole), flags("n", &part)) {
        assert_eq!(all[from..], some);
    }
    let mut seen = BTreeMap::new();
    if let (Ok(all), Ok(some)) = (times(&whole, &mut seen), times(&part, &mut seen)) {
        assert_eq!(all.micros[from..], some.micros);
        assert!((from..rows).all(|i| all.fault(i) == some.fault(i - from)));
    }
    if let (Ok(all), Ok(some)) = (TextColumn::new("n", &whole), TextColumn::new("n", &part)) {
        let entries = all.entries();
        assert_eq!(entries.rows.len(), rows);
        for i in 0..rows {
            let entry = entries.rows[i];
            let by_entry = if entry == NULL { None } else { entries.get(&all, entry as usize) };
            assert_eq!(by_entry, all.row(i));
            assert!(i < from || some.row(i - from) == all.row(i));
        }
    }
    Corpus::Keep
});
