//! Embedding with EfficientNet-Lite: the forward pass alone, over matrices in panels.
//!
//! A block is an expanding product, written out as a map, and then, span by span of its output's rows, the depthwise
//! convolution and the projecting product in one go. With as many pictures as threads each thread takes whole pictures;
//! with fewer, threads share the spans of one. What a value is does not depend on either.

use std::fmt;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::LiteWeights;
use super::depthwise::padding;
use super::plan::{BlockSpec, LiteSpec};
use super::window::{self, Window};
use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Finish, Panels, product};
use crate::panels::pack::{Packed, pack};
use crate::panels::spans::{Shared, Span, cut};

/// Values of a span's operands: as many as half a second-level cache holds.
const TEMPORARIES: usize = 256 * 1024;
/// Values of a 3×3 patch of a picture.
const STEM_DEPTH: usize = 27;
/// `torch.nn.functional.normalize`'s epsilon.
const LENGTH_EPSILON: f32 = 1e-12;

/// A product's weights.
#[derive(Debug)]
struct Pointwise<T> {
    weights: Packed<T>,
    bias: Buffer<f32>,
}

impl<T: Plain> Pointwise<T> {
    /// From `[out, in]`.
    fn new<L: Lanes<Operand = T>>(weight: &[f32], bias: &[f32]) -> Self {
        let depth = weight.len() / bias.len();
        let mut weights = Packed::default();
        pack::<L>(&mut weights, depth, bias.len(), |k, c| weight[c * depth + k]);
        Self { weights, bias: padded::<L>(bias) }
    }

    fn start(&self) -> *const T {
        self.weights.whole().start
    }
}

/// A depthwise convolution's weights: `[panels, taps, PANEL]` and `[panels, PANEL]`.
#[derive(Debug)]
struct Taps {
    weights: Buffer<f32>,
    bias: Buffer<f32>,
}

impl Taps {
    /// From `[taps, channels]`.
    fn new<L: Lanes>(weight: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        let taps = weight.len() / channels;
        let mut weights = Buffer::zeroed(channels.next_multiple_of(L::PANEL) * taps);
        for (tap, row) in weight.chunks_exact(channels).enumerate() {
            for (channel, value) in row.iter().enumerate() {
                let (panel, lane) = (channel / L::PANEL, channel % L::PANEL);
                weights[(panel * taps + tap) * L::PANEL + lane] = *value;
            }
        }
        Self { weights, bias: padded::<L>(bias) }
    }
}

/// A vector over channels, filled up with zeros to whole panels.
fn padded<L: Lanes>(values: &[f32]) -> Buffer<f32> {
    let mut buffer = Buffer::zeroed(values.len().next_multiple_of(L::PANEL));
    buffer[..values.len()].copy_from_slice(values);
    buffer
}

#[derive(Debug)]
struct Block<T> {
    spec: BlockSpec,
    expand: Option<Pointwise<T>>,
    filter: Taps,
    project: Pointwise<T>,
}

/// A network for some instructions and operands.
pub(super) struct Engine<L: Lanes> {
    spec: LiteSpec,
    stem: Pointwise<L::Operand>,
    blocks: Vec<Block<L::Operand>>,
    features: Pointwise<L::Operand>,
    projection: Packed<L::Operand>,
}

impl<L: Lanes> fmt::Debug for Engine<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({:?})", self.spec)
    }
}

/// What an encoder needs of an engine.
pub(super) trait Infer: Send + Sync + fmt::Debug {
    fn embed(&self, pixels: &[f32], side: usize) -> Vec<f32>;
}

/// Maps of one picture, used again by the next.
#[derive(Default)]
struct Maps {
    now: Buffer<f32>,
    next: Buffer<f32>,
    expanded: Buffer<f32>,
}

/// A plane of one picture: `[panels, pixels, PANEL]`.
#[derive(Clone, Copy)]
struct Plane {
    size: [usize; 2],
    channels: usize,
}

impl Plane {
    fn pixels(self) -> usize {
        self.size[0] * self.size[1]
    }

    fn panels<L: Lanes>(self) -> usize {
        self.channels.div_ceil(L::PANEL)
    }

    fn length<L: Lanes>(self) -> usize {
        self.panels::<L>() * self.pixels() * L::PANEL
    }
}

impl<L: Lanes> Engine<L>
where
    L::Operand: Plain,
{
    pub(super) fn new(spec: &LiteSpec, weights: &LiteWeights) -> Self {
        let mut next = weights.convolutions.iter();
        let mut take = || next.next().expect("a weight a convolution");
        let pointwise = |(weight, bias): &(Vec<f32>, Vec<f32>)| Pointwise::new::<L>(weight, bias);
        let stem = pointwise(take());
        let blocks = spec
            .blocks
            .iter()
            .map(|block| Block {
                spec: *block,
                expand: (block.expansion > 1).then(|| pointwise(take())),
                filter: {
                    let (weight, bias) = take();
                    Taps::new::<L>(weight, bias)
                },
                project: pointwise(take()),
            })
            .collect();
        let features = pointwise(take());
        let inputs = spec.regions() * spec.features;
        let mut projection = Packed::default();
        pack::<L>(&mut projection, inputs, spec.width, |k, c| weights.projection[c * inputs + k]);
        Self { spec: spec.clone(), stem, blocks, features, projection }
    }

    /// Runs `work` for every span of `rows`, with room for the span's rows of `width` operands: on all threads where they
    /// are `shared`, else one after another.
    fn over(
        &self,
        rows: usize,
        width: usize,
        shared: bool,
        work: impl Fn(Span, Shared<L::Operand>) + Send + Sync,
    ) {
        let width = width.next_multiple_of(L::PANEL);
        let threads = if shared { rayon::current_num_threads() } else { 1 };
        let spans = cut::<L>(rows, TEMPORARIES / width, threads);
        let work = |span: Span| {
            with_operands(width * span.count, |operands| work(span, Shared(operands)));
        };
        if shared {
            spans.into_par_iter().for_each(work);
        } else {
            spans.into_iter().for_each(work);
        }
    }

    /// One picture's embedding.
    fn picture(
        &self,
        pixels: &[f32],
        side: usize,
        shared: bool,
        maps: &mut Maps,
        output: &mut [f32],
    ) {
        let stem = side.div_ceil(2);
        let mut plane = Plane { size: [stem; 2], channels: self.spec.stem };
        let to = Shared(maps.now.at_least(plane.length::<L>()).as_mut_ptr());
        let first = self
            .blocks
            .first()
            .map_or(&self.features, |block| block.expand.as_ref().unwrap_or(&block.project));
        self.over(plane.pixels(), 32, shared, |span, operands| {
            let then = first.start();
            // SAFETY: the processor was checked when the network was made; maps are sized for their planes; rows of a span are
            // one work's own.
            unsafe {
                L::enter(Stem {
                    product: &self.stem,
                    pixels,
                    side,
                    span,
                    to,
                    then: Shared(then.cast_mut()),
                    operands,
                });
            };
        });
        for (place, block) in self.blocks.iter().enumerate() {
            let inner = Plane { channels: block.spec.inner(), ..plane };
            let expanded = match &block.expand {
                Some(expand) => {
                    let from = Shared(maps.now.as_mut_ptr());
                    let to = Shared(maps.expanded.at_least(inner.length::<L>()).as_mut_ptr());
                    self.pointwise(
                        expand,
                        plane,
                        from,
                        to,
                        Some(6.0),
                        shared,
                        block.project.start(),
                    );
                    to
                }
                None => Shared(maps.now.as_mut_ptr()),
            };
            let BlockSpec { kernel, stride, .. } = block.spec;
            let window = Window {
                input: plane.size,
                output: plane.size.map(|side| side.div_ceil(stride)),
                padding: plane.size.map(|side| padding(side, kernel, stride)),
            };
            let out = Plane { size: window.output, channels: block.spec.channels_out };
            let to = Shared(maps.next.at_least(out.length::<L>()).as_mut_ptr());
            let residual = block.spec.residual().then(|| Shared(maps.now.as_mut_ptr()));
            let next = self
                .blocks
                .get(place + 1)
                .map_or(&self.features, |block| block.expand.as_ref().unwrap_or(&block.project));
            let then = Shared(next.start().cast_mut());
            self.over(out.pixels(), inner.channels, shared, |span, operands| {
                // SAFETY: as above.
                unsafe {
                    L::enter(Filter {
                        block,
                        window,
                        span,
                        from: expanded,
                        residual,
                        to,
                        then,
                        operands,
                    });
                };
            });
            plane = out;
            std::mem::swap(&mut maps.now, &mut maps.next);
        }
        let map = Plane { channels: self.spec.features, ..plane };
        let from = Shared(maps.now.as_mut_ptr());
        let to = Shared(maps.expanded.at_least(map.length::<L>()).as_mut_ptr());
        let then = self.projection.whole().start;
        self.pointwise(&self.features, plane, from, to, Some(6.0), shared, then);
        self.head(&maps.expanded, map, output);
    }

    #[allow(clippy::too_many_arguments, reason = "a product, its operands and what follows")]
    fn pointwise(
        &self,
        product: &Pointwise<L::Operand>,
        plane: Plane,
        from: Shared<f32>,
        to: Shared<f32>,
        most: Option<f32>,
        shared: bool,
        then: *const L::Operand,
    ) {
        let then = Shared(then.cast_mut());
        self.over(plane.pixels(), plane.channels, shared, |span, operands| {
            // SAFETY: as in `picture`.
            unsafe {
                L::enter(PointwiseTile { product, plane, span, from, to, most, then, operands });
            };
        });
    }

    /// Feature map to embedding.
    fn head(&self, map: &[f32], plane: Plane, output: &mut [f32]) {
        let features = self.spec.features;
        let mut pooled = Vec::with_capacity(self.spec.regions() * features);
        for region in 0..self.spec.regions() {
            let [rows, columns] = LiteSpec::region(region, plane.size);
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            for panel in map.chunks_exact(plane.pixels() * L::PANEL).take(plane.panels::<L>()) {
                let start = pooled.len();
                pooled.resize(start + L::PANEL, 0.0);
                let sums = &mut pooled[start..];
                for row in rows.clone() {
                    for column in columns.clone() {
                        let pixel = &panel[(row * plane.size[1] + column) * L::PANEL..][..L::PANEL];
                        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                    }
                }
                sums.iter_mut().for_each(|sum| *sum *= share);
            }
            pooled.truncate((region + 1) * features);
        }
        let mut embedding = vec![0.0; self.projection.panels * L::PANEL];
        let to = Shared(embedding.as_mut_ptr());
        // SAFETY: as in `picture`; the embedding is sized for the projection's panels.
        with_operands(pooled.len().next_multiple_of(L::PANEL), |operands| unsafe {
            L::enter(Project {
                weights: &self.projection,
                pooled: &pooled,
                to,
                operands: Shared::<L::Operand>(operands),
            });
        });
        embedding.truncate(output.len());
        let length = embedding.iter().map(|x| x * x).sum::<f32>().sqrt().max(LENGTH_EPSILON);
        output.iter_mut().zip(&embedding).for_each(|(to, x)| *to = x / length);
    }
}

impl<L: Lanes> Infer for Engine<L>
where
    L::Operand: Plain,
{
    fn embed(&self, pixels: &[f32], side: usize) -> Vec<f32> {
        let picture = 3 * side * side;
        let count = pixels.len() / picture;
        let width = self.spec.width;
        let mut output = vec![0.0; count * width];
        // Whole rounds of a picture a thread; what is left over is shared.
        let threads = rayon::current_num_threads();
        let apart = if threads > 1 { count / threads * threads } else { count };
        let (many, few) = output.split_at_mut(apart * width);
        let (ahead, rest) = pixels.split_at(apart * picture);
        ahead.par_chunks(picture).zip(many.par_chunks_mut(width)).for_each_init(
            Maps::default,
            |maps, (pixels, output)| {
                self.picture(pixels, side, false, maps, output);
            },
        );
        let mut maps = Maps::default();
        for (pixels, output) in rest.chunks(picture).zip(few.chunks_mut(width)) {
            self.picture(pixels, side, true, &mut maps, output);
        }
        output
    }
}

/// Operands of one thread.
fn with_operands<T, R>(length: usize, work: impl FnOnce(*mut T) -> R) -> R {
    thread_local! {
        static OPERANDS: std::cell::RefCell<Buffer<f32>> = std::cell::RefCell::default();
    }
    // As large as f32 would need.
    OPERANDS.with_borrow_mut(|buffer| work(buffer.at_least(length).as_mut_ptr().cast()))
}

/// The stem over a span of its rows.
struct Stem<'a, T> {
    product: &'a Pointwise<T>,
    /// `[3, side, side]`.
    pixels: &'a [f32],
    side: usize,
    span: Span,
    to: Shared<f32>,
    then: Shared<T>,
    operands: Shared<T>,
}

impl<T: Plain> Work for Stem<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { product: weights, pixels, side, span, to, then, operands } = self;
        let operands = operands.0.cast::<L::Operand>();
        let out = side.div_ceil(2);
        let before = padding(side, 3, 2);
        let stride = span.count * L::PANEL;
        // 27 values are one panel of 32, or two of 16.
        let mut patch = [0.0; 32];
        for row in 0..span.count {
            let place = span.start + row;
            let (y, x) = (2 * (place / out), 2 * (place % out));
            for (tap, values) in patch[..STEM_DEPTH].chunks_exact_mut(3).enumerate() {
                let (row, column) =
                    ((y + tap / 3).wrapping_sub(before), (x + tap % 3).wrapping_sub(before));
                let inside = row < side && column < side;
                for (colour, value) in values.iter_mut().enumerate() {
                    *value =
                        if inside { pixels[(colour * side + row) * side + column] } else { 0.0 };
                }
            }
            // SAFETY: operands hold 32 values a row.
            unsafe {
                for panel in 0..32 / L::PANEL {
                    for half in 0..2 {
                        let from = panel * L::PANEL + half * L::LANES;
                        let to = operands.add(panel * stride + row * L::PANEL + half * L::LANES);
                        L::put(to, L::load(patch[from..].as_ptr()));
                    }
                }
            }
        }
        // SAFETY: the map is one of `out * out` pixels.
        unsafe {
            let mut finish = Activate::<L> {
                bias: weights.bias.as_ptr(),
                to: to.0.add(span.start * L::PANEL),
                residual: None,
                most: Some(6.0),
                stride: out * out * L::PANEL,
                lanes: PhantomData,
            };
            product::<L, _>(
                Panels { start: operands.cast_const(), stride },
                weights.weights.whole().cast(),
                span.count,
                STEM_DEPTH,
                0..weights.weights.panels,
                then.0.cast_const().cast(),
                &mut finish,
            );
        }
    }
}

/// A 1×1 convolution over a span of rows.
struct PointwiseTile<'a, T> {
    product: &'a Pointwise<T>,
    /// Of the input.
    plane: Plane,
    span: Span,
    from: Shared<f32>,
    to: Shared<f32>,
    most: Option<f32>,
    then: Shared<T>,
    operands: Shared<T>,
}

impl<T: Plain> Work for PointwiseTile<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { product: weights, plane, span, from, to, most, then, operands } = self;
        let operands = operands.0.cast::<L::Operand>();
        let (panels, stride) = (plane.panels::<L>(), span.count * L::PANEL);
        let map_stride = plane.pixels() * L::PANEL;
        // SAFETY: operands were sized above, maps by their planes.
        unsafe {
            for panel in 0..panels {
                let from = from.0.add(panel * map_stride + span.start * L::PANEL);
                let to = operands.add(panel * stride);
                for vector in 0..2 * span.count {
                    let place = vector * L::LANES;
                    L::put(to.add(place), L::load(from.add(place)));
                }
            }
            let mut finish = Activate::<L> {
                bias: weights.bias.as_ptr(),
                to: to.0.add(span.start * L::PANEL),
                residual: None,
                most,
                stride: map_stride,
                lanes: PhantomData,
            };
            product::<L, _>(
                Panels { start: operands.cast_const(), stride },
                weights.weights.whole().cast(),
                span.count,
                plane.channels,
                0..weights.weights.panels,
                then.0.cast_const().cast(),
                &mut finish,
            );
        }
    }
}

/// Depthwise convolution and projecting product over a span of output rows.
struct Filter<'a, T> {
    block: &'a Block<T>,
    window: Window,
    span: Span,
    from: Shared<f32>,
    residual: Option<Shared<f32>>,
    to: Shared<f32>,
    then: Shared<T>,
    operands: Shared<T>,
}

impl<T: Plain> Work for Filter<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { block, window, span, from, residual, to, then, operands } = self;
        let operands = operands.0.cast::<L::Operand>();
        let inner = block.spec.inner();
        let (panels, stride) = (inner.div_ceil(L::PANEL), span.count * L::PANEL);
        let BlockSpec { kernel, stride: step, .. } = block.spec;
        let taps = kernel * kernel;
        // SAFETY: operands were sized above, maps by their planes.
        unsafe {
            for panel in 0..panels {
                let from = from.0.add(panel * window.input[0] * window.input[1] * L::PANEL);
                let weights = block.filter.weights.as_ptr().add(panel * taps * L::PANEL);
                let bias = block.filter.bias.as_ptr().add(panel * L::PANEL);
                let to = operands.add(panel * stride);
                match (kernel, step) {
                    (3, 1) => window::filter::<L, 3, 1>(window, span, from, weights, bias, to),
                    (3, _) => window::filter::<L, 3, 2>(window, span, from, weights, bias, to),
                    (_, 1) => window::filter::<L, 5, 1>(window, span, from, weights, bias, to),
                    _ => window::filter::<L, 5, 2>(window, span, from, weights, bias, to),
                }
            }
            let out = window.output[0] * window.output[1] * L::PANEL;
            let mut finish = Activate::<L> {
                bias: block.project.bias.as_ptr(),
                to: to.0.add(span.start * L::PANEL),
                residual: residual
                    .map(|residual| residual.0.add(span.start * L::PANEL).cast_const()),
                most: None,
                stride: out,
                lanes: PhantomData,
            };
            product::<L, _>(
                Panels { start: operands.cast_const(), stride },
                block.project.weights.whole().cast(),
                span.count,
                inner,
                0..block.project.weights.panels,
                then.0.cast_const().cast(),
                &mut finish,
            );
        }
    }
}

/// The head's projection of one picture.
struct Project<'a, T> {
    weights: &'a Packed<T>,
    pooled: &'a [f32],
    /// `[panels, PANEL]`.
    to: Shared<f32>,
    operands: Shared<T>,
}

impl<T: Plain> Work for Project<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { weights, pooled, to, operands } = self;
        let operands = operands.0.cast::<L::Operand>();
        let length = pooled.len().next_multiple_of(L::PANEL);
        // SAFETY: operands were sized above.
        unsafe {
            for place in 0..length {
                operands.add(place).write(L::operand(pooled.get(place).copied().unwrap_or(0.0)));
            }
            let mut finish = Activate::<L> {
                bias: std::ptr::null(),
                to: to.0,
                residual: None,
                most: None,
                stride: L::PANEL,
                lanes: PhantomData,
            };
            product::<L, _>(
                Panels { start: operands.cast_const(), stride: L::PANEL },
                weights.whole().cast(),
                1,
                pooled.len(),
                0..weights.panels,
                weights.whole().start.cast(),
                &mut finish,
            );
        }
    }
}

/// Bias where there is one, residual where there is one, and values held to 0–`most`.
struct Activate<L: Lanes> {
    bias: *const f32,
    to: *mut f32,
    residual: Option<*const f32>,
    most: Option<f32>,
    /// f32 from one panel to the next.
    stride: usize,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Finish<L> for Activate<L> {
    #[inline(always)]
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]) {
        // SAFETY: rows and panels are those of the maps.
        unsafe {
            let zero = L::splat(0.0);
            let mut bias = [zero; 2];
            if !self.bias.is_null() {
                let from = self.bias.add(panel * L::PANEL);
                bias = [L::load(from), L::load(from.add(L::LANES))];
            }
            for (i, sums) in tile.iter().enumerate() {
                let place = panel * self.stride + (row + i) * L::PANEL;
                for half in 0..2 {
                    let place = place + half * L::LANES;
                    let mut x = L::add(sums[half], bias[half]);
                    if let Some(residual) = self.residual {
                        x = L::add(x, L::load(residual.add(place)));
                    }
                    if let Some(most) = self.most {
                        x = L::clamp(x, zero, L::splat(most));
                    }
                    L::store(self.to.add(place), x);
                }
            }
        }
    }
}
