//! `hn.normalize`: any text has a normal form, and one only.
#![no_main]

use std::cell::RefCell;

use hardneg_core::normalize::Normalizer;
use libfuzzer_sys::fuzz_target;

thread_local!(static STATE: RefCell<(Normalizer, String, String)> = Default::default());

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    STATE.with_borrow_mut(|(normalizer, once, twice)| {
        normalizer.normalize(&text, once).expect("no detector");
        normalizer.normalize(once, twice).expect("no detector");
        assert_eq!(once, twice);
        assert!(!once.contains(|c: char| c.is_control()) && once.trim() == once);
    });
});
