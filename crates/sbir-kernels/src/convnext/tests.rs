//! Every path against the definition in double precision.

use super::*;

/// A number in [−1, 1) that depends on its place alone.
fn noise(place: u64) -> f32 {
    let mut x = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0xd1b5_4a32_d192_ed03);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn spec(projection: Option<usize>) -> ConvNextSpec {
    ConvNextSpec { depths: [1, 1, 2, 1], dims: [24, 40, 33, 70], projection, norm_epsilon: 1e-6 }
}

/// Parameters of a size that lets every one of them matter.
fn parameters(spec: &ConvNextSpec) -> Vec<Vec<f32>> {
    let lengths = spec.parameter_lengths();
    let draw = |(i, length): (usize, usize)| -> Vec<f32> {
        let largest = lengths.iter().max().copied().unwrap_or(1);
        let scale = if length > 80 { 0.25 } else { 0.5 };
        let shift = if length > 80 { 0.0 } else { 0.3 };
        (0..length).map(|k| shift + scale * noise((i * largest + k) as u64)).collect()
    };
    lengths.iter().copied().enumerate().map(draw).collect()
}

fn pictures(count: usize, height: usize, width: usize) -> Vec<f32> {
    (0..count * 3 * height * width).map(|i| 1.5 * noise(0x5eed + i as u64)).collect()
}

fn slices(parameters: &[Vec<f32>]) -> Vec<&[f32]> {
    parameters.iter().map(Vec::as_slice).collect()
}

/// A plane of pixels with its channels: `[height, width, channels]`.
#[derive(Clone)]
struct Field {
    height: usize,
    width: usize,
    channels: usize,
    values: Vec<f64>,
}

impl Field {
    fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, values: vec![0.0; height * width * channels] }
    }

    fn at(&self, y: usize, x: usize) -> &[f64] {
        &self.values[(y * self.width + x) * self.channels..][..self.channels]
    }

    fn each(mut self, f: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        for pixel in self.values.chunks_exact_mut(self.channels) {
            pixel.copy_from_slice(&f(pixel));
        }
        self
    }
}

fn layer_norm(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    x.iter().zip(weight.iter().zip(bias)).map(|(x, (w, b))| (x - mean) * scale * w + b).collect()
}

/// `weight`: `[out, in]`.
fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let rows = weight.chunks_exact(x.len());
    rows.zip(bias).map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
}

/// `weight`: `[out, in, patch, patch]`.
fn patches(x: &Field, weight: &[f64], bias: &[f64], patch: usize) -> Field {
    let mut out = Field::new(x.height / patch, x.width / patch, bias.len());
    for y in 0..out.height {
        for column in 0..out.width {
            let mut row = Vec::new();
            for channel in 0..x.channels {
                for ky in 0..patch {
                    for kx in 0..patch {
                        row.push(x.at(y * patch + ky, column * patch + kx)[channel]);
                    }
                }
            }
            let place = (y * out.width + column) * out.channels;
            out.values[place..place + out.channels].copy_from_slice(&linear(&row, weight, bias));
        }
    }
    out
}

fn depthwise(x: &Field, weight: &[f64], bias: &[f64]) -> Field {
    let mut out = x.clone();
    for y in 0..x.height {
        for column in 0..x.width {
            for channel in 0..x.channels {
                let mut sum = bias[channel];
                for ky in 0..7 {
                    for kx in 0..7 {
                        let (row, from) = ((y + ky).wrapping_sub(3), (column + kx).wrapping_sub(3));
                        if row < x.height && from < x.width {
                            sum += weight[channel * 49 + ky * 7 + kx] * x.at(row, from)[channel];
                        }
                    }
                }
                out.values[(y * x.width + column) * x.channels + channel] = sum;
            }
        }
    }
    out
}

/// The network by its definition, for one picture; `scales` by block.
fn definition(
    spec: &ConvNextSpec,
    parameters: &[Vec<f64>],
    pixels: &[f32],
    [height, width]: [usize; 2],
    scales: &[f64],
) -> Vec<f64> {
    let epsilon = f64::from(spec.norm_epsilon);
    let mut next = parameters.iter();
    let mut take = || next.next().expect("a parameter");
    let mut x = Field::new(height, width, 3);
    for (i, value) in pixels.iter().enumerate() {
        x.values[i % (height * width) * 3 + i / (height * width)] = f64::from(*value);
    }
    let mut index = 0;
    for stage in 0..4 {
        if stage == 0 {
            x = patches(&x, take(), take(), 4);
            let (w, b) = (take(), take());
            x = x.each(|pixel| layer_norm(pixel, w, b, epsilon));
        } else {
            let (w, b) = (take(), take());
            x = x.each(|pixel| layer_norm(pixel, w, b, epsilon));
            x = patches(&x, take(), take(), 2);
        }
        for _ in 0..spec.depths[stage] {
            let branch = depthwise(&x, take(), take());
            let (w, b) = (take(), take());
            let (expand, expand_bias) = (take(), take());
            let (project, project_bias) = (take(), take());
            let layer_scale = take();
            let factor = scales.get(index).copied().unwrap_or(1.0);
            let branch = branch.each(|pixel| {
                let hidden = linear(&layer_norm(pixel, w, b, epsilon), expand, expand_bias);
                let hidden: Vec<f64> =
                    hidden.iter().map(|&x| x * lanes::table::integral(x.clamp(-8.0, 8.0))).collect();
                let out = linear(&hidden, project, project_bias);
                out.iter().zip(layer_scale).map(|(x, scale)| factor * scale * x).collect()
            });
            x.values.iter_mut().zip(&branch.values).for_each(|(x, y)| *x += y);
            index += 1;
        }
    }
    let count = (x.height * x.width) as f64;
    let mut pooled = vec![0.0; x.channels];
    for pixel in x.values.chunks_exact(x.channels) {
        pooled.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x / count);
    }
    if let Some(width) = spec.projection {
        let normalised = layer_norm(&pooled, take(), take(), epsilon);
        pooled = linear(&normalised, take(), &vec![0.0; width]);
    }
    let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
    pooled.iter().map(|x| x / length).collect()
}

fn widened(parameters: &[Vec<f32>]) -> Vec<Vec<f64>> {
    parameters.iter().map(|values| values.iter().map(|x| f64::from(*x)).collect()).collect()
}

/// Every path and precision that this processor has.
fn paths() -> Vec<(Precision, Simd)> {
    let mut paths: Vec<_> = Simd::available().map(|simd| (Precision::F32, simd)).collect();
    paths.push((Precision::Bf16, Simd::Portable));
    paths.extend(Simd::available().filter(|simd| simd.has_bf16()).map(|s| (Precision::Bf16, s)));
    paths
}

fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum();
    let a: f64 = a.iter().map(|a| f64::from(*a).powi(2)).sum();
    let b: f64 = b.iter().map(|b| b.powi(2)).sum();
    dot / (a * b).sqrt()
}

#[test]
fn embeddings_agree_with_the_definition_on_every_path() {
    for projection in [None, Some(19)] {
        let spec = spec(projection);
        let parameters = parameters(&spec);
        let wide = widened(&parameters);
        for [height, width] in [[32, 32], [33, 47], [65, 34], [97, 64]] {
            let pixels = pictures(2, height, width);
            let expected: Vec<Vec<f64>> = pixels
                .chunks(3 * height * width)
                .map(|pixels| definition(&spec, &wide, pixels, [height, width], &[]))
                .collect();
            for (precision, simd) in paths() {
                let net = ConvNextNet::new(spec.clone(), precision, simd, &slices(&parameters));
                let found = net.embed(&pixels, [2, height, width]);
                for (found, expected) in found.chunks(spec.width()).zip(&expected) {
                    let worst = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
                    let worst = worst.fold(0.0, f64::max);
                    let (most, least) = match precision {
                        Precision::F32 => (2e-6, 1.0 - 1e-9),
                        Precision::Bf16 => (2e-2, 0.999),
                    };
                    let cosine = cosine(found, expected);
                    assert!(
                        worst < most && cosine > least,
                        "{precision:?} {simd} {height}x{width}: {worst} {cosine}"
                    );
                }
            }
        }
    }
}
