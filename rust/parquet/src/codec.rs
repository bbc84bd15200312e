//! Bodies of pages, decompressed to what their headers say, and no further.
//!
//! The `parquet` crate lets three of its codecs write for as long as there is something to write: kilobytes could become
//! all memory before anybody compares lengths.

use std::io::Read;

use parquet::basic::CompressionCodec as Codec;

/// Bytes of a page that may be one value throughout.
const ALIKE: usize = 64 << 20;

/// Bytes that one byte may stand for beyond that: what gzip can at most (RFC 1951: 258 bytes in two bits). Of larger pages that
/// are all the same, which Zstandard and brotli make smaller yet, nobody can tell whether they are meant.
const MOST_OF_A_BYTE: usize = 1032;

/// Bytes for which memory is taken before there are any.
const AT_ONCE: usize = 1 << 20;

/// Decompresses bodies of one column chunk.
pub(crate) struct Unpacker {
    codec: Codec,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, snappy: snap::raw::Decoder::new(), zstd: None }
    }

    /// Whether bodies lie in the file as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.codec == Codec::UNCOMPRESSED
    }

    /// What `packed` stands for, which is `len` bytes; None where it is not, or claims more than it can hold.
    pub(crate) fn unpack(&mut self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        if len > ALIKE.saturating_add(packed.len().saturating_mul(MOST_OF_A_BYTE)) {
            return None;
        }
        let found = match self.codec {
            Codec::SNAPPY => {
                (snap::raw::decompress_len(packed).ok()? == len).then_some(())?;
                let mut out = zeros(len)?;
                self.snappy.decompress(packed, &mut out).ok()?;
                out
            }
            Codec::ZSTD => {
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Decompressor::new().ok()?);
                }
                let mut out = room(len)?;
                self.zstd.as_mut()?.decompress_to_buffer(packed, &mut out).ok()?;
                out
            }
            Codec::GZIP => limited(flate2::read::MultiGzDecoder::new(packed), len)?,
            Codec::BROTLI => limited(brotli::Decompressor::new(packed, AT_ONCE.min(len.max(1))), len)?,
            Codec::LZ4_RAW => lz4_block(packed, len)?,
            Codec::LZ4 => lz4(packed, len)?,
            Codec::UNCOMPRESSED | Codec::LZO => return None,
        };
        (found.len() == len).then_some(found)
    }
}

/// Memory for so many bytes, if there is any.
fn room(len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(len).ok()?;
    Some(out)
}

fn zeros(len: usize) -> Option<Vec<u8>> {
    let mut out = room(len)?;
    out.resize(len, 0);
    Some(out)
}

/// At most a byte more than `len`.
fn limited(from: impl Read, len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len.min(AT_ONCE));
    from.take(len as u64 + 1).read_to_end(&mut out).ok()?;
    Some(out)
}

fn lz4_block(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = zeros(len)?;
    let found = lz4_flex::block::decompress_into(packed, &mut out).ok()?;
    out.truncate(found);
    Some(out)
}

/// The codec that the format has given up, for nobody had said how it is framed (parquet-format, Compression.md, LZ4):
/// as in Hadoop, as LZ4 itself does, or not.
fn lz4(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let right = |out: &Vec<u8>| out.len() == len;
    hadoop(packed, len)
        .filter(right)
        .or_else(|| limited(lz4_flex::frame::FrameDecoder::new(packed), len).filter(right))
        .or_else(|| lz4_block(packed, len))
}

/// Blocks, each after its length and its length in the file, as numbers of four bytes, the highest first.
fn hadoop(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len.min(AT_ONCE));
    while !packed.is_empty() {
        let (head, rest) = packed.split_first_chunk::<8>()?;
        let number = |at: usize| head[at..at + 4].iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        let (unpacked, taken) = (number(0), number(4));
        if unpacked > len - out.len() {
            return None;
        }
        out.extend(lz4_block(rest.get(..taken)?, unpacked).filter(|block| block.len() == unpacked)?);
        packed = &rest[taken..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use proptest::prelude::*;

    fn packed(codec: Codec, text: &[u8]) -> Vec<u8> {
        match codec {
            Codec::SNAPPY => snap::raw::Encoder::new().compress_vec(text).unwrap(),
            Codec::ZSTD => zstd::bulk::compress(text, 1).unwrap(),
            Codec::GZIP => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            Codec::BROTLI => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 1, 20).write_all(text).unwrap();
                out
            }
            _ => lz4_flex::block::compress(text),
        }
    }

    /// The three framings of the codec that was given up.
    fn framed(text: &[u8]) -> [Vec<u8>; 3] {
        let mut hadoop = Vec::new();
        for block in text.chunks(100) {
            let packed = lz4_flex::block::compress(block);
            hadoop.extend((block.len() as u32).to_be_bytes());
            hadoop.extend((packed.len() as u32).to_be_bytes());
            hadoop.extend(packed);
        }
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(text).unwrap();
        [hadoop, frame.finish().unwrap(), lz4_flex::block::compress(text)]
    }

    const CODECS: [Codec; 5] = [Codec::SNAPPY, Codec::ZSTD, Codec::GZIP, Codec::BROTLI, Codec::LZ4_RAW];

    proptest! {
        #[test]
        fn what_was_packed_comes_back_and_only_as_long_as_said(
            text in prop::collection::vec(prop::sample::select(b"ab ".to_vec()), 60..400),
            off in 1_usize..50,
        ) {
            let all = CODECS.map(|codec| (codec, packed(codec, &text)));
            let lz4 = framed(&text).map(|packed| (Codec::LZ4, packed));
            for (codec, packed) in all.iter().chain(&lz4) {
                let mut unpacker = Unpacker::new(*codec);
                prop_assert_eq!(unpacker.unpack(packed, text.len()), Some(text.clone()), "{:?}", codec);
                prop_assert_eq!(unpacker.unpack(packed, text.len() + off), None, "{:?}", codec);
                prop_assert_eq!(unpacker.unpack(packed, text.len() - off), None, "{:?}", codec);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_as_long_as_said(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            len in 0_usize..500,
        ) {
            for codec in CODECS.into_iter().chain([Codec::LZ4, Codec::LZO, Codec::UNCOMPRESSED]) {
                if let Some(found) = Unpacker::new(codec).unpack(&bytes, len) {
                    prop_assert_eq!(found.len(), len);
                }
            }
        }
    }

    /// A quarter of a gigabyte in a few kilobytes that says it is a thousand bytes.
    #[test]
    fn what_says_too_little_is_not_read_to_its_end() {
        let mut out = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 20);
        (0..256).for_each(|_| out.write_all(&[0; 1 << 20]).unwrap());
        let packed = out.into_inner();
        assert!(packed.len() < 1 << 20);
        assert_eq!(Unpacker::new(Codec::BROTLI).unpack(&packed, 1000), None);
        assert_eq!(Unpacker::new(Codec::SNAPPY).unpack(&packed, 8 << 30), None);
    }
}
