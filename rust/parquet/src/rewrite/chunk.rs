//! A column chunk as its pages, bodies as they lie in the file.

use bytes::Bytes;
use parquet::basic::{Compression, CompressionCodec, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;

use crate::header::{Header, Kind};
use crate::metadata;
use crate::pages::Pages;

/// A column chunk on its way to the output.
pub(super) struct Chunk {
    /// Pages in file order: at most one dictionary page, which comes first, then data pages.
    pub(super) pages: Vec<CompressedPage>,
    /// How bodies are compressed.
    pub(super) codec: CompressionCodec,
    /// Values, nulls included.
    pub(super) values: i64,
    /// For the footer.
    pub(super) statistics: Option<Statistics>,
}

/// Where a chunk's bytes lie in its file: offset and length. None where they do not.
pub(super) fn place(meta: &ColumnChunkMetaData, file_len: u64) -> Option<(u64, u64)> {
    let (start, len) = metadata::place(meta)?;
    (start.checked_add(len)? <= file_len && meta.file_path().is_none()).then_some((start, len))
}

/// What is wrong with the bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are no pages, or not those that the footer says.
    Unreadable,
    /// A page is not what its checksum says.
    Checksum,
}

/// The pages of a chunk, without the statistics of their headers, up to the one that brings the values to `values`.
/// Pages of other kinds, and bytes after the last page, stay behind. Checksums are looked at where pages have them: pages
/// that are copied are not decoded, so nobody else would notice.
///
/// # Errors
/// Where the bytes are no pages, or were changed.
pub(super) fn pages(bytes: &Bytes, values: i64) -> Result<Vec<CompressedPage>, Fault> {
    let mut found = Vec::new();
    let (mut at, mut seen) = (0, 0_i64);
    while seen < values {
        let header = bytes.get(at..).and_then(Header::read).ok_or(Fault::Unreadable)?;
        let start = at + header.len;
        at = start
            .checked_add(header.compressed)
            .filter(|end| *end <= bytes.len())
            .ok_or(Fault::Unreadable)?;
        let buf = bytes.slice(start..at);
        if header.crc.is_some_and(|crc| crc32fast::hash(&buf) != crc) {
            return Err(Fault::Checksum);
        }
        match header.kind {
            Kind::Dictionary { .. } if !found.is_empty() => return Err(Fault::Unreadable),
            Kind::Data { values, .. } | Kind::DataV2 { values, .. } => seen += i64::from(values),
            Kind::Dictionary { .. } | Kind::Other => {}
        }
        let Some(page) = header.page(buf) else { continue };
        found.push(CompressedPage::new(page, header.uncompressed));
    }
    if seen == values { Ok(found) } else { Err(Fault::Unreadable) }
}

/// Whether every data page holds codes of the dictionary page.
pub(super) fn all_coded(pages: &[CompressedPage]) -> bool {
    let coded = |page: &CompressedPage| match page.compressed_page() {
        Page::DictionaryPage { encoding, .. } => {
            matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY)
        }
        page => matches!(page.encoding(), Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY),
    };
    pages.first().is_some_and(|page| page.compressed_page().is_dictionary_page()) && pages.iter().all(coded)
}

/// Reads the pages that `bytes` hold, decompressed; what they claim and cannot hold is an error.
pub(super) fn decompressed(bytes: Bytes, meta: &ColumnChunkMetaData) -> Box<dyn PageReader> {
    let len = bytes.len() as u64;
    Box::new(Pages::at(bytes, (0, len), meta).measured())
}

/// The codec with its default level, which is all that a file says of it.
pub(super) fn compression(meta: &ColumnChunkMetaData) -> Compression {
    Compression::from(meta.compression_codec())
}

/// What the footer may say of a copied chunk: bounds of numbers, and how many nulls.
///
/// Bounds of text would be texts of their own, cut or rounded by whoever wrote them, in a place where nobody expects
/// texts. Bounds of numbers are values of the column that is copied anyhow, and readers go by them (`mine` finds the
/// position base so).
pub(super) fn statistics(meta: &ColumnChunkMetaData) -> Option<Statistics> {
    let found = meta.statistics()?;
    match meta.column_type() {
        Type::BOOLEAN | Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE => Some(found.clone()),
        Type::BYTE_ARRAY => Some(Statistics::byte_array(None, None, None, found.null_count_opt(), false)),
        Type::FIXED_LEN_BYTE_ARRAY => Some(pseudonym_statistics(found.null_count_opt())),
        Type::INT96 => None,
    }
}

/// What the footer says of pseudonyms: how many nulls.
pub(super) fn pseudonym_statistics(nulls: Option<u64>) -> Statistics {
    Statistics::fixed_len_byte_array(None, None, None, nulls, false)
}

/// Encodings of the pages and how many pages have each, for the footer.
pub(super) fn encodings(pages: &[CompressedPage]) -> (Vec<Encoding>, Vec<PageEncodingStats>) {
    let mut counted: Vec<PageEncodingStats> = Vec::new();
    // Levels are run-length coded.
    let mut encodings = vec![Encoding::RLE];
    for page in pages {
        let (page_type, encoding): (PageType, Encoding) = (page.page_type(), page.encoding());
        match counted.iter_mut().find(|c| c.page_type == page_type && c.encoding == encoding) {
            Some(found) => found.count = found.count.saturating_add(1),
            None => counted.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
        if !encodings.contains(&encoding) {
            encodings.push(encoding);
        }
    }
    (encodings, counted)
}
