//! AVX-512, with f32 or bf16 operands.

// SAFETY of all that is unsafe here: `Lanes` asks its callers for the instructions and for good pointers; nothing else is needed.

use std::arch::x86_64::*;

use super::table::{HIGHEST, INTEGRAL, LOWEST, OFFSET, SCALE, SLOPE, TERMS, Table};
use super::{Lanes, Work, bf16_bits};

/// f32 operands.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// bf16 operands, f32 sums.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16;

/// Operands rounded to bf16 and kept as f32, whose products are the same numbers: for processors whose bf16 dot products
/// are slower than f32's multiply-adds.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Rounded;

#[inline(always)]
unsafe fn piecewise(table: &Table, place: __m512i, rest: __m512) -> __m512 {
    unsafe {
        let coefficients = |k: usize| {
            let low = _mm512_loadu_ps(table[k].as_ptr());
            let high = _mm512_loadu_ps(table[k].as_ptr().add(16));
            _mm512_permutex2var_ps(low, place, high)
        };
        let mut sum = coefficients(TERMS - 1);
        let mut k = TERMS - 1;
        while k > 0 {
            k -= 1;
            sum = _mm512_fmadd_ps(sum, rest, coefficients(k));
        }
        sum
    }
}

/// Interval, and place in it; arguments below the table count as its lower end.
#[inline(always)]
unsafe fn place(x: __m512) -> (__m512i, __m512) {
    unsafe {
        // The second operand is what a NaN gives, so `x` stands there.
        let inside =
            _mm512_min_ps(_mm512_set1_ps(HIGHEST), _mm512_max_ps(_mm512_set1_ps(LOWEST), x));
        let scaled = _mm512_fmadd_ps(inside, _mm512_set1_ps(SCALE), _mm512_set1_ps(OFFSET));
        let nearest = _mm512_roundscale_ps::<0>(scaled);
        (_mm512_cvtps_epi32(nearest), _mm512_sub_ps(scaled, nearest))
    }
}

#[inline(always)]
unsafe fn gelu(x: __m512) -> __m512 {
    unsafe {
        let (piece, rest) = place(x);
        let x = _mm512_max_ps(_mm512_set1_ps(LOWEST), x);
        _mm512_mul_ps(x, piecewise(&INTEGRAL, piece, rest))
    }
}

#[inline(always)]
unsafe fn gelu_and_slope(x: __m512) -> (__m512, __m512) {
    unsafe {
        let (piece, rest) = place(x);
        let x = _mm512_max_ps(_mm512_set1_ps(LOWEST), x);
        let value = _mm512_mul_ps(x, piecewise(&INTEGRAL, piece, rest));
        (value, piecewise(&SLOPE, piece, rest))
    }
}

/// What both kinds of operands share.
macro_rules! vectors {
    () => {
        type Vector = __m512;

        const LANES: usize = 16;
        const HEIGHT: usize = 14;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, x: __m512) {
            unsafe { _mm512_storeu_ps(to, x) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn clamp(x: __m512, least: __m512, most: __m512) -> __m512 {
            // The second operand is what a NaN gives.
            unsafe { _mm512_min_ps(most, _mm512_max_ps(least, x)) }
        }
        #[inline(always)]
        unsafe fn fetch(line: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
        }
        #[inline(always)]
        unsafe fn sum(x: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(x) }
        }
        #[inline(always)]
        unsafe fn gelu(x: __m512) -> __m512 {
            unsafe { gelu(x) }
        }
        #[inline(always)]
        unsafe fn gelu_and_slope(x: __m512) -> (__m512, __m512) {
            unsafe { gelu_and_slope(x) }
        }
    };
}

/// What f32 operands share, whatever they are rounded to.
macro_rules! wide_operands {
    ($round:path) => {
        type Raw = __m512;
        type Operand = f32;

        const STEP: usize = 1;

        #[inline(always)]
        unsafe fn raw(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn spread(from: *const f32) -> __m512 {
            unsafe { _mm512_set1_ps(*from) }
        }
        #[inline(always)]
        unsafe fn dot(sum: __m512, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, sum) }
        }
        #[inline(always)]
        unsafe fn put(to: *mut f32, x: __m512) {
            unsafe { _mm512_storeu_ps(to, $round(x)) }
        }
        #[inline(always)]
        unsafe fn get(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn put_rows(to: *mut f32, half: usize, even: __m512, odd: __m512) {
            unsafe {
                _mm512_storeu_ps(to.add(half * 16), $round(even));
                _mm512_storeu_ps(to.add(32 + half * 16), $round(odd));
            }
        }
        #[inline(always)]
        unsafe fn sum_rows(from: *const f32, half: usize) -> __m512 {
            unsafe {
                let even = _mm512_loadu_ps(from.add(half * 16));
                _mm512_add_ps(even, _mm512_loadu_ps(from.add(32 + half * 16)))
            }
        }
    };
}

#[inline(always)]
unsafe fn as_it_is(x: __m512) -> __m512 {
    x
}

#[inline(always)]
unsafe fn as_bf16(x: __m512) -> __m512 {
    unsafe { widened(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))) }
}

#[inline(always)]
unsafe fn widened(bits: __m256i) -> __m512 {
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits))) }
}

impl Lanes for Avx512 {
    vectors!();
    const EXACT: bool = true;

    wide_operands!(as_it_is);

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
    unsafe fn enter<W: Work>(work: W) {
        // SAFETY: the caller has checked the processor; the rest is the work's own contract.
        unsafe { work.run::<Self>() }
    }
    #[inline(always)]
    fn operand(x: f32) -> f32 {
        x
    }
}

impl Lanes for Avx512Rounded {
    vectors!();
    const EXACT: bool = false;

    wide_operands!(as_bf16);

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")]
    unsafe fn enter<W: Work>(work: W) {
        // SAFETY: the caller has checked the processor; the rest is the work's own contract.
        unsafe { work.run::<Self>() }
    }
    #[inline(always)]
    fn operand(x: f32) -> f32 {
        f32::from_bits(u32::from(bf16_bits(x)) << 16)
    }
}

/// Puts lane `i` of both halves side by side: 0, 16, 1, 17, …
static WEAVE: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 16 {
        order[2 * i] = i as u16;
        order[2 * i + 1] = 16 + i as u16;
        i += 1;
    }
    order
};

impl Lanes for Avx512Bf16 {
    type Raw = __m512bh;
    type Operand = u16;

    const STEP: usize = 2;
    const EXACT: bool = false;

    vectors!();

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")]
    unsafe fn enter<W: Work>(work: W) {
        // SAFETY: the caller has checked the processor; the rest is the work's own contract.
        unsafe { work.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn raw(from: *const u16) -> __m512bh {
        unsafe { std::mem::transmute(_mm512_loadu_si512(from.cast())) }
    }
    #[inline(always)]
    unsafe fn spread(from: *const u16) -> __m512bh {
        unsafe { std::mem::transmute(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512, a: __m512bh, b: __m512bh) -> __m512 {
        unsafe { _mm512_dpbf16_ps(sum, a, b) }
    }
    #[inline(always)]
    unsafe fn put(to: *mut u16, x: __m512) {
        unsafe {
            let narrow: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(x));
            _mm256_storeu_si256(to.cast(), narrow);
        }
    }
    #[inline(always)]
    unsafe fn get(from: *const u16) -> __m512 {
        unsafe { widened(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn put_rows(to: *mut u16, half: usize, even: __m512, odd: __m512) {
        unsafe {
            let both: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(odd, even));
            let order = _mm512_loadu_si512(WEAVE.as_ptr().cast());
            let woven = _mm512_permutexvar_epi16(order, both);
            _mm512_storeu_si512(to.add(half * 32).cast(), woven);
        }
    }
    #[inline(always)]
    unsafe fn sum_rows(from: *const u16, half: usize) -> __m512 {
        unsafe {
            let both = _mm512_loadu_si512(from.add(half * 32).cast());
            let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(both));
            let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_add_ps(even, _mm512_castsi512_ps(_mm512_and_si512(both, high)))
        }
    }
    #[inline(always)]
    fn operand(x: f32) -> u16 {
        bf16_bits(x)
    }
}
