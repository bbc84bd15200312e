//! Whatever stands in a column: rows are set aside or the column is refused by name, and nothing panics.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationNanosecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray, StringViewArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt64Array,
};
use arrow_schema::ArrowError;
use hardneg_core::clean::CountConfig;
use hardneg_core::error::{Error, ErrorKind};
use hardneg_core::evidence::{Debias, EvidenceConfig, evidence};
use hardneg_core::group::Group;
use hardneg_core::impressions::COLUMNS;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::pulse::Pulse;
use hardneg_core::release::everything;
use hardneg_core::rewrite::{Canonical, Rewrite};
use hardneg_core::seed::Seed;

mod common;
use common::{config, count_with, reader};

const ROWS: usize = 4;

/// Four rows of every type, at its ends; the last is null where it can be.
fn columns() -> Vec<ArrayRef> {
    let longs = [Some(i64::MIN), Some(i64::MAX), Some(-1), None];
    let texts = [Some("\u{0}\u{10ffff}"), Some("-9223372036854775808"), Some("1e308"), None];
    let bytes = [Some(b"\xff\xfe".as_slice()), Some(b""), Some(b"9223372036854775808"), None];
    let wide = vec![Some(i128::MAX / 2), Some(i128::MIN / 2), Some(0), None];
    let huge = Decimal256Array::from(vec![Some(arrow_256()), None, None, None]);
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        [Some([0xff_u8; 3]), Some(*b"1e9"), Some(*b"-99"), None].into_iter(),
        3,
    );
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), Some(0), None])),
        Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), Some(0), None])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), Some(0), None])),
        Arc::new(Int64Array::from_iter(longs)),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(1 << 63), Some(65_536), None])),
        Arc::new(Float32Array::from(vec![Some(f32::MIN), Some(f32::NAN), Some(f32::INFINITY), None])),
        Arc::new(Float64Array::from(vec![Some(f64::MAX), Some(f64::NEG_INFINITY), Some(-1e18), None])),
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
        Arc::new(BinaryArray::from_iter(bytes)),
        Arc::new(fixed.expect("three bytes each")),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
        Arc::new(NullArray::new(ROWS)),
        Arc::new(Decimal128Array::from(wide.clone()).with_precision_and_scale(38, 0).expect("fits")),
        Arc::new(Decimal128Array::from(wide).with_precision_and_scale(38, 3).expect("fits")),
        Arc::new(huge.with_precision_and_scale(76, 0).expect("fits")),
        Arc::new(TimestampSecondArray::from_iter(longs)),
        Arc::new(TimestampSecondArray::from_iter(longs).with_timezone("-23:59")),
        Arc::new(TimestampMicrosecondArray::from_iter(longs).with_timezone("Mars/Olympus Mons")),
        Arc::new(TimestampNanosecondArray::from_iter(longs)),
        Arc::new(Date32Array::from(vec![Some(i32::MIN), Some(i32::MAX), Some(0), None])),
        Arc::new(Date64Array::from_iter(longs)),
        Arc::new(Time64NanosecondArray::from_iter(longs)),
        Arc::new(DurationNanosecondArray::from_iter(longs)),
    ];
    let keyed = arrays.iter().map(|values| -> ArrayRef {
        let keys = Int8Array::from(vec![Some(3), Some(0), None, Some(1)]);
        Arc::new(DictionaryArray::new(keys, values.clone()))
    });
    keyed.chain(arrays.iter().cloned()).collect()
}

fn arrow_256() -> <arrow_array::types::Decimal256Type as arrow_array::ArrowPrimitiveType>::Native {
    <arrow_array::types::Decimal256Type as arrow_array::types::DecimalType>::MAX_FOR_EACH_PRECISION[76]
}

/// A fair log in which `hostile` stands as column `name`.
fn log(name: &str, hostile: &ArrayRef) -> RecordBatch {
    let text = |v: &str| -> ArrayRef { Arc::new(StringArray::from(vec![v; ROWS])) };
    let fair = |name: &str| match name {
        "clicked" | "visible" => Arc::new(BooleanArray::from(vec![true, false, true, false])),
        "position" | "dwell_ms" | "click_ms" | "n_clicks" => {
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef
        }
        "propensity" => Arc::new(Float64Array::from(vec![0.5; ROWS])),
        "timestamp" => Arc::new(Int64Array::from(vec![1_704_110_400; ROWS])),
        name => text(name),
    };
    let columns = COLUMNS.map(|c| (c, if c == name { hostile.clone() } else { fair(c) }, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("equal lengths")
}

/// The error's kind, where the log was refused as a whole.
fn counted(config: &CountConfig, base: i64, log: &RecordBatch) -> Option<ErrorKind> {
    let log = reader(log.schema(), vec![log.slice(0, 3), log.slice(1, 3), log.clone()]);
    let counts = match count_with(config, base, log, 2, &mut |_| Ok(())) {
        Err(e) => return Some(e.kind()),
        Ok(counts) => Arc::new(counts),
    };
    let dropped: u64 = counts.read.quarantine.values().sum::<u64>() + counts.dropped.values().sum::<u64>();
    let mut voted = 0;
    for part in 0..counts.tables.len() {
        let sum = |g: &mut Group| g.pairs.iter().map(|p| u64::from(p.impressions)).sum::<u64>();
        counts
            .tables
            .part(part, |g| {
                voted += sum(g);
                Ok(())
            })
            .expect("in memory");
    }
    assert!(counts.read.rows <= dropped + voted, "each row votes or is counted under a reason");
    for name in
        ["queries", "cells", "pairs", "preferences", "successions", "succession_clicks", "bounded", "pages"]
    {
        let table = counts.table(name, &[]).expect("asked for");
        assert_eq!(table.batches().map(|b| b.expect("exports").num_rows()).sum::<usize>(), table.rows);
    }
    let options = EvidenceConfig {
        shrinkage: 1.0,
        page_depth: u32::MAX,
        debias: Debias::Auto,
        propensities: vec![],
        bound: 0.9,
    };
    let made = evidence(everything(&counts).into(), &options, Seed::new(0), 1, &mut Pulse::silent())
        .expect("fine options");
    assert!(Arc::new(made).table().expect("exports").batches().all(|b| b.is_ok()));
    None
}

fn streamed(log: &RecordBatch, rewrite: bool) -> Option<ErrorKind> {
    let key = MasterKey::new(&[1; 32]).expect("32 bytes");
    let of = |field| Pseudonymizer::new(&key, field, "", "").expect("short names");
    let rewrite = rewrite.then(|| Rewrite {
        scrubber: None,
        user: of("user_id"),
        session: of("session_id"),
        search: of("search_id"),
        day: true,
        normalise: true,
        keep: Vec::new(),
        plain: Vec::new(),
    });
    let made = Canonical::new(reader(log.schema(), vec![log.clone(), log.slice(1, 2)]), 0, rewrite)
        .and_then(|(stream, _)| stream.collect::<Result<Vec<_>, ArrowError>>().map_err(Error::from));
    made.err().map(|e| e.kind())
}

#[test]
fn every_type_in_every_column() {
    for name in COLUMNS {
        for hostile in columns() {
            let log = log(name, &hostile);
            for made in [counted(&config(), 1, &log), streamed(&log, false), streamed(&log, true)] {
                let fine = matches!(made, None | Some(ErrorKind::Column));
                assert!(fine, "{name} of {}: {made:?}", hostile.data_type());
            }
        }
    }
}

#[test]
fn options_at_their_ends() {
    let log = log("query", &(Arc::new(StringArray::from(vec!["a", "b", "a", "c"])) as ArrayRef));
    for end in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
        for x in [f64::MIN_POSITIVE, 1.0, f64::INFINITY] {
            let config = CountConfig {
                since: Some(i64::MIN),
                until: Some(end),
                half_life_days: Some(x),
                session_gap_minutes: f64::NAN,
                max_votes: usize::MAX,
                max_position: u32::MAX,
                min_page_length: 0,
                max_searches_per_day: u64::MAX,
                ..config()
            };
            assert_eq!(counted(&config, 1, &log), None, "until {end}, half life {x}");
            assert_eq!(counted(&CountConfig { max_votes: 0, ..config }, end, &log), None, "base {end}");
        }
    }
}
