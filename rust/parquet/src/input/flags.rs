//! Booleans.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use bytes::Bytes;
use parquet::basic::Encoding;

use super::leaf::Values;
use super::levels::Validity;
use crate::hybrid::{Decoded, ENDS_EARLY, Hybrid, Piece, prefixed};

/// Values of a BOOLEAN column.
pub(super) struct Flags {
    page: Page,
    out: BooleanBufferBuilder,
}

enum Page {
    /// A bit a value, and how many were taken.
    Plain {
        data: Bytes,
        taken: usize,
    },
    Runs(Hybrid),
}

impl Flags {
    /// No values yet.
    pub(super) fn new() -> Self {
        Self { page: Page::Plain { data: Bytes::new(), taken: 0 }, out: BooleanBufferBuilder::new(0) }
    }

    fn append(&mut self, mut n: usize) -> Decoded<()> {
        match &mut self.page {
            Page::Plain { data, taken } => {
                let end = *taken + n;
                if end > data.len() * 8 {
                    return Err(ENDS_EARLY);
                }
                self.out.append_packed_range(*taken..end, data);
                *taken = end;
            }
            Page::Runs(hybrid) => {
                while n > 0 {
                    n -= match hybrid.piece(n)? {
                        Piece::Same(value, n) => {
                            self.out.append_n(n, value != 0);
                            n
                        }
                        Piece::Packed { data, first, n } => {
                            self.out.append_packed_range(first..first + n, data);
                            n
                        }
                    };
                }
            }
        }
        Ok(())
    }
}

impl Values for Flags {
    fn dictionary(&mut self, _: Bytes, _: usize) -> Decoded<()> {
        Err("booleans with a dictionary")
    }

    fn page(&mut self, encoding: Encoding, data: Bytes) -> Decoded<()> {
        self.page = match encoding {
            Encoding::PLAIN => Page::Plain { data, taken: 0 },
            Encoding::RLE => Page::Runs(Hybrid::new(prefixed(&data)?.0, 1)?),
            _ => return Err("booleans in an encoding that its footer does not name"),
        };
        Ok(())
    }

    fn read(&mut self, rows: usize, present: usize, validity: &Validity) -> Decoded<()> {
        let start = self.out.len();
        self.append(present)?;
        if present < rows {
            self.out.advance(rows - present);
            let first = validity.rows() - rows;
            let mut from = start + present;
            for i in (0..rows).rev() {
                let value = validity.is_valid(first + i) && {
                    from -= 1;
                    self.out.get_bit(from)
                };
                self.out.set_bit(start + i, value);
            }
        }
        Ok(())
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> Decoded<ArrayRef> {
        Ok(Arc::new(BooleanArray::new(self.out.finish(), nulls)))
    }
}
