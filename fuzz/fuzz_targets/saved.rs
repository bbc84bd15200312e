//! Saved counts with right checksums round whatever content: refused, or counts that everything can be asked of.
#![no_main]

use std::sync::{Arc, LazyLock};

use hardneg_core::budget::Budget;
use hardneg_core::pulse::Pulse;
use hardneg_core::saved::{load, save};
use hardneg_fuzz::{Scratch, counts};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let file = if *how == 255 { bytes.to_vec() } else { counts::file(bytes) };
    let path = SCRATCH.file("log.counts", &file);
    let memory = if how & 1 == 1 { 0 } else { 1 << 30 };
    let budget = Arc::new(Budget::new(memory, SCRATCH.folder()));
    let Ok(loaded) = load(&path, &budget, &mut Pulse::silent()) else { return };
    let loaded = Arc::new(loaded);
    for table in
        ["queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "bounded", "pages"]
    {
        let Ok(table) = loaded.table(table, &[]) else { continue };
        let rows: usize = table.batches().map(|b| b.expect("exports").num_rows()).sum();
        assert_eq!(rows, table.rows);
    }
    let _ = loaded.merge(&loaded, how & 2 == 2, &mut Pulse::silent());
    let again = SCRATCH.folder().join("again.counts");
    save(&loaded, &again, &again, &mut Pulse::silent()).expect("what was loaded can be saved");
    assert!(load(&again, &budget, &mut Pulse::silent()).is_ok());
});
