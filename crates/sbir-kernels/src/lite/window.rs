//! Depthwise 3×3 and 5×5 convolutions of steps 1 and 2 over planes in panels, with bias and ReLU6.

use crate::panels::lanes::Lanes;
use crate::panels::spans::Span;

/// Neighbouring outputs computed at a time.
const RUN: usize = 8;

/// Planes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
    /// Rows and columns before the input.
    pub(super) padding: [usize; 2],
}

/// Filters one panel for a span of output pixels.
///
/// # Shapes
/// - `input`: `[height, width, PANEL]`
/// - `weights`: `[K * K, PANEL]`, `bias`: `[PANEL]`
/// - `output`: `[count, PANEL]` operands
///
/// # Safety
/// All of that can be read and written.
#[inline(always)]
pub(super) unsafe fn filter<L: Lanes, const K: usize, const STEP: usize>(
    window: Window,
    span: Span,
    input: *const f32,
    weights: *const f32,
    bias: *const f32,
    output: *mut L::Operand,
) {
    let Window { input: [height, width], output: [_, out_width], padding: [top, left] } = window;
    let mut done = 0;
    while done < span.count {
        let place = span.start + done;
        let (y, x) = (place / out_width, place % out_width);
        let run = RUN.min(out_width - x).min(span.count - done);
        let (first_row, first_column) =
            ((y * STEP).wrapping_sub(top), (x * STEP).wrapping_sub(left));
        for half in 0..2 {
            let lane = half * L::LANES;
            // SAFETY: rows and columns are checked against the plane before they are read.
            unsafe {
                let mut sums = [L::load(bias.add(lane)); RUN];
                for ky in 0..K {
                    let row = first_row.wrapping_add(ky);
                    if row >= height {
                        continue;
                    }
                    let from = input.add(row * width * L::PANEL + lane);
                    let mut taps = [L::splat(0.0); K];
                    let mut kx = 0;
                    while kx < K {
                        taps[kx] = L::load(weights.add((ky * K + kx) * L::PANEL + lane));
                        kx += 1;
                    }
                    macro_rules! column {
                        ($($i:literal)*) => {$(
                            if $i < (RUN - 1) * STEP + K {
                                let column = first_column.wrapping_add($i);
                                if column < width {
                                    let value = L::load(from.add(column * L::PANEL));
                                    let mut kx = 0;
                                    while kx < K {
                                        let at = ($i as usize).wrapping_sub(kx);
                                        if at.is_multiple_of(STEP) && at / STEP < RUN {
                                            let at = at / STEP;
                                            sums[at] = L::fma(value, taps[kx], sums[at]);
                                        }
                                        kx += 1;
                                    }
                                }
                            }
                        )*};
                    }
                    column!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18);
                }
                let (zero, six) = (L::splat(0.0), L::splat(6.0));
                let mut i = 0;
                while i < RUN {
                    if i < run {
                        let to = output.add((done + i) * L::PANEL + lane);
                        L::put(to, L::clamp(sums[i], zero, six));
                    }
                    i += 1;
                }
            }
        }
        done += run;
    }
}
