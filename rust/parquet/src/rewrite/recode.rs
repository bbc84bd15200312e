//! A column chunk of identifiers decoded, pseudonymised and encoded: for chunks whose pages cannot be copied.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use hardneg_core::pseudonym::Pseudonymizer;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{DataType, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, compression, decompressed, pseudonym_statistics};
use super::encode::{value, writer};
use super::ids::{Kind, pseudonyms};

/// Rows decoded at a time.
const ROWS: usize = 64 * 1024;

/// The chunk in `bytes`, recoded as a chunk of `column`, which is one of pseudonyms. Empty values become null where the
/// column can hold nulls.
///
/// # Errors
/// Where the bytes are no pages of the type that the footer says, or an empty value meets a column without nulls.
pub(super) fn recoded(
    bytes: Bytes,
    meta: &ColumnChunkMetaData,
    kind: Kind,
    pseudonymizer: &Pseudonymizer,
    column: ColumnDescPtr,
) -> Result<Chunk> {
    let nullable = (meta.column_descr().max_def_level() > 0, column.max_def_level() > 0);
    let mut pages = Vec::new();
    let mut values = Values { kind, pseudonymizer, known: HashMap::new(), made: Vec::new() };
    let mut out = writer(column, compression(meta), &mut pages);
    let mut written = (0_i64, 0_u64);
    {
        let mut batch = |levels: &[i16], ids: &[Option<usize>], made: &[FixedLenByteArray]| -> Result<()> {
            let mut ids = ids.iter();
            let mut batch = Vec::with_capacity(ids.len());
            let mut out_levels = Vec::with_capacity(levels.len());
            for level in levels {
                let id = if *level == 0 { None } else { ids.next().copied().flatten() };
                out_levels.push(i16::from(id.is_some()));
                batch.extend(id.map(|id| made[id].clone()));
            }
            let nulls = out_levels.len() - batch.len();
            if nulls > 0 && !nullable.1 {
                return Err(ParquetError::General("an empty value in a column without nulls".into()));
            }
            written = (written.0 + out_levels.len() as i64, written.1 + nulls as u64);
            out.write_batch(&batch, nullable.1.then_some(out_levels.as_slice()), None)?;
            Ok(())
        };
        match get_column_reader(meta.column_descr_ptr(), decompressed(bytes, meta)) {
            ColumnReader::ByteArrayColumnReader(mut reader) => {
                values.through(&mut reader, nullable.0, |v| Cow::Borrowed(v.data()), &mut batch)?;
            }
            ColumnReader::FixedLenByteArrayColumnReader(mut reader) => {
                values.through(&mut reader, nullable.0, |v| Cow::Borrowed(v.data()), &mut batch)?;
            }
            ColumnReader::Int32ColumnReader(mut reader) => {
                values.through(&mut reader, nullable.0, |v| kind.number(i64::from(*v)), &mut batch)?;
            }
            ColumnReader::Int64ColumnReader(mut reader) => {
                values.through(&mut reader, nullable.0, |v| kind.number(*v), &mut batch)?;
            }
            _ => return Err(ParquetError::General("not a type of identifiers".into())),
        }
    }
    out.close()?;
    if written.0 != meta.num_values() {
        return Err(ParquetError::General("not as many values as the footer says".into()));
    }
    let statistics = Some(pseudonym_statistics(Some(written.1)));
    Ok(Chunk { pages, codec: meta.compression_codec(), values: written.0, statistics })
}

/// Pseudonyms by value: each distinct value of the chunk is hashed once.
struct Values<'a> {
    kind: Kind,
    pseudonymizer: &'a Pseudonymizer,
    known: HashMap<Box<[u8]>, usize>,
    made: Vec<FixedLenByteArray>,
}

type Batch<'b> = dyn FnMut(&[i16], &[Option<usize>], &[FixedLenByteArray]) -> Result<()> + 'b;

impl Values<'_> {
    /// Hands every batch of `reader` to `batch`: levels, an entry of the pseudonyms made (None for empty) for each value
    /// that is not null, and the pseudonyms.
    fn through<T: DataType>(
        &mut self,
        reader: &mut ColumnReaderImpl<T>,
        nullable: bool,
        bytes: impl Fn(&T::T) -> Cow<'_, [u8]>,
        batch: &mut Batch<'_>,
    ) -> Result<()> {
        let (mut levels, mut values, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            levels.clear();
            values.clear();
            ids.clear();
            let (rows, _, _) =
                reader.read_records(ROWS, nullable.then_some(&mut levels), None, &mut values)?;
            if rows == 0 {
                return Ok(());
            }
            if !nullable {
                levels.resize(rows, 1);
            }
            let mut fresh: Vec<Box<[u8]>> = Vec::new();
            for value in &values {
                let value = bytes(value);
                ids.push(match self.known.get(value.as_ref()) {
                    _ if value.is_empty() && self.kind == Kind::Text => None,
                    Some(id) => Some(*id),
                    None => {
                        let (id, key) = (self.known.len(), Box::<[u8]>::from(value.as_ref()));
                        fresh.push(key.clone());
                        self.known.insert(key, id);
                        Some(id)
                    }
                });
            }
            self.made.extend(pseudonyms(self.pseudonymizer, &fresh).iter().map(value));
            batch(&levels, &ids, &self.made)?;
        }
    }
}
