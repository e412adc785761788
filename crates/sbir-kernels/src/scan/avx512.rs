//! The scan with AVX-512 and VNNI.

use std::arch::x86_64::*;

use super::exact::{LANES, PaddedQuery, reduced, tail};
use super::quantise::{Bound, QueryCodes};
use super::{BLOCK, GROUP};

/// Registers of sixteen vectors in a block.
const PARTS: usize = BLOCK / 16;

/// # Safety
/// The processor has AVX-512F and VNNI; `codes` has `group.steps * BLOCK * 4` bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn block_sums(
    codes: &[u8],
    group: &QueryCodes,
    sums: &mut [[i32; BLOCK]; GROUP],
) {
    // SAFETY: the same promises; the words are `[steps, count]`, and the number of queries is the one of the function.
    unsafe {
        match group.count {
            1 => block_sums_of::<1>(codes, group, sums),
            2 => block_sums_of::<2>(codes, group, sums),
            3 => block_sums_of::<3>(codes, group, sums),
            4 => block_sums_of::<4>(codes, group, sums),
            5 => block_sums_of::<5>(codes, group, sums),
            _ => block_sums_of::<6>(codes, group, sums),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn block_sums_of<const Q: usize>(
    codes: &[u8],
    group: &QueryCodes,
    sums: &mut [[i32; BLOCK]; GROUP],
) {
    assert!(Q <= GROUP && group.words.len() == group.steps * Q);
    let mut totals = [[_mm512_setzero_si512(); PARTS]; Q];
    let mut code = codes.as_ptr();
    let mut word = group.words.as_ptr();
    for _ in 0..group.steps {
        // SAFETY: a step has PARTS registers of codes and Q words, and both slices hold `steps` of them.
        unsafe {
            let parts: [__m512i; PARTS] =
                std::array::from_fn(|part| _mm512_loadu_si512(code.add(part * 64).cast()));
            for (query, totals) in totals.iter_mut().enumerate() {
                let query = _mm512_set1_epi32(*word.add(query));
                for (total, part) in totals.iter_mut().zip(parts) {
                    *total = _mm512_dpbusd_epi32(*total, part, query);
                }
            }
            code = code.add(PARTS * 64);
            word = word.add(Q);
        }
    }
    for (query, totals) in totals.into_iter().enumerate() {
        let offset = _mm512_set1_epi32(group.offsets[query]);
        for (part, total) in totals.into_iter().enumerate() {
            // SAFETY: sixteen of the BLOCK sums.
            unsafe {
                _mm512_storeu_si512(
                    sums[query].as_mut_ptr().add(part * 16).cast(),
                    _mm512_sub_epi32(total, offset),
                );
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn reaching(
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
    let mut mask = 0;
    for part in 0..PARTS {
        // SAFETY: sixteen of BLOCK values each.
        let (sums, scales, errors) = unsafe {
            (
                _mm512_loadu_si512(sums.as_ptr().add(part * 16).cast()),
                _mm512_loadu_ps(scales.as_ptr().add(part * 16)),
                _mm512_loadu_ps(errors.as_ptr().add(part * 16)),
            )
        };
        let middle = _mm512_mul_ps(_mm512_mul_ps(scale, scales), _mm512_cvtepi32_ps(sums));
        let radius = _mm512_add_ps(fixed, _mm512_mul_ps(norm, errors));
        let reaches = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_add_ps(middle, radius), threshold);
        mask |= u64::from(reaches) << (part * 16);
    }
    mask
}

/// # Safety
/// The processor has AVX-512F; `halves` is as long as the query.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn score(query: &PaddedQuery, halves: &[u16]) -> f32 {
    let (whole, rest) = halves.as_chunks::<LANES>();
    let (queries, _) = query.values.as_chunks::<LANES>();
    let tail = tail(rest);
    let mut sums = [_mm512_setzero_ps(); 2];
    for (query, halves) in queries.iter().zip(whole.iter().chain(&tail)) {
        for (part, sum) in sums.iter_mut().enumerate() {
            // SAFETY: sixteen of LANES values each.
            let (query, halves) = unsafe {
                (
                    _mm512_loadu_ps(query.as_ptr().add(part * 16)),
                    _mm256_loadu_si256(halves.as_ptr().add(part * 16).cast()),
                )
            };
            *sum = _mm512_add_ps(*sum, _mm512_mul_ps(query, _mm512_cvtph_ps(halves)));
        }
    }
    let mut lanes = [0.0; LANES];
    for (part, sum) in sums.into_iter().enumerate() {
        // SAFETY: sixteen of LANES values.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr().add(part * 16), sum) };
    }
    reduced(lanes)
}
