//! The forward pass of one chunk of pictures that keeps what the backward pass needs.

use pulp::Arch;

use super::LiteNet;
use super::depthwise::{self, Geometry, padding};
use super::plan::LiteSpec;
use crate::product::{Lies, product};

/// What is computed inside a block.
#[derive(Default)]
pub(super) struct Inner {
    /// After expansion, `[pictures, height, width, inner]`; not written where the block has none.
    pub(super) expanded: Vec<f32>,
    /// After the depthwise convolution.
    pub(super) filtered: Vec<f32>,
}

/// What is computed after the last convolution.
#[derive(Default)]
pub(super) struct HeadTape {
    /// The last feature map, `[pictures, height, width, features]`.
    pub(super) map: Vec<f32>,
    /// Means by region, `[pictures, regions * features]`.
    pub(super) pooled: Vec<f32>,
    /// `[pictures, width]`, of unit length.
    pub(super) embeddings: Vec<f32>,
    /// Lengths before normalisation, `[pictures]`.
    pub(super) lengths: Vec<f32>,
}

/// Everything that the backward pass needs, in memory that is used again by the next pass.
#[derive(Default)]
pub(super) struct Tape {
    pub(super) pictures: usize,
    pub(super) patches: Vec<f32>,
    /// What goes into each block and, after them, into the last convolution, `[pictures, height, width, channels_in]`.
    pub(super) inputs: Vec<Vec<f32>>,
    pub(super) inner: Vec<Inner>,
    pub(super) head: HeadTape,
    pub(super) geometries: Vec<Geometry>,
    pub(super) plane: [usize; 2],
}

impl Tape {
    /// Makes room for `blocks` blocks.
    fn fit(&mut self, blocks: usize) {
        self.inputs.resize_with(blocks + 1, Vec::new);
        self.inner.resize_with(blocks, Inner::default);
    }

    /// What goes into a block, what it computes, and what comes out of it.
    fn block(&mut self, place: usize) -> (&Vec<f32>, &mut Inner, &mut Vec<f32>) {
        let (inputs, outputs) = self.inputs.split_at_mut(place + 1);
        (&inputs[place], &mut self.inner[place], &mut outputs[0])
    }
}

/// `buffer` with `length` values; what they are is not said.
pub(super) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    buffer.truncate(length);
    buffer
}

/// 3×3 neighbourhoods of every second pixel, as rows of a matrix.
///
/// # Shapes
/// - `pixels`: `[pictures, 3, side, side]`
/// - `patches`: `[pictures, out, out, 27]`, a row as (ky, kx, colour)
fn gather_patches(pixels: &[f32], side: usize, patches: &mut [f32]) {
    let out = side.div_ceil(2);
    let before = padding(side, 3, 2);
    let plane = side * side;
    for (picture, patches) in
        pixels.chunks_exact(3 * plane).zip(patches.chunks_exact_mut(out * out * 27))
    {
        for (place, patch) in patches.chunks_exact_mut(27).enumerate() {
            let (y, x) = (2 * (place / out), 2 * (place % out));
            for (tap, values) in patch.chunks_exact_mut(3).enumerate() {
                let (row, column) = (y + tap / 3, x + tap % 3);
                let inside = row >= before
                    && column >= before
                    && row - before < side
                    && column - before < side;
                for (colour, value) in values.iter_mut().enumerate() {
                    *value = if inside {
                        picture[colour * plane + (row - before) * side + column - before]
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

/// A 1×1 convolution of `rows` pixels.
fn pointwise(net: &LiteNet, index: usize, input: &[f32], output: &mut [f32], clamp: bool) {
    let conv = net.convolutions[index];
    let (weight, bias) = &net.weights.convolutions[index];
    let channels_in = weight.len() / conv.channels_out;
    let rows = input.len() / channels_in;
    let shape = [rows, channels_in, conv.channels_out];
    product(shape, (input, Lies::Straight), (weight, Lies::Transposed), output, false);
    let arch = Arch::new();
    arch.dispatch(|| {
        for row in output.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
            if clamp {
                for value in row {
                    *value = value.clamp(0.0, 6.0);
                }
            }
        }
    });
}

fn filter(net: &LiteNet, index: usize, geometry: &Geometry, input: &[f32], output: &mut [f32]) {
    let (weight, bias) = &net.weights.convolutions[index];
    let arch = Arch::new();
    let [height, width] = geometry.input;
    let [out_height, out_width] = geometry.output();
    let inputs = input.chunks_exact(height * width * geometry.channels);
    for (input, output) in
        inputs.zip(output.chunks_exact_mut(out_height * out_width * geometry.channels))
    {
        depthwise::forward(arch, geometry, input, weight, bias, output);
    }
}

/// Feature map to embeddings.
fn head(net: &LiteNet, pictures: usize, plane: [usize; 2], tape: &mut HeadTape) {
    let LiteSpec { features, width, .. } = net.spec;
    let regions = net.spec.regions();
    let HeadTape { map, pooled, embeddings, lengths } = tape;
    let pooled = sized(pooled, pictures * regions * features);
    let maps = map.chunks_exact(plane[0] * plane[1] * features);
    for (map, pooled) in maps.zip(pooled.chunks_exact_mut(regions * features)) {
        for (region, pooled) in pooled.chunks_exact_mut(features).enumerate() {
            let [rows, columns] = LiteSpec::region(region, plane);
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            pooled.fill(0.0);
            for row in rows {
                for column in columns.clone() {
                    let pixel = &map[(row * plane[1] + column) * features..][..features];
                    pooled.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
                }
            }
            pooled.iter_mut().for_each(|sum| *sum *= share);
        }
    }
    let embeddings = sized(embeddings, pictures * width);
    let shape = [pictures, regions * features, width];
    let projection = (net.weights.projection.as_slice(), Lies::Transposed);
    product(shape, (pooled, Lies::Straight), projection, embeddings, false);
    let lengths = sized(lengths, pictures);
    for (embedding, length) in embeddings.chunks_exact_mut(width).zip(lengths) {
        *length = embedding.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        embedding.iter_mut().for_each(|x| *x /= *length);
    }
}

/// Embeds a chunk of pictures, with everything that is computed in `tape`; the embeddings are its head's.
///
/// # Shapes
/// - `pixels`: `[pictures, 3, side, side]`
pub(super) fn run(net: &LiteNet, pixels: &[f32], side: usize, tape: &mut Tape) {
    let pictures = pixels.len() / (3 * side * side);
    let (stem, geometries, plane) = net.spec.sizes(side);
    let blocks = net.spec.blocks.len();
    tape.fit(blocks);
    let mut patches = std::mem::take(&mut tape.patches);
    gather_patches(pixels, side, sized(&mut patches, pictures * stem * stem * 27));
    let first = sized(&mut tape.inputs[0], pictures * stem * stem * net.spec.stem);
    pointwise(net, 0, &patches, first, true);
    tape.patches = patches;
    let mut index = 1;
    for (place, (block, geometry)) in net.spec.blocks.iter().zip(&geometries).enumerate() {
        let pixels = geometry.input[0] * geometry.input[1] * pictures;
        let out_pixels = geometry.output()[0] * geometry.output()[1] * pictures;
        let (input, inner, output) = tape.block(place);
        let expanded = if block.expansion > 1 {
            let expanded = sized(&mut inner.expanded, pixels * block.inner());
            pointwise(net, index, input, expanded, true);
            index += 1;
            &*expanded
        } else {
            input
        };
        let filtered = sized(&mut inner.filtered, out_pixels * block.inner());
        filter(net, index, geometry, expanded, filtered);
        let output = sized(output, out_pixels * block.channels_out);
        pointwise(net, index + 1, filtered, output, false);
        index += 2;
        if block.residual() {
            output.iter_mut().zip(input).for_each(|(output, input)| *output += input);
        }
    }
    let mut map = std::mem::take(&mut tape.head.map);
    let values = sized(&mut map, pictures * plane[0] * plane[1] * net.spec.features);
    pointwise(net, index, &tape.inputs[blocks], values, true);
    tape.head.map = map;
    head(net, pictures, plane, &mut tape.head);
    tape.pictures = pictures;
    tape.geometries = geometries;
    tape.plane = plane;
}
