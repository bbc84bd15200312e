//! Whole logs of whatever columns, made canonical and anonymized; now and then counted.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Unstructured;
use arrow_array::{Array, RecordBatchIterator};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::rewrite::{Canonical, Rewrite};
use hardneg_core::scrub::{Action, Kinds, Scrubber};
use hardneg_fuzz::arrays::log;
use hardneg_fuzz::{Scratch, counts, let_panics_be_caught};
use libfuzzer_sys::{Corpus, fuzz_target};

static KEY: LazyLock<MasterKey> = LazyLock::new(|| MasterKey::new(&[7; 32]).expect("32 bytes"));
static FOLDER: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fn rewrite(day: bool, normalise: bool) -> Rewrite {
    let of = |field| Pseudonymizer::new(&KEY, field, "", "").expect("short names");
    let scrubber = Scrubber::new(Kinds::STRUCTURED, Action::Mask, None).expect("no tokens");
    Rewrite {
        scrubber: Some(scrubber),
        user: of("user_id"),
        session: of("session_id"),
        search: of("search_id"),
        day,
        normalise,
        keep: Vec::new(),
        plain: Vec::new(),
    }
}

fuzz_target!(init: let_panics_be_caught(), |bytes: &[u8]| -> Corpus {
    let mut u = Unstructured::new(bytes);
    let Ok(how) = u.arbitrary::<u8>() else { return Corpus::Reject };
    let Ok(log) = log(&mut u) else { return Corpus::Reject };
    if how >= 250 {
        if let Ok(counts) = counts::count(log, &counts::config(how % 2 == 0), FOLDER.folder()) {
            assert!(counts.read.rows <= 24);
        }
        return Corpus::Keep;
    }
    let rows = log.num_rows();
    let rewrite = (how & 1 == 1).then(|| rewrite(how & 2 == 2, how & 4 == 4));
    let again = log.slice(rows / 2, rows - rows / 2);
    let reader = Box::new(RecordBatchIterator::new([Ok(log.clone()), Ok(again)], log.schema()));
    let Ok((stream, seen)) = Canonical::new(reader, i64::from(how >> 3 & 1), rewrite) else { return Corpus::Keep };
    let mut out = 0;
    for batch in stream {
        match batch {
            Ok(batch) => {
                batch.columns().iter().for_each(|c| c.to_data().validate_full().expect("sound arrays"));
                out += batch.num_rows() as u64;
            }
            Err(e) => {
                // A panic within is handed on as this error; here it is a finding.
                assert!(!e.to_string().contains("this is a bug"), "{e}");
                return Corpus::Keep;
            }
        }
    }
    let seen = &seen.lock().expect("no panic").stats;
    let measures = ["dwell_impossible", "click_ms_impossible", "n_clicks_impossible"];
    let aside: u64 = seen.quarantine.iter().filter(|(k, _)| !measures.contains(k)).map(|(_, n)| n).sum();
    assert_eq!(seen.rows, out + aside, "every row leaves or is counted");
    Corpus::Keep
});
