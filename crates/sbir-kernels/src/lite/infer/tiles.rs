//! What threads do between two meetings: a tile of a phase.

use super::chunks::{Chunk, Pointwise, Taps, WIDEST};
use super::product::{Ahead, Finish, Left, product};
use super::window::{LARGEST, Window};
use crate::lite::depthwise::padding;
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::spans::{Shared, Span};

/// Values of a 3×3 patch of a picture.
const DEPTH: usize = 27;
/// Bytes of an expanded plane that stays in the first-level cache beside the weights.
const NEAR: usize = 40 * 1024;

/// `work` with `V` a constant.
macro_rules! with_vectors {
    ($vectors:expr, $V:ident => $body:expr) => {
        match $vectors {
            1 => {
                const $V: usize = 1;
                $body
            }
            2 => {
                const $V: usize = 2;
                $body
            }
            _ => {
                const $V: usize = WIDEST;
                $body
            }
        }
    };
}

/// What a block's depthwise convolution reads.
pub(super) enum Source<'a, T> {
    /// The stem's output, of a picture `[3, side, side]`.
    Stem { pixels: &'a [f32], side: usize },
    /// The expanding product of a map.
    Map(Shared<T>),
}

/// The expanding product, or the stem's, and the depthwise convolution of a chunk of channels for a span of rows.
///
/// Expanded rows are only ever kept as long as the convolution needs them.
pub(super) struct Filter<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) expand: &'a Pointwise<T>,
    pub(super) taps: &'a Taps,
    pub(super) window: Window,
    pub(super) chunk: Chunk,
    /// Of the output.
    pub(super) rows: Span,
    /// `[vectors, pixels, LANES]`.
    pub(super) to: Shared<T>,
    /// Room for [`Self::scratch`] values.
    pub(super) scratch: *mut f32,
    pub(super) ahead: Ahead,
}

impl<T> Filter<'_, T> {
    /// Rows of the expanded plane that are kept.
    fn lines<L: Lanes>(window: &Window, vectors: usize) -> usize {
        let [height, _] = window.input;
        let bytes = height * window.pitch() * vectors * L::LANES * size_of::<f32>();
        if bytes <= NEAR { height } else { height.min(window.kernel) }
    }

    /// f32 that a tile needs for itself.
    pub(super) fn scratch<L: Lanes>(window: &Window, vectors: usize) -> usize {
        let lines = Self::lines::<L>(window, vectors);
        vectors * lines * window.pitch() * L::LANES + (DEPTH + 1) * window.input[1]
    }
}

impl<T: Plain> Filter<'_, T> {
    #[inline(always)]
    unsafe fn with<L: Lanes, const V: usize>(self) {
        let Self { source, expand, taps, window, chunk, rows, to, scratch, ahead } = self;
        let [height, width] = window.input;
        let (pitch, before) = (window.pitch(), window.padding[1]);
        let lines = Self::lines::<L>(&window, V);
        let whole = lines == height;
        let plane = lines * pitch * L::LANES;
        let (weights, bias) = expand.of::<L>(chunk);
        let (filter, filter_bias) = taps.of::<L>(chunk);
        let end = rows.start + rows.count;
        // SAFETY: scratch was sized by `scratch`, maps by their planes, weights by their chunks.
        unsafe {
            let patches = scratch.add(V * plane).cast::<L::Operand>();
            let zero = L::splat(0.0);
            for line in 0..V * lines {
                let line = scratch.add(line * pitch * L::LANES);
                for pixel in (0..before).chain(before + width..pitch) {
                    L::store(line.add(pixel * L::LANES), zero);
                }
            }
            let mut ready = window.reach(rows.start).start;
            for row in rows.start..end {
                let reach = window.reach(row);
                while ready < reach.end {
                    let mut finish = Activate {
                        to: scratch.add((ready % lines * pitch + before) * L::LANES),
                        stride: plane,
                        column: 0,
                        width,
                        gap: (pitch - width) * L::LANES,
                    };
                    match &source {
                        Source::Stem { pixels, side } => {
                            patch_row::<L>(pixels, *side, ready, width, patches);
                            let left =
                                Left { start: patches.cast_const(), stride: width * L::STEP };
                            let (size, ahead) = ([width, DEPTH], Ahead::NOTHING);
                            product::<L, V, true, _>(left, weights, bias, size, ahead, &mut finish);
                            ready += 1;
                        }
                        Source::Map(map) => {
                            let left = Left {
                                start: map.0.cast::<L::Operand>().add(ready * width * L::LANES),
                                stride: height * width * L::LANES,
                            };
                            // All that there is room for.
                            let last = window.reach(end - 1).end;
                            let (until, ahead) =
                                if whole { (last, ahead) } else { (ready + 1, Ahead::NOTHING) };
                            let size = [(until - ready) * width, expand.depth];
                            product::<L, V, false, _>(
                                left,
                                weights,
                                bias,
                                size,
                                ahead,
                                &mut finish,
                            );
                            ready = until;
                        }
                    }
                }
                for vector in 0..V {
                    let mut input = [std::ptr::null(); LARGEST];
                    for (input, row) in input.iter_mut().zip(reach.clone()) {
                        *input = scratch.add(vector * plane + row % lines * pitch * L::LANES);
                    }
                    let [out_height, out_width] = window.output;
                    let pixel = (chunk.first + vector) * out_height * out_width + row * out_width;
                    let taps = window.kernel * window.kernel;
                    window.filter::<L>(
                        row,
                        &input,
                        filter.as_ptr().add(vector * taps * L::LANES),
                        filter_bias.as_ptr().add(vector * L::LANES),
                        to.0.cast::<L::Operand>().add(pixel * L::LANES),
                    );
                }
            }
        }
    }
}

impl<T: Plain> Work for Filter<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's.
        unsafe { with_vectors!(self.chunk.vectors, V => self.with::<L, V>()) }
    }
}

/// Patches of row `row` of the stem's output in lines: (row, column, colour) of each.
#[inline(always)]
unsafe fn patch_row<L: Lanes>(
    pixels: &[f32],
    side: usize,
    row: usize,
    width: usize,
    patches: *mut L::Operand,
) {
    let before = padding(side, 3, 2);
    for value in 0..DEPTH.next_multiple_of(L::STEP) {
        let (tap, colour) = (value / 3, value % 3);
        let (y, column) = ((2 * row + tap / 3).wrapping_sub(before), tap % 3);
        // Places whose column, 2x + column - before, is in the picture.
        let (mut first, mut end) = (0, 0);
        let mut from = std::ptr::null();
        if y < side && value < DEPTH {
            first = before.saturating_sub(column).div_ceil(2);
            end = (side + before - column).div_ceil(2).min(width);
            from = pixels[(colour * side + y) * side..][..side].as_ptr();
        }
        // SAFETY: patches have room for `width` rows of `DEPTH` operands, made even; columns are inside the picture's row.
        unsafe {
            let to = patches.add(value / L::STEP * width * L::STEP + value % L::STEP);
            for x in (0..first).chain(end..width) {
                to.add(x * L::STEP).write(L::Operand::default());
            }
            if first < end {
                let from = from.add(2 * first + column - before);
                let to = to.add(first * L::STEP);
                for x in 0..end - first {
                    to.add(x * L::STEP).write(L::operand(*from.add(2 * x)));
                }
            }
        }
    }
}

/// ReLU6, into rows of pixels with a gap between them.
struct Activate {
    to: *mut f32,
    /// f32 from one vector of channels to the next.
    stride: usize,
    column: usize,
    /// Pixels of a row.
    width: usize,
    /// f32 between two rows.
    gap: usize,
}

impl Finish for Activate {
    #[inline(always)]
    unsafe fn take<L: Lanes, const V: usize, const M: usize>(&mut self, sums: [[L::Vector; V]; M]) {
        // SAFETY: rows and vectors are those of the plane.
        unsafe {
            let (zero, six) = (L::splat(0.0), L::splat(6.0));
            let mut row = 0;
            while row < M {
                let mut vector = 0;
                while vector < V {
                    let x = L::clamp(sums[row][vector], zero, six);
                    L::store(self.to.add(vector * self.stride), x);
                    vector += 1;
                }
                self.to = self.to.add(L::LANES);
                self.column += 1;
                if self.column == self.width {
                    self.column = 0;
                    self.to = self.to.wrapping_add(self.gap);
                }
                row += 1;
            }
        }
    }
}

/// The projecting product of a chunk of channels over a span of pixels.
pub(super) struct Project<'a, T> {
    pub(super) project: &'a Pointwise<T>,
    pub(super) chunk: Chunk,
    pub(super) span: Span,
    /// Pixels of the plane.
    pub(super) pixels: usize,
    pub(super) from: Shared<T>,
    pub(super) residual: Option<Shared<f32>>,
    pub(super) to: Shared<f32>,
    /// The same values as operands, where those are something else.
    pub(super) operands: Shared<T>,
    pub(super) ahead: Ahead,
}

impl<T: Plain> Work for Project<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { project, chunk, span, pixels, from, residual, to, operands, ahead } = self;
        let (weights, bias) = project.of::<L>(chunk);
        let start = (chunk.first * pixels + span.start) * L::LANES;
        let stride = pixels * L::LANES;
        // SAFETY: maps are sized by their planes; the span's rows of the chunk are this work's own.
        unsafe {
            let from = from.0.cast::<L::Operand>().add(span.start * L::LANES).cast_const();
            let mut finish = Keep::<L::Operand> {
                to: to.0.add(start),
                operands: if L::EXACT {
                    std::ptr::null_mut()
                } else {
                    operands.0.cast::<L::Operand>().add(start)
                },
                residual: residual.map(|residual| residual.0.add(start).cast_const()),
                stride,
            };
            let size = [span.count, project.depth];
            with_vectors!(chunk.vectors, V => {
                product::<L, V, false, _>(Left { start: from, stride }, weights, bias, size, ahead, &mut finish);
            });
        }
    }
}

/// Residual where there is one; as values, and as operands where those are something else.
struct Keep<T> {
    to: *mut f32,
    operands: *mut T,
    residual: Option<*const f32>,
    /// f32 from one vector of channels to the next.
    stride: usize,
}

impl<T> Finish for Keep<T> {
    #[inline(always)]
    unsafe fn take<L: Lanes, const V: usize, const M: usize>(&mut self, sums: [[L::Vector; V]; M]) {
        // SAFETY: rows and vectors are those of the maps.
        unsafe {
            let mut row = 0;
            while row < M {
                let mut vector = 0;
                while vector < V {
                    let place = vector * self.stride + row * L::LANES;
                    let mut x = sums[row][vector];
                    if let Some(residual) = self.residual {
                        x = L::add(x, L::load(residual.add(place)));
                    }
                    L::store(self.to.add(place), x);
                    if !L::EXACT {
                        L::put(self.operands.cast::<L::Operand>().add(place), x);
                    }
                    vector += 1;
                }
                row += 1;
            }
            self.to = self.to.add(M * L::LANES);
            self.operands = self.operands.wrapping_add(M * L::LANES);
            if let Some(residual) = &mut self.residual {
                *residual = residual.add(M * L::LANES);
            }
        }
    }
}

/// The last product of a chunk of features with ReLU6, into a plane of its own.
pub(super) struct Features<'a, T> {
    pub(super) features: &'a Pointwise<T>,
    pub(super) chunk: Chunk,
    /// Pixels of the plane.
    pub(super) pixels: usize,
    pub(super) from: Shared<T>,
    /// `[vectors of the chunk, pixels, LANES]`.
    pub(super) to: *mut f32,
    pub(super) ahead: Ahead,
}

impl<T: Plain> Work for Features<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { features, chunk, pixels, from, to, ahead } = self;
        let (weights, bias) = features.of::<L>(chunk);
        let stride = pixels * L::LANES;
        let from = from.0.cast::<L::Operand>().cast_const();
        let mut finish = Activate { to, stride, column: 0, width: pixels, gap: 0 };
        // SAFETY: maps are sized by their planes.
        unsafe {
            with_vectors!(chunk.vectors, V => {
                let left = Left { start: from, stride };
                product::<L, V, false, _>(left, weights, bias, [pixels, features.depth], ahead, &mut finish);
            });
        }
    }
}

/// A chunk of the embedding, before it is made of unit length.
pub(super) struct Embed<'a, T> {
    pub(super) projection: &'a Pointwise<T>,
    pub(super) chunk: Chunk,
    /// As many as the projection is deep.
    pub(super) pooled: *const f32,
    /// `[vectors, LANES]`.
    pub(super) to: Shared<f32>,
    /// Room for the pooled features as operands.
    pub(super) operands: *mut T,
    pub(super) ahead: Ahead,
}

impl<T: Plain> Work for Embed<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { projection, chunk, pooled, to, operands, ahead } = self;
        let (weights, bias) = projection.of::<L>(chunk);
        let operands = operands.cast::<L::Operand>();
        // SAFETY: pooled features and operands have room for whole vectors.
        unsafe {
            for vector in 0..projection.depth.div_ceil(L::LANES) {
                let place = vector * L::LANES;
                L::put(operands.add(place), L::load(pooled.add(place)));
            }
            let mut finish = Keep::<L::Operand> {
                to: to.0.add(chunk.first * L::LANES),
                operands: operands.wrapping_add(projection.depth.next_multiple_of(L::LANES)),
                residual: None,
                stride: L::LANES,
            };
            let left = Left { start: operands.cast_const(), stride: L::LANES };
            with_vectors!(chunk.vectors, V => {
                product::<L, V, false, _>(left, weights, bias, [1, projection.depth], ahead, &mut finish);
            });
        }
    }
}
