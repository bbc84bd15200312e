//! Footers that make sense: decoded, and where column chunks lie.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use crate::header::sound;
use crate::thrift::Thrift;

/// Length of the footer and the magic behind it.
pub(crate) const END: u64 = 8;

/// The bytes are no footer that anybody should look into.
#[derive(Debug)]
pub(crate) struct Nonsense;

/// What a footer says; None where the Parquet library has no use for it, as others may.
pub(crate) fn decoded(footer: &[u8]) -> std::result::Result<Option<ParquetMetaData>, Nonsense> {
    if !sound(footer) {
        return Err(Nonsense);
    }
    let decoded = caught(|| decode(footer).ok()).ok_or(Nonsense)?;
    match decoded {
        Some(metadata) if !consistent(&metadata) => Err(Nonsense),
        decoded => Ok(decoded),
    }
}

/// What a footer says, or what nobody can read without: metadata that is no text is nothing to the Parquet library.
///
/// # Errors
/// What the library reports.
fn decode(footer: &[u8]) -> Result<ParquetMetaData> {
    let decode = ParquetMetaDataReader::decode_metadata;
    decode(footer).or_else(|e| bare(footer).map_or(Err(e), |bare| decode(&bare)))
}

/// A footer's version, schema, number of rows and row groups (fields 1 to 4 of `FileMetaData`, all that are required).
fn bare(footer: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Thrift { bytes: footer, at: 0 }.fields(&mut |thrift, id, kind| {
        let from = thrift.at;
        thrift.skip(kind, None, 0)?;
        if (1..=4).contains(&id) {
            // The type, and the id by itself: zigzag, of one byte.
            out.extend([kind, (id << 1) as u8]);
            out.extend(&thrift.bytes[from..thrift.at]);
        }
        Some(())
    })?;
    out.push(0);
    Some(out)
}

/// The bytes of a file's footer.
///
/// # Errors
/// Where it has none, and what reading reports.
pub(crate) fn footer<R: ChunkReader>(file: &R) -> Result<Bytes> {
    let len = footer_len(file)?;
    file.get_bytes(file.len() - END - len, len as usize)
}

/// How long a file's footer is, which is then within the file.
///
/// # Errors
/// Where it has none, and what reading reports.
pub(crate) fn footer_len<R: ChunkReader>(file: &R) -> Result<u64> {
    let none = || ParquetError::General("no footer".into());
    let at = file.len().checked_sub(END).ok_or_else(none)?;
    let end = file.get_bytes(at, END as usize)?;
    let len = end.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
    Some(len).filter(|len| *len <= at && end.ends_with(b"PAR1")).ok_or_else(none)
}

/// Whether numbers that readers take from different places are the same, and can be: rows, and where chunks begin, which
/// two readers could otherwise see differently.
fn consistent(metadata: &ParquetMetaData) -> bool {
    let groups = metadata.row_groups();
    let rows = groups.iter().try_fold(0_i64, |sum, group| {
        u64::try_from(group.num_rows()).ok()?;
        sum.checked_add(group.num_rows())
    });
    let chunks = || groups.iter().flat_map(|group| group.columns());
    rows == Some(metadata.file_metadata().num_rows())
        && chunks().all(|chunk| {
            let (data, dictionary) = (chunk.data_page_offset(), chunk.dictionary_page_offset().unwrap_or(0));
            let counts =
                [data, dictionary, chunk.compressed_size(), chunk.uncompressed_size(), chunk.num_values()];
            counts.iter().all(|n| *n >= 0) && (data == 0 || dictionary <= data)
        })
}

/// Where a chunk begins in its file, and its bytes; None where it lies nowhere.
///
/// Writers differ on whether the data pages' offset is that of the dictionary, and some say 0 where there is none (parquet-mr
/// 1.8, PARQUET-1402).
pub(crate) fn place(chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let set = |at: i64| u64::try_from(at).ok().filter(|at| *at > 0);
    let start = chunk.dictionary_page_offset().and_then(set).or_else(|| set(chunk.data_page_offset()))?;
    Some((start, u64::try_from(chunk.compressed_size()).ok()?))
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught, for it is the file's fault: then it is no bug that anybody should hear of.
pub fn catching() -> bool {
    CATCHING.get()
}

/// What `read` gives; None where the Parquet library panics, which some damaged files bring about.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    let before = CATCHING.replace(true);
    let found = catch_unwind(AssertUnwindSafe(read)).ok();
    CATCHING.set(before);
    found
}
