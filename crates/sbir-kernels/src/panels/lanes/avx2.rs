//! AVX2 with FMA, f32 operands.

// SAFETY of all that is unsafe here: `Lanes` asks its callers for the instructions and for good pointers; nothing else is needed.

use std::arch::x86_64::*;

use super::table::{HIGHEST, INTEGRAL, LOWEST, OFFSET, PIECES, SCALE, SLOPE, TERMS, Table};
use super::{Lanes, Work};

/// f32 operands.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[inline(always)]
unsafe fn piecewise(table: &Table, piece: __m256i, rest: __m256) -> __m256 {
    unsafe {
        let coefficients = |k: usize| _mm256_i32gather_ps::<4>(table[k].as_ptr(), piece);
        let mut sum = coefficients(TERMS - 1);
        let mut k = TERMS - 1;
        while k > 0 {
            k -= 1;
            sum = _mm256_fmadd_ps(sum, rest, coefficients(k));
        }
        sum
    }
}

/// Interval, and place in it.
#[inline(always)]
unsafe fn place(x: __m256) -> (__m256i, __m256) {
    unsafe {
        // The second operand is what a NaN gives, so `x` stands there.
        let inside =
            _mm256_min_ps(_mm256_set1_ps(HIGHEST), _mm256_max_ps(_mm256_set1_ps(LOWEST), x));
        let scaled = _mm256_fmadd_ps(inside, _mm256_set1_ps(SCALE), _mm256_set1_ps(OFFSET));
        let nearest = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(scaled);
        let last = _mm256_set1_epi32(PIECES as i32 - 1);
        (_mm256_and_si256(_mm256_cvtps_epi32(nearest), last), _mm256_sub_ps(scaled, nearest))
    }
}

impl Lanes for Avx2 {
    type Vector = __m256;
    type Raw = __m256;
    type Operand = f32;

    const LANES: usize = 8;
    const STEP: usize = 1;
    const EXACT: bool = true;
    const HEIGHT: usize = 6;

    #[target_feature(enable = "avx2,fma")]
    unsafe fn enter<W: Work>(work: W) {
        // SAFETY: the caller has checked the processor; the rest is the work's own contract.
        unsafe { work.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn clamp(x: __m256, least: __m256, most: __m256) -> __m256 {
        // The second operand is what a NaN gives.
        unsafe { _mm256_min_ps(most, _mm256_max_ps(least, x)) }
    }
    #[inline(always)]
    unsafe fn fetch(line: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }
    #[inline(always)]
    unsafe fn sum(x: __m256) -> f32 {
        unsafe {
            let half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
        }
    }
    #[inline(always)]
    unsafe fn raw(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn spread(from: *const f32) -> __m256 {
        unsafe { _mm256_set1_ps(*from) }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn put(to: *mut f32, x: __m256) {
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn get(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn put_rows(to: *mut f32, half: usize, even: __m256, odd: __m256) {
        unsafe {
            _mm256_storeu_ps(to.add(half * 8), even);
            _mm256_storeu_ps(to.add(16 + half * 8), odd);
        }
    }
    #[inline(always)]
    unsafe fn sum_rows(from: *const f32, half: usize) -> __m256 {
        unsafe {
            let even = _mm256_loadu_ps(from.add(half * 8));
            _mm256_add_ps(even, _mm256_loadu_ps(from.add(16 + half * 8)))
        }
    }
    #[inline(always)]
    fn operand(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn gelu(x: __m256) -> __m256 {
        unsafe {
            let (piece, rest) = place(x);
            let x = _mm256_max_ps(_mm256_set1_ps(LOWEST), x);
            _mm256_mul_ps(x, piecewise(&INTEGRAL, piece, rest))
        }
    }
    #[inline(always)]
    unsafe fn gelu_and_slope(x: __m256) -> (__m256, __m256) {
        unsafe {
            let (piece, rest) = place(x);
            let x = _mm256_max_ps(_mm256_set1_ps(LOWEST), x);
            let value = _mm256_mul_ps(x, piecewise(&INTEGRAL, piece, rest));
            (value, piecewise(&SLOPE, piece, rest))
        }
    }
}
