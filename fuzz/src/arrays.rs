//! Arrow arrays out of bytes: every type, with validity and offsets of any kind, and things that no library of ours would
//! make but that can cross the C interface (text that is not UTF-8, dictionary keys beyond the values).

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, Field};

/// Rows of the largest array.
pub const ROWS: usize = 12;

/// Pieces of text that columns are full of.
const WORDS: [&str; 24] = [
    "",
    "0",
    "1",
    "true",
    "FALSE",
    "42",
    "-1",
    "3.0",
    "1e308",
    "nan",
    "2024-01-01T12:00:00Z",
    "2024-02-30",
    "1704110400",
    "1704110400000",
    "99999999999999999999",
    "65535",
    "65536",
    " \t",
    "query",
    "d1",
    "\u{0}\u{10ffff}",
    "ＡＢＣ",
    "a@example.org",
    "+44 20 7946 0958",
];

/// An array of `rows` rows: a slice from somewhere within a longer one.
pub fn array(u: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let before = u.int_in_range(0..=9_usize)?;
    let after = u.int_in_range(0..=3_usize)?;
    let whole = any(u, before + rows + after, 2)?;
    Ok(whole.slice(before, rows))
}

fn nulls(u: &mut Unstructured<'_>, rows: usize) -> Result<Option<NullBuffer>> {
    if u.ratio(1, 2)? {
        return Ok(None);
    }
    let bits = u64::arbitrary(u)?;
    Ok(Some(NullBuffer::from((0..rows).map(|i| bits >> (i % 64) & 1 == 1).collect::<Vec<_>>())))
}

fn values<T: for<'a> Arbitrary<'a> + Copy>(u: &mut Unstructured<'_>, rows: usize) -> Result<Vec<T>> {
    // Few distinct values: repeats are what columns are made of.
    let few: Vec<T> = (0..3).map(|_| T::arbitrary(u)).collect::<Result<_>>()?;
    (0..rows).map(|_| if u.ratio(3, 4)? { u.choose(&few).copied() } else { T::arbitrary(u) }).collect()
}

fn number<T: ArrowPrimitiveType>(u: &mut Unstructured<'_>, rows: usize) -> Result<PrimitiveArray<T>>
where
    T::Native: for<'a> Arbitrary<'a>,
{
    Ok(PrimitiveArray::new(values::<T::Native>(u, rows)?.into(), nulls(u, rows)?))
}

fn piece(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match u.int_in_range(0..=5_u8)? {
        0..=2 => u.choose(&WORDS)?.as_bytes().to_vec(),
        3 | 4 => {
            let n = u.int_in_range(0..=24_usize)?.min(u.len());
            u.bytes(n)?.to_vec()
        }
        _ => u.choose(&WORDS)?.repeat(u.int_in_range(1..=200_usize)?).into_bytes(),
    })
}

fn pieces(u: &mut Unstructured<'_>, rows: usize, utf8: bool) -> Result<Vec<Vec<u8>>> {
    let fair = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text.into_bytes(),
        Err(e) if utf8 => String::from_utf8_lossy(e.as_bytes()).into_owned().into_bytes(),
        Err(e) => e.into_bytes(),
    };
    (0..rows).map(|_| piece(u).map(fair)).collect()
}

fn offsets<O: OffsetSizeTrait>(pieces: &[Vec<u8>]) -> OffsetBuffer<O> {
    OffsetBuffer::from_lengths(pieces.iter().map(Vec::len))
}

fn text<O: OffsetSizeTrait>(u: &mut Unstructured<'_>, rows: usize) -> Result<GenericStringArray<O>> {
    let utf8 = u.ratio(3, 4)?;
    let pieces = pieces(u, rows, utf8)?;
    let (offsets, bytes, nulls) = (offsets(&pieces), Buffer::from(pieces.concat()), nulls(u, rows)?);
    // SAFETY: offsets are those of the bytes. That these are UTF-8 is what is not kept: a producer may not keep it.
    Ok(unsafe { GenericStringArray::new_unchecked(offsets, bytes, nulls) })
}

fn any(u: &mut Unstructured<'_>, rows: usize, depth: u8) -> Result<ArrayRef> {
    let of = |array: Result<ArrayRef>| array;
    Ok(match u.int_in_range(0..=if depth > 0 { 36_u8 } else { 31 })? {
        0 => Arc::new(number::<Int8Type>(u, rows)?) as ArrayRef,
        1 => Arc::new(number::<Int16Type>(u, rows)?),
        2 => Arc::new(number::<Int32Type>(u, rows)?),
        3 => Arc::new(number::<Int64Type>(u, rows)?),
        4 => Arc::new(number::<UInt8Type>(u, rows)?),
        5 => Arc::new(number::<UInt16Type>(u, rows)?),
        6 => Arc::new(number::<UInt32Type>(u, rows)?),
        7 => Arc::new(number::<UInt64Type>(u, rows)?),
        8 => Arc::new(number::<Float32Type>(u, rows)?),
        9 => Arc::new(number::<Float64Type>(u, rows)?),
        10 => {
            let halves: Vec<_> = values::<u16>(u, rows)?.into_iter().map(half).collect();
            Arc::new(Float16Array::new(halves.into(), nulls(u, rows)?))
        }
        11 => Arc::new(number::<Date32Type>(u, rows)?),
        12 => Arc::new(number::<Date64Type>(u, rows)?),
        13 => Arc::new(number::<TimestampSecondType>(u, rows)?),
        14 => Arc::new(number::<TimestampMillisecondType>(u, rows)?),
        15 => Arc::new(number::<TimestampMicrosecondType>(u, rows)?.with_timezone("UTC")),
        16 => Arc::new(number::<TimestampMicrosecondType>(u, rows)?.with_timezone("+23:59")),
        17 => Arc::new(number::<TimestampNanosecondType>(u, rows)?.with_timezone("Nowhere/At all")),
        18 => Arc::new(number::<DurationMillisecondType>(u, rows)?),
        19 => Arc::new(number::<Time64NanosecondType>(u, rows)?),
        20 => decimal(u, rows)?,
        21 => Arc::new(BooleanArray::new(values::<bool>(u, rows)?.into(), nulls(u, rows)?)),
        22 => Arc::new(NullArray::new(rows)),
        23 | 24 => Arc::new(text::<i32>(u, rows)?),
        25 => Arc::new(text::<i64>(u, rows)?),
        26 => view(u, rows)?,
        27 => {
            let pieces = pieces(u, rows, false)?;
            Arc::new(BinaryArray::new(offsets(&pieces), pieces.concat().into(), nulls(u, rows)?))
        }
        28 => {
            let pieces = pieces(u, rows, false)?;
            Arc::new(LargeBinaryArray::new(offsets(&pieces), pieces.concat().into(), nulls(u, rows)?))
        }
        29 => {
            let pieces = pieces(u, rows, false)?;
            let mut out = arrow_array::builder::BinaryViewBuilder::new();
            pieces.iter().for_each(|p| out.append_value(p));
            Arc::new(out.finish())
        }
        30 => fixed(u, rows)?,
        31 => Arc::new(number::<Time32SecondType>(u, rows)?),
        32..=35 => of(dictionary(u, rows, depth - 1))?,
        _ => {
            let inner = any(u, rows, depth - 1)?;
            let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
            let ones = OffsetBuffer::<i32>::from_lengths(vec![1; rows]);
            Arc::new(ListArray::new(field, ones, inner, nulls(u, rows)?))
        }
    })
}

fn half(bits: u16) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_bits(bits)
}

fn decimal(u: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let scale = if u.ratio(2, 3)? { 0 } else { 3 };
    Ok(if u.ratio(1, 3)? {
        let wide: Vec<i256> =
            values::<[u128; 2]>(u, rows)?.into_iter().map(|[a, b]| i256::from_parts(a, b as i128)).collect();
        let array = Decimal256Array::new(wide.into(), nulls(u, rows)?);
        Arc::new(array.with_precision_and_scale(76, scale).expect("within bounds"))
    } else {
        let array = number::<Decimal128Type>(u, rows)?;
        Arc::new(array.with_precision_and_scale(38, scale).expect("within bounds"))
    })
}

fn view(u: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let utf8 = u.ratio(3, 4)?;
    let pieces = pieces(u, rows, utf8)?;
    let mut out = arrow_array::builder::BinaryViewBuilder::new().with_fixed_block_size(64);
    pieces.iter().for_each(|p| out.append_value(p));
    let (views, buffers, _) = out.finish().into_parts();
    // SAFETY: as for `text`.
    Ok(Arc::new(unsafe { StringViewArray::new_unchecked(views, buffers, nulls(u, rows)?) }))
}

fn fixed(u: &mut Unstructured<'_>, rows: usize) -> Result<ArrayRef> {
    let width = u.int_in_range(1..=17_usize)?;
    let bytes: Vec<u8> = (0..rows * width).map(|_| u8::arbitrary(u)).collect::<Result<_>>()?;
    Ok(Arc::new(FixedSizeBinaryArray::new(width as i32, bytes.into(), nulls(u, rows)?)))
}

fn dictionary(u: &mut Unstructured<'_>, rows: usize, depth: u8) -> Result<ArrayRef> {
    let entries = u.int_in_range(0..=5_usize)?;
    let values = any(u, entries, depth)?;
    // Keys are nearly always within the values.
    let wild = u.ratio(1, 16)?;
    macro_rules! keyed {
        ($t:ty) => {{
            let keys: Vec<<$t as ArrowPrimitiveType>::Native> = (0..rows)
                .map(|_| match wild {
                    true => Arbitrary::arbitrary(u),
                    false => Ok(u.int_in_range(0..=entries.saturating_sub(1) as u8)? as _),
                })
                .collect::<Result<_>>()?;
            let valid = if entries == 0 { Some(NullBuffer::new_null(rows)) } else { nulls(u, rows)? };
            let keys = PrimitiveArray::<$t>::new(ScalarBuffer::from(keys), valid);
            // SAFETY: none where keys are wild; a producer may say such a thing.
            Arc::new(unsafe { DictionaryArray::new_unchecked(keys, values) }) as ArrayRef
        }};
    }
    Ok(match u.int_in_range(0..=4_u8)? {
        0 => keyed!(Int8Type),
        1 => keyed!(UInt8Type),
        2 => keyed!(Int32Type),
        3 => keyed!(UInt32Type),
        _ => keyed!(Int64Type),
    })
}

/// A log of some of the canonical columns, each of whatever type.
pub fn log(u: &mut Unstructured<'_>) -> Result<RecordBatch> {
    let rows = u.int_in_range(0..=ROWS)?;
    let has = u16::arbitrary(u)? | 0b0000_0101_1000; // query, doc_id, clicked
    let fair = u16::arbitrary(u)?;
    let mut columns: Vec<(&str, ArrayRef, bool)> = Vec::new();
    for (i, name) in hardneg_core::impressions::COLUMNS.into_iter().enumerate() {
        if has >> i & 1 == 1 {
            let array = if fair >> i & 1 == 1 { sound(u, name, rows)? } else { array(u, rows)? };
            columns.push((name, array, true));
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns).expect("columns of equal length"))
}

/// A column as it should be, so that the others are looked at.
fn sound(u: &mut Unstructured<'_>, name: &str, rows: usize) -> Result<ArrayRef> {
    let longs = |u: &mut Unstructured<'_>, from: i64, to: i64| -> Result<ArrayRef> {
        let longs: Vec<i64> = (0..rows).map(|_| u.int_in_range(from..=to)).collect::<Result<_>>()?;
        Ok(Arc::new(Int64Array::from(longs)))
    };
    match name {
        "clicked" | "visible" => Ok(Arc::new(BooleanArray::from(values::<bool>(u, rows)?))),
        "position" => longs(u, 0, 9),
        "dwell_ms" | "click_ms" | "n_clicks" => longs(u, 0, 60_000),
        "timestamp" => longs(u, 1_704_110_400, 1_704_120_400),
        "propensity" => Ok(Arc::new(Float64Array::from(vec![0.5; rows]))),
        _ => {
            let texts: Vec<String> = (0..rows)
                .map(|_| Ok(format!("{name} {}", u.int_in_range(0..=3_u8)?)))
                .collect::<Result<_>>()?;
            Ok(Arc::new(StringArray::from(texts)))
        }
    }
}

/// Whether a type is one that only hands on others.
pub fn is_nested(t: &DataType) -> bool {
    matches!(t, DataType::List(_))
}
