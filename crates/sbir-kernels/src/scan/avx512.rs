//! The scan with AVX-512 and VNNI.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::exact::{LANES, PaddedQuery, reduced, tail};
use super::quantise::{Bound, QueryCodes};
use super::{BLOCK, GROUP};

/// Registers of sixteen vectors in a block.
const PARTS: usize = BLOCK / 16;

/// To be called on processors with AVX-512F, BW and VNNI only.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn block_sums(codes: &[u8], group: &QueryCodes, sums: &mut [[i32; BLOCK]; GROUP]) {
    match group.count {
        1 => block_sums_of::<1>(codes, group, sums),
        2 => block_sums_of::<2>(codes, group, sums),
        3 => block_sums_of::<3>(codes, group, sums),
        4 => block_sums_of::<4>(codes, group, sums),
        5 => block_sums_of::<5>(codes, group, sums),
        _ => block_sums_of::<6>(codes, group, sums),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn block_sums_of<const Q: usize>(
    codes: &[u8],
    group: &QueryCodes,
    sums: &mut [[i32; BLOCK]; GROUP],
) {
    let mut totals = [[_mm512_setzero_si512(); PARTS]; Q];
    let (steps, _) = codes.as_chunks::<{ BLOCK * 4 }>();
    let (words, _) = group.words.as_chunks::<Q>();
    for (codes, words) in steps.iter().zip(words) {
        // SAFETY: any bytes are integers, and the sizes are equal.
        let parts: [__m512i; PARTS] = unsafe { transmute(*codes) };
        for (totals, word) in totals.iter_mut().zip(words) {
            let query = _mm512_set1_epi32(*word);
            for (total, part) in totals.iter_mut().zip(parts) {
                *total = _mm512_dpbusd_epi32(*total, part, query);
            }
        }
    }
    for ((sums, totals), offset) in sums.iter_mut().zip(totals).zip(group.offsets) {
        let offset = _mm512_set1_epi32(offset);
        let whole = totals.map(|total| _mm512_sub_epi32(total, offset));
        // SAFETY: registers are integers, and the sizes are equal.
        *sums = unsafe { transmute::<[__m512i; PARTS], [i32; BLOCK]>(whole) };
    }
}

/// To be called on processors with AVX-512F only.
#[target_feature(enable = "avx512f")]
pub(super) fn reaching(
    sums: &[i32; BLOCK],
    scales: &[f32; BLOCK],
    errors: &[f32; BLOCK],
    bound: &Bound,
    threshold: f32,
) -> u64 {
    let scale = _mm512_set1_ps(bound.scale);
    let fixed = _mm512_set1_ps(bound.fixed);
    let norm = _mm512_set1_ps(bound.norm);
    let threshold = _mm512_set1_ps(threshold);
    // SAFETY: an array of numbers as registers of them, of equal sizes.
    let sums: [__m512i; PARTS] = unsafe { transmute(*sums) };
    // SAFETY: as above.
    let scales: [__m512; PARTS] = unsafe { transmute(*scales) };
    // SAFETY: as above.
    let errors: [__m512; PARTS] = unsafe { transmute(*errors) };
    let mut mask = 0;
    for part in 0..PARTS {
        let middle =
            _mm512_mul_ps(_mm512_mul_ps(scale, scales[part]), _mm512_cvtepi32_ps(sums[part]));
        let radius = _mm512_add_ps(fixed, _mm512_mul_ps(norm, errors[part]));
        let reaches = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_add_ps(middle, radius), threshold);
        mask |= u64::from(reaches) << (part * 16);
    }
    mask
}

/// To be called on processors with AVX-512F only.
#[target_feature(enable = "avx512f")]
pub(super) fn score(query: &PaddedQuery, halves: &[u16]) -> f32 {
    let (whole, rest) = halves.as_chunks::<LANES>();
    let (queries, _) = query.values.as_chunks::<LANES>();
    let tail = tail(rest);
    let mut sums = [_mm512_setzero_ps(); 2];
    for (query, halves) in queries.iter().zip(whole.iter().chain(&tail)) {
        // SAFETY: an array of numbers as registers of them, of equal sizes.
        let query: [__m512; 2] = unsafe { transmute(*query) };
        // SAFETY: as above.
        let halves: [__m256i; 2] = unsafe { transmute(*halves) };
        for ((sum, query), halves) in sums.iter_mut().zip(query).zip(halves) {
            *sum = _mm512_add_ps(*sum, _mm512_mul_ps(query, _mm512_cvtph_ps(halves)));
        }
    }
    // SAFETY: registers are numbers, and the sizes are equal.
    reduced(unsafe { transmute::<[__m512; 2], [f32; LANES]>(sums) })
}
