//! What a footer says of column chunks: codings, least values, places.
//!
//! The footer is read here and not by pyarrow, whose objects for column chunks end the process where a damaged footer
//! contradicts its own schema. It is also the only part of a file that these questions need.

use bytes::Bytes;
use hardneg_core::error::{Error, Result};
pub use parquet::basic::CompressionCodec as Codec;
use parquet::basic::{ConvertedType, LogicalType};
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
    /// How its pages are compressed.
    pub codec: Codec,
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
        Ok(Self { name: name.into(), metadata })
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self) -> impl Iterator<Item = &ColumnChunkMetaData> {
        self.metadata.iter().flat_map(|m| m.row_groups()).flat_map(|group| group.columns())
    }

    /// Paths of columns that have pages in one of the delta codings, sorted; None where nobody knows.
    pub fn deltas(&self) -> Option<Vec<String>> {
        self.metadata.as_ref()?;
        let delta = |c: &&ColumnChunkMetaData| c.encodings().any(|e| e.to_string().starts_with("DELTA"));
        let paths: std::collections::BTreeSet<_> =
            self.columns().filter(delta).map(|c| c.column_path().string()).collect();
        Some(paths.into_iter().collect())
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
    pub fn chunks(&self) -> Result<Vec<Chunk>> {
        if self.metadata.is_none() {
            return Err(Error::data(format!("{}: its Parquet footer cannot be read here", self.name)));
        }
        self.columns().filter_map(|c| self.place(c).transpose()).collect()
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

/// The content of the page that begins at `at` in the bytes of a chunk, decompressed, and where the next one begins.
///
/// # Errors
/// `Data` where a header makes no sense, or the body is not what it says.
pub fn page(name: &str, chunk: &[u8], at: usize, codec: Codec) -> Result<(Bytes, usize)> {
    if codec == Codec::LZO {
        return Err(Error::data(format!("{name}: it is compressed with LZO, which cannot be read here")));
    }
    let read = || {
        let rest = chunk.get(at..)?;
        let header = Header::read(rest)?;
        let body = rest.get(header.len..)?.get(..header.compressed)?;
        let content = unpacked(&header, Bytes::copy_from_slice(body), &mut Unpacker::new(codec))?;
        Some((content, at + header.len + header.compressed))
    };
    read().ok_or_else(|| {
        Error::data(format!(
            "{name}: a page of the Parquet file is not what its header says; write or copy it again"
        ))
    })
}
