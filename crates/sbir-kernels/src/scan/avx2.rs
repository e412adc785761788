//! The scan with AVX2.

use std::arch::x86_64::*;

use super::exact::{LANES, PaddedQuery, reduced, tail};
use super::quantise::{Bound, QueryCodes};
use super::{BLOCK, GROUP};

/// Registers of eight vectors in a block.
const PARTS: usize = BLOCK / 8;

/// # Safety
/// The processor has AVX2; `codes` has `group.steps * BLOCK * 4` bytes.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn block_sums(
    codes: &[u8],
    group: &QueryCodes,
    sums: &mut [[i32; BLOCK]; GROUP],
) {
    for place in 0..group.count {
        // Half a block at a time: four sums, and what they need, fit the sixteen registers.
        for half in 0..2 {
            // SAFETY: the same promises.
            unsafe { half_sums(codes, group, place, half, &mut sums[place]) };
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn half_sums(
    codes: &[u8],
    group: &QueryCodes,
    place: usize,
    half: usize,
    sums: &mut [i32; BLOCK],
) {
    const HALF: usize = PARTS / 2;
    let offset = _mm256_set1_epi8(i8::MIN);
    let ones = _mm256_set1_epi16(1);
    let mut totals = [_mm256_setzero_si256(); HALF];
    let steps = codes.as_chunks::<{ BLOCK * 4 }>().0.iter();
    for (codes, words) in steps.zip(group.words.chunks_exact(group.count)) {
        let query = _mm256_set1_epi32(words[place]);
        for (part, total) in totals.iter_mut().enumerate() {
            // SAFETY: a step has PARTS registers of 32 bytes.
            let codes =
                unsafe { _mm256_loadu_si256(codes.as_ptr().add((half * HALF + part) * 32).cast()) };
            let codes = _mm256_xor_si256(codes, offset);
            // |c| · sign(c)·p: two such products, each at most 127², fit 16 bits.
            let pairs =
                _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(query, codes));
            *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, ones));
        }
    }
    for (part, total) in totals.into_iter().enumerate() {
        // SAFETY: eight of the BLOCK sums.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().add((half * HALF + part) * 8).cast(), total);
        }
    }
}

/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn reaching(
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
    let mut mask = 0;
    for part in 0..PARTS {
        // SAFETY: eight of BLOCK values each.
        let (sums, scales, errors) = unsafe {
            (
                _mm256_loadu_si256(sums.as_ptr().add(part * 8).cast()),
                _mm256_loadu_ps(scales.as_ptr().add(part * 8)),
                _mm256_loadu_ps(errors.as_ptr().add(part * 8)),
            )
        };
        let middle = _mm256_mul_ps(_mm256_mul_ps(scale, scales), _mm256_cvtepi32_ps(sums));
        let radius = _mm256_add_ps(fixed, _mm256_mul_ps(norm, errors));
        let reaches = _mm256_cmp_ps::<_CMP_GE_OQ>(_mm256_add_ps(middle, radius), threshold);
        mask |= u64::from(_mm256_movemask_ps(reaches) as u8) << (part * 8);
    }
    mask
}

/// # Safety
/// The processor has AVX2 and F16C; `halves` is as long as the query.
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn score(query: &PaddedQuery, halves: &[u16]) -> f32 {
    let (whole, rest) = halves.as_chunks::<LANES>();
    let (queries, _) = query.values.as_chunks::<LANES>();
    let tail = tail(rest);
    let mut sums = [_mm256_setzero_ps(); 4];
    for (query, halves) in queries.iter().zip(whole.iter().chain(&tail)) {
        for (part, sum) in sums.iter_mut().enumerate() {
            // SAFETY: eight of LANES values each.
            let (query, halves) = unsafe {
                (
                    _mm256_loadu_ps(query.as_ptr().add(part * 8)),
                    _mm_loadu_si128(halves.as_ptr().add(part * 8).cast()),
                )
            };
            *sum = _mm256_add_ps(*sum, _mm256_mul_ps(query, _mm256_cvtph_ps(halves)));
        }
    }
    let mut lanes = [0.0; LANES];
    for (part, sum) in sums.into_iter().enumerate() {
        // SAFETY: eight of LANES values.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr().add(part * 8), sum) };
    }
    reduced(lanes)
}
