//! Numbers in Parquet's hybrid of run lengths and packed bits ("RLE" in its specification, Encodings.md).

/// Numbers that are packed at once.
const PACK: usize = 8;

/// Bits that numbers up to `most` take.
pub(super) fn width(most: u32) -> u32 {
    u32::BITS - most.leading_zeros()
}

/// Appends `values`, each of `width` bits: stretches of at least [`PACK`] equal ones as run lengths, the rest packed.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut at = 0;
    // Where the numbers begin that are to be packed.
    let mut packed = 0;
    while at < values.len() {
        let run = values[at..].iter().take_while(|v| **v == values[at]).count();
        if run >= PACK {
            // Packed numbers come by eights: the run gives what is lacking.
            let lacking = (at - packed).next_multiple_of(PACK) - (at - packed);
            if run - lacking >= PACK {
                pack(&values[packed..at + lacking], width, out);
                repeat(values[at], run - lacking, width, out);
                packed = at + run;
            }
        }
        at += run;
    }
    pack(&values[packed..], width, out);
}

/// A run, of a number that is not 0 times.
pub(super) fn repeat(value: u32, times: usize, width: u32, out: &mut Vec<u8>) {
    varint((times as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Packed numbers; those lacking from the last eight are 0.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint((values.len().div_ceil(PACK) as u64) << 1 | 1, out);
    for eight in values.chunks(PACK) {
        let (mut bits, mut held) = (0_u64, 0);
        for i in 0..PACK {
            bits |= u64::from(eight.get(i).copied().unwrap_or(0)) << held;
            held += width;
            while held >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                held -= 8;
            }
        }
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
