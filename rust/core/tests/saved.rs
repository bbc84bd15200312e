//! Saved counts: loaded, they are what was saved; what is not what was saved is refused by name.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use hardneg_core::budget::Budget;
use hardneg_core::clean::CountConfig;
use hardneg_core::counts::Counts;
use hardneg_core::error::{ErrorKind, Result};
use hardneg_core::pulse::Pulse;
use hardneg_core::saved::{self, load};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

mod common;
use common::{
    ALL, Event, batch, columns, content, count, count_from, count_with, count_within, events, pieces, reader,
};

fn save(counts: &Counts, path: &Path) -> Result<()> {
    saved::save(counts, path, path, &mut Pulse::silent())
}

/// Loaded again; with little memory, so that parts go to the spill.
fn loaded(path: &Path, memory: usize) -> Result<Counts> {
    load(path, &Arc::new(Budget::new(memory, &std::env::temp_dir())), &mut Pulse::silent())
}

/// Twelve rows that stay what they are.
fn fixed() -> RecordBatch {
    let text = |prefix: &str, every: i64| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..12).map(|i| format!("{prefix}{}", i / every % 3))))
    };
    let longs =
        |get: fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..12).map(get))) };
    RecordBatch::try_from_iter([
        ("user_id", text("u", 6)),
        ("search_id", text("s", 3)),
        ("query", text("q", 3)),
        ("doc_id", text("d", 1)),
        ("position", longs(|i| i % 3 + 1)),
        ("clicked", Arc::new(BooleanArray::from_iter((0..12).map(|i| Some(i % 5 == 1)))) as ArrayRef),
        ("dwell_ms", longs(|i| i * 9_000)),
        ("timestamp", longs(|i| 1_704_110_400 + i * 60)),
    ])
    .unwrap()
}

fn some_events() -> Vec<Event> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let log = proptest::collection::vec(events(60), 4..5);
    log.new_tree(&mut TestRunner::deterministic()).unwrap().current().concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn loaded_is_saved(log in events(60), columns in columns(), memory in prop_oneof![Just(0), Just(1 << 30)]) {
        let folder = tempfile::tempdir().unwrap();
        let (path, again) = (folder.path().join("a.counts"), folder.path().join("b.counts"));
        let counts = count(&log, columns, 16, 2);
        save(&counts, &path).unwrap();
        let back = loaded(&path, memory).unwrap();
        prop_assert_eq!(content(&back), content(&counts));
        prop_assert_eq!(back.sizes(), counts.sizes());
        prop_assert_eq!(back.tables.by_position(), counts.tables.by_position());
        save(&back, &again).unwrap();
        prop_assert_eq!(fs::read(path).unwrap(), fs::read(again).unwrap());
    }

    #[test]
    fn saved_parts_make_the_whole(log in events(60)) {
        let folder = tempfile::tempdir().unwrap();
        let part = |n: u8| {
            let path = folder.path().join(format!("{n}.counts"));
            let events: Vec<Event> = log.iter().filter(|e| e.user % 2 == n).cloned().collect();
            save(&count(&events, ALL, 16, 2), &path).unwrap();
            loaded(&path, 1 << 30).unwrap()
        };
        let merged = part(0).merge(&part(1), true, &mut Pulse::silent()).unwrap();
        prop_assert_eq!(content(&merged), content(&count(&log, ALL, 16, 2)));
    }
}

/// Parts of a log may differ in their window, and in nothing else.
#[test]
fn other_options_do_not_merge() {
    let folder = tempfile::tempdir().unwrap();
    let with = |change: fn(&mut CountConfig)| {
        let (mut config, log) = (common::config(), fixed());
        change(&mut config);
        let counts = count_with(&config, 1, reader(log.schema(), vec![log]), 1, &mut |_| Ok(())).unwrap();
        let path = folder.path().join("a.counts");
        save(&counts, &path).unwrap();
        loaded(&path, 1 << 30).unwrap()
    };
    let usual = with(|_| ());
    let refused = |other: Counts| {
        usual.merge(&other, true, &mut Pulse::silent()).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(refused(with(|c| c.since = Some(0))), Ok(()));
    assert_eq!(
        refused(with(|c| (c.max_votes, c.session_gap_minutes) = (7, 0.1))),
        Err("these counts cannot be merged: they were counted with different max_votes, session_gap_minutes; count both \
             with the same options"
            .into())
    );
    let tables: [fn(&mut CountConfig); 3] =
        [|c| c.preferences = false, |c| c.cell_detail = false, |c| c.page_counts = false];
    for change in tables {
        assert!(
            refused(with(change))
                .unwrap_err()
                .contains("one has users, pages or tables that the other lacks")
        );
    }
}

/// Saved from the spill, too.
#[test]
fn spilled_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    let log = batch(&some_events(), ALL);
    let from = reader(log.schema(), pieces(&log, 16));
    let counts = count_within(1, folder.path(), &common::config(), 1, from, 2, &mut |_| Ok(())).unwrap();
    save(&counts, &path).unwrap();
    assert_eq!(content(&loaded(&path, 1).unwrap()), content(&counts));
}

/// Whoever changes the bytes changes the version, or files that are there already would be misread. (An option of counting
/// more, or another value of one, changes the sum only.)
#[test]
fn format_of_version_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    let log = fixed();
    let from = reader(log.schema(), vec![log]);
    save(&count_from(from, 1, &mut |_| Ok(())).unwrap(), &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[..12], b"HNCOUNTS\x02\0\0\0");
    let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sum, "dc02c5467221228d9940e0c6a06de51091b1cde496941558a20aef8a3ea1e6c0");
}

#[test]
fn only_the_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    save(&count(&[], ALL, 1, 1), &path).unwrap();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

fn refusal(path: &Path) -> (ErrorKind, String) {
    let e = loaded(path, 1 << 30).map(|_| ()).unwrap_err();
    let text = e.to_string();
    assert!(
        text.contains("\"a.counts\"") && !text.contains(path.parent().unwrap().to_str().unwrap()),
        "{text}"
    );
    (e.kind(), text)
}

/// Every length below the whole, and every byte changed, is an error that says what to do.
#[test]
fn cut_and_changed_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    save(&count(&some_events(), ALL, 16, 2), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 2_000, "{}", whole.len());
    for len in (0..whole.len()).filter(|n| *n < 200 || n % 7 == 0 || whole.len() - n < 100) {
        fs::write(&path, &whole[..len]).unwrap();
        let (kind, text) = refusal(&path);
        assert_eq!(kind, ErrorKind::Data);
        assert!(text.contains(if len < 8 { "holds no saved counts" } else { "cut short" }), "{len}: {text}");
    }
    for at in (0..whole.len()).filter(|n| *n < 200 || n % 5 == 0 || whole.len() - n < 100) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let (kind, text) = refusal(&path);
        assert_eq!(kind, ErrorKind::Data, "{at}");
        let said = ["holds no saved counts", "holds counts of format", "are damaged", "are cut short"];
        assert!(said.iter().any(|s| text.contains(s)), "{at}: {text}");
    }
    for more in [&[0][..], &whole] {
        fs::write(&path, [&whole, more].concat()).unwrap();
        assert!(refusal(&path).1.contains("damaged"));
    }
}

/// Sections of two good files do not make a third.
#[test]
fn sections_of_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    let saved = |log: &[Event]| {
        save(&count(log, ALL, 16, 1), &path).unwrap();
        fs::read(&path).unwrap()
    };
    let (one, two) = (saved(&some_events()), saved(&some_events()[..20]));
    let end_of_facts =
        |file: &[u8]| 12 + 9 + u64::from_le_bytes(file[13..21].try_into().unwrap()) as usize + 32;
    fs::write(&path, [&two[..end_of_facts(&two)], &one[end_of_facts(&one)..]].concat()).unwrap();
    assert!(refusal(&path).1.contains("damaged"));
}

#[test]
fn foreign_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    assert_eq!(refusal(&path).0, ErrorKind::Io);
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path), (ErrorKind::Io, "counts \"a.counts\" cannot be read: it is no file".into()));
    fs::remove_dir(&path).unwrap();
    for foreign in [&b""[..], b"PAR1", b"query,doc_id,clicked\nshoes,a,1\n", &[0; 4096]] {
        fs::write(&path, foreign).unwrap();
        let (kind, text) = refusal(&path);
        assert_eq!(kind, ErrorKind::Data);
        assert!(text.contains("holds no saved counts") && !text.contains("shoes"), "{text}");
    }
    // A length that no file has: nothing is allocated for it.
    let mut huge = b"HNCOUNTS\x02\0\0\0\x01".to_vec();
    huge.extend_from_slice(&u64::MAX.to_le_bytes());
    huge.resize(100, 0);
    fs::write(&path, huge).unwrap();
    assert!(refusal(&path).1.contains("cut short"));
    fs::write(&path, b"HNCOUNTS\x03\0\0\0 and whatever comes").unwrap();
    assert!(refusal(&path).1.contains("of format 3, this version reads 2"));
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk() {
    let e = save(&count(&[], ALL, 1, 1), Path::new("/dev/full")).unwrap_err();
    assert_eq!(
        (e.kind(), e.to_string()),
        (ErrorKind::Io, "counts cannot be saved to \"full\": the disk is full".into())
    );
}

/// The file with the checksums that its content asks for.
fn summed(file: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (file[..12].to_vec(), &file[12..]);
    while !rest.is_empty() {
        let len = 9 + u64::from_le_bytes(rest[1..9].try_into().unwrap()) as usize;
        out.extend_from_slice(&rest[..len]);
        out.extend_from_slice(&Sha256::digest(&out));
        rest = &rest[len + 32..];
    }
    out
}

/// Who writes checksums of their own makes other counts at most: nothing reads beyond them, or hangs.
#[test]
fn changed_content_under_right_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.counts");
    save(&count(&some_events(), ALL, 16, 2), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(summed(&whole), whole);
    let (mut rest, mut at, mut contents) = (&whole[12..], 12, Vec::new());
    while !rest.is_empty() {
        let len = u64::from_le_bytes(rest[1..9].try_into().unwrap()) as usize;
        contents.extend(at + 9..at + 9 + len);
        (rest, at) = (&rest[9 + len + 32..], at + 9 + len + 32);
    }
    let mut read = 0;
    for (i, at) in contents.iter().enumerate().filter(|(i, _)| i % 3 == 0) {
        let mut changed = whole.clone();
        changed[*at] ^= [0x01, 0x80, 0xff][i / 3 % 3];
        fs::write(&path, summed(&changed)).unwrap();
        let Ok(counts) = loaded(&path, 1 << 30) else { continue };
        read += 1;
        content(&counts);
        let counts = Arc::new(counts);
        for table in ["queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "pages"]
        {
            counts.table(table, &[]).unwrap().batches().for_each(|b| drop(b.unwrap()));
        }
        counts.merge(&counts, true, &mut Pulse::silent()).map(drop).unwrap_or_default();
    }
    assert!(read > 10, "some changes make other counts: {read}");
}
