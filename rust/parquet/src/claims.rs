//! What a page claims to hold, and whether it can.
//!
//! For delta codings and dictionaries the Parquet library takes memory for as many values as a page claims before it looks
//! whether they are there: 2^60 of them in a few bytes end the process, which nothing can catch. In one of these codings a
//! value can also repeat the one before, however long that is.

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use crate::hybrid::{Hybrid, prefixed, width};

/// Values of a page in delta coding …
const MOST: usize = 1 << 26;
/// … and of texts, whose lengths the library decodes all at once. Writers begin a new page long before.
const MOST_TEXTS: usize = 1 << 22;

/// Bytes of the texts of one page in delta coding, written out.
const LONGEST: u64 = 256 << 20;

/// Of the entries of a dictionary, by key: how long they are.
pub(crate) type Entries = Vec<u32>;

/// Whether a dictionary has the entries that it claims, of so many bytes at least.
pub(crate) fn has(dictionary: &Page, least: usize) -> bool {
    dictionary.num_values() as usize <= dictionary.buffer().len() / least.max(1)
}

/// How long the texts of a dictionary are, in its plain coding: each after its length. None where it lacks some.
pub(crate) fn entries(dictionary: &Page) -> Option<Entries> {
    let (mut rest, mut out) = (&dictionary.buffer()[..], Entries::new());
    for _ in 0..dictionary.num_values() {
        let (len, more) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len);
        rest = more.get(len as usize..)?;
        out.push(len);
    }
    Some(out)
}

/// Levels of a column that its values can have.
#[derive(Clone, Copy, Default)]
pub(crate) struct Depths {
    /// 0 where every row has one value.
    pub(crate) repetition: u32,
    /// 0 where all values are there.
    pub(crate) definition: u32,
}

impl Depths {
    pub(crate) fn of(column: &ColumnDescriptor) -> Self {
        let depth = |level: i16| u32::from(level.unsigned_abs());
        Self { repetition: depth(column.max_rep_level()), definition: depth(column.max_def_level()) }
    }

    /// The levels of repetition of a data page, if they are in the hybrid coding, and where its values begin.
    fn levels(self, page: &Page) -> Option<(Option<Bytes>, usize)> {
        let (buf, values) = (page.buffer(), page.num_values() as usize);
        match page {
            Page::DictionaryPage { .. } => None,
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                let end = *rep_levels_byte_len as usize;
                Some(((end <= buf.len()).then(|| buf.slice(..end)), end + *def_levels_byte_len as usize))
            }
            Page::DataPage { def_level_encoding, rep_level_encoding, .. } => {
                let (mut repetition, mut at) = (None, 0);
                for (depth, encoding) in
                    [(self.repetition, rep_level_encoding), (self.definition, def_level_encoding)]
                {
                    if depth > 0 && *encoding == Encoding::RLE {
                        let (levels, len) = prefixed(&buf.slice(at..)).ok()?;
                        repetition = repetition.or(Some(levels));
                        at += len;
                    } else if depth > 0 {
                        at += (values * width(depth) as usize).div_ceil(8);
                        // What comes after them is no repetition.
                        repetition = repetition.or(Some(Bytes::new()));
                    }
                    at = Some(at).filter(|at| *at <= buf.len())?;
                }
                Some((repetition, at))
            }
        }
    }

    /// Bytes that Arrow takes for a value beside itself, or for its place: offsets of all lists that it is in, and whether each
    /// of them and of the structs is there.
    pub(crate) fn beside(self) -> u64 {
        4 * u64::from(self.repetition) + u64::from(self.definition).div_ceil(8)
    }

    /// Calls `each` with whether rows begin, and with how many items one after the other: of a data page of a column of lists, as
    /// far as it says.
    pub(crate) fn items(self, page: &Page, mut each: impl FnMut(bool, usize)) {
        let Some((Some(levels), _)) = self.levels(page) else {
            return each(false, page.num_values() as usize);
        };
        let (mut left, width) = (page.num_values() as usize, width(self.repetition));
        if let Ok(levels) = Hybrid::new(levels, width) {
            levels.runs(left, |level, n| {
                left -= n;
                each(level == 0, n);
            });
        }
        each(false, left);
    }
}

/// Whether a data page holds what it claims, as far as memory is taken for it. Returns the bytes of its texts, written out;
/// None where it does not. `entries` are those of its dictionary.
pub(crate) fn texts(page: &Page, depths: Depths, entries: &[u32]) -> Option<u64> {
    let (buf, values) = (page.buffer(), page.num_values() as usize);
    let (_, start) = depths.levels(page)?;
    let data = buf.get(start..)?;
    let most = values.min(if page.encoding() == Encoding::DELTA_BINARY_PACKED { MOST } else { MOST_TEXTS });
    let mut sum = Some(0_u64);
    let mut add = |length: i64| {
        let length = u64::try_from(i64::from(length as i32)).ok();
        sum = sum.zip(length).map(|(sum, length)| sum + length);
    };
    match page.encoding() {
        Encoding::DELTA_BINARY_PACKED => delta(data, most, None).map(|_| 0),
        Encoding::DELTA_LENGTH_BYTE_ARRAY => {
            let end = delta(data, most, Some(&mut add))?;
            sum.filter(|sum| *sum <= (data.len() - end) as u64)
        }
        // Lengths of what is shared with the value before, then of what is not.
        Encoding::DELTA_BYTE_ARRAY => {
            let end = delta(data, most, Some(&mut add))?;
            delta(&data[end..], most, Some(&mut add))?;
            sum.filter(|sum| *sum <= LONGEST)
        }
        Encoding::PLAIN | Encoding::BYTE_STREAM_SPLIT => Some(data.len() as u64),
        Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY if !entries.is_empty() => {
            let keys = Hybrid::keys(&buf.slice(start..)).ok()?;
            let mut sum = 0_u64;
            // Where there are fewer, some are null; what is beyond the dictionary is an error to whoever reads it.
            keys.runs(values, |key, n| {
                let length = entries.get(key as usize).copied().unwrap_or(0);
                sum = sum.saturating_add(u64::from(length).saturating_mul(n as u64));
            });
            Some(sum)
        }
        _ => Some(0),
    }
}

/// Where at most `most` delta-packed numbers end; `each` is told every one of them.
///
/// Source: parquet-format, Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED = 5)".
fn delta(data: &[u8], most: usize, mut each: Option<&mut dyn FnMut(i64)>) -> Option<usize> {
    let mut at = 0;
    let varint = |at: &mut usize| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *data.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    let zigzag = |value: u64| (value >> 1) as i64 ^ -((value & 1) as i64);
    let block = usize::try_from(varint(&mut at)?).ok()?;
    let minis = usize::try_from(varint(&mut at)?).ok().filter(|n| *n > 0)?;
    let mut left = usize::try_from(varint(&mut at)?).ok().filter(|n| *n <= most)?;
    let mut number = zigzag(varint(&mut at)?);
    if let Some(each) = each.as_mut().filter(|_| left > 0) {
        each(number);
    }
    let in_mini = block / minis;
    left = left.saturating_sub(1);
    while left > 0 {
        let least = zigzag(varint(&mut at)?);
        let widths = data.get(at..at.checked_add(minis)?)?;
        at += minis;
        for width in widths {
            if left == 0 {
                break;
            }
            let start = at;
            at = at.checked_add((usize::from(*width) * in_mini.min(MOST)).div_ceil(8))?;
            if let Some(each) = &mut each {
                let packed = data.get(start..at).filter(|_| *width <= 64)?;
                for i in 0..left.min(in_mini) {
                    let more = bits(packed, i * usize::from(*width), (*width).into());
                    number = number.wrapping_add(least).wrapping_add(more.cast_signed());
                    each(number);
                }
            }
            left = left.saturating_sub(in_mini.max(1));
        }
    }
    (at <= data.len()).then_some(at)
}

/// `width` bits, at most 64, from bit `from` on, the lowest first.
fn bits(data: &[u8], from: usize, width: u32) -> u64 {
    let some = data[from / 8..].iter().take(9).rev().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    ((some >> (from % 8)) & ((1 << width) - 1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn numbers(data: &[u8], most: usize) -> Option<(usize, Vec<i64>)> {
        let mut found = Vec::new();
        let end = delta(data, most, Some(&mut |n| found.push(n)))?;
        Some((end, found))
    }

    /// Pages as the library writes them.
    fn pages(texts: &[Vec<u8>], encoding: Encoding) -> Vec<Page> {
        let dictionary = encoding == Encoding::RLE_DICTIONARY;
        let mut properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED);
        properties = properties.set_dictionary_enabled(dictionary);
        if !dictionary {
            properties = properties.set_encoding(encoding);
        }
        let properties = properties.build();
        let schema = Arc::new(parse_message_type("message m { required binary t; }").unwrap());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|t| t.clone().into()).collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let bytes = bytes::Bytes::from(file.into_inner().unwrap());
        let file = SerializedFileReader::new(bytes).unwrap();
        let mut pages = file.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
        std::iter::from_fn(|| pages.get_next_page().unwrap()).collect()
    }

    proptest! {
        /// Whatever the bytes: no panic, and no end beyond them.
        #[test]
        fn bears_any_bytes(data in prop::collection::vec(any::<u8>(), 0..80), most in 0_usize..500) {
            let end = delta(&data, most, None);
            if let Some((told, found)) = numbers(&data, most) {
                prop_assert_eq!(Some(told), end);
                prop_assert!(told <= data.len() && found.len() <= most);
            }
        }

        /// What the library writes is let pass, and as long as it is.
        #[test]
        fn texts_are_as_long_as_they_are(
            texts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..300), 1..300),
        ) {
            let long: usize = texts.iter().map(Vec::len).sum();
            for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
                let told: Option<u64> = pages(&texts, encoding).iter().map(|page| super::texts(page, Depths::default(), &[])).sum();
                prop_assert_eq!(told, Some(long as u64));
            }
            let pages = pages(&texts, Encoding::RLE_DICTIONARY);
            let (dictionary, data) = pages.split_first().unwrap();
            prop_assert!(has(dictionary, 4) && !has(dictionary, dictionary.buffer().len() + 1));
            let entries = entries(dictionary).unwrap();
            let told: Option<u64> = data.iter().map(|page| super::texts(page, Depths::default(), &entries)).sum();
            prop_assert_eq!(told, Some(long as u64));
        }
    }

    /// The examples of the format: 1 to 5 have one block of width 0; 7, 5, 3, 1, 2, 3, 4, 5 one of two bits.
    #[test]
    fn examples_of_the_format() {
        let even = [0x80, 0x01, 4, 5, 2, 2, 0, 0, 0, 0];
        assert_eq!(numbers(&even, 5), Some((10, vec![1, 2, 3, 4, 5])));
        assert_eq!(numbers(&even, 4), None);
        let mut two_bits = vec![0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0];
        two_bits.extend([0xc0, 0x3f, 0, 0, 0, 0, 0, 0]);
        assert_eq!(numbers(&two_bits, 8), Some((18, vec![7, 5, 3, 1, 2, 3, 4, 5])));
        assert_eq!(numbers(&two_bits[..17], 8), None);
        assert_eq!(delta(&[0x80, 0x01, 4, 0, 0], 0, None), Some(5));
    }

    /// Numbers that are all the same, in delta coding.
    fn same(number: usize, values: usize) -> Vec<u8> {
        let varint = |n: usize| [n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8];
        let mut out = vec![0x80, 0x01, 4];
        out.extend(varint(values));
        out.extend(varint(number << 1));
        (0..(values - 1).div_ceil(128)).for_each(|_| out.extend([0, 0, 0, 0, 0]));
        out
    }

    /// A few bytes that say sixty million lengths of 0.
    #[test]
    fn more_texts_than_a_page_has_are_refused() {
        let mut lengths = vec![0x80, 0x80, 0x80, 0x40, 1, 0x80, 0x80, 0x80, 0x20, 0, 0, 0];
        lengths.extend(lengths.clone());
        for (values, told) in [(1 << 26, None), (1 << 22, None)] {
            let page = Page::DataPage {
                buf: lengths.clone().into(),
                num_values: values,
                encoding: Encoding::DELTA_BYTE_ARRAY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            assert_eq!(super::texts(&page, Depths::default(), &[]), told);
        }
    }

    /// A text of 60 bytes or 250, and two million that are the same as the one before.
    #[test]
    fn what_repeats_itself_without_end_is_refused() {
        let told = |length: usize| {
            let values = (1 << 21) - 1;
            let buf = [same(length, values), same(0, values)].concat().into();
            let page = Page::DataPage {
                buf,
                num_values: values as u32,
                encoding: Encoding::DELTA_BYTE_ARRAY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            super::texts(&page, Depths::default(), &[])
        };
        assert_eq!(told(60), Some(60 * ((1 << 21) - 1)));
        assert_eq!(told(250), None);
    }
}
