//! The products' inner loop: tiles of a few rows and one chunk of columns, whose sums stay in registers.
//!
//! A left operand is read value by value. It lies in vectors of columns, `[columns / LANES, rows, LANES]`, or in lines,
//! `[columns / STEP, rows, STEP]`.

use std::marker::PhantomData;

use crate::panels::lanes::{Lanes, Work};

/// What becomes of a tile's sums.
pub(super) trait Finish {
    /// Takes the next rows of the chunk.
    ///
    /// # Safety
    /// As whatever it writes to asks.
    unsafe fn take<L: Lanes, const V: usize, const M: usize>(&mut self, sums: [[L::Vector; V]; M]);
}

/// A left operand: its first value, and operands from one vector of columns, or one line, to the next.
#[derive(Clone, Copy)]
pub(super) struct Left<T> {
    pub(super) start: *const T,
    pub(super) stride: usize,
}

/// Memory that is read soon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) start: *const u8,
    pub(super) bytes: usize,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self { start: std::ptr::null(), bytes: 0 };

    /// That of some values.
    pub(super) fn of<T>(values: &[T]) -> Self {
        Self { start: values.as_ptr().cast(), bytes: size_of_val(values) }
    }
}

/// Rows of the highest tile of `V` vectors whose sums stay in registers.
struct Height<L, const V: usize>(PhantomData<L>);

impl<L: Lanes, const V: usize> Height<L, V> {
    const MOST: usize = if V == 3 { 2 * L::HEIGHT / 3 } else { L::HEIGHT };
}

/// Vectors of columns by which a left operand is fetched before it is read: another core may have written it.
const FAR: usize = 4;

/// Runs `$body` with `$M` a constant equal to `$rows`, which `$most` is at least.
macro_rules! with_height {
    ($most:expr, $rows:expr, $M:ident => $body:expr) => {
        with_height!(@arms $most, $rows, $M, $body, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@arms $most:expr, $rows:expr, $M:ident, $body:expr, $($height:literal)*) => {
        match $rows {
            $($height if $height <= $most => {
                const $M: usize = $height;
                $body
            })*
            _ => {}
        }
    };
}

/// `bias + left · right`, handed to `finish` tile by tile, while `ahead` is fetched.
///
/// # Shapes
/// - `left`: `rows` rows and `depth` columns, in lines or not
/// - `right`: `[depth / STEP, V * LANES, STEP]`
/// - `bias`: `[V * LANES]`
///
/// # Safety
/// All of that but `ahead` can be read; and as `finish` asks.
#[inline(always)]
pub(super) unsafe fn product<L: Lanes, const V: usize, const LINES: bool, F: Finish>(
    left: Left<L::Operand>,
    right: *const L::Operand,
    bias: *const f32,
    size: [usize; 2],
    ahead: Ahead,
    finish: &mut F,
) {
    // A function of its own: dozens of tiles for each way to finish, not for each caller.
    let product = Product::<'_, _, F, V, LINES> { left, right, bias, size, ahead, finish };
    // SAFETY: as asked of the caller, who has entered already.
    unsafe { L::enter(product) };
}

struct Product<'a, T, F, const V: usize, const LINES: bool> {
    left: Left<T>,
    right: *const T,
    bias: *const f32,
    size: [usize; 2],
    ahead: Ahead,
    finish: &'a mut F,
}

impl<T, F: Finish, const V: usize, const LINES: bool> Work for Product<'_, T, F, V, LINES> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { left, right, bias, size: [rows, depth], ahead, finish } = self;
        let right = right.cast::<L::Operand>();
        let mut left = Left { start: left.start.cast::<L::Operand>(), stride: left.stride };
        let count = rows.div_ceil(Height::<L, V>::MOST);
        let steps = depth.div_ceil(L::STEP);
        let hop = ahead.bytes.div_ceil((count * steps).max(1));
        let (least, more) = (rows / count.max(1), rows % count.max(1));
        let mut ahead = ahead.start;
        for tile in 0..count {
            let height = least + usize::from(tile < more);
            // SAFETY: as asked of the caller.
            unsafe {
                with_height!(Height::<L, V>::MOST, height, M => {
                    finish.take::<L, V, M>(across::<L, V, M, LINES>(
                        left, right, bias, steps, ahead, hop,
                    ));
                });
                left.start = left.start.add(height * if LINES { L::STEP } else { L::LANES });
            }
            ahead = ahead.wrapping_add(steps * hop);
        }
    }
}

/// `M` rows of a product with a chunk.
#[inline(always)]
unsafe fn across<L: Lanes, const V: usize, const M: usize, const LINES: bool>(
    left: Left<L::Operand>,
    mut right: *const L::Operand,
    bias: *const f32,
    steps: usize,
    mut ahead: *const u8,
    hop: usize,
) -> [[L::Vector; V]; M] {
    // SAFETY: as asked of `product`'s caller.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; M];
        let mut vector = 0;
        while vector < V {
            let bias = L::load(bias.add(vector * L::LANES));
            let mut row = 0;
            while row < M {
                sums[row][vector] = bias;
                row += 1;
            }
            vector += 1;
        }
        let mut rest = steps;
        let mut column = left.start;
        while rest > 0 {
            let now = rest.min(if LINES { 1 } else { L::LANES / L::STEP });
            let mut value = column;
            let mut far = column.wrapping_add(FAR * left.stride);
            for _ in 0..now {
                let mut weights = [L::raw(right); V];
                let mut vector = 1;
                while vector < V {
                    weights[vector] = L::raw(right.add(vector * L::LANES * L::STEP));
                    vector += 1;
                }
                let mut row = 0;
                while row < M {
                    let spread = L::spread(value.add(row * if LINES { L::STEP } else { L::LANES }));
                    let mut vector = 0;
                    while vector < V {
                        sums[row][vector] = L::dot(sums[row][vector], spread, weights[vector]);
                        vector += 1;
                    }
                    row += 1;
                }
                L::fetch(far.cast());
                far = far.wrapping_add(L::LANES);
                L::fetch(ahead);
                ahead = ahead.wrapping_add(hop);
                value = value.add(L::STEP);
                right = right.add(V * L::LANES * L::STEP);
            }
            rest -= now;
            column = column.wrapping_add(left.stride);
        }
        sums
    }
}
