//! Plain Rust: what runs where nothing better does, and what the others are compared to.

use super::table::{INTEGRAL, LOWEST, SLOPE, look_up};
use super::{Lanes, Work, bf16_bits};

const LANES: usize = 8;
type Values = [f32; LANES];

/// f32 operands.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// bf16 operands, the twin of the dot products that a processor has.
#[derive(Clone, Copy)]
pub(crate) struct PortableBf16;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Values {
    std::array::from_fn(f)
}

fn wide(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// What both kinds of operands share.
macro_rules! vectors {
    () => {
        type Vector = Values;

        const LANES: usize = LANES;
        const HEIGHT: usize = 4;

        unsafe fn enter<W: Work>(work: W) {
            // SAFETY: no instructions are asked for; the rest is the work's own contract.
            unsafe { work.run::<Self>() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Values {
            [x; LANES]
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Values {
            // SAFETY: the caller's: `LANES` values can be read.
            unsafe { from.cast::<Values>().read_unaligned() }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, x: Values) {
            // SAFETY: the caller's: `LANES` values can be written.
            unsafe { to.cast::<Values>().write_unaligned(x) }
        }
        #[inline(always)]
        unsafe fn add(a: Values, b: Values) -> Values {
            each(|i| a[i] + b[i])
        }
        #[inline(always)]
        unsafe fn sub(a: Values, b: Values) -> Values {
            each(|i| a[i] - b[i])
        }
        #[inline(always)]
        unsafe fn mul(a: Values, b: Values) -> Values {
            each(|i| a[i] * b[i])
        }
        #[inline(always)]
        unsafe fn fma(a: Values, b: Values, c: Values) -> Values {
            // `mul_add` is a call of the C library where the processor may lack the instruction.
            each(|i| a[i] * b[i] + c[i])
        }
        #[inline(always)]
        unsafe fn clamp(x: Values, least: Values, most: Values) -> Values {
            each(|i| x[i].clamp(least[i], most[i]))
        }
        #[inline(always)]
        unsafe fn fetch(_: *const u8) {}
        #[inline(always)]
        unsafe fn sum(x: Values) -> f32 {
            ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
        }
        #[inline(always)]
        unsafe fn gelu(x: Values) -> Values {
            each(|i| x[i].max(LOWEST) * look_up(&INTEGRAL, x[i]))
        }
        #[inline(always)]
        unsafe fn gelu_and_slope(x: Values) -> (Values, Values) {
            // SAFETY: plain Rust.
            (unsafe { Self::gelu(x) }, each(|i| look_up(&SLOPE, x[i])))
        }
    };
}

impl Lanes for Portable {
    type Raw = Values;
    type Operand = f32;

    const STEP: usize = 1;
    const EXACT: bool = true;

    vectors!();

    #[inline(always)]
    unsafe fn raw(from: *const f32) -> Values {
        // SAFETY: as asked of the caller.
        unsafe { Self::load(from) }
    }
    #[inline(always)]
    unsafe fn spread(from: *const f32) -> Values {
        // SAFETY: as asked of the caller.
        unsafe { [*from; LANES] }
    }
    #[inline(always)]
    unsafe fn dot(sum: Values, a: Values, b: Values) -> Values {
        each(|i| a[i] * b[i] + sum[i])
    }
    #[inline(always)]
    unsafe fn put(to: *mut f32, x: Values) {
        // SAFETY: as asked of the caller.
        unsafe { Self::store(to, x) }
    }
    #[inline(always)]
    unsafe fn get(from: *const f32) -> Values {
        // SAFETY: as asked of the caller.
        unsafe { Self::load(from) }
    }
    #[inline(always)]
    unsafe fn put_rows(to: *mut f32, half: usize, even: Values, odd: Values) {
        // SAFETY: as asked of the caller.
        unsafe {
            Self::store(to.add(half * LANES), even);
            Self::store(to.add((2 + half) * LANES), odd);
        }
    }
    #[inline(always)]
    unsafe fn sum_rows(from: *const f32, half: usize) -> Values {
        // SAFETY: as asked of the caller.
        unsafe {
            Self::add(Self::load(from.add(half * LANES)), Self::load(from.add((2 + half) * LANES)))
        }
    }
    #[inline(always)]
    fn operand(x: f32) -> f32 {
        x
    }
}

impl Lanes for PortableBf16 {
    type Raw = [[u16; 2]; LANES];
    type Operand = u16;

    const STEP: usize = 2;
    const EXACT: bool = false;

    vectors!();

    #[inline(always)]
    unsafe fn raw(from: *const u16) -> Self::Raw {
        // SAFETY: as asked of the caller.
        unsafe { from.cast::<Self::Raw>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn spread(from: *const u16) -> Self::Raw {
        // SAFETY: as asked of the caller.
        unsafe { [from.cast::<[u16; 2]>().read_unaligned(); LANES] }
    }
    #[inline(always)]
    unsafe fn dot(sum: Values, a: Self::Raw, b: Self::Raw) -> Values {
        each(|i| sum[i] + wide(a[i][1]) * wide(b[i][1]) + wide(a[i][0]) * wide(b[i][0]))
    }
    #[inline(always)]
    unsafe fn put(to: *mut u16, x: Values) {
        // SAFETY: as asked of the caller.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(x.map(bf16_bits)) }
    }
    #[inline(always)]
    unsafe fn get(from: *const u16) -> Values {
        // SAFETY: as asked of the caller.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned().map(wide) }
    }
    #[inline(always)]
    unsafe fn put_rows(to: *mut u16, half: usize, even: Values, odd: Values) {
        let woven: Self::Raw = std::array::from_fn(|i| [bf16_bits(even[i]), bf16_bits(odd[i])]);
        // SAFETY: as asked of the caller.
        unsafe { to.add(half * 2 * LANES).cast::<Self::Raw>().write_unaligned(woven) }
    }
    #[inline(always)]
    unsafe fn sum_rows(from: *const u16, half: usize) -> Values {
        // SAFETY: as asked of the caller.
        let woven = unsafe { Self::raw(from.add(half * 2 * LANES)) };
        each(|i| wide(woven[i][0]) + wide(woven[i][1]))
    }
    #[inline(always)]
    fn operand(x: f32) -> u16 {
        bf16_bits(x)
    }
}
