//! EfficientNet-Lite0 with an embedding head.
//!
//! BatchNorm is frozen: a siamese encoder would mix two modalities in its running statistics. What is left of it is
//! a scale and a shift per channel, which train. On the CPU [`sbir_kernels::lite`] computes; elsewhere Burn's
//! operations do, which are also what the tests compare the kernels to.

mod config;
mod weights;

use burn_tensor::module::conv2d;
use burn_tensor::ops::ConvOptions;
use burn_tensor::{Device, Tensor};
use sbir_kernels::Precision;
use sbir_kernels::lite::{ConvKind, LiteNet, LiteWeights};
use sbir_kernels::simd::Simd;

pub use config::LiteConfig;
use config::{conv_names, weight_shape};
pub(crate) use weights::{Read, read};

use crate::parameters::Parameters;
use crate::random;

/// The network with BatchNorm folded into its weights, for the CPU.
pub(crate) fn net(
    config: &LiteConfig,
    parameters: &Parameters,
    precision: Precision,
    simd: Simd,
) -> LiteNet {
    let spec = config.spec();
    let mut values = parameters.to_values().map(|(_, _, values)| values);
    let mut next = || values.next().expect("as many parameters as the architecture names");
    let convolutions = spec
        .convolutions()
        .iter()
        .map(|conv| {
            let (weight, scale, shift) = (next(), next(), next());
            let each = weight.len() / conv.channels_out;
            let mut folded = vec![0.0; weight.len()];
            for (place, value) in weight.iter().enumerate() {
                folded[kernel_place(conv.kind, conv.channels_out, place)] =
                    value * scale[place / each];
            }
            (folded, shift)
        })
        .collect();
    let weights = LiteWeights { convolutions, projection: next() };
    LiteNet::with_path(spec, weights, precision, simd)
}

/// Adds to the gradients at the parameters, in their order, those at the folded weights.
pub(crate) fn unfold(
    config: &LiteConfig,
    parameters: &Parameters,
    folded: &LiteWeights,
    gradients: &mut [Vec<f32>],
) {
    assert_eq!(gradients.len(), parameters.len(), "a gradient for each parameter");
    let values: Vec<_> = parameters.iter().map(|parameter| parameter.value.to_host()).collect();
    let add = |into: &mut [f32], from: &[f32]| {
        assert_eq!(into.len(), from.len(), "length of a gradient");
        into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
    };
    let convolutions = config.spec().convolutions();
    let (convolved, projection) = gradients.split_at_mut(3 * convolutions.len());
    let lists = values.chunks(3).zip(convolved.chunks_mut(3));
    for ((conv, (at_folded, at_shift)), (values, gradients)) in
        convolutions.iter().zip(&folded.convolutions).zip(lists)
    {
        let (weight, scale) = (&values[0], &values[1]);
        let [at_weight, at_scale, shift] = gradients else { panic!("weight, scale and shift") };
        let each = weight.len() / conv.channels_out;
        for (place, value) in weight.iter().enumerate() {
            let gradient = at_folded[kernel_place(conv.kind, conv.channels_out, place)];
            at_weight[place] += gradient * scale[place / each];
            at_scale[place / each] += gradient * value;
        }
        add(shift, at_shift);
    }
    add(&mut projection[0], &folded.projection);
}

/// Where a value of a weight in PyTorch's order goes in the kernels' order.
fn kernel_place(kind: ConvKind, channels: usize, place: usize) -> usize {
    match kind {
        ConvKind::Pointwise => place,
        // (out, colour, tap) to (out, tap, colour)
        ConvKind::Stem => place / 27 * 27 + place % 9 * 3 + place % 27 / 9,
        // (channel, tap) to (tap, channel)
        ConvKind::Depthwise { kernel, .. } => {
            let taps = kernel * kernel;
            place % taps * channels + place / taps
        }
    }
}

/// Embeds a batch with Burn's operations, on any device.
///
/// # Shapes
/// - `images`: `[batch_size, 3, height, width]`
/// - output: `[batch_size, width]`, rows of unit length
pub(crate) fn forward(
    config: &LiteConfig,
    parameters: &Parameters,
    images: Tensor<4>,
) -> Tensor<2> {
    let spec = config.spec();
    let mut index = 0;
    let mut conv = |x: Tensor<4>, kind: ConvKind, clamp: bool| -> Tensor<4> {
        let conv = spec.convolutions()[index / 3];
        debug_assert_eq!(conv.kind, kind);
        let channels = conv.channels_out;
        let shape: [usize; 4] = weight_shape(&conv).try_into().expect("four dimensions");
        let scale: Tensor<4> = parameters.shaped(index + 1, [channels, 1, 1, 1]);
        let weight = parameters.shaped(index, shape) * scale;
        let shift = parameters.tensor(index + 2);
        index += 3;
        let (kernel, stride, groups) = match kind {
            ConvKind::Stem => (3, 2, 1),
            ConvKind::Pointwise => (1, 1, 1),
            ConvKind::Depthwise { kernel, stride } => (kernel, stride, channels),
        };
        let [_, _, height, width] = x.dims();
        let [(top, bottom), (left, right)] = [height, width].map(|side| {
            let whole = ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side);
            (whole / 2, whole - whole / 2)
        });
        let x = if kernel > 1 { x.pad((left, right, top, bottom), 0.0) } else { x };
        let options = ConvOptions::new([stride, stride], [0, 0], [1, 1], groups);
        let x = conv2d(x, weight, Some(shift), options);
        if clamp { x.clamp(0.0, 6.0) } else { x }
    };
    let mut x = conv(images, ConvKind::Stem, true);
    for block in &spec.blocks {
        let input = x.clone();
        if block.expansion > 1 {
            x = conv(x, ConvKind::Pointwise, true);
        }
        let depthwise = ConvKind::Depthwise { kernel: block.kernel, stride: block.stride };
        x = conv(x, depthwise, true);
        x = conv(x, ConvKind::Pointwise, false);
        if block.residual() {
            x = x + input;
        }
    }
    let x = conv(x, ConvKind::Pointwise, true);
    let [batch, features, height, width] = x.dims();
    let (top, bottom) = (0..height.div_ceil(2), height / 2..height);
    let (left, right) = (0..width.div_ceil(2), width / 2..width);
    let mut regions = vec![(0..height, 0..width)];
    if config.quadrants {
        regions.extend([
            (top.clone(), left.clone()),
            (top, right.clone()),
            (bottom.clone(), left),
            (bottom, right),
        ]);
    }
    let pooled = regions
        .into_iter()
        .map(|(rows, columns)| {
            let area = rows.len() * columns.len();
            let part = x.clone().slice([0..batch, 0..features, rows, columns]);
            part.reshape([batch, features, area]).mean_dim(2).reshape([batch, features])
        })
        .collect();
    let pooled = Tensor::cat(pooled, 1);
    let [_, inputs] = pooled.dims();
    let projection: Tensor<2> = parameters.shaped(parameters.len() - 1, [config.width, inputs]);
    let embedding = pooled.matmul(projection.transpose());
    let length = embedding.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    embedding / length
}

/// A projection that keeps the angles of the pooled features about as they are: normal draws for the whole
/// plane's means, zero for the quadrants', which training brings in.
fn first_projection(config: &LiteConfig, seed: u64) -> Vec<f32> {
    let spec = config.spec();
    let inputs = spec.regions() * spec.features;
    let deviation = 1.0 / (config.width as f64).sqrt();
    let draws = random::normals(seed, &[0x7072_6f6a], config.width * spec.features);
    let mut values = vec![0.0; config.width * inputs];
    for (row, draws) in values.chunks_mut(inputs).zip(draws.chunks(spec.features)) {
        for (value, draw) in row.iter_mut().zip(draws) {
            *value = (deviation * draw) as f32;
        }
    }
    values
}

/// Random parameters: He's normal draws for the weights (He et al., 2015), scale 1, shift 0.
pub(crate) fn random_parameters(config: &LiteConfig, seed: u64, device: &Device) -> Parameters {
    let spec = config.spec();
    let mut values = Vec::new();
    for (index, (name, conv)) in conv_names(&spec).into_iter().enumerate() {
        let shape = weight_shape(&conv);
        let fan_in: usize = shape[1..].iter().product();
        let deviation = (2.0 / fan_in as f64).sqrt();
        let draws = random::normals(seed, &[index as u64], shape.iter().product());
        let weight = draws.into_iter().map(|draw| (deviation * draw) as f32).collect();
        let channels = conv.channels_out;
        values.push((format!("{name}.weight"), shape, weight));
        values.push((format!("{name}.scale"), vec![channels], vec![1.0; channels]));
        values.push((format!("{name}.shift"), vec![channels], vec![0.0; channels]));
    }
    let projection = first_projection(config, seed);
    let shape = vec![config.width, projection.len() / config.width];
    values.push(("head.projection.weight".to_owned(), shape, projection));
    Parameters::from_values(values, device)
}

#[cfg(test)]
mod tests;
