//! Page headers, read from the bytes of a column chunk.
//!
//! The `parquet` crate reads pages only decompressed, and does not say how long a page's header or its uncompressed body
//! is. Copying needs both, so the header's Thrift (compact protocol) is read here. What a header holds beyond the fields
//! named below, statistics above all, is stepped over and so cannot be copied.
//!
//! The library is shown headers and footers only where they make sense here: it steps over a list of any length that is
//! claimed, which takes it minutes for a few bytes.

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::ChunkReader;

/// Structs and lists within each other that are stepped over: Parquet's own footers go nine deep.
const MAX_DEPTH: u8 = 16;

/// Bytes looked at for a header; nearly all take less than the first.
const LOOKED_AT: [u64; 3] = [512, 64 << 10, 16 << 20];

/// Length of the footer and the magic behind it.
const END: u64 = 8;

/// The bytes of the page header at `start`.
///
/// # Errors
/// Where there is none, and what reading reports.
pub(crate) fn page_header<R: ChunkReader>(file: &R, start: u64) -> Result<Bytes> {
    let left = file.len().saturating_sub(start);
    for most in LOOKED_AT {
        let bytes = file.get_bytes(start, most.min(left) as usize)?;
        if let Some(header) = Header::read(&bytes) {
            return Ok(bytes.slice(..header.len));
        }
        if left <= most {
            break;
        }
    }
    Err(ParquetError::General("a page header that makes no sense".into()))
}

/// Refuses a footer that makes no sense. Where there is none at all, the library says so.
///
/// # Errors
/// Where it makes no sense, and what reading reports.
pub(crate) fn check_footer<R: ChunkReader>(file: &R) -> Result<()> {
    let Some(at) = file.len().checked_sub(END) else { return Ok(()) };
    let end = file.get_bytes(at, END as usize)?;
    let len = end.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
    let Some(start) = at.checked_sub(len).filter(|_| end.ends_with(b"PAR1")) else { return Ok(()) };
    let bytes = file.get_bytes(start, len as usize)?;
    let mut thrift = Thrift { bytes: &bytes, at: 0 };
    let sound = thrift.fields(&mut |thrift, _, kind| thrift.skip(kind, 0)).is_some();
    sound.then_some(()).ok_or_else(|| ParquetError::General("a footer that makes no sense".into()))
}

/// A page's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the page holds.
    pub(crate) kind: Kind,
    /// Bytes of the body after decompression, levels included.
    pub(crate) uncompressed: usize,
    /// Bytes of the body in the file.
    pub(crate) compressed: usize,
    /// Checksum (CRC-32) of the body as it lies in the file; most writers leave it out.
    pub(crate) crc: Option<u32>,
    /// Bytes of the header itself.
    pub(crate) len: usize,
}

/// What a page holds: the fields of the three headers of the format that say how to read the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Data page, version 1.
    Data { values: u32, encoding: Encoding, definitions: Encoding, repetitions: Encoding },
    /// Data page, version 2.
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: Encoding,
        definitions: u32,
        repetitions: u32,
        is_compressed: bool,
    },
    /// Dictionary page.
    Dictionary { values: u32, encoding: Encoding, is_sorted: bool },
    /// Index pages, and those of formats to come: readers step over them.
    Other,
}

impl Header {
    /// The header that `bytes` begin with; None where they begin with none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut thrift = Thrift { bytes, at: 0 };
        let mut top = [None; FIELDS];
        let mut inner = [None; FIELDS];
        thrift.fields(&mut |thrift, id, kind| match (id, kind) {
            (5 | 7 | 8, STRUCT) => {
                inner = [None; FIELDS];
                thrift.fields(&mut |thrift, id, kind| thrift.scalar(&mut inner, id, kind))
            }
            _ => thrift.scalar(&mut top, id, kind),
        })?;
        let size = |i: usize| usize::try_from(i32::try_from(top[i]?).ok()?).ok();
        let number = |i: usize| u32::try_from(i32::try_from(inner[i]?).ok()?).ok();
        let code = |i: usize| encoding(inner[i]?);
        let kind = match top[1]? {
            0 => Kind::Data {
                values: number(1)?,
                encoding: code(2)?,
                definitions: code(3)?,
                repetitions: code(4)?,
            },
            2 => Kind::Dictionary {
                values: number(1)?,
                encoding: code(2)?,
                is_sorted: inner[3].is_some_and(|v| v == 1),
            },
            3 => Kind::DataV2 {
                values: number(1)?,
                nulls: number(2)?,
                rows: number(3)?,
                encoding: code(4)?,
                definitions: number(5)?,
                repetitions: number(6)?,
                is_compressed: inner[7].is_none_or(|v| v == 1),
            },
            _ => Kind::Other,
        };
        // The format has it as a signed number.
        let crc = top[4].and_then(|crc| i32::try_from(crc).ok()).map(i32::cast_unsigned);
        Some(Self { kind, uncompressed: size(2)?, compressed: size(3)?, crc, len: thrift.at })
    }
}

#[allow(deprecated, reason = "old files have bit-packed levels, and copying them needs no reading")]
fn encoding(code: i64) -> Option<Encoding> {
    Some(match code {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        _ => return None,
    })
}

const FIELDS: usize = 9;
const STRUCT: u8 = 12;

/// A reader of Thrift's compact protocol; every method is None at the end of the bytes, or where they make no sense.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip_bytes(&mut self, n: u64) -> Option<()> {
        let at = self.at.checked_add(usize::try_from(n).ok()?)?;
        (at <= self.bytes.len()).then(|| self.at = at)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Calls `each` with id and type of every field of a struct; it must read the field's value.
    fn fields(&mut self, each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id: i64 = 0;
        loop {
            let byte = self.byte()?;
            if byte & 0x0f == 0 {
                return Some(());
            }
            id = match byte >> 4 {
                0 => self.zigzag()?,
                delta => id.checked_add(i64::from(delta))?,
            };
            each(self, id, byte & 0x0f)?;
        }
    }

    /// Puts an integer or boolean where its id says, and steps over anything else.
    fn scalar(&mut self, into: &mut [Option<i64>; FIELDS], id: i64, kind: u8) -> Option<()> {
        let value = match kind {
            1 => Some(1),
            2 => Some(0),
            4..=6 => Some(self.zigzag()?),
            _ => {
                self.skip(kind, 0)?;
                None
            }
        };
        if let (Some(value), Ok(id)) = (value, usize::try_from(id))
            && let Some(slot) = into.get_mut(id)
        {
            *slot = Some(value);
        }
        Some(())
    }

    /// Steps over a value of a struct's field.
    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let n = self.varint()?;
                self.skip_bytes(n)
            }
            9 | 10 => {
                let head = self.byte()?;
                let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                // Booleans in lists are a byte each; every element takes at least one, so `n` is bounded.
                let element = if head & 0x0f <= 2 { 3 } else { head & 0x0f };
                (0..n).try_for_each(|_| self.skip(element, depth + 1))
            }
            STRUCT => self.fields(&mut |thrift, _, kind| thrift.skip(kind, depth + 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use parquet::column::page::{CompressedPage, Page, PageWriter};
    use parquet::file::statistics::Statistics;
    use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
    use proptest::prelude::*;

    fn written(page: Page, uncompressed: usize) -> Vec<u8> {
        let mut out = TrackedWrite::new(Vec::new());
        SerializedPageWriter::new(&mut out)
            .write_page(CompressedPage::new(page, uncompressed))
            .expect("memory takes it");
        out.into_inner().expect("memory takes it")
    }

    fn statistics(value: &[u8]) -> Option<Statistics> {
        let value = parquet::data_type::ByteArray::from(value.to_vec());
        Some(Statistics::byte_array(Some(value.clone()), Some(value), Some(3), Some(1), false))
    }

    proptest! {
        /// What the `parquet` crate writes is read back, whatever statistics stand between.
        #[test]
        fn headers_as_others_write_them(
            values in 0..=i32::MAX as u32,
            numbers in proptest::array::uniform4(0..=i32::MAX as u32),
            uncompressed in 0..=i32::MAX as usize,
            body in proptest::collection::vec(any::<u8>(), 0..300),
            quoted in proptest::collection::vec(any::<u8>(), 0..300),
            flag in any::<bool>(),
        ) {
            let (buf, compressed) = (Bytes::from(body.clone()), body.len());
            let [nulls, rows, definitions, repetitions] = numbers;
            let (encoding, rle) = (Encoding::RLE_DICTIONARY, Encoding::RLE);
            for (page, kind) in [
                (
                    Page::DataPage { buf: buf.clone(), num_values: values, encoding, def_level_encoding: rle,
                        rep_level_encoding: rle, statistics: statistics(&quoted) },
                    Kind::Data { values, encoding, definitions: rle, repetitions: rle },
                ),
                (
                    Page::DataPageV2 { buf: buf.clone(), num_values: values, encoding, num_nulls: nulls,
                        num_rows: rows, def_levels_byte_len: definitions, rep_levels_byte_len: repetitions,
                        is_compressed: flag, statistics: statistics(&quoted) },
                    Kind::DataV2 { values, nulls, rows, encoding, definitions, repetitions, is_compressed: flag },
                ),
                (
                    Page::DictionaryPage { buf: buf.clone(), num_values: values, encoding, is_sorted: flag },
                    Kind::Dictionary { values, encoding, is_sorted: flag },
                ),
            ] {
                let bytes = written(page, uncompressed);
                let header = Header::read(&bytes).expect("a header");
                prop_assert_eq!(header, Header { kind, uncompressed, compressed, crc: None, len: bytes.len() - body.len() });
                for cut in 0..header.len {
                    prop_assert_eq!(Header::read(&bytes[..cut]), None);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_header_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::read(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }
}
