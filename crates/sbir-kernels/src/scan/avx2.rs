//! The scan with AVX2.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::exact::{LANES, PaddedQuery, reduced, tail};
use super::quantise::{Bound, QueryCodes};
use super::{BLOCK, GROUP};

/// Registers of eight vectors in a block.
const PARTS: usize = BLOCK / 8;

/// To be called on processors with AVX2 only.
#[target_feature(enable = "avx2")]
pub(super) fn block_sums(codes: &[u8], group: &QueryCodes, sums: &mut [[i32; BLOCK]; GROUP]) {
    for (place, sums) in sums.iter_mut().enumerate().take(group.count) {
        // Half a block at a time: four sums, and what they need, fit the sixteen registers.
        for half in 0..2 {
            half_sums(codes, group, place, half, sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn half_sums(codes: &[u8], group: &QueryCodes, place: usize, half: usize, sums: &mut [i32; BLOCK]) {
    const HALF: usize = PARTS / 2;
    let offset = _mm256_set1_epi8(i8::MIN);
    let ones = _mm256_set1_epi16(1);
    let mut totals = [_mm256_setzero_si256(); HALF];
    let steps = codes.as_chunks::<{ BLOCK * 4 }>().0.iter();
    for (codes, words) in steps.zip(group.words.chunks_exact(group.count)) {
        let query = _mm256_set1_epi32(words[place]);
        // SAFETY: any bytes are integers, and the sizes are equal.
        let parts: [[__m256i; HALF]; 2] = unsafe { transmute(*codes) };
        for (total, codes) in totals.iter_mut().zip(parts[half]) {
            let codes = _mm256_xor_si256(codes, offset);
            // |c| · sign(c)·p: two such products, each at most 127², fit 16 bits.
            let pairs =
                _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(query, codes));
            *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, ones));
        }
    }
    // SAFETY: registers are integers, and the sizes are equal.
    let totals: [i32; BLOCK / 2] = unsafe { transmute(totals) };
    sums[half * (BLOCK / 2)..(half + 1) * (BLOCK / 2)].copy_from_slice(&totals);
}

/// To be called on processors with AVX2 only.
#[target_feature(enable = "avx2")]
pub(super) fn reaching(
    sums: &[i32; BLOCK],
    scales: &[f32; BLOCK],
    errors: &[f32; BLOCK],
    bound: &Bound,
    threshold: f32,
) -> u64 {
    let scale = _mm256_set1_ps(bound.scale);
    let fixed = _mm256_set1_ps(bound.fixed);
    let norm = _mm256_set1_ps(bound.norm);
    let threshold = _mm256_set1_ps(threshold);
    // SAFETY: an array of numbers as registers of them, of equal sizes.
    let sums: [__m256i; PARTS] = unsafe { transmute(*sums) };
    // SAFETY: as above.
    let scales: [__m256; PARTS] = unsafe { transmute(*scales) };
    // SAFETY: as above.
    let errors: [__m256; PARTS] = unsafe { transmute(*errors) };
    let mut mask = 0;
    for part in 0..PARTS {
        let middle =
            _mm256_mul_ps(_mm256_mul_ps(scale, scales[part]), _mm256_cvtepi32_ps(sums[part]));
        let radius = _mm256_add_ps(fixed, _mm256_mul_ps(norm, errors[part]));
        let reaches = _mm256_cmp_ps::<_CMP_GE_OQ>(_mm256_add_ps(middle, radius), threshold);
        mask |= u64::from(_mm256_movemask_ps(reaches) as u8) << (part * 8);
    }
    mask
}

/// To be called on processors with AVX2 and F16C only.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn score(query: &PaddedQuery, halves: &[u16]) -> f32 {
    let (whole, rest) = halves.as_chunks::<LANES>();
    let (queries, _) = query.values.as_chunks::<LANES>();
    let tail = tail(rest);
    let mut sums = [_mm256_setzero_ps(); 4];
    for (query, halves) in queries.iter().zip(whole.iter().chain(&tail)) {
        // SAFETY: an array of numbers as registers of them, of equal sizes.
        let query: [__m256; 4] = unsafe { transmute(*query) };
        // SAFETY: as above.
        let halves: [__m128i; 4] = unsafe { transmute(*halves) };
        for ((sum, query), halves) in sums.iter_mut().zip(query).zip(halves) {
            *sum = _mm256_add_ps(*sum, _mm256_mul_ps(query, _mm256_cvtph_ps(halves)));
        }
    }
    // SAFETY: registers are numbers, and the sizes are equal.
    reduced(unsafe { transmute::<[__m256; 4], [f32; LANES]>(sums) })
}
