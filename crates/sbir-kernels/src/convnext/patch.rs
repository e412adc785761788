//! What stands before each stage: products over patches of pixels.

use super::norm::Pixel;
use super::rows::{Rows, Scratch};
use super::spec::Plane;
use super::weights::Patch;
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Finish, Panels, product};
use crate::panels::spans::{Shared, Span};

/// Values of a picture's patch: 3 colours of 4×4 pixels.
pub(super) const STEM_DEPTH: usize = 48;

/// Pictures as they come in.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    /// `[count, 3, height, width]`.
    pub(super) values: &'a [f32],
    pub(super) plane: Plane,
}

impl Pixels<'_> {
    /// The patch under pixel (y, x) of the first stage, (colour, ky, kx).
    #[inline(always)]
    pub(super) fn patch(&self, picture: usize, y: usize, x: usize, patch: &mut [f32; 64]) {
        let Plane { height, width } = self.plane;
        for colour in 0..3 {
            for ky in 0..4 {
                let from = ((picture * 3 + colour) * height + 4 * y + ky) * width + 4 * x;
                let to = (colour * 4 + ky) * 4;
                patch[to..to + 4].copy_from_slice(&self.values[from..from + 4]);
            }
        }
    }
}

/// The stem over a span of the first stage's rows.
pub(super) struct StemTile<'a, T> {
    pub(super) patch: &'a Patch<T>,
    pub(super) pixels: Pixels<'a>,
    pub(super) rows: Rows<'a>,
    pub(super) span: Span,
    pub(super) output: Shared<f32>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

/// Writes the span's patches as left operands, `[panels, count, PANEL]`.
///
/// # Safety
/// `operands` can be written.
#[inline(always)]
pub(super) unsafe fn gather_stem<L: Lanes>(
    pixels: Pixels<'_>,
    rows: &Rows<'_>,
    span: Span,
    operands: *mut L::Operand,
) {
    let stride = span.count * L::PANEL;
    let mut patch = [0.0; 64];
    for row in 0..span.count {
        let (picture, pixel) = rows.place(span.start + row);
        pixels.patch(picture, pixel / rows.plane.width, pixel % rows.plane.width, &mut patch);
        for panel in 0..STEM_DEPTH.div_ceil(L::PANEL) {
            for half in 0..2 {
                let from = panel * L::PANEL + half * L::LANES;
                // SAFETY: 64 values are whole panels of any width; `operands` is the caller's.
                unsafe {
                    let to = operands.add(panel * stride + row * L::PANEL + half * L::LANES);
                    L::put(to, L::load(patch[from..].as_ptr()));
                }
            }
        }
    }
}

impl<T: Plain> Work for StemTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { patch, pixels, rows, span, output, epsilon, scratch } = self;
        scratch.locate::<L>(&rows, span, None);
        let (panels, stride) = (rows.panels::<L>(), span.count * L::PANEL);
        let operands = scratch.operands.at_least(64 * span.count).as_mut_ptr().cast::<L::Operand>();
        let filtered = scratch.filtered.at_least(panels * stride).as_mut_ptr();
        // SAFETY: buffers were sized above; the map fits `rows`; rows of the span are this tile's own.
        unsafe {
            gather_stem::<L>(pixels, &rows, span, operands);
            convolve_stem::<L, T>(patch, operands, span.count, filtered);
            for row in 0..span.count {
                let start = filtered.add(row * L::PANEL);
                let pixel = Pixel { start, stride, channels: rows.channels };
                let moments = pixel.moments::<L>(epsilon);
                for panel in 0..panels {
                    let to = output.0.add(scratch.offsets[row] + panel * rows.panel_stride::<L>());
                    for half in 0..2 {
                        let x = pixel.normalised::<L>(moments, panel, half);
                        let y = patch.norm.affine().apply::<L>(x, panel, half);
                        L::store(to.add(half * L::LANES), y);
                    }
                }
            }
        }
    }
}

/// The stem's product: `[panels, count, PANEL]`, before its LayerNorm.
///
/// # Safety
/// `operands` holds `count` patches; `output` can be written.
#[inline(always)]
pub(super) unsafe fn convolve_stem<L: Lanes, T: Plain>(
    patch: &Patch<T>,
    operands: *const L::Operand,
    count: usize,
    output: *mut f32,
) {
    let stride = count * L::PANEL;
    let mut finish = WithBias::<L> {
        bias: patch.bias.as_ptr(),
        output,
        offsets: None,
        stride,
        lanes: Default::default(),
    };
    // SAFETY: as asked of the caller.
    unsafe {
        product::<L, _>(
            Panels { start: operands, stride },
            patch.product.whole().cast(),
            count,
            STEM_DEPTH,
            0..patch.product.panels,
            patch.product.whole().start.cast(),
            &mut finish,
        );
    }
}

/// What stands before a later stage, over a span of that stage's rows.
pub(super) struct DownTile<'a, T> {
    pub(super) patch: &'a Patch<T>,
    /// The stage's own rows.
    pub(super) rows: Rows<'a>,
    /// The plane of the stage before.
    pub(super) plane: Plane,
    pub(super) span: Span,
    pub(super) input: Shared<f32>,
    pub(super) output: Shared<f32>,
    pub(super) epsilon: f32,
    pub(super) scratch: &'a mut Scratch,
}

/// The pixels of the stage before that make a row, and their places in its map.
pub(super) struct Sources<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) before: Rows<'a>,
}

impl Sources<'_> {
    /// Where tap `tap` of a row lies in the map before: f32 from its start.
    #[inline(always)]
    pub(super) fn offset<L: Lanes>(&self, row: usize, tap: usize) -> usize {
        let (picture, pixel) = self.rows.place(row);
        let (y, x) = (pixel / self.rows.plane.width, pixel % self.rows.plane.width);
        let from = (2 * y + tap / 2) * self.before.plane.width + 2 * x + tap % 2;
        picture * self.before.picture_stride::<L>() + from * L::PANEL
    }
}

impl<T: Plain> Work for DownTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { patch, rows, plane, span, input, output, epsilon, scratch } = self;
        scratch.locate::<L>(&rows, span, None);
        let before = Rows { plane, channels: patch.channels_in, ..rows };
        let stride = span.count * L::PANEL;
        let panels_in = before.panels::<L>();
        let operands =
            scratch.operands.at_least(4 * panels_in * stride).as_mut_ptr().cast::<L::Operand>();
        let sources = Sources { rows, before };
        // SAFETY: buffers were sized above; maps fit `rows` and `before`; rows of the span are this tile's own.
        unsafe {
            for row in 0..span.count {
                for tap in 0..4 {
                    let start =
                        input.0.add(sources.offset::<L>(span.start + row, tap)).cast_const();
                    let stride_in = before.panel_stride::<L>();
                    let pixel = Pixel { start, stride: stride_in, channels: before.channels };
                    let moments = pixel.moments::<L>(epsilon);
                    for panel in 0..panels_in {
                        let to = operands.add((tap * panels_in + panel) * stride + row * L::PANEL);
                        for half in 0..2 {
                            let x = pixel.normalised::<L>(moments, panel, half);
                            let y = patch.norm.affine().apply::<L>(x, panel, half);
                            L::put(to.add(half * L::LANES), y);
                        }
                    }
                }
            }
            let mut finish = WithBias::<L> {
                bias: patch.bias.as_ptr(),
                output: output.0,
                offsets: Some(scratch.offsets.as_ptr()),
                stride: rows.panel_stride::<L>(),
                lanes: Default::default(),
            };
            product::<L, _>(
                Panels { start: operands.cast_const(), stride },
                patch.product.whole().cast(),
                span.count,
                patch.product.depth,
                0..patch.product.panels,
                patch.product.whole().start.cast(),
                &mut finish,
            );
        }
    }
}

/// Bias alone.
struct WithBias<L: Lanes> {
    bias: *const f32,
    output: *mut f32,
    /// Where rows lie in a map; else they follow one another.
    offsets: Option<*const usize>,
    /// f32 from one panel to the next.
    stride: usize,
    lanes: std::marker::PhantomData<L>,
}

impl<L: Lanes> Finish<L> for WithBias<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the buffer or map.
        unsafe {
            let bias = self.bias.add(panel * L::PANEL);
            for (i, sums) in tile.iter().enumerate() {
                let place = match self.offsets {
                    Some(offsets) => *offsets.add(row + i),
                    None => (row + i) * L::PANEL,
                };
                let to = self.output.add(panel * self.stride + place);
                for half in 0..2 {
                    let bias = L::load(bias.add(half * L::LANES));
                    L::store(to.add(half * L::LANES), L::add(sums[half], bias));
                }
            }
        }
    }
}
