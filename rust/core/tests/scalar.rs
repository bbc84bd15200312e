//! Numbers and flags: every type that is read, every type that is refused, and the ends of each.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    DurationSecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeStringArray, NullArray, StringArray, StringViewArray, TimestampSecondArray, UInt8Array, UInt64Array,
};
use hardneg_core::error::{ErrorKind, Result};
use hardneg_core::scalar::{Ints, NONE, flags, floats, ints, rounded};
use proptest::prelude::*;

/// What was read: a number, null, or bad.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Read {
    Is(i64),
    Null,
    Bad,
}
use Read::{Bad, Is, Null};

fn read(made: Result<Ints>) -> Vec<Read> {
    let made = made.expect("a type that is read");
    assert!(made.bad.is_empty() || made.values.len() == made.bad.len());
    let one = |(i, &v): (usize, &i64)| match v {
        _ if made.is_bad(i) => Bad,
        NONE => Null,
        v => Is(v),
    };
    made.values.iter().enumerate().map(one).collect()
}

fn array(a: impl Array + 'static) -> ArrayRef {
    Arc::new(a)
}

#[test]
fn whole_numbers() {
    let tens =
        Decimal128Array::from(vec![Some(12), None, Some(i128::MAX / 2)]).with_precision_and_scale(38, 0);
    let cases = [
        (
            array(Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MIN + 1)])),
            [Is(i64::MAX), Null, Is(i64::MIN + 1)],
        ),
        (array(Int8Array::from(vec![Some(-128), None, Some(127)])), [Is(-128), Null, Is(127)]),
        (array(UInt8Array::from(vec![Some(0), None, Some(255)])), [Is(0), Null, Is(255)]),
        (array(UInt64Array::from(vec![Some(7), None, Some(u64::MAX)])), [Is(7), Null, Bad]),
        (array(tens.unwrap()), [Is(12), Null, Bad]),
        (array(Float64Array::from(vec![Some(3.0), None, Some(3.5)])), [Is(3), Null, Bad]),
        (array(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])), [Null, Bad, Bad]),
        (array(Float64Array::from(vec![f64::MAX, -0.0, f64::MIN_POSITIVE])), [Bad, Is(0), Bad]),
        (array(Float32Array::from(vec![Some(-2.0), None, Some(f32::MAX)])), [Is(-2), Null, Bad]),
        (array(StringArray::from(vec![Some("12"), None, Some("")])), [Is(12), Null, Null]),
        (array(StringArray::from(vec!["12", "x", "3.5"])), [Is(12), Bad, Bad]),
        (array(LargeStringArray::from(vec!["-1", "3.0", "99999999999999999999"])), [Is(-1), Is(3), Bad]),
        (
            array(StringViewArray::from(vec![Some("7"), None, Some("12345678901234567")])),
            [Is(7), Null, Is(12_345_678_901_234_567)],
        ),
        (array(BinaryArray::from(vec![b"7".as_slice(), b"", b"0x7"])), [Is(7), Null, Bad]),
        (array(NullArray::new(3)), [Null, Null, Null]),
    ];
    for (array, expected) in cases {
        assert_eq!(read(ints("position", &array)), expected, "{}", array.data_type());
        assert_eq!(read(ints("position", &array.slice(1, 2))), expected[1..], "sliced {}", array.data_type());
        let keys = Int8Array::from(vec![Some(2), None, Some(0), Some(2)]);
        let keyed: ArrayRef = Arc::new(DictionaryArray::new(keys, array.clone()));
        let expected = [expected[2], Null, expected[0], expected[2]];
        assert_eq!(read(ints("position", &keyed)), expected, "dictionary of {}", array.data_type());
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([b"42".to_vec(), b"4x".to_vec()].into_iter()).unwrap();
    assert_eq!(read(ints("position", &array(fixed))), [Is(42), Bad]);
}

#[test]
fn measures_are_rounded() {
    let cases = [
        (array(Float64Array::from(vec![1.5, -0.4, 1e300])), [Is(2), Is(0), Bad]),
        (
            array(Float64Array::from(vec![f64::NAN, f64::INFINITY, 8.9e15])),
            [Null, Bad, Is(8_900_000_000_000_000)],
        ),
        (array(StringArray::from(vec!["1.5", "", "soon"])), [Is(2), Null, Bad]),
        (array(StringArray::from(vec!["inf", "nan", "1e999"])), [Bad, Null, Bad]),
        (array(Int64Array::from(vec![Some(i64::MAX), None, Some(-1)])), [Is(i64::MAX), Null, Is(-1)]),
    ];
    for (array, expected) in cases {
        assert_eq!(read(rounded("dwell_ms", &array)), expected, "{}", array.data_type());
    }
}

#[test]
fn numbers() {
    let cases = [
        (array(Float64Array::from(vec![Some(0.5), None])), [0.5, f64::NAN]),
        (array(Float32Array::from(vec![f32::INFINITY, f32::NAN])), [f64::INFINITY, f64::NAN]),
        (array(Int32Array::from(vec![Some(-3), None])), [-3.0, f64::NAN]),
        (array(StringArray::from(vec!["0.25", "much"])), [0.25, f64::NAN]),
        (array(NullArray::new(2)), [f64::NAN, f64::NAN]),
    ];
    for (array, expected) in cases {
        let made: Vec<u64> = floats("propensity", &array).unwrap().iter().map(|x| x.to_bits()).collect();
        assert_eq!(made, expected.map(f64::to_bits), "{}", array.data_type());
    }
}

#[test]
fn flags_are_no_yes_null_bad() {
    let cases = [
        (array(BooleanArray::from(vec![Some(false), Some(true), None, None])), [0, 1, 2, 2]),
        (array(Int64Array::from(vec![Some(0), Some(1), None, Some(2)])), [0, 1, 2, 3]),
        (array(UInt64Array::from(vec![Some(0), Some(1), None, Some(u64::MAX)])), [0, 1, 2, 3]),
        (array(Float64Array::from(vec![0.0, 1.0, f64::NAN, 0.5])), [0, 1, 2, 3]),
        (array(StringArray::from(vec!["false", "TRUE", "", "yes"])), [0, 1, 2, 3]),
        (array(StringArray::from(vec![Some("0"), Some("1.0"), None, Some("-1")])), [0, 1, 2, 3]),
        (array(BinaryArray::from(vec![b"0".as_slice(), b"true", b"", b"2"])), [0, 1, 2, 3]),
        (array(NullArray::new(4)), [2, 2, 2, 2]),
    ];
    for (array, expected) in cases {
        assert_eq!(flags("clicked", &array).unwrap(), expected, "{}", array.data_type());
        assert_eq!(
            flags("clicked", &array.slice(1, 3)).unwrap(),
            expected[1..],
            "sliced {}",
            array.data_type()
        );
    }
}

#[test]
fn other_types_are_refused_by_name() {
    let refused = [
        array(Date32Array::from(vec![1])),
        array(TimestampSecondArray::from(vec![1])),
        array(DurationSecondArray::from(vec![1])),
        array(Decimal128Array::from(vec![15]).with_precision_and_scale(10, 1).unwrap()),
    ];
    for array in &refused {
        let errors = [
            ints("n", array).err().unwrap(),
            rounded("n", array).err().unwrap(),
            floats("n", array).err().unwrap(),
            flags("n", array).err().unwrap(),
        ];
        for e in errors {
            assert_eq!(e.kind(), ErrorKind::Column);
            assert!(
                e.to_string().starts_with(&format!("column \"n\" has type {}, expected ", array.data_type())),
                "{e}"
            );
        }
    }
    assert!(ints("n", &array(BooleanArray::from(vec![true]))).is_err(), "a flag is no number");
}

proptest! {
    /// What a text says does not hang on its neighbours: a fraction among them sends all through floating point.
    #[test]
    fn texts_are_read_one_by_one(texts in prop::collection::vec("[-+]?[0-9]{0,6}(\\.[0-9]{0,2})?(e[0-9])?|[ a0]{0,3}", 1..8)) {
        let together = read(ints("position", &array(StringArray::from(texts.clone()))));
        let apart: Vec<Read> =
            texts.iter().flat_map(|t| read(ints("position", &array(StringArray::from(vec![t.as_str()]))))).collect();
        prop_assert_eq!(together, apart);
    }

    #[test]
    fn floats_are_read_as_they_are(x in any::<f64>()) {
        let limit = 9e15;
        let expected = match x {
            x if x.is_nan() => Null,
            x if x.abs() < limit && x.trunc() == x => Is(x as i64),
            _ => Bad,
        };
        prop_assert_eq!(read(ints("position", &array(Float64Array::from(vec![x])))), vec![expected]);
    }
}

/// What other producers hand over is believed about memory, not about its content.
#[test]
#[allow(unsafe_code, reason = "no constructor makes such arrays otherwise")]
fn text_that_is_not_utf8_and_keys_beyond_the_values() {
    use arrow_array::types::Int8Type;
    use arrow_buffer::{Buffer, OffsetBuffer};
    use hardneg_core::time::times;

    let pieces: [&[u8]; 4] = [b"7", b"\xff\xf8\xb1", b"1\xf4", b"1"];
    let offsets = OffsetBuffer::from_lengths(pieces.iter().map(|p| p.len()));
    // SAFETY: offsets are those of the bytes, which are not UTF-8: that is what is tried.
    let text = unsafe { StringArray::new_unchecked(offsets, Buffer::from(pieces.concat()), None) };
    let text: ArrayRef = Arc::new(text);
    let read = ints("n", &text).unwrap();
    assert_eq!(read.values, [7, NONE, NONE, 1]);
    assert_eq!(read.bad, [false, true, true, false]);
    assert_eq!(flags("n", &text).unwrap(), [3, 3, 3, 1]);
    let read = times(&text, &mut Default::default()).unwrap();
    assert!(read.fault(0).is_some() && read.fault(1) == Some("timestamp_unreadable"));

    let keys = Int8Array::from(vec![0, 9, -1]);
    // SAFETY: none, for keys are beyond the values: that is what is tried.
    let wild =
        unsafe { DictionaryArray::<Int8Type>::new_unchecked(keys, Arc::new(Int8Array::from(vec![1, 0]))) };
    let wild: ArrayRef = Arc::new(wild);
    for refused in [
        ints("n", &wild).map(|_| ()),
        flags("n", &wild).map(|_| ()),
        floats("n", &wild).map(|_| ()),
        times(&wild, &mut Default::default()).map(|_| ()),
    ] {
        assert!(refused.unwrap_err().to_string().contains("keys beyond its values"));
    }
}

/// Batches may be cut anywhere.
#[test]
fn a_number_does_not_hang_on_its_neighbours() {
    let text: ArrayRef =
        Arc::new(StringArray::from(vec!["111111111111111111", "3.0", "x", "-9223372036854775807"]));
    let all = ints("n", &text).unwrap();
    assert_eq!(all.values, [111_111_111_111_111_111, 3, NONE, -9_223_372_036_854_775_807]);
    assert_eq!(all.bad, [false, false, true, false]);
    for i in 0..text.len() {
        let one = ints("n", &text.slice(i, 1)).unwrap();
        assert_eq!((one.values[0], one.is_bad(0)), (all.values[i], all.is_bad(i)));
    }
}
