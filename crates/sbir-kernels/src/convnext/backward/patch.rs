//! The backward pass of what stands before a stage, over a span of the stage's rows.

use super::block::{ByRows, Sum};
use crate::convnext::norm::{Pixel, PixelBack};
use crate::convnext::patch::{Pixels, STEM_DEPTH, Sources, convolve_stem, gather_stem};
use crate::convnext::rows::{Rows, Scratch};
use crate::convnext::spec::Plane;
use crate::convnext::weights::Patch;
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Panels, product};
use crate::panels::pack::Packed;
use crate::panels::spans::{Shared, Span};

/// Stages 1 to 3: LayerNorm and a product over 2×2 pixels.
pub(super) struct DownTile<'a, T> {
    pub(super) patch: &'a Patch<T>,
    /// From the product's output to its input.
    pub(super) back: &'a Packed<T>,
    /// A group of the stage's rows.
    pub(super) rows: Rows<'a>,
    /// Plane of the stage before.
    pub(super) plane: Plane,
    pub(super) span: Span,
    /// Map of the stage before.
    pub(super) input: Shared<f32>,
    pub(super) at_output: Shared<f32>,
    /// Map of the stage before; each of its pixels belongs to one row at the most.
    pub(super) at_input: Shared<f32>,
    /// LayerNorm's output by patch.
    pub(super) normalised: ByRows<T>,
    pub(super) at_product: ByRows<T>,
    /// `[2, panels, PANEL]`, zero.
    pub(super) norm_sums: Shared<f32>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

impl<T: Plain> Work for DownTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { patch, back, rows, span, epsilon, scratch, .. } = self;
        scratch.locate::<L>(&rows, span, None);
        let before = Rows { plane: self.plane, channels: patch.channels_in, ..rows };
        let (panels, panels_in) = (rows.panels::<L>(), before.panels::<L>());
        let (count, stride) = (span.count, span.count * L::PANEL);
        let left = scratch.operands.at_least(panels * stride).as_mut_ptr().cast::<L::Operand>();
        let sums = scratch.sums.at_least(4 * panels_in * stride).as_mut_ptr();
        let sources = Sources { rows, before };
        let affine = patch.norm.affine();
        // SAFETY: buffers were sized above; maps and operands fit the rows; rows of the span, and the pixels that they are
        // made of, are this tile's own.
        unsafe {
            let source = |row: usize, tap: usize| Pixel {
                start: self.input.0.add(sources.offset::<L>(span.start + row, tap)).cast_const(),
                stride: before.panel_stride::<L>(),
                channels: before.channels,
            };
            for first in (0..count).step_by(2) {
                let is_pair = first + 1 < count;
                let pair = [first, (first + 1).min(count - 1)];
                for panel in 0..panels {
                    for half in 0..2 {
                        let place = panel * rows.panel_stride::<L>() + half * L::LANES;
                        let even = L::load(self.at_output.0.add(place + scratch.offsets[pair[0]]));
                        let odd = L::load(self.at_output.0.add(place + scratch.offsets[pair[1]]));
                        let to = self.at_product.row::<L>(panel, span.start + first);
                        L::put_rows(to, half, even, if is_pair { odd } else { L::splat(0.0) });
                        let to = left.add(panel * stride + first * L::PANEL + half * L::LANES);
                        L::put(to, even);
                        if is_pair {
                            L::put(to.add(L::PANEL), odd);
                        }
                    }
                }
                for tap in 0..4 {
                    let pixels = [source(pair[0], tap), source(pair[1], tap)];
                    let moments =
                        [pixels[0].moments::<L>(epsilon), pixels[1].moments::<L>(epsilon)];
                    for panel in 0..panels_in {
                        for half in 0..2 {
                            let normalised = |i: usize| {
                                let x = pixels[i].normalised::<L>(moments[i], panel, half);
                                affine.apply::<L>(x, panel, half)
                            };
                            let odd = if is_pair { normalised(1) } else { L::splat(0.0) };
                            let to = tap * panels_in + panel;
                            let to = self.normalised.row::<L>(to, span.start + first);
                            L::put_rows(to, half, normalised(0), odd);
                        }
                    }
                }
            }
            let mut finish =
                Sum::<L> { sums, stride, is_first: true, lanes: std::marker::PhantomData };
            product::<L, _>(
                Panels { start: left.cast_const(), stride },
                back.whole().cast(),
                count,
                rows.channels,
                0..back.panels,
                back.whole().start.cast(),
                &mut finish,
            );
            for row in 0..count {
                for tap in 0..4 {
                    let pixel = source(row, tap);
                    let at = sums.add(tap * panels_in * stride + row * L::PANEL).cast_const();
                    let norm_sums = [self.norm_sums.0, self.norm_sums.0.add(panels_in * L::PANEL)];
                    let pixel_back =
                        PixelBack::new::<L>(pixel, epsilon, (at, stride), affine.weight, norm_sums);
                    let means = pixel_back.means::<L>();
                    let to = self.at_input.0.add(sources.offset::<L>(span.start + row, tap));
                    for panel in 0..panels_in {
                        let to = to.add(panel * before.panel_stride::<L>());
                        for half in 0..2 {
                            let at = pixel_back.at_input::<L>(means, panel, half);
                            L::store(to.add(half * L::LANES), at);
                        }
                    }
                }
            }
        }
    }
}

/// The stem: a product over 4×4 pixels and LayerNorm. Nothing asks for the gradient at the picture.
pub(super) struct StemTile<'a, T> {
    pub(super) patch: &'a Patch<T>,
    pub(super) pixels: Pixels<'a>,
    /// A group of the first stage's rows.
    pub(super) rows: Rows<'a>,
    pub(super) span: Span,
    pub(super) at_output: Shared<f32>,
    pub(super) patches: ByRows<T>,
    pub(super) at_product: ByRows<T>,
    /// `[2, panels, PANEL]`, zero.
    pub(super) norm_sums: Shared<f32>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

impl<T: Plain> Work for StemTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { patch, pixels, rows, span, epsilon, scratch, .. } = self;
        scratch.locate::<L>(&rows, span, None);
        let (panels, channels) = (rows.panels::<L>(), rows.channels);
        let (count, stride) = (span.count, span.count * L::PANEL);
        let operands = scratch.operands.at_least(64 * count).as_mut_ptr().cast::<L::Operand>();
        let filtered = scratch.filtered.at_least(panels * stride).as_mut_ptr();
        let sums = scratch.sums.at_least(panels * stride).as_mut_ptr();
        // SAFETY: buffers were sized above; the map and operands fit the rows; rows of the span are this tile's own.
        unsafe {
            gather_stem::<L>(pixels, &rows, span, operands);
            convolve_stem::<L, T>(patch, operands, count, filtered);
            for first in (0..count).step_by(2) {
                let is_pair = first + 1 < count;
                let pair = [first, (first + 1).min(count - 1)];
                for panel in 0..STEM_DEPTH.div_ceil(L::PANEL) {
                    for half in 0..2 {
                        let from = operands.add(panel * stride + half * L::LANES);
                        let even = L::get(from.add(pair[0] * L::PANEL));
                        let odd = L::get(from.add(pair[1] * L::PANEL));
                        let to = self.patches.row::<L>(panel, span.start + first);
                        L::put_rows(to, half, even, if is_pair { odd } else { L::splat(0.0) });
                    }
                }
                // The gradient, gathered from the map so that both passes over it are short.
                for row in first..(first + 2).min(count) {
                    for panel in 0..panels {
                        let place = scratch.offsets[row] + panel * rows.panel_stride::<L>();
                        for half in 0..2 {
                            let at = L::load(self.at_output.0.add(place + half * L::LANES));
                            let to = sums.add(panel * stride + row * L::PANEL);
                            L::store(to.add(half * L::LANES), at);
                        }
                    }
                }
                // No closure, which would not be compiled for the instructions.
                let [even, odd] = pair.map(|row| filtered.add(row * L::PANEL).cast_const());
                let [even_at, odd_at] = pair.map(|row| sums.add(row * L::PANEL).cast_const());
                let norm_sums = [self.norm_sums.0, self.norm_sums.0.add(panels * L::PANEL)];
                let weight = patch.norm.affine().weight;
                let [even, odd] = [even, odd].map(|start| Pixel { start, stride, channels });
                let backs = [
                    PixelBack::new::<L>(even, epsilon, (even_at, stride), weight, norm_sums),
                    PixelBack::new::<L>(odd, epsilon, (odd_at, stride), weight, norm_sums),
                ];
                let first_means = backs[0].means::<L>();
                let means =
                    [first_means, if is_pair { backs[1].means::<L>() } else { first_means }];
                for panel in 0..panels {
                    for half in 0..2 {
                        let even = backs[0].at_input::<L>(means[0], panel, half);
                        let odd = if is_pair {
                            backs[1].at_input::<L>(means[1], panel, half)
                        } else {
                            L::splat(0.0)
                        };
                        let to = self.at_product.row::<L>(panel, span.start + first);
                        L::put_rows(to, half, even, odd);
                    }
                }
            }
        }
    }
}
