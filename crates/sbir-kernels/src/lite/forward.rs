//! The forward pass of one chunk of pictures, with and without keeping what the backward pass needs.

use pulp::Arch;

use super::LiteNet;
use super::depthwise::{self, Geometry, padding};
use super::plan::LiteSpec;
use crate::product::{Lies, product};

/// Memory of a forward pass, used again by the next one.
#[derive(Default)]
pub(super) struct Scratch {
    patches: Vec<f32>,
    now: Vec<f32>,
    expanded: Vec<f32>,
    filtered: Vec<f32>,
    next: Vec<f32>,
    head: HeadTape,
}

/// What the backward pass of a block needs.
#[derive(Default)]
pub(super) struct BlockTape {
    /// What goes in, `[pictures, height, width, channels_in]`.
    pub(super) input: Vec<f32>,
    /// After expansion; empty where the block has none.
    pub(super) expanded: Vec<f32>,
    /// After the depthwise convolution.
    pub(super) filtered: Vec<f32>,
}

/// What the backward pass of the head needs.
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

/// Everything that the backward pass needs.
#[derive(Default)]
pub(super) struct Tape {
    pub(super) pictures: usize,
    pub(super) patches: Vec<f32>,
    pub(super) blocks: Vec<BlockTape>,
    /// What goes into the last convolution.
    pub(super) last: Vec<f32>,
    pub(super) head: HeadTape,
    pub(super) geometries: Vec<Geometry>,
    pub(super) plane: [usize; 2],
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

/// Embeddings of a chunk.
pub(super) fn embed(
    net: &LiteNet,
    pixels: &[f32],
    side: usize,
    scratch: &mut Scratch,
    output: &mut [f32],
) {
    let pictures = pixels.len() / (3 * side * side);
    let (stem, geometries, plane) = net.spec.sizes(side);
    let patches = sized(&mut scratch.patches, pictures * stem * stem * 27);
    gather_patches(pixels, side, patches);
    pointwise(
        net,
        0,
        patches,
        sized(&mut scratch.now, pictures * stem * stem * net.spec.stem),
        true,
    );
    let mut index = 1;
    for (block, geometry) in net.spec.blocks.iter().zip(&geometries) {
        let pixels = geometry.input[0] * geometry.input[1] * pictures;
        let out_pixels = geometry.output()[0] * geometry.output()[1] * pictures;
        let expanded = if block.expansion > 1 {
            let expanded = sized(&mut scratch.expanded, pixels * block.inner());
            pointwise(net, index, &scratch.now, expanded, true);
            index += 1;
            &*expanded
        } else {
            &scratch.now
        };
        let filtered = sized(&mut scratch.filtered, out_pixels * block.inner());
        filter(net, index, geometry, expanded, filtered);
        let next = sized(&mut scratch.next, out_pixels * block.channels_out);
        pointwise(net, index + 1, filtered, next, false);
        index += 2;
        if block.residual() {
            next.iter_mut().zip(&scratch.now).for_each(|(next, now)| *next += now);
        }
        std::mem::swap(&mut scratch.now, &mut scratch.next);
    }
    let map = sized(&mut scratch.head.map, pictures * plane[0] * plane[1] * net.spec.features);
    pointwise(net, index, &scratch.now, map, true);
    head(net, pictures, plane, &mut scratch.head);
    output.copy_from_slice(&scratch.head.embeddings);
}

/// The same, with everything kept in `tape`.
pub(super) fn record(net: &LiteNet, pixels: &[f32], side: usize, tape: &mut Tape) {
    let pictures = pixels.len() / (3 * side * side);
    let (stem, geometries, plane) = net.spec.sizes(side);
    let blocks = net.spec.blocks.len();
    tape.blocks.resize_with(blocks, BlockTape::default);
    let patches = sized(&mut tape.patches, pictures * stem * stem * 27);
    gather_patches(pixels, side, patches);
    let first = tape.blocks.first_mut().map_or(&mut tape.last, |block| &mut block.input);
    pointwise(net, 0, patches, sized(first, pictures * stem * stem * net.spec.stem), true);
    let mut index = 1;
    for place in 0..blocks {
        let (block, geometry) = (net.spec.blocks[place], &geometries[place]);
        let pixels = geometry.input[0] * geometry.input[1] * pictures;
        let out_pixels = geometry.output()[0] * geometry.output()[1] * pictures;
        let (done, later) = tape.blocks.split_at_mut(place + 1);
        let kept = &mut done[place];
        let expanded = if block.expansion > 1 {
            let expanded = sized(&mut kept.expanded, pixels * block.inner());
            pointwise(net, index, &kept.input, expanded, true);
            index += 1;
            &*expanded
        } else {
            &kept.input
        };
        let filtered = sized(&mut kept.filtered, out_pixels * block.inner());
        filter(net, index, geometry, expanded, filtered);
        let next = later.first_mut().map_or(&mut tape.last, |block| &mut block.input);
        let next = sized(next, out_pixels * block.channels_out);
        pointwise(net, index + 1, filtered, next, false);
        index += 2;
        if block.residual() {
            next.iter_mut().zip(&kept.input).for_each(|(next, now)| *next += now);
        }
    }
    let map = sized(&mut tape.head.map, pictures * plane[0] * plane[1] * net.spec.features);
    pointwise(net, index, &tape.last, map, true);
    head(net, pictures, plane, &mut tape.head);
    tape.pictures = pictures;
    tape.geometries = geometries;
    tape.plane = plane;
}
