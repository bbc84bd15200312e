//! Page headers, read from the bytes of a column chunk.
//!
//! The `parquet` crate reads pages only decompressed, and does not say how long a page's header or its uncompressed body
//! is. Copying needs both, so the header's Thrift (compact protocol) is read here. What a header holds beyond the fields
//! named below, statistics above all, is stepped over and so cannot be copied. The crate's own reader of pages is not used:
//! it takes memory for what they claim, and reads on in the middle of something where fields have another type.

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;

use crate::shapes::{FOOTER, PAGE_HEADER};
use crate::thrift::{STRUCT, Shape, Thrift};
use crate::tree;

/// Whether the bytes of a footer make sense.
pub(crate) fn sound(footer: &[u8]) -> bool {
    sound_as(&FOOTER, footer) && tree::sound(footer)
}

fn sound_as(shape: &Shape, bytes: &[u8]) -> bool {
    Thrift { bytes, at: 0 }.skip(STRUCT, Some(shape), 0).is_some()
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
    /// The page with this header, its body decompressed or not, without the statistics; None for pages of other kinds.
    pub(crate) fn page(&self, buf: Bytes) -> Option<Page> {
        Some(match self.kind {
            Kind::Other => return None,
            Kind::Dictionary { values, encoding, is_sorted } => {
                Page::DictionaryPage { buf, num_values: values, encoding, is_sorted }
            }
            Kind::Data { values, encoding, definitions, repetitions } => Page::DataPage {
                buf,
                num_values: values,
                encoding,
                def_level_encoding: definitions,
                rep_level_encoding: repetitions,
                statistics: None,
            },
            Kind::DataV2 { values, nulls, rows, encoding, definitions, repetitions, is_compressed } => {
                Page::DataPageV2 {
                    buf,
                    num_values: values,
                    encoding,
                    num_nulls: nulls,
                    num_rows: rows,
                    def_levels_byte_len: definitions,
                    rep_levels_byte_len: repetitions,
                    is_compressed,
                    statistics: None,
                }
            }
        })
    }

    /// The header that `bytes` begin with; None where they begin with none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        sound_as(&PAGE_HEADER, bytes).then_some(())?;
        let mut thrift = Thrift { bytes, at: 0 };
        let mut top = [None; FIELDS];
        let (mut inner, mut of) = ([None; FIELDS], 0);
        thrift.fields(&mut |thrift, id, kind| match (id, kind) {
            (5 | 7 | 8, STRUCT) => {
                // One header has one: of two, others could read the other.
                if std::mem::replace(&mut of, id) != 0 {
                    return None;
                }
                thrift.fields(&mut |thrift, id, kind| scalar(thrift, &mut inner, id, kind))
            }
            _ => scalar(thrift, &mut top, id, kind),
        })?;
        let size = |i: usize| usize::try_from(i32::try_from(top[i]?).ok()?).ok();
        let number = |i: usize| u32::try_from(i32::try_from(inner[i]?).ok()?).ok();
        let code = |i: usize| encoding(inner[i]?);
        let kind = match (top[1]?, of) {
            (0, 5) => Kind::Data {
                values: number(1)?,
                encoding: code(2)?,
                definitions: code(3)?,
                repetitions: code(4)?,
            },
            (2, 7) => Kind::Dictionary {
                values: number(1)?,
                encoding: code(2)?,
                is_sorted: inner[3].is_some_and(|v| v == 1),
            },
            (3, 8) => Kind::DataV2 {
                values: number(1)?,
                nulls: number(2)?,
                rows: number(3)?,
                encoding: code(4)?,
                definitions: number(5)?,
                repetitions: number(6)?,
                is_compressed: inner[7].is_none_or(|v| v == 1),
            },
            (0 | 2 | 3, _) => return None,
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

/// Puts an integer or boolean where its id says, and steps over anything else.
fn scalar(thrift: &mut Thrift<'_>, into: &mut [Option<i64>; FIELDS], id: i64, kind: u8) -> Option<()> {
    let value = match kind {
        1 => Some(1),
        2 => Some(0),
        4..=6 => Some(thrift.zigzag()?),
        _ => {
            thrift.skip(kind, None, 0)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::column::page::{CompressedPage, PageWriter};
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

    /// Flags in lists are stepped over by some readers without taking a byte.
    #[test]
    fn lists_of_flags_are_no_part_of_anything() {
        for flag in [1, 2] {
            assert!(!sound(&[0xf9, 0x20 | flag, 1, 1, 0]));
        }
        assert!(sound(&[0xf9, 0x25, 1, 1, 0]), "numbers in a field to come are stepped over");
        assert!(!sound(&[0x09, 0x82, 0x80, 0x08, 0x15, 1, 0]), "an id of more than 16 bits");
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

        /// Every field that readers know, said to be something else.
        #[test]
        fn fields_of_other_types_are_no_header(id in 1_u8..9, kind in 1_u8..14, value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let fits = if id < 5 { matches!(kind, 4..=6) } else { kind == STRUCT };
            let bytes = [&[id << 4 | kind], &value[..], &[0; 8]].concat();
            prop_assert!(fits || !sound_as(&PAGE_HEADER, &bytes));
        }

        #[test]
        fn any_bytes_are_a_header_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::read(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }
}
