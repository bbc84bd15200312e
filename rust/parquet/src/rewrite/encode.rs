//! Pseudonyms as Parquet pages, by the column writer of the `parquet` crate.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hardneg_core::pseudonym::Pseudonym;
use parquet::basic::{Compression, Encoding, Repetition, Type as Physical};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriterImpl, get_column_writer, get_typed_column_writer};
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor, ColumnPath, Type};

/// Bytes of a pseudonym.
pub(super) const WIDTH: i32 = 16;

/// Dictionaries of recoded chunks may grow to this: a fall back to plain pseudonyms, which do not compress, costs more.
const DICTIONARY_BYTES: usize = 64 * 1024 * 1024;

/// Pages of a column writer, held instead of written.
pub(super) struct Held<'a>(pub(super) &'a mut Vec<CompressedPage>);

impl PageWriter for Held<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size();
        spec.compressed_size = page.compressed_size();
        spec.num_values = page.num_values();
        spec.bytes_written = page.compressed_size() as u64;
        self.0.push(page);
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A value for the column writer.
pub(super) fn value(pseudonym: &Pseudonym) -> FixedLenByteArray {
    FixedLenByteArray::from(pseudonym.to_vec())
}

/// The type of a column of pseudonyms.
///
/// # Errors
/// None that is known: the type is fixed.
pub(super) fn column_type(name: &str, repetition: Repetition) -> Result<Type> {
    Type::primitive_type_builder(name, Physical::FIXED_LEN_BYTE_ARRAY)
        .with_length(WIDTH)
        .with_repetition(repetition)
        .build()
}

/// A writer of a column of pseudonyms; its pages end in `pages`.
pub(super) fn writer<'a>(
    column: ColumnDescPtr,
    compression: Compression,
    pages: &'a mut Vec<CompressedPage>,
) -> ColumnWriterImpl<'a, FixedLenByteArrayType> {
    let properties = properties(compression)
        .set_dictionary_enabled(true)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .build();
    get_typed_column_writer(get_column_writer(column, Arc::new(properties), Box::new(Held(pages))))
}

fn properties(compression: Compression) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(usize::MAX)
}

static REQUIRED: LazyLock<Option<ColumnDescPtr>> = LazyLock::new(|| {
    let column = column_type("pseudonym", Repetition::REQUIRED).ok()?;
    let path = ColumnPath::from("pseudonym");
    Some(Arc::new(ColumnDescriptor::new(Arc::new(column), 0, 0, path)))
});

/// A dictionary page with these entries in this order.
///
/// The body of a dictionary page is that of a plain data page (version 1) without levels, so the writer of a required
/// column makes it, compressed.
///
/// # Errors
/// Where there are no entries, or more than a page holds.
pub(super) fn dictionary_page(entries: &[Pseudonym], compression: Compression) -> Result<CompressedPage> {
    let column = REQUIRED.clone().ok_or_else(|| ParquetError::General("no type of pseudonyms".into()))?;
    let properties = properties(compression)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_data_page_size_limit(usize::MAX)
        .build();
    let mut pages = Vec::new();
    let mut writer = get_typed_column_writer::<FixedLenByteArrayType>(get_column_writer(
        column,
        Arc::new(properties),
        Box::new(Held(&mut pages)),
    ));
    // One allocation under all values.
    let all = Bytes::from(entries.as_flattened().to_vec());
    let width = WIDTH as usize;
    let values: Vec<FixedLenByteArray> = (0..entries.len())
        .map(|i| parquet::data_type::ByteArray::from(all.slice(i * width..(i + 1) * width)).into())
        .collect();
    writer.write_batch(&values, None, None)?;
    writer.close()?;
    match pages.as_slice() {
        [page] => match page.compressed_page() {
            Page::DataPage { buf, encoding: Encoding::PLAIN, num_values, .. } => Ok(CompressedPage::new(
                Page::DictionaryPage {
                    buf: buf.clone(),
                    num_values: *num_values,
                    encoding: Encoding::PLAIN,
                    is_sorted: false,
                },
                page.uncompressed_size(),
            )),
            _ => Err(ParquetError::General("not a plain page".into())),
        },
        _ => Err(ParquetError::General("not one page".into())),
    }
}
