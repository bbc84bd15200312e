//! Pages as the Parquet library may see them.
//!
//! For delta codings and dictionaries the library takes memory for as many values as a page claims before it looks whether
//! they are there: 2^60 of them in a few bytes end the process, which nothing can catch. So such claims are looked at here.

use std::sync::Arc;

use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::file::FileBytes;
use super::leaf::prefixed;
use super::levels::width;

/// Values of a page in delta coding, which the library decodes all at once. Writers begin a new one long before.
const MOST: usize = 1 << 26;

/// One row group.
pub(super) struct OneGroup {
    pub(super) bytes: Arc<FileBytes>,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) group: usize,
}

impl OneGroup {
    fn of(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.group)
    }
}

impl RowGroups for OneGroup {
    fn num_rows(&self) -> usize {
        self.of().num_rows().unsigned_abs() as usize
    }

    fn column_chunks(&self, i: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.of().column(i);
        let pages = SerializedPageReader::new(self.bytes.clone(), chunk, self.num_rows(), None)?;
        Ok(Box::new(Once(Some(Guarded::new(pages, chunk)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.of()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct Once(Option<Guarded<SerializedPageReader<FileBytes>>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Once {}

/// Pages of a column chunk without those that claim what they cannot hold: these are errors.
pub(crate) struct Guarded<P> {
    pages: P,
    max_level: u32,
}

impl<P> Guarded<P> {
    pub(crate) fn new(pages: P, chunk: &ColumnChunkMetaData) -> Self {
        Self { pages, max_level: u32::from(chunk.column_descr().max_def_level().unsigned_abs()) }
    }
}

impl<P: PageReader> Iterator for Guarded<P> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Guarded<P> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        match page.as_ref().is_none_or(|page| makes_sense(page, self.max_level)) {
            true => Ok(page),
            false => Err(ParquetError::General("a page that claims what it cannot hold".into())),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

fn makes_sense(page: &Page, max_level: u32) -> bool {
    let (buf, values) = (page.buffer(), page.num_values() as usize);
    let start = match page {
        // A value takes a byte at least.
        Page::DictionaryPage { .. } => return values <= buf.len(),
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            Some(*def_levels_byte_len as usize + *rep_levels_byte_len as usize)
        }
        Page::DataPage { .. } if max_level == 0 => Some(0),
        Page::DataPage { def_level_encoding: Encoding::RLE, .. } => prefixed(buf).ok().map(|(_, end)| end),
        Page::DataPage { .. } => Some((values * width(max_level) as usize).div_ceil(8)),
    };
    let Some(data) = start.and_then(|start| buf.get(start..)) else { return false };
    let most = values.min(MOST);
    match page.encoding() {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => delta(data, most).is_some(),
        // Lengths of what is shared with the value before, then of what is not.
        Encoding::DELTA_BYTE_ARRAY => {
            delta(data, most).and_then(|end| data.get(end..)).is_some_and(|rest| delta(rest, most).is_some())
        }
        _ => true,
    }
}

/// Where at most `most` delta-packed numbers end.
///
/// Source: parquet-format, Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED = 5)".
fn delta(data: &[u8], most: usize) -> Option<usize> {
    let mut at = 0;
    let varint = |at: &mut usize| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *data.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    let block = usize::try_from(varint(&mut at)?).ok()?;
    let minis = usize::try_from(varint(&mut at)?).ok().filter(|n| *n > 0)?;
    let mut left = usize::try_from(varint(&mut at)?).ok().filter(|n| *n <= most)?;
    varint(&mut at)?; // the first number
    let each = block / minis;
    left = left.saturating_sub(1);
    while left > 0 {
        varint(&mut at)?; // the least difference
        let widths = data.get(at..at.checked_add(minis)?)?;
        at += minis;
        for bits in widths {
            if left == 0 {
                break;
            }
            at = at.checked_add((usize::from(*bits) * each.min(MOST)).div_ceil(8))?;
            left = left.saturating_sub(each.max(1));
        }
    }
    (at <= data.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the bytes: no panic, and no end beyond them.
        #[test]
        fn bears_any_bytes(data in prop::collection::vec(any::<u8>(), 0..80), most in 0_usize..500) {
            if let Some(end) = delta(&data, most) {
                prop_assert!(end <= data.len());
            }
        }
    }

    /// The example of the format: 1 to 5 have one block of width 0; 7, 5, 3, 1, 2, 3, 4, 5 one of two bits.
    #[test]
    fn examples_of_the_format() {
        let even = [0x80, 0x01, 4, 5, 2, 2, 0, 0, 0, 0];
        assert_eq!(delta(&even, 5), Some(10));
        assert_eq!(delta(&even, 4), None);
        let mut two_bits = vec![0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0];
        two_bits.extend([0xc0, 0x3f, 0, 0, 0, 0, 0, 0]);
        assert_eq!(delta(&two_bits, 8), Some(18));
        assert_eq!(delta(&two_bits[..17], 8), None);
        assert_eq!(delta(&[0x80, 0x01, 4, 0, 0], 0), Some(5));
    }
}
