//! One column of one row group, decoded from its pages.

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use bytes::Bytes;
use hardneg_core::error::Result;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;

use crate::hybrid::{Decoded, ENDS_EARLY, prefixed};
use crate::pages::Pages;

use super::file::{FileBytes, broken, damaged};
use super::levels::{Levels, Validity};

/// A column of an open row group.
pub(super) trait Column: Send {
    /// The next `rows` rows, which must be there.
    fn batch(&mut self, rows: usize) -> Result<ArrayRef>;
}

/// What is done with the values of a column; errors say what is wrong, the caller adds the file.
pub(super) trait Values: Send {
    /// The dictionary of the pages that follow: `n` values, coded plainly.
    fn dictionary(&mut self, data: Bytes, n: usize) -> Decoded<()>;

    /// A data page without its levels.
    fn page(&mut self, encoding: Encoding, data: Bytes) -> Decoded<()>;

    /// Appends `rows` rows, `present` of which have a value, to the batch; these are the last rows of `validity`.
    fn read(&mut self, rows: usize, present: usize, validity: &Validity) -> Decoded<()>;

    /// The batch.
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Decoded<ArrayRef>;
}

/// Pages of a column chunk whose values `V` decodes.
pub(super) struct Leaf<V> {
    name: String,
    pages: Pages<FileBytes>,
    max_level: u32,
    levels: Levels,
    left: usize,
    validity: Validity,
    values: V,
}

/// Encodings that a [`Leaf`] can decode; levels are always among them.
pub(super) fn decodes(encoding: Encoding) -> bool {
    #[allow(deprecated, reason = "old files have it for their levels")]
    let levels = encoding == Encoding::BIT_PACKED;
    levels
        || matches!(
            encoding,
            Encoding::PLAIN | Encoding::RLE | Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY
        )
}

impl<V: Values> Leaf<V> {
    /// Over a column chunk of a row group of so many rows.
    pub(super) fn new(
        name: &str,
        bytes: FileBytes,
        (chunk, rows): (&ColumnChunkMetaData, usize),
        values: V,
    ) -> Result<Self> {
        let pages = Pages::of(bytes, chunk, rows).map_err(|e| damaged(name, &e))?;
        Ok(Self {
            name: name.into(),
            pages,
            max_level: u32::from(chunk.column_descr().max_def_level().unsigned_abs()),
            levels: Levels::Required,
            left: 0,
            validity: Validity::default(),
            values,
        })
    }

    /// Opens the next data page, the dictionary before it too.
    fn open_page(&mut self) -> Result<()> {
        let page = self.pages.get_next_page().map_err(|e| damaged(&self.name, &e))?;
        self.take(page.ok_or_else(|| broken(&self.name, "a column ends before its rows do"))?)
            .map_err(|what| broken(&self.name, what))
    }

    fn take(&mut self, page: Page) -> Decoded<()> {
        match page {
            Page::DictionaryPage { buf, num_values, encoding, .. } => {
                if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
                    return Err("a dictionary in an unknown encoding");
                }
                self.values.dictionary(buf, num_values as usize)
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                self.left = num_values as usize;
                let mut start = 0;
                self.levels = Levels::Required;
                if self.max_level > 0 {
                    (self.levels, start) =
                        first_version(&buf, self.left, def_level_encoding, self.max_level)?;
                }
                self.values.page(encoding, buf.slice(start..))
            }
            Page::DataPageV2 {
                buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                self.left = num_values as usize;
                let start = rep_levels_byte_len as usize;
                let end = start + def_levels_byte_len as usize;
                if end > buf.len() {
                    return Err(ENDS_EARLY);
                }
                self.levels = match self.max_level {
                    0 => Levels::Required,
                    max => Levels::hybrid(buf.slice(start..end), max)?,
                };
                self.values.page(encoding, buf.slice(end..))
            }
        }
    }

    fn read(&mut self, rows: usize) -> Decoded<()> {
        let present = self.levels.read(rows, &mut self.validity)?;
        self.left -= rows;
        self.values.read(rows, present, &self.validity)
    }
}

impl<V: Values> Column for Leaf<V> {
    fn batch(&mut self, rows: usize) -> Result<ArrayRef> {
        let mut left = rows;
        while left > 0 {
            while self.left == 0 {
                self.open_page()?;
            }
            let n = left.min(self.left);
            self.read(n).map_err(|what| broken(&self.name, what))?;
            left -= n;
        }
        let nulls = self.validity.finish();
        self.values.finish(nulls).map_err(|what| broken(&self.name, what))
    }
}

/// Levels of a page of the first version, and where they end: after the length that stands before them, if it does.
fn first_version(buf: &Bytes, rows: usize, encoding: Encoding, max: u32) -> Decoded<(Levels, usize)> {
    if encoding == Encoding::RLE {
        let (data, end) = prefixed(buf)?;
        return Ok((Levels::hybrid(data, max)?, end));
    }
    #[allow(deprecated, reason = "old files have it")]
    if encoding == Encoding::BIT_PACKED {
        return Levels::packed(buf, rows, max);
    }
    Err("definition levels in an unknown encoding")
}

/// Moves the last `present` of `out` to the last `rows` rows that have a value; the others get `empty`.
pub(super) fn spread<T: Copy>(out: &mut Vec<T>, rows: usize, present: usize, validity: &Validity, empty: T) {
    if present == rows {
        return;
    }
    let start = out.len() - present;
    let first = validity.rows() - rows;
    out.resize(start + rows, empty);
    let mut from = start + present;
    for i in (0..rows).rev() {
        out[start + i] = if validity.is_valid(first + i) {
            from -= 1;
            out[from]
        } else {
            empty
        };
    }
}
