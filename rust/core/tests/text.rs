//! Text columns: every Arrow type that holds text gives the rows that a naive reading gives.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int64Type, UInt16Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float64Array, Int8Array, Int64Array, LargeBinaryArray, LargeStringArray, NullArray, PrimitiveArray,
    StringArray, StringViewArray, UInt64Array,
};
use hardneg_core::error::ErrorKind;
use hardneg_core::text::{NULL, TextColumn};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Checks every way of reading `array` against `expected`, where empty is null already.
fn check(array: &ArrayRef, expected: &[Option<Vec<u8>>]) -> Result<(), TestCaseError> {
    let column = TextColumn::new("query", array).expect("a type that is read");
    prop_assert_eq!((column.len(), column.is_empty()), (expected.len(), expected.is_empty()));
    let rows: Vec<Option<Vec<u8>>> = (0..column.len()).map(|i| column.row(i).map(<[u8]>::to_vec)).collect();
    prop_assert_eq!(&rows, expected, "row by row, {}", array.data_type());
    let entries = column.entries();
    let by_entry = |get: &dyn Fn(usize) -> Option<Vec<u8>>| -> Vec<Option<Vec<u8>>> {
        entries.rows.iter().map(|e| if *e == NULL { None } else { get(*e as usize) }).collect()
    };
    let read = by_entry(&|e| entries.get(&column, e).map(<[u8]>::to_vec));
    prop_assert_eq!(&read, expected, "by entry, {}", array.data_type());
    prop_assert!(entries.rows.iter().all(|e| *e == NULL || (*e as usize) < entries.len()));
    if let Some((len, rows)) = column.dictionary() {
        prop_assert_eq!((len, &rows), (entries.len(), &entries.rows));
        prop_assert_eq!(&by_entry(&|e| column.entry(e).map(<[u8]>::to_vec)), expected);
    } else {
        let mut values: Vec<_> = (0..entries.len()).map(|e| entries.get(&column, e)).collect();
        values.sort_unstable();
        values.dedup();
        prop_assert_eq!(values.len(), entries.len(), "entries of a plain column are distinct");
    }
    Ok(())
}

fn some(value: Option<&[u8]>) -> Option<Vec<u8>> {
    value.filter(|v| !v.is_empty()).map(<[u8]>::to_vec)
}

/// Checks `array` and a slice of it.
fn check_sliced(array: &ArrayRef, rows: &[Option<Vec<u8>>], at: (usize, usize)) -> Result<(), TestCaseError> {
    check(array, rows)?;
    let start = at.0.min(rows.len());
    let end = (start + at.1).min(rows.len());
    check(&array.slice(start, end - start), &rows[start..end])
}

/// `values` under keys of four widths; the dictionary keeps its nulls and repeats.
fn dictionaries(values: &ArrayRef, keys: &[Option<u8>]) -> Vec<ArrayRef> {
    macro_rules! keyed {
        ($($t:ty),+) => {
            vec![$({
                let keys: PrimitiveArray<$t> = keys.iter().map(|k| k.map(|k| k as _)).collect();
                Arc::new(DictionaryArray::new(keys, values.clone())) as ArrayRef
            }),+]
        };
    }
    keyed!(Int8Type, UInt16Type, UInt32Type, Int64Type)
}

proptest! {
    #[test]
    fn text_types(
        rows in vec(of("[ab字]{0,14}"), 0..40),
        keys in vec(of(any::<prop::sample::Index>()), 0..40),
        at in (0..40_usize, 0..40_usize),
    ) {
        let texts = || rows.iter().map(Option::as_deref);
        let bytes = || rows.iter().map(|v| v.as_deref().map(str::as_bytes));
        let expected: Vec<_> = bytes().map(some).collect();
        let arrays: [ArrayRef; 6] = [
            Arc::new(StringArray::from_iter(texts())),
            Arc::new(LargeStringArray::from_iter(texts())),
            Arc::new(StringViewArray::from_iter(texts())),
            Arc::new(BinaryArray::from_iter(bytes())),
            Arc::new(LargeBinaryArray::from_iter(bytes())),
            Arc::new(BinaryViewArray::from_iter(bytes())),
        ];
        let keys: Vec<Option<u8>> = match rows.len() {
            0 => keys.iter().map(|_| None).collect(),
            n => keys.iter().map(|k| k.map(|k| k.index(n) as u8)).collect(),
        };
        let keyed: Vec<_> = keys.iter().map(|k| k.and_then(|k| expected[usize::from(k)].clone())).collect();
        for array in &arrays {
            check_sliced(array, &expected, at)?;
            for dictionary in dictionaries(array, &keys) {
                check_sliced(&dictionary, &keyed, at)?;
            }
        }
    }

    #[test]
    fn fixed_size_binary(rows in vec(of(any::<[u8; 2]>()), 0..30), at in (0..30_usize, 0..30_usize)) {
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.iter().copied(), 2).expect("two bytes each");
        let expected: Vec<_> = rows.iter().map(|v| v.map(|v| v.to_vec())).collect();
        check_sliced(&(Arc::new(array) as ArrayRef), &expected, at)?;
    }

    #[test]
    fn whole_numbers_are_their_digits(rows in vec(of(any::<i64>()), 0..30), at in (0..30_usize, 0..30_usize)) {
        let digits = |f: &dyn Fn(i64) -> String| -> Vec<_> { rows.iter().map(|v| v.map(|v| f(v).into_bytes())).collect() };
        let small = rows.iter().map(|v| v.map(|v| v as i8));
        let cases: [(ArrayRef, _); 4] = [
            (Arc::new(Int64Array::from(rows.clone())), digits(&|v| v.to_string())),
            (Arc::new(Int8Array::from_iter(small)), digits(&|v| (v as i8).to_string())),
            (Arc::new(UInt64Array::from_iter(rows.iter().map(|v| v.map(|v| v as u64)))), digits(&|v| (v as u64).to_string())),
            (
                Arc::new(Decimal128Array::from_iter(rows.iter().map(|v| v.map(i128::from))).with_precision_and_scale(38, 0).expect("fits")),
                digits(&|v| v.to_string()),
            ),
        ];
        for (array, expected) in &cases {
            check_sliced(array, expected, at)?;
        }
    }
}

#[test]
fn nulls_only() {
    check(&(Arc::new(NullArray::new(3)) as ArrayRef), &[None, None, None]).unwrap();
}

#[test]
fn dictionaries_are_known_again() {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let of = |keys: Vec<i8>, values: &ArrayRef| -> ArrayRef {
        Arc::new(DictionaryArray::new(Int8Array::from(keys), values.clone()))
    };
    let read = |a: &ArrayRef| TextColumn::new("query", a).unwrap();
    let first = read(&of(vec![0, 1], &values));
    let copy: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let sliced: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]).slice(0, 2));
    let (offsets, bytes, _) = StringArray::from(vec!["a", "b"]).into_parts();
    let other_nulls = StringArray::from(vec![Some("a"), None]).nulls().cloned();
    let whole: ArrayRef = Arc::new(StringArray::new(offsets.clone(), bytes.clone(), None));
    let holed: ArrayRef = Arc::new(StringArray::new(offsets, bytes, other_nulls));
    assert!(
        !read(&of(vec![0], &whole)).same_dictionary(&read(&of(vec![0], &holed))),
        "same memory, other nulls"
    );
    assert!(first.same_dictionary(&read(&of(vec![1, 1, 0], &values))));
    assert!(!first.same_dictionary(&read(&of(vec![0, 1], &copy))), "equal, but other memory");
    assert!(!first.same_dictionary(&read(&of(vec![0, 1], &sliced))));
    assert!(!first.same_dictionary(&read(&values)), "a plain column is no dictionary");
}

#[test]
fn other_types_are_refused_by_name() {
    let nested: ArrayRef =
        Arc::new(DictionaryArray::new(Int8Array::from(vec![0]), Arc::new(Float64Array::from(vec![1.0]))));
    let tenths = Decimal128Array::from(vec![15]).with_precision_and_scale(10, 1).unwrap();
    let refused: [ArrayRef; 3] = [Arc::new(Float64Array::from(vec![42.0])), nested, Arc::new(tenths)];
    for array in refused {
        let e = TextColumn::new("user_id", &array).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::Column);
        assert!(e.to_string().contains("\"user_id\"") && e.to_string().contains("cast"), "{e}");
    }
}

/// What stands under a null may be anything.
#[test]
fn negative_keys_under_nulls_are_never_read() {
    let keys = PrimitiveArray::<Int8Type>::new(vec![0, -7].into(), Some(vec![true, false].into()));
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["a"]))));
    check(&array, &[Some(b"a".to_vec()), None]).unwrap();
}
