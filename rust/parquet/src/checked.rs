//! Pages written with their checksums, which the writer of the `parquet` crate leaves out.

use std::io::Write;

use parquet::basic::Encoding;
use parquet::column::page::{CompressedPage, Page};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::TrackedWrite;

const STRUCT: u8 = 12;
const INTEGER: u8 = 5;

/// Where a page lies, and what it takes, its header included.
pub(crate) struct Written {
    /// Of its header.
    pub(crate) offset: i64,
    /// Bytes in the file.
    pub(crate) compressed: i64,
    /// Bytes after decompression.
    pub(crate) uncompressed: i64,
}

/// Appends a page, without statistics, with the CRC-32 of its body as it lies in the file.
///
/// Source: parquet-format, `parquet.thrift`, `PageHeader`, in Thrift's compact protocol.
///
/// # Errors
/// For a page that is larger than the format can say, and what writing reports.
pub(crate) fn write_page<W: Write>(out: &mut TrackedWrite<W>, page: &CompressedPage) -> Result<Written> {
    let header = header(page)?;
    let offset = out.bytes_written() as i64;
    out.write_all(&header)?;
    out.write_all(page.data())?;
    Ok(Written {
        offset,
        compressed: (header.len() + page.compressed_size()) as i64,
        uncompressed: (header.len() + page.uncompressed_size()) as i64,
    })
}

fn header(page: &CompressedPage) -> Result<Vec<u8>> {
    let mut out = Fields::default();
    let (kind, field) = match page.compressed_page() {
        Page::DataPage { .. } => (0, 5),
        Page::DictionaryPage { .. } => (2, 7),
        Page::DataPageV2 { .. } => (3, 8),
    };
    out.integer(1, kind);
    out.integer(2, size(page.uncompressed_size())?);
    out.integer(3, size(page.compressed_size())?);
    out.integer(4, crc32fast::hash(page.data()).cast_signed());
    let mut inner = Fields::default();
    inner.integer(1, number(page.num_values())?);
    match page.compressed_page() {
        Page::DataPage { encoding, def_level_encoding, rep_level_encoding, .. } => {
            inner.integer(2, code(*encoding));
            inner.integer(3, code(*def_level_encoding));
            inner.integer(4, code(*rep_level_encoding));
        }
        Page::DictionaryPage { encoding, is_sorted, .. } => {
            inner.integer(2, code(*encoding));
            inner.boolean(3, *is_sorted);
        }
        Page::DataPageV2 {
            num_nulls,
            num_rows,
            encoding,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed,
            ..
        } => {
            inner.integer(2, number(*num_nulls)?);
            inner.integer(3, number(*num_rows)?);
            inner.integer(4, code(*encoding));
            inner.integer(5, number(*def_levels_byte_len)?);
            inner.integer(6, number(*rep_levels_byte_len)?);
            inner.boolean(7, *is_compressed);
        }
    }
    out.field(field, STRUCT);
    out.bytes.append(&mut inner.end());
    Ok(out.end())
}

fn too_large() -> ParquetError {
    ParquetError::General("a page that is larger than the format can say".into())
}

fn size(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).map_err(|_| too_large())
}

fn number(n: u32) -> Result<i32> {
    i32::try_from(n).map_err(|_| too_large())
}

#[allow(deprecated, reason = "old files have bit-packed levels, and copying them needs no reading")]
fn code(encoding: Encoding) -> i32 {
    match encoding {
        Encoding::PLAIN => 0,
        Encoding::PLAIN_DICTIONARY => 2,
        Encoding::RLE => 3,
        Encoding::BIT_PACKED => 4,
        Encoding::DELTA_BINARY_PACKED => 5,
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 6,
        Encoding::DELTA_BYTE_ARRAY => 7,
        Encoding::RLE_DICTIONARY => 8,
        Encoding::BYTE_STREAM_SPLIT => 9,
    }
}

/// A struct in Thrift's compact protocol; fields come in the order of their ids.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

impl Fields {
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    fn integer(&mut self, id: u8, value: i32) {
        self.field(id, INTEGER);
        let mut left = (value << 1 ^ value >> 31).cast_unsigned();
        while left >= 0x80 {
            self.bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.bytes.push(left as u8);
    }

    fn boolean(&mut self, id: u8, value: bool) {
        self.field(id, if value { 1 } else { 2 });
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;
    use parquet::column::page::PageWriter;
    use parquet::file::writer::SerializedPageWriter;
    use proptest::prelude::*;

    fn encodings() -> impl Strategy<Value = Encoding> {
        #[allow(deprecated, reason = "old files have bit-packed levels")]
        let all = [
            Encoding::PLAIN,
            Encoding::PLAIN_DICTIONARY,
            Encoding::RLE,
            Encoding::BIT_PACKED,
            Encoding::DELTA_BINARY_PACKED,
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Encoding::DELTA_BYTE_ARRAY,
            Encoding::RLE_DICTIONARY,
            Encoding::BYTE_STREAM_SPLIT,
        ];
        prop::sample::select(all.to_vec())
    }

    proptest! {
        /// The same header as that of the library's writer, but for the checksum, which is that of the body.
        #[test]
        fn as_the_library_writes_them_and_checksums(
            encoding in encodings(),
            levels in encodings(),
            numbers in proptest::array::uniform5(0..=i32::MAX as u32),
            uncompressed in 0..=i32::MAX as usize,
            body in proptest::collection::vec(any::<u8>(), 0..300),
            flag in any::<bool>(),
        ) {
            let buf = bytes::Bytes::from(body.clone());
            let [num_values, num_nulls, num_rows, def_levels_byte_len, rep_levels_byte_len] = numbers;
            for page in [
                Page::DataPage { buf: buf.clone(), num_values, encoding, def_level_encoding: levels,
                    rep_level_encoding: levels, statistics: None },
                Page::DataPageV2 { buf: buf.clone(), num_values, encoding, num_nulls, num_rows, def_levels_byte_len,
                    rep_levels_byte_len, is_compressed: flag, statistics: None },
                Page::DictionaryPage { buf: buf.clone(), num_values, encoding, is_sorted: flag },
            ] {
                let page = CompressedPage::new(page, uncompressed);
                let mut out = TrackedWrite::new(Vec::new());
                let written = write_page(&mut out, &page).unwrap();
                let bytes = out.into_inner().unwrap();
                let mut theirs = TrackedWrite::new(Vec::new());
                SerializedPageWriter::new(&mut theirs).write_page(page).unwrap();
                let (ours, theirs) = (Header::read(&bytes).unwrap(), theirs.into_inner().unwrap());
                let expected = Header::read(&theirs).unwrap();
                prop_assert_eq!(ours, Header { crc: Some(crc32fast::hash(&body)), len: ours.len, ..expected });
                prop_assert_eq!(&bytes[ours.len..], &body[..]);
                prop_assert_eq!(written.compressed as usize, bytes.len());
                prop_assert_eq!(written.uncompressed as usize, ours.len + uncompressed);
            }
        }
    }
}
