//! Numbers, dates and timestamps of fixed width.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::basic::Encoding;

use super::leaf::{Values, spread};
use super::levels::Validity;
use crate::hybrid::{Decoded, ENDS_EARLY, Hybrid};

/// How Parquet holds the values of an Arrow type: little-endian, in four or eight bytes.
pub(super) trait Stored: ArrowPrimitiveType {
    /// Bytes of a value in the file.
    const BYTES: usize;

    /// Reads one value out of that many bytes.
    fn read(bytes: &[u8]) -> Self::Native;
}

macro_rules! stored {
    ($bytes:literal $physical:ty: $($arrow:ty),+) => {$(
        impl Stored for $arrow {
            const BYTES: usize = $bytes;

            #[inline]
            fn read(bytes: &[u8]) -> Self::Native {
                let mut value = [0; $bytes];
                value.copy_from_slice(bytes);
                <$physical>::from_le_bytes(value) as Self::Native
            }
        }
    )+};
}

stored!(4 i32: Int8Type, Int16Type, Int32Type, UInt8Type, UInt16Type, UInt32Type, Date32Type);
stored!(4 i32: Time32SecondType, Time32MillisecondType);
stored!(4 f32: Float32Type);
stored!(8 i64: Int64Type, UInt64Type, Time64MicrosecondType, Time64NanosecondType);
stored!(8 i64: TimestampMillisecondType, TimestampMicrosecondType, TimestampNanosecondType);
stored!(8 f64: Float64Type);

/// Values of a column of Arrow type `T`.
pub(super) struct Numbers<T: Stored> {
    data_type: DataType,
    dictionary: Vec<T::Native>,
    page: Page,
    keys: Vec<i32>,
    out: Vec<T::Native>,
}

enum Page {
    Keys(Hybrid),
    Plain { data: Bytes, at: usize },
}

impl<T: Stored> Numbers<T> {
    /// `data_type` is one of `T`'s, with its time zone.
    pub(super) fn new(data_type: DataType) -> Self {
        let page = Page::Plain { data: Bytes::new(), at: 0 };
        Self { data_type, dictionary: Vec::new(), page, keys: Vec::new(), out: Vec::new() }
    }
}

impl<T: Stored> Values for Numbers<T> {
    fn dictionary(&mut self, data: Bytes, n: usize) -> Decoded<()> {
        let values = data.get(..n.saturating_mul(T::BYTES)).ok_or(ENDS_EARLY)?;
        self.dictionary = values.chunks_exact(T::BYTES).map(T::read).collect();
        Ok(())
    }

    fn page(&mut self, encoding: Encoding, data: Bytes) -> Decoded<()> {
        self.page = match encoding {
            Encoding::PLAIN => Page::Plain { data, at: 0 },
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => Page::Keys(Hybrid::keys(&data)?),
            _ => return Err("numbers in an encoding that its footer does not name"),
        };
        Ok(())
    }

    fn read(&mut self, rows: usize, present: usize, validity: &Validity) -> Decoded<()> {
        self.out.reserve(rows);
        match &mut self.page {
            Page::Plain { data, at } => {
                let end = *at + present * T::BYTES;
                let values = data.get(*at..end).ok_or(ENDS_EARLY)?;
                self.out.extend(values.chunks_exact(T::BYTES).map(T::read));
                *at = end;
            }
            Page::Keys(hybrid) => {
                self.keys.resize(present, 0);
                hybrid.fill(&mut self.keys, self.dictionary.len())?;
                self.out.extend(self.keys.iter().map(|&key| self.dictionary[key as usize]));
            }
        }
        spread(&mut self.out, rows, present, validity, T::default_value());
        Ok(())
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> Decoded<ArrayRef> {
        let values = std::mem::take(&mut self.out);
        Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(self.data_type.clone())))
    }
}
