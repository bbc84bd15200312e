//! The memory budget: the same counts at any, also where everything is one user's or one query's, or nothing repeats.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use hardneg_core::clean::{CountConfig, Robots};
use hardneg_core::counts::Counts;
use hardneg_core::error::{ErrorKind, Result};

mod common;
use common::{config, content, count_within, pieces, reader};

const ROWS: u64 = 12_000;

/// Numbers that look like chance and are the same in every run.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// A log of pages of five whose users, queries and documents are what `of` makes of the row's number.
fn log(of: impl Fn(u64) -> [u64; 3]) -> RecordBatch {
    let rows: Vec<[u64; 3]> = (0..ROWS).map(of).collect();
    let text = |name: &str, i: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| format!("{name} {}", r[i]))))
    };
    let numbers = 0..ROWS;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", text("user", 0)),
        (
            "search_id",
            Arc::new(StringArray::from_iter_values(numbers.clone().map(|n| format!("p{}", n / 5)))),
        ),
        ("query", text("query", 1)),
        ("doc_id", text("document number", 2)),
        ("position", Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| n as i64 % 5 + 1)))),
        (
            "clicked",
            Arc::new(BooleanArray::from_iter(numbers.clone().map(|n| Some(mix(n).is_multiple_of(7))))),
        ),
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                numbers.map(|n| 1_704_110_400_000_000 + n as i64 / 5 * 60_000_000),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("equal lengths")
}

fn everybody() -> CountConfig {
    CountConfig { robots: Robots::Keep, max_position: 10, ..config() }
}

fn counted(log: &RecordBatch, memory: usize, threads: usize) -> Result<Counts> {
    let reader = reader(log.schema(), pieces(log, 1_000));
    count_within(memory, &std::env::temp_dir(), &everybody(), 1, reader, threads, &mut |_| Ok(()))
}

#[test]
fn one_answer_at_any_budget_however_skewed() {
    let logs = [
        ("even", log(|n| [mix(n / 10) % 400, mix(n / 5) % 300, mix(n) % 2_000])),
        ("all one user", log(|n| [0, mix(n / 5) % 3_000, mix(n) % 2_000])),
        ("all one query", log(|n| [mix(n / 10) % 400, 0, mix(n) % 9_000])),
        ("one user, one query", log(|n| [0, 0, mix(n) % 9_000])),
        (
            "a user with a tenth",
            log(|n| [if n.is_multiple_of(10) { 0 } else { 1 + mix(n / 10) % 400 }, mix(n / 5) % 300, n]),
        ),
        ("all distinct", log(|n| [n / 5, n / 5, n])),
    ];
    for (what, log) in logs {
        let roomy = counted(&log, 1 << 30, 2).expect("fits");
        assert!(roomy.sizes().pairs > 900, "{what}");
        let expected = content(&roomy);
        for (memory, threads) in [(1 << 16, 1), (1 << 18, 2), (1 << 20, 3)] {
            let tight = counted(&log, memory, threads).expect("spills");
            for (made, expected) in content(&tight).into_iter().zip(&expected) {
                assert!(made == *expected, "{what} within {memory} bytes: {} differ", made.0);
            }
        }
    }
}

#[test]
fn a_spill_folder_that_cannot_be_written_is_an_error() {
    let log = log(|n| [mix(n / 10) % 400, mix(n / 5) % 300, mix(n) % 2_000]);
    let reader = reader(log.schema(), pieces(&log, 1_000));
    let made = count_within(1 << 16, Path::new("/nowhere"), &everybody(), 1, reader, 2, &mut |_| Ok(()));
    let error = made.err().expect("nowhere to spill");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("/nowhere"), "{error}");
}
