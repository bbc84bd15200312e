//! What a footer says of column chunks: least values, places.
//!
//! The footer is read here and not by pyarrow, whose objects for column chunks end the process where a damaged footer
//! contradicts its own schema. It is also the only part of a file that these questions need.

use std::sync::OnceLock;

use bytes::Bytes;
use hardneg_core::error::{Error, Result};
use parquet::basic::{CompressionCodec as Codec, ConvertedType, LogicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use crate::codec::Unpacker;
use crate::header::Header;
use crate::metadata::{Nonsense, decoded, place};
use crate::pages::unpacked;

/// The footer of a file.
pub struct Footer {
    name: String,
    /// None where the Parquet library has no use for it, as others may.
    metadata: Option<ParquetMetaData>,
    /// Made once: there can be hundreds of thousands.
    chunks: OnceLock<Vec<Chunk>>,
}

/// Where a column chunk lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Path of its column, dotted.
    pub path: String,
    /// Offset of its first page in the file.
    pub start: u64,
    /// Its bytes in the file.
    pub len: u64,
    codec: Codec,
}

impl Footer {
    /// The footer of file `name`: the Thrift struct before the last eight bytes.
    ///
    /// # Errors
    /// `Data` where it is none that anybody should look into.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        let metadata = decoded(bytes).map_err(|Nonsense| {
            Error::data(format!(
                "{name}: the Parquet footer is damaged; write or copy the file again, or leave it out"
            ))
        })?;
        Ok(Self { name: name.into(), metadata, chunks: OnceLock::new() })
    }

    fn columns(&self) -> impl Iterator<Item = &ColumnChunkMetaData> {
        self.metadata.iter().flat_map(|m| m.row_groups()).flat_map(|group| group.columns())
    }

    /// Whether statistics say of every row group that no value of the number column at `path` is below `least`.
    ///
    /// False where they say nothing, or hold numbers in another form (decimals).
    pub fn at_least(&self, path: &str, least: i64) -> bool {
        let Some(metadata) = &self.metadata else { return false };
        metadata.row_groups().iter().all(|group| {
            let mut of = group.columns().iter().filter(|c| c.column_path().string() == path);
            of.next().is_some_and(|c| starts_at(c, least)) && of.next().is_none()
        })
    }

    /// All column chunks that lie somewhere, in the order of row groups and columns.
    ///
    /// # Errors
    /// `Data` where one that has values lies nowhere, or nobody knows.
    pub fn chunks(&self) -> Result<&[Chunk]> {
        if self.metadata.is_none() {
            return Err(Error::data(format!("{}: its Parquet footer cannot be read here", self.name)));
        }
        if self.chunks.get().is_none() {
            let chunks = self.columns().filter_map(|c| self.place(c).transpose()).collect::<Result<_>>()?;
            // Whoever was quicker has found the same.
            let _ = self.chunks.set(chunks);
        }
        Ok(self.chunks.get().map_or(&[], Vec::as_slice))
    }

    /// The pages of the chunk that has this number among [`Footer::chunks`], and is these bytes; None where none has it.
    ///
    /// # Errors
    /// As [`Footer::chunks`].
    pub fn pages(&self, number: usize, chunk: Bytes) -> Result<Option<ChunkPages>> {
        let pages = |found: &Chunk| ChunkPages {
            name: self.name.clone(),
            chunk,
            at: 0,
            codec: found.codec,
            unpacker: Unpacker::new(found.codec),
        };
        Ok(self.chunks()?.get(number).map(pages))
    }

    fn place(&self, c: &ColumnChunkMetaData) -> Result<Option<Chunk>> {
        match place(c) {
            Some((start, len)) => {
                let codec = c.compression_codec();
                Ok(Some(Chunk { path: c.column_path().string(), start, len, codec }))
            }
            _ if c.num_values() == 0 => Ok(None),
            _ => Err(Error::data(format!(
                "{}: the Parquet footer names no place for a column; write the file again",
                self.name
            ))),
        }
    }
}

/// Whether the statistics of a chunk say that none of its values is below `least`.
fn starts_at(chunk: &ColumnChunkMetaData, least: i64) -> bool {
    let Some(statistics) = chunk.statistics() else { return false };
    let column = chunk.column_descr();
    let as_they_are = matches!(column.logical_type_ref(), None | Some(LogicalType::Integer { .. }))
        && column.converted_type() != ConvertedType::DECIMAL;
    // Of unsigned numbers beyond the signed ones the least reads as negative here, in either order of comparison.
    let said = match statistics {
        Statistics::Int32(of) => of.min_opt().map(|&min| i64::from(min) >= least),
        Statistics::Int64(of) => of.min_opt().map(|&min| min >= least),
        Statistics::Float(of) => of.min_opt().map(|&min| f64::from(min) >= least as f64),
        Statistics::Double(of) => of.min_opt().map(|&min| min >= least as f64),
        _ => Some(false),
    };
    let all_null = || statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok();
    said.map_or_else(all_null, |said| said && as_they_are)
}

/// The pages of a column chunk, decompressed, one after the other.
pub struct ChunkPages {
    name: String,
    chunk: Bytes,
    at: usize,
    codec: Codec,
    unpacker: Unpacker,
}

impl ChunkPages {
    fn content(&mut self) -> Option<Bytes> {
        let header = Header::read(&self.chunk[self.at..])?;
        let start = self.at + header.len;
        let end = start.checked_add(header.compressed).filter(|end| *end <= self.chunk.len())?;
        let content = unpacked(&header, self.chunk.slice(start..end), &mut self.unpacker)?;
        self.at = end;
        Some(content)
    }
}

impl Iterator for ChunkPages {
    /// `Data` where a header makes no sense, or the body is not what it says; nothing comes after it.
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.chunk.len() {
            return None;
        }
        let content = self.content().ok_or_else(|| {
            self.at = self.chunk.len();
            Error::data(match self.codec {
                Codec::LZO => format!("{}: it is compressed with LZO, which cannot be read here", self.name),
                _ => format!(
                    "{}: a page of the Parquet file is not what its header says; write or copy it again",
                    self.name
                ),
            })
        });
        Some(content)
    }
}
