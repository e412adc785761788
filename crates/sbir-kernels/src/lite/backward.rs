//! The backward pass of one chunk of pictures, from what the forward pass kept.

use pulp::Arch;

use super::depthwise;
use super::forward::{HeadTape, Tape, sized};
use super::plan::LiteSpec;
use super::{LiteNet, LiteWeights};
use crate::product::{Lies, product};

/// Zeroes the gradient where ReLU6 was flat, and adds the bias's gradient. Values at the bend count as flat, as
/// PyTorch has it.
fn through_clamp(gradient: &mut [f32], values: &[f32], at_bias: &mut [f32]) {
    Arch::new().dispatch(|| {
        let channels = at_bias.len();
        for (gradient, values) in
            gradient.chunks_exact_mut(channels).zip(values.chunks_exact(channels))
        {
            for ((gradient, &value), sum) in gradient.iter_mut().zip(values).zip(at_bias.iter_mut())
            {
                let kept = if value > 0.0 && value < 6.0 { *gradient } else { 0.0 };
                *gradient = kept;
                *sum += kept;
            }
        }
    });
}

fn add_rows(gradient: &[f32], at_bias: &mut [f32]) {
    Arch::new().dispatch(|| {
        for row in gradient.chunks_exact(at_bias.len()) {
            for (sum, value) in at_bias.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
}

/// A 1×1 convolution: adds the weight's gradient, and gives the input's where it is asked for.
fn pointwise(
    net: &LiteNet,
    index: usize,
    input: &[f32],
    gradient: &[f32],
    sum: &mut LiteWeights,
    at_input: Option<&mut [f32]>,
) {
    let conv = net.convolutions[index];
    let weight = &net.weights.convolutions[index].0;
    let channels_in = weight.len() / conv.channels_out;
    let rows = input.len() / channels_in;
    let at_weight = &mut sum.convolutions[index].0;
    let shape = [conv.channels_out, rows, channels_in];
    product(shape, (gradient, Lies::Transposed), (input, Lies::Straight), at_weight, true);
    if let Some(at_input) = at_input {
        let shape = [rows, conv.channels_out, channels_in];
        product(shape, (gradient, Lies::Straight), (weight, Lies::Straight), at_input, false);
    }
}

/// From the embeddings to the last feature map.
fn head(
    net: &LiteNet,
    tape: &HeadTape,
    plane: [usize; 2],
    at: &[f32],
    sum: &mut LiteWeights,
) -> Vec<f32> {
    let LiteSpec { features, width, .. } = net.spec;
    let regions = net.spec.regions();
    let pictures = tape.lengths.len();
    let mut before = at.to_vec();
    let embeddings = tape.embeddings.chunks_exact(width);
    for ((gradient, embedding), length) in
        before.chunks_exact_mut(width).zip(embeddings).zip(&tape.lengths)
    {
        let along: f32 = gradient.iter().zip(embedding).map(|(g, e)| g * e).sum();
        for (gradient, embedding) in gradient.iter_mut().zip(embedding) {
            *gradient = (*gradient - along * embedding) / length;
        }
    }
    let shape = [width, pictures, regions * features];
    product(
        shape,
        (&before, Lies::Transposed),
        (&tape.pooled, Lies::Straight),
        &mut sum.projection,
        true,
    );
    let mut at_pooled = vec![0.0; pictures * regions * features];
    let shape = [pictures, width, regions * features];
    let projection = (net.weights.projection.as_slice(), Lies::Straight);
    product(shape, (&before, Lies::Straight), projection, &mut at_pooled, false);
    let mut at_map = vec![0.0; tape.map.len()];
    let maps = at_map.chunks_exact_mut(plane[0] * plane[1] * features);
    for (map, at_pooled) in maps.zip(at_pooled.chunks_exact(regions * features)) {
        for (region, at_pooled) in at_pooled.chunks_exact(features).enumerate() {
            let [rows, columns] = LiteSpec::region(region, plane);
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            for row in rows {
                for column in columns.clone() {
                    let pixel = &mut map[(row * plane[1] + column) * features..][..features];
                    pixel.iter_mut().zip(at_pooled).for_each(|(value, at)| *value += share * at);
                }
            }
        }
    }
    at_map
}

/// Adds to `sum` the gradients of every weight, from the gradient `at` the chunk's embeddings.
pub(super) fn pull(net: &LiteNet, tape: &Tape, at: &[f32], sum: &mut LiteWeights) {
    let arch = Arch::new();
    let mut index = net.convolutions.len() - 1;
    let mut at_map = head(net, &tape.head, tape.plane, at, sum);
    through_clamp(&mut at_map, &tape.head.map, &mut sum.convolutions[index].1);
    let last = &tape.inputs[net.spec.blocks.len()];
    let mut gradient = vec![0.0; last.len()];
    pointwise(net, index, last, &at_map, sum, Some(&mut gradient));
    let (mut at_filtered, mut at_expanded, mut at_input) = (at_map, Vec::new(), Vec::new());

    for (place, block) in net.spec.blocks.iter().enumerate().rev() {
        let (kept, input, geometry) =
            (&tape.inner[place], &tape.inputs[place], &tape.geometries[place]);
        index -= 1;
        add_rows(&gradient, &mut sum.convolutions[index].1);
        let filtered = sized(&mut at_filtered, kept.filtered.len());
        pointwise(net, index, &kept.filtered, &gradient, sum, Some(filtered));

        index -= 1;
        through_clamp(filtered, &kept.filtered, &mut sum.convolutions[index].1);
        let source = if block.expansion > 1 { &kept.expanded } else { input };
        let expanded = sized(&mut at_expanded, source.len());
        let [height, width] = geometry.input;
        let [out_height, out_width] = geometry.output();
        let weight = &net.weights.convolutions[index].0;
        let at_weight = &mut sum.convolutions[index].0;
        let sources = source.chunks_exact(height * width * geometry.channels);
        let targets = expanded.chunks_exact_mut(height * width * geometry.channels);
        let gradients = filtered.chunks_exact(out_height * out_width * geometry.channels);
        for ((source, target), gradient) in sources.zip(targets).zip(gradients) {
            depthwise::backward_weight(arch, geometry, source, gradient, at_weight);
            depthwise::backward_input(arch, geometry, gradient, weight, target);
        }

        let before = if block.expansion > 1 {
            index -= 1;
            through_clamp(expanded, &kept.expanded, &mut sum.convolutions[index].1);
            let before = sized(&mut at_input, input.len());
            pointwise(net, index, input, expanded, sum, Some(before));
            &mut at_input
        } else {
            &mut at_expanded
        };
        if block.residual() {
            before.iter_mut().zip(&gradient).for_each(|(before, gradient)| *before += gradient);
        }
        std::mem::swap(&mut gradient, before);
    }

    index -= 1;
    debug_assert_eq!(index, 0, "every convolution was passed");
    through_clamp(&mut gradient, &tape.inputs[0], &mut sum.convolutions[0].1);
    pointwise(net, 0, &tape.patches, &gradient, sum, None);
}
