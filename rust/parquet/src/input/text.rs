//! Text and binary: dictionaries stay dictionaries, shared by the batches of a row group.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;
use parquet::basic::Encoding;

use super::leaf::{Values, spread};
use super::levels::Validity;
use crate::hybrid::{Decoded, ENDS_EARLY, Hybrid};

/// Bytes of the texts of one batch, written out.
const MOST: usize = 512 << 20;
pub(super) const TOO_LONG: &str = "texts of one column take more than 512 MiB in one batch; where they are as long as that, use smaller batches (read.batch_rows)";

/// Values of a BYTE_ARRAY column.
pub(super) struct Text {
    /// The column is said to hold UTF-8: what does comes as such, all else as binary.
    utf8: bool,
    dictionary: Dictionary,
    page: Page,
    out: Out,
}

/// A dictionary: as an array, and as its parts for batches that are dictionary-coded in part only.
struct Dictionary {
    array: ArrayRef,
    offsets: OffsetBuffer<i32>,
    bytes: Buffer,
}

enum Page {
    Keys(Hybrid),
    Plain { data: Bytes, at: usize },
}

enum Out {
    Keys(Vec<i32>),
    Plain(Plain),
}

/// Values one after the other.
struct Plain {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Text {
    /// Of a column that is said to hold UTF-8, or not.
    pub(super) fn new(utf8: bool) -> Self {
        let none = Dictionary::new(vec![0], Vec::new(), utf8);
        let page = Page::Plain { data: Bytes::new(), at: 0 };
        Self { utf8, dictionary: none, page, out: Out::Keys(Vec::new()) }
    }

    /// The batch so far as plain values.
    fn plain(&mut self) -> Decoded<&mut Plain> {
        if let Out::Keys(keys) = &self.out {
            let mut plain = Plain { offsets: vec![0], bytes: Vec::new() };
            for &key in keys {
                self.dictionary.append(key, &mut plain)?;
            }
            self.out = Out::Plain(plain);
        }
        match &mut self.out {
            Out::Plain(plain) => Ok(plain),
            Out::Keys(_) => Err("a batch that is neither plain nor dictionary-coded"),
        }
    }
}

impl Values for Text {
    fn dictionary(&mut self, data: Bytes, n: usize) -> Decoded<()> {
        if matches!(&self.out, Out::Keys(keys) if !keys.is_empty()) {
            // A second dictionary of the column: the keys so far belong to the first.
            self.plain()?;
        }
        let (offsets, bytes) = compact(Vec::from(data), n)?;
        self.dictionary = Dictionary::new(offsets, bytes, self.utf8);
        Ok(())
    }

    fn page(&mut self, encoding: Encoding, data: Bytes) -> Decoded<()> {
        self.page = match encoding {
            Encoding::PLAIN => Page::Plain { data, at: 0 },
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => Page::Keys(Hybrid::keys(&data)?),
            _ => return Err("text in an encoding that its footer does not name"),
        };
        Ok(())
    }

    fn read(&mut self, rows: usize, present: usize, validity: &Validity) -> Decoded<()> {
        if let (Page::Keys(hybrid), Out::Keys(keys)) = (&mut self.page, &mut self.out) {
            let start = keys.len();
            keys.resize(start + present, 0);
            hybrid.fill(&mut keys[start..], self.dictionary.array.len())?;
            spread(keys, rows, present, validity, 0);
            return Ok(());
        }
        self.plain()?;
        let Out::Plain(out) = &mut self.out else { return Err(ENDS_EARLY) };
        let first = validity.rows() - rows;
        let valid = (first..first + rows).map(|i| validity.is_valid(i));
        match &mut self.page {
            Page::Plain { data, at } => {
                for valid in valid {
                    out.push(if valid { value(data, at)? } else { &[] })?;
                }
            }
            Page::Keys(hybrid) => {
                let mut keys = vec![0; present];
                hybrid.fill(&mut keys, self.dictionary.array.len())?;
                let mut keys = keys.into_iter();
                for valid in valid {
                    match valid.then(|| keys.next()).flatten() {
                        Some(key) => self.dictionary.append(key, out)?,
                        None => out.push(&[])?,
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> Decoded<ArrayRef> {
        match std::mem::replace(&mut self.out, Out::Keys(Vec::new())) {
            Out::Keys(keys) => {
                let keys = Int32Array::new(keys.into(), nulls);
                let array = DictionaryArray::<Int32Type>::try_new(keys, self.dictionary.array.clone());
                Ok(Arc::new(array.map_err(|_| "dictionary keys beyond the dictionary")?))
            }
            Out::Plain(Plain { offsets, bytes }) => {
                Ok(array(buffer(offsets), Buffer::from_vec(bytes), nulls, self.utf8))
            }
        }
    }
}

impl Dictionary {
    fn new(offsets: Vec<i32>, bytes: Vec<u8>, utf8: bool) -> Self {
        let (offsets, bytes) = (buffer(offsets), Buffer::from_vec(bytes));
        Self { array: array(offsets.clone(), bytes.clone(), None, utf8), offsets, bytes }
    }

    /// Appends entry `key`. Rows without a value hold key 0, which a dictionary without entries lacks.
    fn append(&self, key: i32, out: &mut Plain) -> Decoded<()> {
        let key = key as usize;
        let Some(&[start, end]) = self.offsets.get(key..key + 2) else { return out.push(&[]) };
        out.push(&self.bytes[start as usize..end as usize])
    }
}

impl Plain {
    fn push(&mut self, value: &[u8]) -> Decoded<()> {
        if self.bytes.len() + value.len() > MOST {
            return Err(TOO_LONG);
        }
        self.bytes.extend_from_slice(value);
        self.offsets.push(self.bytes.len() as i32);
        Ok(())
    }
}

fn buffer(offsets: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

/// Text where it is wanted and the bytes are; else binary, in which whoever reads it finds what is not UTF-8.
fn array(offsets: OffsetBuffer<i32>, bytes: Buffer, nulls: Option<NullBuffer>, utf8: bool) -> ArrayRef {
    if utf8 && let Ok(text) = StringArray::try_new(offsets.clone(), bytes.clone(), nulls.clone()) {
        return Arc::new(text);
    }
    Arc::new(BinaryArray::new(offsets, bytes, nulls))
}

/// The plainly coded value at `at`: its length in four bytes, then itself.
fn value<'a>(data: &'a [u8], at: &mut usize) -> Decoded<&'a [u8]> {
    let rest = data.get(*at..).ok_or(ENDS_EARLY)?;
    let len = u32::from_le_bytes(*rest.first_chunk().ok_or(ENDS_EARLY)?) as usize;
    let value = rest.get(4..4 + len).ok_or(ENDS_EARLY)?;
    *at += 4 + len;
    Ok(value)
}

/// Takes the lengths out from between `n` plainly coded values, in place: fresh memory would cost more than the moves.
/// Returns Arrow's offsets, and the values.
fn compact(mut data: Vec<u8>, n: usize) -> Decoded<(Vec<i32>, Vec<u8>)> {
    // A damaged header can claim any number; each value takes its length at least.
    if n > data.len() / 4 {
        return Err(ENDS_EARLY);
    }
    let mut offsets = Vec::with_capacity(n + 1);
    offsets.push(0);
    let (mut at, mut end) = (0, 0);
    for _ in 0..n {
        let start = at + 4;
        let len = value(&data, &mut at)?.len();
        data.copy_within(start..start + len, end);
        end += len;
        offsets.push(i32::try_from(end).map_err(|_| TOO_LONG)?);
    }
    data.truncate(end);
    Ok((offsets, data))
}
