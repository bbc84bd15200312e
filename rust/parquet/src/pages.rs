//! Pages of a column chunk, decompressed: no more than they claim, and nothing that claims what it cannot hold.

use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use crate::claims::{self, Depths, Entries};
use crate::codec::Unpacker;
use crate::header::{Header, Kind};
use crate::lists::Lists;
use crate::metadata::place;

/// Bytes looked at for a header; nearly all take less than the first.
const LOOKED_AT: [u64; 3] = [512, 64 << 10, 16 << 20];

/// What the library says of a page that was changed since it was written, and so do we.
pub(crate) const CHECKSUM: &str = "CRC checksum mismatch";

/// What is said of texts that take more than these.
pub(crate) const LONG_TEXTS: &str = "texts of one column repeat without end, or are too long for a row group";

/// Texts that a chunk may have, written out: so many bytes at all …
const TEXTS: u64 = 256 << 20;
/// … and so many more for each value. Of 65,536 they are as many again.
const TEXT: u64 = 4 << 10;

/// The pages of a chunk, one after the other.
pub(crate) struct Pages<R> {
    file: R,
    /// Where the next header or body begins, and the chunk ends.
    at: u64,
    end: u64,
    unpacker: Unpacker,
    depths: Depths,
    /// Of the body that begins at `at`.
    header: Option<Header>,
    /// Values that may come yet, where rows have one each.
    values: Option<u64>,
    /// Bytes of texts that may come yet, where they are counted, and for each value.
    texts: Option<(u64, u64)>,
    only_repeated: bool,
    /// Where they are counted: what is repeated then is not.
    lists: Option<Lists>,
    entries: Entries,
    /// Bytes of a value in a dictionary, at least.
    least: usize,
    is_text: bool,
}

impl<R: ChunkReader> Pages<R> {
    /// Where the footer says that the chunk is, of a row group of so many rows.
    ///
    /// # Errors
    /// Where it says nowhere, or beyond the file.
    pub(crate) fn of(file: R, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Self> {
        let len = file.len();
        let inside = |(at, size): &(u64, u64)| at.checked_add(*size).is_some_and(|end| end <= len);
        let place = place(chunk).filter(inside).ok_or_else(no_sense)?;
        let pages = Self::at(file, place, chunk);
        // More are for nobody, and looking through them takes time.
        Ok(Self { values: Some(rows as u64).filter(|_| pages.depths.repetition == 0), ..pages })
    }

    /// From a place on, so many bytes.
    pub(crate) fn at(file: R, (at, len): (u64, u64), chunk: &ColumnChunkMetaData) -> Self {
        let depths = Depths::of(chunk.column_descr());
        let unpacker = Unpacker::new(chunk.compression_codec());
        let (kind, end) = (chunk.column_type(), at.saturating_add(len));
        let least = match kind {
            Type::BOOLEAN => 1,
            Type::BYTE_ARRAY | Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(chunk.column_descr().type_length()).unwrap_or(0),
        };
        let (entries, is_text) = (Entries::new(), kind == Type::BYTE_ARRAY);
        let (header, values, texts, only_repeated, lists) = (None, None, None, false, None);
        Self {
            file,
            at,
            end,
            unpacker,
            depths,
            header,
            values,
            texts,
            only_repeated,
            lists,
            entries,
            least,
            is_text,
        }
    }

    /// With an error for texts that take more, written out, than texts of a log do: whoever reads them takes memory for all
    /// of a batch.
    pub(crate) fn measured(self) -> Self {
        Self { texts: Some((TEXTS, TEXT)), ..self }
    }

    /// The same for what they take beyond the bytes of their pages, which are not held on to, and where rows have lists for
    /// what the items take in a batch of so many rows, whatever they are: one row can have any number, in a few bytes. Of a
    /// column with several leaves each has its share.
    pub(crate) fn in_batches(self, rows: usize, leaves: usize) -> Self {
        let leaves = leaves.max(1) as u64;
        let lists = Some(Lists::new(rows, leaves)).filter(|_| self.depths.repetition > 0);
        Self { lists, only_repeated: true, texts: Some((TEXTS / leaves, TEXT / leaves)), ..self }
    }

    /// The header that comes next; the same until its page is read. None at the end.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.header.is_none() && self.at < self.end {
            let header = self.read_header()?;
            self.at += header.len as u64;
            self.header = Some(header);
        }
        Ok(self.header)
    }

    fn read_header(&self) -> Result<Header> {
        let left = self.end - self.at;
        for most in LOOKED_AT {
            let bytes = self.file.get_bytes(self.at, most.min(left) as usize)?;
            if let Some(header) = Header::read(&bytes) {
                return Ok(header);
            }
            if left <= most {
                break;
            }
        }
        Err(no_sense())
    }

    fn read(&mut self) -> Result<Option<Page>> {
        while let Some(header) = self.header()? {
            self.header = None;
            let (start, len) = (self.at, header.compressed as u64);
            self.at = start.checked_add(len).filter(|at| *at <= self.end).ok_or_else(no_sense)?;
            if matches!(
                header.kind,
                Kind::Other | Kind::Data { values: 0, .. } | Kind::DataV2 { values: 0, .. }
            ) {
                continue;
            }
            let body = self.file.get_bytes(start, header.compressed)?;
            if header.crc.is_some_and(|crc| crc32fast::hash(&body) != crc) {
                return Err(ParquetError::General(CHECKSUM.into()));
            }
            let body = unpacked(&header, body, &mut self.unpacker).ok_or_else(no_sense)?;
            let Some(page) = header.page(body) else { continue };
            self.claim(&page)?;
            return Ok(Some(page));
        }
        Ok(None)
    }

    /// An error for a page that claims what it cannot hold, or more than texts or lists may have.
    fn claim(&mut self, page: &Page) -> Result<()> {
        if page.is_dictionary_page() {
            if self.is_text && self.texts.is_some() {
                self.entries = claims::entries(page).ok_or_else(no_sense)?;
            }
            return if claims::has(page, self.least) { Ok(()) } else { Err(no_sense()) };
        }
        let values = u64::from(page.num_values());
        if let Some(left) = &mut self.values {
            *left = left.checked_sub(values).ok_or_else(no_sense)?;
        }
        // Before texts are added up, which takes as long as there are items.
        self.lists.as_ref().map_or(Ok(()), |lists| lists.bear(values, self.depths))?;
        let mut texts = claims::texts(page, self.depths, &self.entries).ok_or_else(no_sense)?;
        if let Some(lists) = &mut self.lists {
            return lists.take(page, self.depths, self.least, texts);
        }
        if self.only_repeated {
            texts = texts.saturating_sub(page.buffer().len() as u64);
        }
        if let Some((left, each)) = self.texts.as_mut().filter(|_| self.is_text) {
            *left = left.saturating_add(*each * values).checked_sub(texts).ok_or_else(long_texts)?;
        }
        Ok(())
    }
}

fn long_texts() -> ParquetError {
    ParquetError::General(LONG_TEXTS.into())
}

fn no_sense() -> ParquetError {
    ParquetError::General("a page that makes no sense".into())
}

/// The body of a page; None where it is not what its header says.
pub(crate) fn unpacked(header: &Header, body: Bytes, unpacker: &mut Unpacker) -> Option<Bytes> {
    // Levels of a page of the second version stand before what is compressed.
    let (plain, packed) = match header.kind {
        Kind::DataV2 { definitions, repetitions, is_compressed, .. } => {
            (definitions as usize + repetitions as usize, is_compressed)
        }
        _ => (0, true),
    };
    if plain > body.len() {
        return None;
    }
    if !packed || unpacker.is_plain() {
        return Some(body);
    }
    match header.uncompressed.checked_sub(plain)? {
        0 => Some(body.slice(..plain)),
        len if plain == 0 => unpacker.unpack(&body, len).map(Bytes::from),
        len => Some([&body[..plain], &unpacker.unpack(&body[plain..], len)?].concat().into()),
    }
}

impl<R: ChunkReader> PageReader for Pages<R> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.read()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        while let Some(header) = self.header()? {
            let (rows, values) = match header.kind {
                Kind::Data { values, .. } => (None, Some(values)),
                Kind::DataV2 { values, rows, .. } => (Some(rows), Some(values)),
                Kind::Dictionary { .. } => (None, None),
                Kind::Other => {
                    self.skip_next_page()?;
                    continue;
                }
            };
            return Ok(Some(PageMetadata {
                num_rows: rows.map(|n| n as usize),
                num_levels: values.map(|n| n as usize),
                is_dict: values.is_none(),
            }));
        }
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if let Some(header) = self.header()? {
            self.header = None;
            let at = self.at.checked_add(header.compressed as u64).filter(|at| *at <= self.end);
            self.at = at.ok_or_else(no_sense)?;
        }
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        // Only pages of the second version must begin with a row.
        Ok(self.peek_next_page()?.is_none_or(|next| next.num_rows.is_some()))
    }
}

impl<R: ChunkReader> Iterator for Pages<R> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
