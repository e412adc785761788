//! A block's backward pass over a span of rows: everything but the sums over rows.

use crate::convnext::forward::filter;
use crate::convnext::norm::{Pixel, PixelBack};
use crate::convnext::rows::{HIDDEN, Rows, Scratch};
use crate::convnext::weights::{Block, BlockBack};
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Finish, Panels, product};
use crate::panels::spans::{Shared, Span};

/// Operands of sums over rows: panels of `[rows / STEP, PANEL, STEP]`, rows filled up to an even number.
pub(super) struct ByRows<T> {
    pub(super) start: Shared<T>,
    /// Operands from one panel to the next.
    pub(super) stride: usize,
}

impl<T> Clone for ByRows<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for ByRows<T> {}

impl<T> ByRows<T> {
    /// Where a row, which is even, begins in a panel.
    #[inline(always)]
    pub(super) unsafe fn row<L: Lanes>(self, panel: usize, row: usize) -> *mut L::Operand {
        // SAFETY: as asked of the caller.
        unsafe { self.start.0.cast::<L::Operand>().add(panel * self.stride + row * L::PANEL) }
    }

    /// The same, as a left operand of products along columns, which f32 operands serve as.
    #[inline(always)]
    unsafe fn left<L: Lanes>(self, row: usize) -> Panels<L::Operand> {
        // SAFETY: as asked of the caller.
        Panels { start: unsafe { self.row::<L>(0, row) }.cast_const(), stride: self.stride }
    }
}

/// A block's backward pass over a span of a group's rows.
pub(super) struct BlockTile<'a, T> {
    pub(super) block: &'a Block<T>,
    pub(super) back: &'a BlockBack<T>,
    /// The group's.
    pub(super) rows: Rows<'a>,
    pub(super) span: Span,
    /// Map that went in.
    pub(super) input: Shared<f32>,
    /// Map of the gradient at the output.
    pub(super) at_output: Shared<f32>,
    /// By picture.
    pub(super) scales: Option<&'a [f32]>,
    /// GELU's arguments of the group's rows, and operands from one panel to the next.
    pub(super) kept: Option<(Shared<T>, usize)>,
    /// LayerNorm's output.
    pub(super) normalised: ByRows<T>,
    /// The scaled gradient at the output.
    pub(super) scaled: ByRows<T>,
    /// GELU's output.
    pub(super) hidden: ByRows<T>,
    /// Gradient at GELU's argument.
    pub(super) at_hidden: ByRows<T>,
    /// Gradient at LayerNorm's input: a map of the group's pictures.
    pub(super) at_filtered: Shared<f32>,
    /// Sums of the gradients of LayerNorm's weight and bias, `[2, panels, PANEL]`, zero.
    pub(super) norm_sums: Shared<f32>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

impl<T: Plain> Work for BlockTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { block, back, rows, span, epsilon, scratch, .. } = self;
        debug_assert_eq!(size_of::<T>(), size_of::<L::Operand>());
        scratch.locate::<L>(&rows, span, self.scales);
        let panels = rows.panels::<L>();
        let (count, channels) = (span.count, block.channels);
        let stride = count * L::PANEL;
        let chunk = HIDDEN / L::PANEL;
        let all = (4 * channels).div_ceil(L::PANEL);
        let filtered = scratch.filtered.at_least(panels * stride).as_mut_ptr();
        let sums = scratch.sums.at_least(panels * stride).as_mut_ptr();
        let slopes = scratch.slopes.at_least(chunk.min(all) * stride).as_mut_ptr();
        // Left operands, where those by rows can't serve.
        let woven = L::STEP > 1;
        let length = if woven { panels * stride } else { 0 };
        let operands = scratch.operands.at_least(length).as_mut_ptr().cast::<L::Operand>();
        let scaled = scratch.more.at_least(length).as_mut_ptr().cast::<L::Operand>();
        let length = if woven { chunk.min(all) * stride } else { 0 };
        let at_hidden = scratch.hidden.at_least(length).as_mut_ptr().cast::<L::Operand>();
        // SAFETY: buffers were sized above; maps and operands fit the group's rows; rows of the span are this tile's own.
        unsafe {
            filter::<L, T>(block, &rows, span, self.input.0, filtered);
            let affine = block.norm.affine();
            for first in (0..count).step_by(2) {
                let pixel =
                    |row: usize| Pixel { start: filtered.add(row * L::PANEL), stride, channels };
                let pair = [first, (first + 1).min(count - 1)];
                let moments =
                    [pixel(pair[0]).moments::<L>(epsilon), pixel(pair[1]).moments::<L>(epsilon)];
                let is_pair = first + 1 < count;
                for panel in 0..panels {
                    for half in 0..2 {
                        let normalised = |i: usize| {
                            let x = pixel(pair[i]).normalised::<L>(moments[i], panel, half);
                            affine.apply::<L>(x, panel, half)
                        };
                        let gradient = |i: usize| {
                            let place = scratch.offsets[pair[i]]
                                + panel * rows.panel_stride::<L>()
                                + half * L::LANES;
                            let factor = L::splat(scratch.factors[pair[i]]);
                            L::mul(factor, L::load(self.at_output.0.add(place)))
                        };
                        let zero = L::splat(0.0);
                        for (by_rows, left, [even, odd]) in [
                            (self.normalised, operands, [normalised(0), normalised(1)]),
                            (self.scaled, scaled, [gradient(0), gradient(1)]),
                        ] {
                            let odd = if is_pair { odd } else { zero };
                            let to = by_rows.row::<L>(panel, span.start + first);
                            L::put_rows(to, half, even, odd);
                            if woven {
                                let to =
                                    left.add(panel * stride + first * L::PANEL + half * L::LANES);
                                L::put(to, even);
                                if is_pair {
                                    L::put(to.add(L::PANEL), odd);
                                }
                            }
                        }
                    }
                }
            }
            let left = |operands: *mut L::Operand, by_rows: ByRows<T>| {
                if woven {
                    Panels { start: operands.cast_const(), stride }
                } else {
                    by_rows.left::<L>(span.start)
                }
            };
            let mut start = 0;
            while start < all {
                let end = all.min(start + chunk);
                let hidden = ByRows {
                    start: Shared(self.hidden.row::<L>(0, span.start)),
                    stride: self.hidden.stride,
                };
                let bias = block.expand_bias.as_ptr();
                let weights = back.project.whole().cast::<L::Operand>();
                let then =
                    Panels { start: weights.start.wrapping_add(start * weights.stride), ..weights };
                let rest = back.expand.after(start * L::PANEL * L::PANEL).cast::<L::Operand>();
                if self.kept.is_none() {
                    let mut finish = Again::<L> { bias, hidden, slopes, stride, start };
                    let right = block.expand.whole().cast();
                    let left = left(operands, self.normalised);
                    product::<L, _>(
                        left,
                        right,
                        count,
                        channels,
                        start..end,
                        then.start,
                        &mut finish,
                    );
                }
                let mut finish = AtHidden::<L> {
                    kept: self.kept.map(|(kept, kept_stride)| {
                        (kept.0.cast::<L::Operand>().add(span.start * L::PANEL), kept_stride)
                    }),
                    hidden,
                    slopes,
                    stride,
                    start,
                    at_hidden: ByRows {
                        start: Shared(self.at_hidden.row::<L>(0, span.start)),
                        stride: self.at_hidden.stride,
                    },
                    left: woven.then_some(at_hidden),
                };
                let from = left(scaled, self.scaled);
                product::<L, _>(
                    from,
                    weights,
                    count,
                    channels,
                    start..end,
                    rest.start,
                    &mut finish,
                );
                let depth = (4 * channels).min(end * L::PANEL) - start * L::PANEL;
                let from = if woven {
                    Panels { start: at_hidden.cast_const(), stride }
                } else {
                    let all = self.at_hidden.left::<L>(span.start);
                    Panels { start: all.start.add(start * all.stride), ..all }
                };
                let next = block.expand.whole().cast::<L::Operand>();
                let next = next.start.wrapping_add(end % all * next.stride);
                let mut finish =
                    Sum::<L> { sums, stride, is_first: start == 0, lanes: Default::default() };
                product::<L, _>(from, rest, count, depth, 0..panels, next, &mut finish);
                start = end;
            }
            for row in 0..count {
                let pixel = Pixel { start: filtered.add(row * L::PANEL), stride, channels };
                let place = |at: usize| self.norm_sums.0.add(at * panels * L::PANEL);
                let pixel_back = PixelBack {
                    pixel,
                    moments: pixel.moments::<L>(epsilon),
                    at: sums.add(row * L::PANEL),
                    at_stride: stride,
                    weight: affine.weight,
                    sums: [place(0), place(1)],
                };
                let means = pixel_back.means::<L>();
                let row = span.start + row;
                let pixels = rows.plane.pixels();
                let to = self
                    .at_filtered
                    .0
                    .add(row / pixels * rows.picture_stride::<L>() + row % pixels * L::PANEL);
                for panel in 0..panels {
                    let to = to.add(panel * rows.panel_stride::<L>());
                    for half in 0..2 {
                        L::store(
                            to.add(half * L::LANES),
                            pixel_back.at_input::<L>(means, panel, half),
                        );
                    }
                }
            }
        }
    }
}

/// GELU and its slope, computed again.
struct Again<L: Lanes> {
    bias: *const f32,
    hidden: ByRows<L::Operand>,
    slopes: *mut f32,
    stride: usize,
    /// Panel that `slopes` begins with.
    start: usize,
}

impl<L: Lanes> Finish<L> for Again<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffers; `row` is even.
        unsafe {
            let bias = self.bias.add(panel * L::PANEL);
            let bias = [L::load(bias), L::load(bias.add(L::LANES))];
            for first in (0..tile.len()).step_by(2) {
                let slopes =
                    self.slopes.add((panel - self.start) * self.stride + (row + first) * L::PANEL);
                for half in 0..2 {
                    let x = L::add(tile[first][half], bias[half]);
                    let (even, slope) = L::gelu_and_slope(x);
                    L::store(slopes.add(half * L::LANES), slope);
                    let odd = if first + 1 < tile.len() {
                        let x = L::add(tile[first + 1][half], bias[half]);
                        let (odd, slope) = L::gelu_and_slope(x);
                        L::store(slopes.add(L::PANEL + half * L::LANES), slope);
                        odd
                    } else {
                        L::splat(0.0)
                    };
                    L::put_rows(self.hidden.row::<L>(panel, row + first), half, even, odd);
                }
            }
        }
    }
}

/// The gradient at GELU's argument, from that at its output.
struct AtHidden<L: Lanes> {
    kept: Option<(*mut L::Operand, usize)>,
    hidden: ByRows<L::Operand>,
    slopes: *mut f32,
    stride: usize,
    /// Panel that `slopes` and `left` begin with.
    start: usize,
    at_hidden: ByRows<L::Operand>,
    left: Option<*mut L::Operand>,
}

impl<L: Lanes> AtHidden<L> {
    /// GELU's output and slope of one row's half, where the argument was kept.
    #[inline(always)]
    unsafe fn kept(&self, panel: usize, row: usize, half: usize) -> Option<(L::Vector, L::Vector)> {
        let (kept, stride) = self.kept?;
        // SAFETY: as asked of `take`'s caller.
        unsafe {
            let from = kept.add(panel * stride + row * L::PANEL + half * L::LANES);
            Some(L::gelu_and_slope(L::get(from)))
        }
    }
}

impl<L: Lanes> Finish<L> for AtHidden<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffers; `row` is even.
        unsafe {
            let zero = L::splat(0.0);
            for first in (0..tile.len()).step_by(2) {
                let is_pair = first + 1 < tile.len();
                let place = (panel - self.start) * self.stride + (row + first) * L::PANEL;
                for half in 0..2 {
                    let lane = half * L::LANES;
                    let (slopes, is_new) = match self.kept(panel, row + first, half) {
                        Some((even, slope)) => {
                            let (odd, other) = if is_pair {
                                self.kept(panel, row + first + 1, half).unwrap_unchecked()
                            } else {
                                (zero, zero)
                            };
                            L::put_rows(self.hidden.row::<L>(panel, row + first), half, even, odd);
                            ([slope, other], true)
                        }
                        None => ([zero; 2], false),
                    };
                    let slope = |i: usize| {
                        if is_new {
                            slopes[i]
                        } else {
                            L::load(self.slopes.add(place + i * L::PANEL + lane))
                        }
                    };
                    let even = L::mul(tile[first][half], slope(0));
                    let odd = if is_pair { L::mul(tile[first + 1][half], slope(1)) } else { zero };
                    L::put_rows(self.at_hidden.row::<L>(panel, row + first), half, even, odd);
                    if let Some(left) = self.left {
                        L::put(left.add(place + lane), even);
                        if is_pair {
                            L::put(left.add(place + L::PANEL + lane), odd);
                        }
                    }
                }
            }
        }
    }
}

/// Sums over chunks of columns.
pub(super) struct Sum<L: Lanes> {
    pub(super) sums: *mut f32,
    pub(super) stride: usize,
    pub(super) is_first: bool,
    pub(super) lanes: std::marker::PhantomData<L>,
}

impl<L: Lanes> Finish<L> for Sum<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffer.
        unsafe {
            for (i, sums) in tile.iter().enumerate() {
                let to = self.sums.add(panel * self.stride + (row + i) * L::PANEL);
                for half in 0..2 {
                    let to = to.add(half * L::LANES);
                    let sum = sums[half];
                    L::store(to, if self.is_first { sum } else { L::add(L::load(to), sum) });
                }
            }
        }
    }
}
