//! Timestamps: every notation, mixed, and the ends of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray,
    DurationSecondArray, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, NullArray,
    StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use hardneg_core::error::ErrorKind;
use hardneg_core::time::{DAY, NULL_TIME, start_of_day, times};
use proptest::prelude::*;

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400;
const MICROS: i64 = NOON * 1_000_000;

type Read = Result<i64, &'static str>;

fn read(array: &ArrayRef) -> Vec<Read> {
    let made = times(array, &mut BTreeMap::new()).expect("a type that is read");
    assert_eq!(made.micros.len(), array.len());
    (0..array.len()).map(|i| made.fault(i).map_or(Ok(made.micros[i]), Err)).collect()
}

fn array(a: impl Array + 'static) -> ArrayRef {
    Arc::new(a)
}

const NULL: Read = Err("null_timestamp");
const UNREADABLE: Read = Err("timestamp_unreadable");

#[test]
fn every_type() {
    let day = MICROS.div_euclid(DAY);
    let cases = [
        (array(TimestampSecondArray::from(vec![Some(NOON), None])), [Ok(MICROS), NULL]),
        (array(TimestampMillisecondArray::from(vec![Some(NOON * 1_000), None])), [Ok(MICROS), NULL]),
        (array(TimestampMicrosecondArray::from(vec![Some(MICROS), None])), [Ok(MICROS), NULL]),
        (array(TimestampNanosecondArray::from(vec![Some(MICROS * 1_000 + 999), None])), [Ok(MICROS), NULL]),
        (
            array(TimestampSecondArray::from(vec![Some(NOON), None]).with_timezone("+02:00")),
            [Ok(MICROS), NULL],
        ),
        (
            array(TimestampMicrosecondArray::from(vec![Some(MICROS), None]).with_timezone("UTC")),
            [Ok(MICROS), NULL],
        ),
        (array(Date32Array::from(vec![Some(day as i32), None])), [Ok(day * DAY), NULL]),
        (array(Date64Array::from(vec![Some(day * DAY / 1_000), None])), [Ok(day * DAY), NULL]),
        (array(Int64Array::from(vec![Some(NOON), None])), [Ok(MICROS), NULL]),
        (array(Int32Array::from(vec![Some(NOON as i32), None])), [Ok(MICROS), NULL]),
        (array(UInt64Array::from(vec![NOON as u64, u64::MAX])), [Ok(MICROS), UNREADABLE]),
        (array(Float64Array::from(vec![NOON as f64 + 0.25, f64::NAN])), [Ok(MICROS + 250_000), NULL]),
        (
            array(
                Decimal128Array::from(vec![NOON.into(), i128::MAX / 2])
                    .with_precision_and_scale(38, 0)
                    .unwrap(),
            ),
            [Ok(MICROS), UNREADABLE],
        ),
        (array(StringArray::from(vec![Some("2024-01-01T12:00:00Z"), None])), [Ok(MICROS), NULL]),
        (array(LargeStringArray::from(vec!["2024-01-01 12:00:00", "noon"])), [Ok(MICROS), UNREADABLE]),
        (array(StringViewArray::from(vec!["2024-01-01T14:00:00+02:00", " "])), [Ok(MICROS), NULL]),
        (array(NullArray::new(2)), [NULL, NULL]),
    ];
    for (array, expected) in cases {
        assert_eq!(read(&array), expected, "{}", array.data_type());
        assert_eq!(read(&array.slice(1, 1)), expected[1..], "sliced {}", array.data_type());
        let keys = Int8Array::from(vec![Some(1), None, Some(0)]);
        let keyed: ArrayRef = Arc::new(DictionaryArray::new(keys, array.clone()));
        assert_eq!(read(&keyed), [expected[1], NULL, expected[0]], "dictionary of {}", array.data_type());
    }
}

#[test]
fn notations_may_be_mixed() {
    let texts = vec![
        "1704110400",
        "1704110400000",
        "1704110400000000",
        "1704110400000000000",
        "1704110400.0",
        "2024-01-01T12:00:00",
        "",
    ];
    let mut notations = BTreeMap::new();
    let made = times(&array(StringArray::from(texts)), &mut notations).unwrap();
    assert_eq!(made.micros, [[MICROS; 6].as_slice(), &[NULL_TIME]].concat());
    let expected = [("epoch_s", 2), ("epoch_ms", 1), ("epoch_us", 1), ("epoch_ns", 1), ("iso8601", 1)];
    assert_eq!(notations, BTreeMap::from(expected));
}

/// Nothing at the ends of a type panics, and nothing there is a time.
#[test]
fn ends_of_types() {
    let ends = vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    let arrays = [
        array(TimestampSecondArray::from(ends.clone())),
        array(TimestampSecondArray::from(ends.clone()).with_timezone("+14:00")),
        array(TimestampMillisecondArray::from(ends.clone())),
        array(TimestampMicrosecondArray::from(ends.clone())),
        array(TimestampNanosecondArray::from(ends.clone())),
        array(Date32Array::from(vec![i32::MIN, i32::MIN + 1, -1, 0, i32::MAX - 1, i32::MAX])),
        array(Date64Array::from(ends.clone())),
        array(Int64Array::from(ends.clone())),
        array(UInt64Array::from(vec![0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63])),
        array(Float64Array::from(vec![
            f64::MIN,
            f64::MAX,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            f64::MIN_POSITIVE,
        ])),
        array(StringArray::from(ends.iter().map(i64::to_string).collect::<Vec<_>>())),
        array(StringArray::from(vec![
            "1e308",
            "-1e308",
            "inf",
            "NaN",
            "0001-01-01",
            "9999-12-31T23:59:59-23:59",
        ])),
    ];
    for array in arrays {
        assert!(read(&array).iter().all(Result::is_err), "{}: {:?}", array.data_type(), read(&array));
    }
    for t in [i64::MIN, i64::MIN + 1, i64::MAX] {
        assert!(start_of_day(t) <= t || t < i64::MIN + DAY);
    }
    assert_eq!(start_of_day(MICROS), MICROS - DAY / 2);
    assert_eq!(start_of_day(-1), -DAY);
}

#[test]
fn possible_times_are_those_of_1990_to_2100() {
    let texts =
        vec!["1989-12-31T23:59:59.999999Z", "1990-01-01", "2100-12-31T23:59:59.999999Z", "2101-01-01"];
    let made: Vec<bool> = read(&array(StringArray::from(texts))).iter().map(Result::is_ok).collect();
    assert_eq!(made, [false, true, true, false]);
}

#[test]
fn other_types_are_refused_by_name() {
    let refused = [
        array(BooleanArray::from(vec![true])),
        array(DurationSecondArray::from(vec![1])),
        array(BinaryArray::from(vec![b"2024-01-01".as_slice()])),
        array(Decimal128Array::from(vec![15]).with_precision_and_scale(10, 1).unwrap()),
    ];
    for array in refused {
        let e = times(&array, &mut BTreeMap::new()).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::Column);
        assert!(e.to_string().contains(&format!("\"timestamp\" has type {}", array.data_type())), "{e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever stands there is a time or not, without a panic.
    #[test]
    fn any_text(texts in prop::collection::vec("[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.]{0,14}[ ]?[-+Zé:0-9A-Z]{0,8}|[-+.e0-9]{0,24}|.{0,12}", 1..6)) {
        read(&array(StringArray::from(texts)));
    }

    #[test]
    fn epochs_are_told_apart_by_size(v in prop_oneof![any::<i64>(), NOON - DAY..NOON + DAY, -1000..1000_i64]) {
        let v = v.max(i64::MIN + 1);
        let micros = match i128::from(v).abs() {
            a if a < 100_000_000_000 => i128::from(v) * 1_000_000,
            a if a < 100_000_000_000_000 => i128::from(v) * 1_000,
            a if a < 100_000_000_000_000_000 => i128::from(v),
            _ => i128::from(v) / 1_000,
        };
        let made = times(&array(Int64Array::from(vec![v])), &mut BTreeMap::new()).expect("numbers are read");
        prop_assert_eq!(i128::from(made.micros[0]), micros);
        let text = times(&array(StringArray::from(vec![v.to_string()])), &mut BTreeMap::new()).expect("texts are read");
        prop_assert_eq!(text.micros, made.micros);
    }
}
