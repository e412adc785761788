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
    rows.zip(bias)
        .map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias)
        .collect()
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
                let hidden: Vec<f64> = hidden
                    .iter()
                    .map(|&x| x * crate::panels::lanes::table::integral(x.clamp(-8.0, 8.0)))
                    .collect();
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
            for (precision, products) in Products::all() {
                let net = ConvNextNet::with(spec.clone(), products, &slices(&parameters));
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
                        "{products:?} {height}x{width}: {worst} {cosine}"
                    );
                }
            }
        }
    }
}

/// Stochastic depth's factors: one picture of block 1 dropped, block 3 scaled.
fn scales(count: usize) -> Vec<Option<Vec<f32>>> {
    let dropped = (0..count).map(|picture| if picture == 1 { 0.0 } else { 1.25 }).collect();
    vec![None, Some(dropped), None, Some(vec![1.5; count])]
}

fn gradients(
    net: &ConvNextNet,
    parameters: &[Vec<f32>],
    pixels: &[f32],
    size: [usize; 3],
    at: &[f32],
    memory: u64,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (embeddings, tape) = net.record(pixels, size, &scales(size[0]), memory);
    let mut gradients: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.0; p.len()]).collect();
    net.pull(&slices(parameters), tape, at, &mut gradients);
    (embeddings, gradients)
}

fn directions(spec: &ConvNextSpec, count: usize) -> Vec<f32> {
    (0..count * spec.width()).map(|i| noise(0xd1 + i as u64)).collect()
}

#[test]
fn gradients_agree_with_finite_differences_on_every_path() {
    for (projection, [height, width]) in [(None, [32, 32]), (Some(19), [47, 65])] {
        let spec = spec(projection);
        let parameters = parameters(&spec);
        let size = [3, height, width];
        let pixels = pictures(3, height, width);
        let at = directions(&spec, 3);
        let loss = |parameters: &[Vec<f64>]| -> f64 {
            let scales = scales(3);
            let picture = 3 * height * width;
            (0..3)
                .flat_map(|i| {
                    let scales: Vec<f64> = scales
                        .iter()
                        .map(|scales| scales.as_ref().map_or(1.0, |scales| f64::from(scales[i])))
                        .collect();
                    let pixels = &pixels[i * picture..(i + 1) * picture];
                    definition(&spec, parameters, pixels, [height, width], &scales)
                })
                .zip(&at)
                .map(|(x, at)| x * f64::from(*at))
                .sum()
        };
        let mut wide = widened(&parameters);
        let mut expected = Vec::new();
        let step = 1e-5;
        let direction = |i: usize, k: usize| f64::from(noise((i << 32 | k) as u64 ^ 0xabcd));
        for i in 0..wide.len() {
            let along = |wide: &mut Vec<Vec<f64>>, step: f64| {
                for k in 0..wide[i].len() {
                    wide[i][k] = f64::from(parameters[i][k]) + step * direction(i, k);
                }
                loss(wide)
            };
            let difference = along(&mut wide, step) - along(&mut wide, -step);
            along(&mut wide, 0.0);
            expected.push(difference / (2.0 * step));
        }
        for (precision, products) in Products::all() {
            let net = ConvNextNet::with(spec.clone(), products, &slices(&parameters));
            for memory in [0, u64::MAX] {
                let (embeddings, found) = gradients(&net, &parameters, &pixels, size, &at, memory);
                assert_eq!(embeddings.len(), 3 * spec.width());
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let along: f64 = found
                        .iter()
                        .enumerate()
                        .map(|(k, g)| f64::from(*g) * direction(i, k))
                        .sum();
                    // A direction's derivative is a random sum of as many terms; compare to its usual size.
                    let size = found.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                    let most = if precision == Precision::F32 { 2e-5 } else { 4e-2 };
                    let off = (along - expected).abs() / size.max(1e-9);
                    assert!(
                        off < most,
                        "{products:?} memory {memory} parameter {i}: {along} for {expected}, size {size}"
                    );
                }
            }
        }
    }
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(work)
}

#[test]
fn threads_change_no_bit_of_embeddings_and_gradients() {
    let spec = spec(None);
    let parameters = parameters(&spec);
    let pixels = pictures(5, 64, 64);
    let at = directions(&spec, 5);
    for (_, products) in Products::all() {
        let net = ConvNextNet::with(spec.clone(), products, &slices(&parameters));
        let run = |threads: usize| {
            in_pool(threads, || gradients(&net, &parameters, &pixels, [5, 64, 64], &at, u64::MAX))
        };
        let plain = in_pool(1, || net.embed(&pixels, [5, 64, 64]));
        let (one, first) = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(in_pool(threads, || net.embed(&pixels, [5, 64, 64])), plain, "{products:?}");
            let (embeddings, others) = run(threads);
            assert_eq!(embeddings, one, "{products:?}");
            assert_eq!(first, others, "{products:?}");
        }
    }
}

#[test]
fn one_picture_at_a_time_gives_the_same_bits() {
    let spec = spec(None);
    let parameters = parameters(&spec);
    let pixels = pictures(4, 33, 64);
    for (_, products) in Products::all() {
        let net = ConvNextNet::with(spec.clone(), products, &slices(&parameters));
        let together = net.embed(&pixels, [4, 33, 64]);
        let apart: Vec<f32> =
            pixels.chunks(3 * 33 * 64).flat_map(|pixels| net.embed(pixels, [1, 33, 64])).collect();
        assert_eq!(together, apart, "{products:?}");
        assert!(net.embed(&[], [0, 33, 64]).is_empty());
    }
}

#[test]
fn updating_is_the_same_as_making_anew() {
    let spec = spec(Some(19));
    let (old, new) = (parameters(&spec), {
        let mut new = parameters(&spec);
        new.iter_mut().flatten().for_each(|x| *x *= 0.9);
        new
    });
    let pixels = pictures(2, 40, 40);
    let at = directions(&spec, 2);
    for (_, products) in Products::all() {
        let mut net = ConvNextNet::with(spec.clone(), products, &slices(&old));
        gradients(&net, &old, &pixels, [2, 40, 40], &at, 0);
        net.update(&slices(&new));
        let fresh = ConvNextNet::with(spec.clone(), products, &slices(&new));
        let run = |net: &ConvNextNet| {
            in_pool(1, || gradients(net, &new, &pixels, [2, 40, 40], &at, u64::MAX))
        };
        assert_eq!(run(&net), run(&fresh), "{products:?}");
    }
}

#[test]
fn denormals_and_extremes_stay_finite() {
    let spec = spec(None);
    let mut parameters = parameters(&spec);
    parameters.iter_mut().flatten().step_by(3).for_each(|x| *x *= 1e-39);
    let mut pixels = pictures(1, 32, 32);
    pixels.iter_mut().step_by(2).for_each(|x| *x *= 1e-40);
    pixels[7] = 3e4;
    for (_, products) in Products::all() {
        let net = ConvNextNet::with(spec.clone(), products, &slices(&parameters));
        let found = net.embed(&pixels, [1, 32, 32]);
        assert!(found.iter().all(|x| x.is_finite()), "{products:?}");
    }
}

#[test]
fn each_precision_takes_the_fastest_path_that_was_asked_for() {
    let spec = spec(None);
    let parameters = parameters(&spec);
    let pixels = pictures(1, 32, 32);
    let by = |precision, simd| {
        ConvNextNet::new(spec.clone(), precision, simd, &slices(&parameters))
            .embed(&pixels, [1, 32, 32])
    };
    let portable = [by(Precision::F32, Simd::Portable)];
    let portable = &widened(&portable)[0];
    for simd in Simd::available() {
        let found = by(Precision::F32, simd);
        assert!(cosine(&found, portable) > 1.0 - 1e-9, "{simd}");
        if simd.has_bf16() {
            let rounded = by(Precision::Bf16, simd);
            assert_ne!(rounded, found, "{simd}");
            assert!(cosine(&rounded, portable) > 0.999, "{simd}");
        }
    }
}
