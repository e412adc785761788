//! A block's forward pass over a span of rows: depthwise convolution, LayerNorm, product, GELU, product, residual.

use super::depthwise::{self, Segment, TAPS};
use super::norm::Pixel;
use super::rows::{HIDDEN, Rows, Scratch};
use super::weights::Block;
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Finish, Panels, product};
use crate::panels::spans::{Shared, Span};

/// A block over a span of rows. Each row of `output` belongs to one span, and `input` is only read.
pub(super) struct BlockTile<'a, T> {
    pub(super) block: &'a Block<T>,
    pub(super) rows: Rows<'a>,
    pub(super) span: Span,
    pub(super) input: Shared<f32>,
    pub(super) output: Shared<f32>,
    /// By picture.
    pub(super) scales: Option<&'a [f32]>,
    /// Where GELU's arguments are kept, `[panels, rows, PANEL]`.
    pub(super) kept: Option<Shared<T>>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

impl<T: Plain> Work for BlockTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { block, rows, span, input, output, scales, kept, epsilon, scratch } = self;
        debug_assert_eq!(size_of::<T>(), size_of::<L::Operand>());
        scratch.locate::<L>(&rows, span, scales);
        let panels = rows.panels::<L>();
        let (count, channels) = (span.count, block.channels);
        let stride = count * L::PANEL;
        let filtered = scratch.filtered.at_least(panels * stride).as_mut_ptr();
        // As large as f32 would need.
        let operands = scratch.operands.at_least(panels * stride).as_mut_ptr().cast::<L::Operand>();
        let chunk = HIDDEN / L::PANEL;
        let all = (4 * channels).div_ceil(L::PANEL);
        let hidden =
            scratch.hidden.at_least(chunk.min(all) * stride).as_mut_ptr().cast::<L::Operand>();
        let sums = scratch.sums.at_least(panels * stride).as_mut_ptr();
        // SAFETY: buffers were sized above; maps and weights fit `rows` and `block` (see `network`); rows of the span
        // are this tile's own.
        unsafe {
            filter::<L, T>(block, &rows, span, input.0, filtered);
            for row in 0..count {
                let start = filtered.add(row * L::PANEL);
                let pixel = Pixel { start, stride, channels };
                let moments = pixel.moments::<L>(epsilon);
                let affine = block.norm.affine();
                for panel in 0..panels {
                    let to = operands.add(panel * stride + row * L::PANEL);
                    for half in 0..2 {
                        let x = pixel.normalised::<L>(moments, panel, half);
                        L::put(to.add(half * L::LANES), affine.apply::<L>(x, panel, half));
                    }
                }
            }
            let mut first = 0;
            while first < all {
                let end = all.min(first + chunk);
                let left = Panels { start: operands.cast_const(), stride };
                let mut expand = Expand::<L> {
                    bias: block.expand_bias.as_ptr(),
                    hidden,
                    stride,
                    first,
                    kept: kept.map(|kept| kept.0.cast::<L::Operand>().add(span.start * L::PANEL)),
                    kept_stride: rows.count() * L::PANEL,
                };
                let weights = block.expand.whole().cast::<L::Operand>();
                let right = block.project.after(first * L::PANEL * L::PANEL).cast::<L::Operand>();
                let then = right.start;
                product::<L, _>(left, weights, count, channels, first..end, then, &mut expand);
                let depth = (4 * channels).min(end * L::PANEL) - first * L::PANEL;
                let left = Panels { start: hidden.cast_const(), stride };
                let then = weights.start.wrapping_add(end % all * weights.stride);
                let mut project = Project::<L> {
                    bias: block.project_bias.as_ptr(),
                    sums,
                    stride,
                    is_first: first == 0,
                    last: (end == all).then_some(Residual {
                        input: input.0,
                        output: output.0,
                        panel_stride: rows.panel_stride::<L>(),
                        offsets: scratch.offsets.as_ptr(),
                        factors: scratch.factors.as_ptr(),
                    }),
                    lanes: std::marker::PhantomData,
                };
                product::<L, _>(left, right, count, depth, 0..panels, then, &mut project);
                first = end;
            }
        }
    }
}

/// Depthwise convolution of a span of rows: `output` is `[panels, count, PANEL]`.
///
/// # Safety
/// `input` is a map of `rows`; `output` can be written.
#[inline(always)]
pub(in crate::convnext) unsafe fn filter<L: Lanes, T>(
    block: &Block<T>,
    rows: &Rows<'_>,
    span: Span,
    input: *const f32,
    output: *mut f32,
) {
    let plane = rows.plane;
    for panel in 0..rows.panels::<L>() {
        let mut done = 0;
        while done < span.count {
            let (picture, pixel) = rows.place(span.start + done);
            let (y, x) = (pixel / plane.width, pixel % plane.width);
            let count = (plane.width - x).min(span.count - done);
            // SAFETY: as asked of the caller; the weights have as many panels.
            unsafe {
                depthwise::forward::<L, false>(
                    Segment { plane, y, x, count },
                    input.add(
                        picture * rows.picture_stride::<L>() + panel * rows.panel_stride::<L>(),
                    ),
                    block.taps.as_ptr().add(panel * TAPS * L::PANEL),
                    block.taps_bias.as_ptr().add(panel * L::PANEL),
                    output.add((panel * span.count + done) * L::PANEL),
                );
            }
            done += count;
        }
    }
}

/// Bias and GELU.
struct Expand<L: Lanes> {
    bias: *const f32,
    hidden: *mut L::Operand,
    stride: usize,
    /// Panel that `hidden` begins with.
    first: usize,
    kept: Option<*mut L::Operand>,
    kept_stride: usize,
}

impl<L: Lanes> Finish<L> for Expand<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffers.
        unsafe {
            let bias = self.bias.add(panel * L::PANEL);
            let bias = [L::load(bias), L::load(bias.add(L::LANES))];
            let mut to = self.hidden.add((panel - self.first) * self.stride + row * L::PANEL);
            if let Some(kept) = self.kept {
                let mut kept = kept.add(panel * self.kept_stride + row * L::PANEL);
                for sums in tile {
                    for half in 0..2 {
                        let x = L::add(sums[half], bias[half]);
                        L::put(kept.add(half * L::LANES), x);
                        L::put(to.add(half * L::LANES), L::gelu(x));
                    }
                    to = to.add(L::PANEL);
                    kept = kept.add(L::PANEL);
                }
            } else {
                for sums in tile {
                    for half in 0..2 {
                        let x = L::add(sums[half], bias[half]);
                        L::put(to.add(half * L::LANES), L::gelu(x));
                    }
                    to = to.add(L::PANEL);
                }
            }
        }
    }
}

/// Where a block's output goes.
struct Residual {
    input: *const f32,
    output: *mut f32,
    panel_stride: usize,
    offsets: *const usize,
    factors: *const f32,
}

/// Sums over chunks of hidden columns, bias, stochastic depth's factor, residual.
struct Project<L: Lanes> {
    bias: *const f32,
    sums: *mut f32,
    stride: usize,
    is_first: bool,
    last: Option<Residual>,
    lanes: std::marker::PhantomData<L>,
}

impl<L: Lanes> Finish<L> for Project<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffers and maps.
        unsafe {
            let bias = self.bias.add(panel * L::PANEL);
            for (i, sums) in tile.iter().enumerate() {
                let row = row + i;
                let so_far = self.sums.add(panel * self.stride + row * L::PANEL);
                for half in 0..2 {
                    let before = if self.is_first { bias } else { so_far.cast_const() };
                    let x = L::add(sums[half], L::load(before.add(half * L::LANES)));
                    if let Some(residual) = &self.last {
                        let place = *residual.offsets.add(row)
                            + panel * residual.panel_stride
                            + half * L::LANES;
                        let factor = L::splat(*residual.factors.add(row));
                        let y = L::fma(x, factor, L::load(residual.input.add(place)));
                        L::store(residual.output.add(place), y);
                    } else {
                        L::store(so_far.add(half * L::LANES), x);
                    }
                }
            }
        }
    }
}
