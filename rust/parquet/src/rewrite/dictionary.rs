//! The dictionary page of an identifier column, rewritten.

use bytes::Bytes;
use hardneg_core::pseudonym::Pseudonymizer;
use parquet::column::page::{CompressedPage, Page};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;

use super::chunk::{compression, decompressed};
use super::encode::dictionary_page;
use super::ids::{Kind, pseudonyms};

/// The body of the dictionary page that the chunk in `bytes` begins with, and how many entries it has.
fn body(bytes: &Bytes, meta: &ColumnChunkMetaData) -> Result<(Bytes, usize)> {
    match decompressed(bytes.clone(), meta).get_next_page()? {
        Some(Page::DictionaryPage { buf, num_values, .. }) => Ok((buf, num_values as usize)),
        _ => Err(ParquetError::General("no dictionary page".into())),
    }
}

fn unreadable() -> ParquetError {
    ParquetError::General("the dictionary page does not hold what its header says".into())
}

/// Whether an entry is empty, and so stands for null.
///
/// # Errors
/// Where the dictionary page cannot be read.
pub(super) fn has_empty(bytes: &Bytes, meta: &ColumnChunkMetaData, kind: Kind) -> Result<bool> {
    let (body, entries) = body(bytes, meta)?;
    let entries = kind.plain(&body, entries).ok_or_else(unreadable)?;
    Ok(entries.iter().any(|entry| entry.is_empty()))
}

/// `page`, the dictionary page, with pseudonyms for entries, in the same order. None where an entry is empty: a null is in the data
/// pages' levels, not in the dictionary.
///
/// # Errors
/// Where the dictionary page cannot be read.
pub(super) fn rewritten(
    page: &CompressedPage,
    bytes: &Bytes,
    meta: &ColumnChunkMetaData,
    kind: Kind,
    pseudonymizer: &Pseudonymizer,
) -> Result<Option<CompressedPage>> {
    let (body, entries) = body(bytes, meta)?;
    let entries = kind.plain(&body, entries).ok_or_else(unreadable)?;
    if entries.iter().any(|entry| entry.is_empty()) {
        return Ok(None);
    }
    if entries.is_empty() {
        // Of a chunk of nulls. A page without values is none that a column writer makes.
        return Ok(Some(CompressedPage::new(page.compressed_page().clone(), page.uncompressed_size())));
    }
    Ok(Some(dictionary_page(&pseudonyms(pseudonymizer, &entries), compression(meta))?))
}
