//! Timestamps in text: a time or a fault, the same however it is handed in.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, LargeStringArray, StringArray};
use hardneg_core::time::{start_of_day, times};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let arrays: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec![&*text])), Arc::new(LargeStringArray::from(vec![&*text]))];
    let [one, two] = arrays.map(|array| {
        let read = times(&array, &mut BTreeMap::new()).expect("text can be a time");
        start_of_day(read.micros[0]);
        (read.micros[0], read.fault(0))
    });
    assert_eq!(one, two);
});
