//! Definition levels of flat columns: which rows have a value.

use arrow_buffer::bit_chunk_iterator::UnalignedBitChunk;
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use bytes::Bytes;

use crate::hybrid::{Decoded, ENDS_EARLY, Hybrid, Piece, unpack, width};

/// Rows with and without a value; no bits are kept while every row has one.
#[derive(Default)]
pub(super) struct Validity {
    rows: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    fn bits(&mut self) -> &mut BooleanBufferBuilder {
        let rows = self.rows;
        self.bits.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(rows + 1024);
            bits.append_n(rows, true);
            bits
        })
    }

    fn append(&mut self, valid: bool, n: usize) {
        if !valid || self.bits.is_some() {
            self.bits().append_n(n, valid);
        }
        self.rows += n;
    }

    fn append_packed(&mut self, data: &[u8], first: usize, n: usize) {
        self.bits().append_packed_range(first..first + n, data);
        self.rows += n;
    }

    /// Whether row `i` has a value.
    #[inline]
    pub(super) fn is_valid(&self, i: usize) -> bool {
        self.bits.as_ref().is_none_or(|bits| bits.get_bit(i))
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// As Arrow has it; None where every row has a value.
    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.rows = 0;
        let nulls = NullBuffer::new(self.bits.take()?.finish());
        (nulls.null_count() > 0).then_some(nulls)
    }
}

/// The definition levels of a page.
pub(super) enum Levels {
    /// The column cannot be null.
    Required,
    /// A row has a value where its level is `max`.
    Optional { levels: Hybrid, max: u32, width: u32 },
}

impl Levels {
    /// Levels in the hybrid coding.
    pub(super) fn hybrid(data: Bytes, max: u32) -> Decoded<Self> {
        let width = width(max);
        Ok(Self::Optional { levels: Hybrid::new(data, width)?, max, width })
    }

    /// Levels of `rows` rows at the start of `data` in the old coding, packed from the most significant bit on; and
    /// how many bytes they take.
    ///
    /// Source: parquet-format, Encodings.md, "Bit-packed (Deprecated) (BIT_PACKED = 4)".
    pub(super) fn packed(data: &[u8], rows: usize, max: u32) -> Decoded<(Self, usize)> {
        let width = width(max) as usize;
        let bytes = (rows * width).div_ceil(8);
        let data = data.get(..bytes).ok_or(ENDS_EARLY)?;
        let bit = |i: usize| (data[i / 8] >> (7 - i % 8)) & 1;
        // Written again as one run of the hybrid, which packs from the least significant bit on.
        let groups = rows.div_ceil(8);
        let mut out = Vec::new();
        let mut header = (groups as u64) << 1 | 1;
        while header >= 0x80 {
            out.push(header as u8 | 0x80);
            header >>= 7;
        }
        out.push(header as u8);
        let start = out.len();
        out.resize(start + groups * width, 0);
        for i in 0..rows {
            for b in 0..width {
                let to = i * width + b;
                out[start + to / 8] |= bit(i * width + width - 1 - b) << (to % 8);
            }
        }
        Ok((Self::hybrid(out.into(), max)?, bytes))
    }

    /// Reads `rows` rows; returns how many have a value.
    pub(super) fn read(&mut self, rows: usize, validity: &mut Validity) -> Decoded<usize> {
        let Self::Optional { levels, max, width } = self else {
            validity.append(true, rows);
            return Ok(rows);
        };
        let (mut left, mut valid) = (rows, 0);
        let mut scratch = [0; 512];
        while left > 0 {
            let limit = if *width == 1 { left } else { left.min(scratch.len()) };
            match levels.piece(limit)? {
                Piece::Same(level, n) => {
                    validity.append(level == *max, n);
                    valid += if level == *max { n } else { 0 };
                    left -= n;
                }
                Piece::Packed { data, first, n } if *width == 1 => {
                    validity.append_packed(data, first, n);
                    valid += UnalignedBitChunk::new(data, first, n).count_ones();
                    left -= n;
                }
                Piece::Packed { data, first, n } => {
                    unpack(data, first, *width, &mut scratch[..n]);
                    for &level in &scratch[..n] {
                        validity.append(level as u32 == *max, 1);
                        valid += usize::from(level as u32 == *max);
                    }
                    left -= n;
                }
            }
        }
        Ok(valid)
    }
}
