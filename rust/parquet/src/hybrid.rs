//! Parquet's hybrid of run-length coding and bit packing: dictionary keys, levels and some booleans.
//!
//! Source: parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".

use bytes::Bytes;

/// What is decoded, or why it cannot be; the caller adds the file.
pub(crate) type Decoded<T> = Result<T, &'static str>;

/// Told of any page that is too short.
pub(crate) const ENDS_EARLY: &str = "a page ends before its values do";

/// A decoder of one page's values, each of `width` bits.
pub(crate) struct Hybrid {
    data: Bytes,
    at: usize,
    width: u32,
    run: Run,
    left: usize,
}

#[derive(Clone, Copy)]
enum Run {
    Same(u32),
    /// The run's first byte, and how many of its values were taken.
    Packed {
        start: usize,
        taken: usize,
    },
}

/// A piece of a run.
pub(crate) enum Piece<'a> {
    /// So many times the same.
    Same(u32, usize),
    /// So many values packed into `data`, the first of them value `first`.
    Packed { data: &'a [u8], first: usize, n: usize },
}

impl Hybrid {
    /// Over `data`, values of `width` bits, at most 32.
    pub(crate) fn new(data: Bytes, width: u32) -> Decoded<Self> {
        if width > 32 {
            return Err("values of more than 32 bits");
        }
        Ok(Self { data, at: 0, width, run: Run::Same(0), left: 0 })
    }

    /// Dictionary keys as a data page holds them: a byte with the width, then the values.
    pub(crate) fn keys(data: &Bytes) -> Decoded<Self> {
        match data.first() {
            Some(&width) => Self::new(data.slice(1..), width.into()),
            // A page of nulls only may be empty; a value asked of it will be missed.
            None => Self::new(data.clone(), 1),
        }
    }

    /// The next piece, of at most `limit` values.
    pub(crate) fn piece(&mut self, limit: usize) -> Decoded<Piece<'_>> {
        // Writers leave out values of no bits altogether.
        if self.width == 0 {
            return Ok(Piece::Same(0, limit));
        }
        while self.left == 0 {
            self.start_run()?;
        }
        let n = self.left.min(limit);
        self.left -= n;
        match &mut self.run {
            Run::Same(value) => Ok(Piece::Same(*value, n)),
            Run::Packed { start, taken } => {
                let first = *taken;
                *taken += n;
                Ok(Piece::Packed { data: &self.data[*start..self.at], first, n })
            }
        }
    }

    fn start_run(&mut self) -> Decoded<()> {
        let header = self.header()?;
        if header & 1 == 0 {
            let bytes = self.width.div_ceil(8) as usize;
            let rest = &self.data[self.at..];
            let mut value = [0; 4];
            value[..bytes].copy_from_slice(rest.get(..bytes).ok_or(ENDS_EARLY)?);
            self.at += bytes;
            self.left = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            self.run = Run::Same(u32::from_le_bytes(value));
            return Ok(());
        }
        let rest = self.data.len() - self.at;
        let bytes = (header >> 1).saturating_mul(self.width.into()).min(rest as u64) as usize;
        if bytes == 0 && header >> 1 > 0 {
            return Err(ENDS_EARLY);
        }
        self.run = Run::Packed { start: self.at, taken: 0 };
        // Some writers cut the last group short; its whole values count.
        self.left = bytes * 8 / self.width as usize;
        self.at += bytes;
        Ok(())
    }

    /// A header, an unsigned LEB128 number.
    fn header(&mut self) -> Decoded<u64> {
        let mut out = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.data.get(self.at).ok_or(ENDS_EARLY)?;
            self.at += 1;
            out |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err("a run is longer than a page can be")
    }

    /// Calls `each` with the next `n` values, as far as there are any: a value, and how often it comes in a row.
    pub(crate) fn runs(mut self, n: usize, mut each: impl FnMut(u32, usize)) {
        let (mut left, width) = (n, self.width);
        let mut scratch = [0; 512];
        while left > 0 {
            match self.piece(left) {
                Ok(Piece::Same(value, n)) => {
                    each(value, n);
                    left -= n;
                }
                Ok(Piece::Packed { data, first, n }) => {
                    for start in (0..n).step_by(scratch.len()) {
                        let values = &mut scratch[..512.min(n - start)];
                        unpack(data, first + start, width, values);
                        values.iter().for_each(|value| each(*value as u32, 1));
                    }
                    left -= n;
                }
                Err(_) => break,
            }
        }
    }

    /// Fills `out`; all values must be below `bound`.
    pub(crate) fn fill(&mut self, mut out: &mut [i32], bound: usize) -> Decoded<()> {
        let width = self.width;
        while !out.is_empty() {
            let (piece, largest, n);
            match self.piece(out.len())? {
                Piece::Same(value, count) => {
                    n = count;
                    (piece, out) = out.split_at_mut(n);
                    piece.fill(value as i32);
                    largest = value;
                }
                Piece::Packed { data, first, n: count } => {
                    n = count;
                    (piece, out) = out.split_at_mut(n);
                    unpack(data, first, width, piece);
                    largest = piece.iter().fold(0, |most, &v| most.max(v as u32));
                }
            }
            if n > 0 && largest as usize >= bound {
                return Err("dictionary keys beyond the dictionary");
            }
        }
        Ok(())
    }
}

/// Values `first`.. of `data`, packed from the least significant bit on; `data` holds that many.
pub(crate) fn unpack(data: &[u8], first: usize, width: u32, out: &mut [i32]) {
    let width = width as usize;
    let mask = (1_u64 << width) - 1;
    let mut bit = first * width;
    // Values that start at least eight bytes before the end are cut out of one unaligned word.
    let quick = match data.len().checked_sub(8) {
        Some(last) if last * 8 + 7 >= bit => ((last * 8 + 7 - bit) / width + 1).min(out.len()),
        _ => 0,
    };
    let (head, tail) = out.split_at_mut(quick);
    for value in head {
        let mut word = [0; 8];
        word.copy_from_slice(&data[bit / 8..bit / 8 + 8]);
        *value = (u64::from_le_bytes(word) >> (bit % 8) & mask) as i32;
        bit += width;
    }
    for value in tail {
        let rest = &data[bit / 8..];
        let mut word = [0; 8];
        let n = rest.len().min(8);
        word[..n].copy_from_slice(&rest[..n]);
        *value = (u64::from_le_bytes(word) >> (bit % 8) & mask) as i32;
        bit += width;
    }
}

/// What follows a length of four bytes, and where it ends.
pub(crate) fn prefixed(buf: &Bytes) -> Decoded<(Bytes, usize)> {
    let len = buf.first_chunk::<4>().ok_or(ENDS_EARLY)?;
    let end = 4 + u32::from_le_bytes(*len) as usize;
    if end > buf.len() {
        return Err(ENDS_EARLY);
    }
    Ok((buf.slice(4..end), end))
}

/// Bits of a level.
pub(crate) fn width(max: u32) -> u32 {
    u32::BITS - max.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A run as it is written, and the values it stands for.
    fn run(width: u32) -> impl Strategy<Value = (Vec<u8>, Vec<i32>)> {
        let value = move || any::<u32>().prop_map(move |v| v & ((1_u64 << width) - 1) as u32);
        let same = (value(), 1_usize..300).prop_map(move |(v, n)| {
            let mut out = leb(n << 1);
            out.extend(&v.to_le_bytes()[..width.div_ceil(8) as usize]);
            (out, vec![v as i32; n])
        });
        let packed = prop::collection::vec(value(), 8..200).prop_map(move |mut values| {
            values.truncate(values.len() / 8 * 8);
            let mut out = leb(((values.len() / 8) << 1) | 1);
            // Naive twin: bit by bit.
            let bits: Vec<bool> =
                values.iter().flat_map(|v| (0..width).map(move |b| v >> b & 1 == 1)).collect();
            out.extend(bits.chunks(8).map(|c| c.iter().rev().fold(0, |byte, &b| byte << 1 | u8::from(b))));
            (out, values.into_iter().map(|v| v as i32).collect())
        });
        prop_oneof![same, packed]
    }

    fn leb(mut n: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    proptest! {
        #[test]
        fn reads_what_was_written(
            (width, runs) in (1_u32..=32).prop_flat_map(|w| (Just(w), prop::collection::vec(run(w), 1..6))),
            step in 1_usize..100,
        ) {
            let data: Vec<u8> = runs.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let values: Vec<i32> = runs.iter().flat_map(|(_, values)| values.clone()).collect();
            let mut hybrid = Hybrid::new(data.into(), width).unwrap();
            let mut read = vec![0; values.len()];
            for piece in read.chunks_mut(step) {
                hybrid.fill(piece, 1 << 32).unwrap();
            }
            prop_assert_eq!(read, values);
            prop_assert!(hybrid.fill(&mut [0], 1 << 32).is_err());
        }

        #[test]
        fn bears_any_bytes(data in prop::collection::vec(any::<u8>(), 0..60), width in 0_u32..=32) {
            let mut hybrid = Hybrid::new(data.into(), width).unwrap();
            let mut out = [0; 100];
            // A run may be as long as it likes.
            for _ in 0..50 {
                if hybrid.fill(&mut out, 50).is_ok() {
                    prop_assert!(out.iter().all(|v| (0..50).contains(v)));
                }
            }
        }
    }

    #[test]
    fn values_of_no_bits_are_zero() {
        let mut out = [7; 3];
        Hybrid::new(Bytes::new(), 0).unwrap().fill(&mut out, 1).unwrap();
        assert_eq!(out, [0; 3]);
        assert!(Hybrid::new(Bytes::new(), 0).unwrap().fill(&mut out, 0).is_err());
    }
}
