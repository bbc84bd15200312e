//! Counts of a small log, as they are saved.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use hardneg_core::anonymize::Keys;
use hardneg_core::batches::Shared;
use hardneg_core::clean::{CountConfig, Robots};
use hardneg_core::counts::Counts;
use hardneg_core::job::{self, Job};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::seed::Seed;
use sha2::{Digest, Sha256};

const MAGIC: &[u8] = b"HNCOUNTS\x02\0\0\0";
const CHECKSUM: usize = 32;

/// How to count; everything that can be counted is.
pub fn config(detail: bool) -> CountConfig {
    CountConfig {
        max_votes: 2,
        max_pairs_per_user: 3,
        satisfied_dwell_ms: 30_000,
        session_gap_minutes: 10.0,
        min_page_length: 1,
        max_position: 9,
        robots: Robots::Keep,
        max_searches_per_day: 500,
        max_click_rate: 0.9,
        min_click_rate: 0.0,
        min_median_dwell_ms: 0,
        surfaces: vec![],
        since: None,
        until: None,
        half_life_days: None,
        page_counts: true,
        preferences: true,
        cell_detail: detail,
    }
}

/// Two dozen rows.
fn log() -> RecordBatch {
    let text = |prefix: &str, every: i64, of: i64| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..24).map(|i| format!("{prefix}{}", i / every % of))))
    };
    let longs =
        |get: fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..24).map(get))) };
    let clicked: ArrayRef = Arc::new(BooleanArray::from_iter((0..24).map(|i| Some(i % 5 == 1))));
    RecordBatch::try_from_iter([
        ("user_id", text("u", 12, 9)),
        ("search_id", text("s", 3, 9)),
        ("query", text("q", 3, 3)),
        ("doc_id", text("d", 1, 4)),
        ("position", longs(|i| i % 3 + 1)),
        ("clicked", clicked),
        ("dwell_ms", longs(|i| i * 9_000)),
        ("timestamp", longs(|i| 1_704_110_400 + i * 60)),
    ])
    .expect("equal lengths")
}

/// Counts a log.
pub fn count(log: RecordBatch, config: &CountConfig, folder: &Path) -> hardneg_core::error::Result<Counts> {
    let key = MasterKey::new(&[7; 32])?;
    let of = |field| Pseudonymizer::new(&key, field, "", "");
    let keys = Keys { user: of("user_id")?, session: of("session_id")? };
    let job = Job {
        scrubber: None,
        config,
        keys: &keys,
        seed: Seed::new(1),
        position_base: 1,
        has_pages: true,
        sessions_stand_for_users: false,
        threads: 1,
        memory: 1 << 30,
        spill: folder,
        part: None,
    };
    let schema = log.schema();
    job::count(&job, &Shared::new(Box::new(RecordBatchIterator::new([Ok(log)], schema))), &mut |_| Ok(()))
}

/// Counts of the small log.
pub fn small(detail: bool, folder: &Path) -> Counts {
    count(log(), &config(detail), folder).expect("a sound log")
}

/// The sections of a saved file: kind, length in two bytes, content.
pub fn sections(file: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (&file[MAGIC.len()..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let len = u64::from_le_bytes(head[1..].try_into().expect("eight bytes")) as usize;
        out.push(head[0]);
        out.extend_from_slice(&u16::try_from(len).expect("a small log").to_le_bytes());
        out.extend_from_slice(&behind[..len]);
        rest = &behind[len + CHECKSUM..];
    }
    out
}

/// A file of such sections, whose checksums are right whatever is in them; what is left over is its last content.
pub fn file(mut sections: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    while let Some((head, behind)) = sections.split_first_chunk::<3>() {
        let len = usize::from(u16::from_le_bytes([head[1], head[2]])).min(behind.len());
        out.push(head[0]);
        out.extend_from_slice(&(len as u64).to_le_bytes());
        out.extend_from_slice(&behind[..len]);
        let sum = Sha256::digest(&out);
        out.extend_from_slice(&sum);
        sections = &behind[len..];
    }
    out
}
