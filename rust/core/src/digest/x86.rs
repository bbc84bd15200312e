//! Four SHA-256 compressions at once with the SHA instructions of x86.
//!
//! Each two rounds wait for the two before them; four independent messages fill that wait. All that is unsafe about
//! hashing is in this file.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_storeu_si128,
};

use super::{Block, LANES, State};

/// Round constants, FIPS 180-4, 4.2.2: four rounds a row.
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// One register of every message.
type Lanes = [__m128i; LANES];

/// Proof that this processor has what [`ShaNi::compress4`] needs: only [`ShaNi::detect`] makes one.
#[derive(Clone, Copy)]
pub(super) struct ShaNi(());

impl ShaNi {
    /// Asks the processor.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3");
        has.then_some(Self(()))
    }

    /// Compresses one block into each of four states.
    #[allow(unsafe_code, reason = "the compiler cannot know which instructions the processor has")]
    pub(super) fn compress4(self, states: &mut [State; LANES], blocks: &[Block; LANES]) {
        // SAFETY: a `ShaNi` exists only where `detect` has found sha, sse4.1 and ssse3.
        unsafe { compress4(states, blocks) }
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress4(states: &mut [State; LANES], blocks: &[Block; LANES]) {
    let (mut abef, mut cdgh) = ([_mm_set_epi64x(0, 0); LANES], [_mm_set_epi64x(0, 0); LANES]);
    for l in 0..LANES {
        (abef[l], cdgh[l]) = load_state(&states[l]);
    }
    let (abef_before, cdgh_before) = (abef, cdgh);
    // w[i][l]: the message words of four rounds, a ring of four such groups.
    let mut w: [Lanes; 4] = core::array::from_fn(|i| core::array::from_fn(|l| load_words(&blocks[l], i)));
    for (i, words) in w.iter().enumerate() {
        rounds4(&K[i], &mut abef, &mut cdgh, words);
    }
    for i in [4, 8, 12] {
        for j in 0..4 {
            schedule(&mut w, j);
            rounds4(&K[i + j], &mut abef, &mut cdgh, &w[j]);
        }
    }
    for l in 0..LANES {
        let abef = _mm_add_epi32(abef[l], abef_before[l]);
        let cdgh = _mm_add_epi32(cdgh[l], cdgh_before[l]);
        store_state(&mut states[l], abef, cdgh);
    }
}

/// Four rounds of every message. Step by step over all of them, so that neighbouring instructions never wait for
/// one another.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn rounds4(k: &[u32; 4], abef: &mut Lanes, cdgh: &mut Lanes, w: &Lanes) {
    let k = load_constants(k);
    let wk: Lanes = core::array::from_fn(|l| _mm_add_epi32(w[l], k));
    for l in 0..LANES {
        cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], wk[l]);
    }
    for l in 0..LANES {
        abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(wk[l], 0x0E));
    }
}

/// Replaces group `j` of the ring by the message words sixteen rounds on.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn schedule(w: &mut [Lanes; 4], j: usize) {
    let (w1, w2, w3) = (w[(j + 1) % 4], w[(j + 2) % 4], w[(j + 3) % 4]);
    for l in 0..LANES {
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[j][l], w1[l]), _mm_alignr_epi8(w3[l], w2[l], 4));
        w[j][l] = _mm_sha256msg2_epu32(sum, w3[l]);
    }
}

#[inline]
#[target_feature(enable = "sse2")]
#[allow(unsafe_code, reason = "loads of whole registers take a pointer")]
fn load_constants(k: &[u32; 4]) -> __m128i {
    // SAFETY: 16 bytes are read of an array of 16; unaligned loads are allowed by `loadu`.
    unsafe { _mm_loadu_si128(k.as_ptr().cast()) }
}

/// Words 4i to 4i + 3 of a block, which are big-endian.
#[inline]
#[target_feature(enable = "ssse3")]
#[allow(unsafe_code, reason = "loads of whole registers take a pointer")]
fn load_words(block: &Block, i: usize) -> __m128i {
    let swap = _mm_set_epi64x(0x0C0D_0E0F_0809_0A0B, 0x0405_0607_0001_0203);
    let words = &block[16 * i..16 * i + 16];
    // SAFETY: 16 bytes are read of a slice of 16; unaligned loads are allowed by `loadu`.
    _mm_shuffle_epi8(unsafe { _mm_loadu_si128(words.as_ptr().cast()) }, swap)
}

/// The state in the order that the instructions want: (a, b, e, f) and (c, d, g, h), first named is highest.
#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
#[allow(unsafe_code, reason = "loads of whole registers take a pointer")]
fn load_state(state: &State) -> (__m128i, __m128i) {
    let (low, high) = state.split_at(4);
    // SAFETY: 16 bytes each are read of slices of four 32-bit words; unaligned loads are allowed by `loadu`.
    let (dcba, hgfe) =
        unsafe { (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast())) };
    let (cdab, efgh) = (_mm_shuffle_epi32(dcba, 0xB1), _mm_shuffle_epi32(hgfe, 0x1B));
    (_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xF0))
}

#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
#[allow(unsafe_code, reason = "stores of whole registers take a pointer")]
fn store_state(state: &mut State, abef: __m128i, cdgh: __m128i) {
    let (feba, dchg) = (_mm_shuffle_epi32(abef, 0x1B), _mm_shuffle_epi32(cdgh, 0xB1));
    let (low, high) = state.split_at_mut(4);
    // SAFETY: 16 bytes each are written to slices of four 32-bit words; unaligned stores are allowed by `storeu`.
    unsafe {
        _mm_storeu_si128(low.as_mut_ptr().cast(), _mm_blend_epi16(feba, dchg, 0xF0));
        _mm_storeu_si128(high.as_mut_ptr().cast(), _mm_alignr_epi8(dchg, feba, 8));
    }
}
