//! Text columns: one face for every Arrow type that holds identifiers, queries or documents.
//!
//! A column is brought to *entries* (its dictionary, or the distinct values of the batch) and an entry number per
//! row, so that whatever is expensive (normalising, hashing, interning) happens once per entry.

use arrow_array::array::AnyDictionaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray,
    StringArray, StringViewArray, UInt32Array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::error::{Error, Result};

/// Row number of an entry that stands for null.
pub const NULL: u32 = u32::MAX;

/// Values of a text column, by the layout they came in.
#[derive(Clone)]
enum Values {
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
    Null(usize),
}

/// A text column: values, and keys into them where it came as a dictionary.
#[derive(Clone)]
pub struct TextColumn {
    values: Values,
    keys: Option<UInt32Array>,
}

/// The entry of each row: a dictionary's own keys where there is nothing to change, else a list.
pub type Rows = arrow_buffer::ScalarBuffer<u32>;

/// The entries of a text column and the entry of each row ([`NULL`] for null).
pub struct Entries {
    /// Entry of each row.
    pub rows: Rows,
    /// Row of the values array that holds each entry.
    at: Option<Vec<u32>>,
    len: usize,
}

impl Entries {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of entry `i`; None where a dictionary holds a null.
    #[inline]
    pub fn get<'a>(&self, column: &'a TextColumn, i: usize) -> Option<&'a [u8]> {
        column.value(self.at.as_ref().map_or(i, |at| at[i] as usize))
    }
}

impl TextColumn {
    /// Reads `array` as text; `name` is the column's canonical name, for errors.
    ///
    /// Integers and decimals of scale 0 become their decimal digits. Floats are refused: 42 and 42.0 would be two ids.
    ///
    /// # Errors
    /// [`Error::column`] for types that are not text or whole numbers.
    pub fn new(name: &str, array: &ArrayRef) -> Result<Self> {
        if let DataType::Dictionary(_, value_type) = array.data_type() {
            let dictionary = array.as_any_dictionary();
            check_type(name, value_type)?;
            let keys = Some(keys_of(name, dictionary)?);
            return Ok(Self { values: Self::new(name, dictionary.values())?.values, keys });
        }
        check_type(name, array.data_type())?;
        let values = match array.data_type() {
            DataType::Utf8 => Values::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Values::Utf8View(array.as_string_view().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Values::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Values::Fixed(array.as_fixed_size_binary().clone()),
            DataType::Null => Values::Null(array.len()),
            _ => Values::LargeUtf8(safe_cast(array, &DataType::LargeUtf8)?.as_string().clone()),
        };
        Ok(Self { values, keys: None })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.keys.as_ref().map_or_else(|| self.values_len(), Array::len)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn values_len(&self) -> usize {
        match &self.values {
            Values::Utf8(a) => a.len(),
            Values::LargeUtf8(a) => a.len(),
            Values::Utf8View(a) => a.len(),
            Values::Binary(a) => a.len(),
            Values::LargeBinary(a) => a.len(),
            Values::BinaryView(a) => a.len(),
            Values::Fixed(a) => a.len(),
            Values::Null(n) => *n,
        }
    }

    /// Bytes of value `i` of the dictionary or column; empty counts as null.
    #[inline]
    fn value(&self, i: usize) -> Option<&[u8]> {
        // The layouts that readers of Parquet hand out come first, without nulls: this is asked for every entry.
        let plain = match &self.values {
            Values::Utf8(a) if a.nulls().is_none() => (a.value_offsets(), a.value_data()),
            Values::Binary(a) if a.nulls().is_none() => (a.value_offsets(), a.value_data()),
            _ => return self.any_value(i),
        };
        let (start, end) = (plain.0[i] as usize, plain.0[i + 1] as usize);
        Some(&plain.1[start..end]).filter(|v| !v.is_empty())
    }

    fn any_value(&self, i: usize) -> Option<&[u8]> {
        macro_rules! at {
            ($a:expr, $bytes:expr) => {
                if $a.is_null(i) { None } else { Some($bytes) }
            };
        }
        let value = match &self.values {
            Values::Utf8(a) => at!(a, a.value(i).as_bytes()),
            Values::LargeUtf8(a) => at!(a, a.value(i).as_bytes()),
            Values::Utf8View(a) => at!(a, a.value(i).as_bytes()),
            Values::Binary(a) => at!(a, a.value(i)),
            Values::LargeBinary(a) => at!(a, a.value(i)),
            Values::BinaryView(a) => at!(a, a.value(i)),
            Values::Fixed(a) => at!(a, a.value(i)),
            Values::Null(_) => None,
        };
        value.filter(|v| !v.is_empty())
    }

    /// Bytes of row `i`, None for null or empty.
    pub fn row(&self, i: usize) -> Option<&[u8]> {
        match &self.keys {
            None => self.value(i),
            Some(keys) if keys.is_null(i) => None,
            Some(keys) => self.value(keys.value(i) as usize),
        }
    }

    /// For a dictionary column: how many entries, and the entry of each row.
    pub fn dictionary(&self) -> Option<(usize, Rows)> {
        self.keys.as_ref().map(|_| {
            let entries = self.entries();
            (entries.len, entries.rows)
        })
    }

    /// Whether any row of a dictionary column is null.
    pub fn has_null_rows(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.null_count() > 0)
    }

    /// Bytes of dictionary entry `i`, None for null or empty.
    pub fn entry(&self, i: usize) -> Option<&[u8]> {
        self.value(i)
    }

    /// Entries and the entry of each row.
    pub fn entries(&self) -> Entries {
        match &self.keys {
            Some(keys) => {
                let rows = match keys.nulls() {
                    None => keys.values().clone(),
                    Some(nulls) => keys
                        .values()
                        .iter()
                        .zip(nulls)
                        .map(|(&k, valid)| if valid { k } else { NULL })
                        .collect::<Vec<_>>()
                        .into(),
                };
                Entries { rows, at: None, len: self.values_len() }
            }
            None => self.distinct(),
        }
    }

    /// The distinct values of a plain column, in order of first appearance.
    fn distinct(&self) -> Entries {
        // Keyed at random, so that nobody can prepare strings that collide; the result does not depend on it.
        let state = RandomState::default();
        let len = self.values_len();
        let mut table: HashTable<u32> = HashTable::with_capacity(1024);
        let mut at: Vec<u32> = Vec::new();
        let mut hashes: Vec<u64> = Vec::new();
        let mut rows = Vec::with_capacity(len);
        let mut previous: Option<(&[u8], u32)> = None;
        for i in 0..len {
            let Some(value) = self.value(i) else {
                rows.push(NULL);
                continue;
            };
            if let Some((bytes, entry)) = previous
                && bytes == value
            {
                rows.push(entry);
                continue;
            }
            let hash = state.hash_one(value);
            let found = table.find(hash, |&e| {
                hashes[e as usize] == hash && self.value(at[e as usize] as usize) == Some(value)
            });
            let entry = match found {
                Some(&e) => e,
                None => {
                    let e = at.len() as u32;
                    at.push(i as u32);
                    hashes.push(hash);
                    table.insert_unique(hash, e, |&e| hashes[e as usize]);
                    e
                }
            };
            previous = Some((value, entry));
            rows.push(entry);
        }
        let len = at.len();
        Entries { rows: rows.into(), at: Some(at), len }
    }

    /// Address and length of the dictionary's buffer, to tell whether the next batch brings the same dictionary.
    /// Only meaningful while a clone of this column is held: then the memory cannot be used again for another.
    pub fn same_dictionary(&self, other: &Self) -> bool {
        self.keys.is_some()
            && other.keys.is_some()
            && match (&self.values, &other.values) {
                (Values::Utf8(a), Values::Utf8(b)) => {
                    a.values().ptr_eq(b.values()) && a.offsets().ptr_eq(b.offsets()) && a.nulls() == b.nulls()
                }
                (Values::LargeUtf8(a), Values::LargeUtf8(b)) => {
                    a.values().ptr_eq(b.values()) && a.offsets().ptr_eq(b.offsets()) && a.nulls() == b.nulls()
                }
                (Values::Binary(a), Values::Binary(b)) => {
                    a.values().ptr_eq(b.values()) && a.offsets().ptr_eq(b.offsets()) && a.nulls() == b.nulls()
                }
                _ => false,
            }
    }
}

/// The keys of a dictionary. Those of 32 bits are taken as they are: a negative one becomes one beyond all entries.
fn keys_of(name: &str, dictionary: &dyn AnyDictionaryArray) -> Result<UInt32Array> {
    let keys = dictionary.keys();
    let keys = if let Some(keys) = keys.as_primitive_opt::<Int32Type>() {
        let unsigned = Rows::new(keys.values().inner().clone(), 0, keys.len());
        Some(UInt32Array::new(unsigned, keys.nulls().cloned()))
    } else {
        let cast = safe_cast(&arrow_array::make_array(keys.to_data()), &DataType::UInt32).ok();
        cast.map(|cast| cast.as_primitive::<UInt32Type>().clone())
    };
    // Producers across the C interface are believed about memory, not about their keys.
    let entries = dictionary.values().len();
    let within = |keys: &UInt32Array| match keys.nulls() {
        None => keys.values().iter().fold(true, |all, k| all & ((*k as usize) < entries)),
        Some(_) => keys.iter().flatten().all(|k| (k as usize) < entries),
    };
    keys.filter(within).ok_or_else(|| {
        Error::data(format!(
            "column {name:?} is a dictionary with keys beyond its values; its producer is at fault"
        ))
    })
}

/// The values of a dictionary row by row; another array as it is.
///
/// # Errors
/// [`Error::data`] for keys beyond the values.
pub(crate) fn undictionaried(name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Dictionary(_, values) = array.data_type() else { return Ok(array.clone()) };
    keys_of(name, array.as_any_dictionary())?;
    Ok(cast_with_options(array, values, &CastOptions::default())?)
}

/// A column of text or bytes as text that is UTF-8: that of another producer's need not be. A value that is not becomes
/// U+FFFD, which is no number, flag or time; an empty one null.
///
/// # Errors
/// As [`TextColumn::new`].
pub(crate) fn utf8(name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let column = TextColumn::new(name, array)?;
    let rows = || (0..column.len()).map(|i| column.row(i));
    if array.data_type() == &DataType::Utf8 && rows().flatten().all(|v| std::str::from_utf8(v).is_ok()) {
        return Ok(array.clone());
    }
    let texts = rows().map(|v| v.map(|v| std::str::from_utf8(v).unwrap_or("\u{fffd}")));
    Ok(std::sync::Arc::new(StringArray::from_iter(texts)))
}

fn safe_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, to, &options)?)
}

fn check_type(name: &str, data_type: &DataType) -> Result<()> {
    let fine = match data_type {
        DataType::Decimal128(_, scale) => *scale == 0,
        t => {
            t.is_integer()
                || matches!(
                    t,
                    DataType::Utf8
                        | DataType::LargeUtf8
                        | DataType::Utf8View
                        | DataType::Binary
                        | DataType::LargeBinary
                        | DataType::BinaryView
                        | DataType::FixedSizeBinary(_)
                        | DataType::Null
                )
        }
    };
    if fine {
        return Ok(());
    }
    Err(Error::column(format!(
        "column {name:?} has type {data_type}, expected text, binary, whole numbers or a dictionary of those; cast it first"
    )))
}
