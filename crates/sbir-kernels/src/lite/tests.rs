//! The network against its definition in double precision, and its gradients against differences.

use super::*;

fn small(quadrants: bool) -> LiteSpec {
    let block = |kernel, stride, expansion, channels_in, channels_out| BlockSpec {
        kernel,
        stride,
        expansion,
        channels_in,
        channels_out,
    };
    let blocks = vec![
        block(3, 1, 1, 16, 8),
        block(5, 2, 4, 8, 8),
        block(3, 1, 2, 8, 8),
        block(5, 2, 2, 8, 12),
    ];
    LiteSpec { stem: 16, blocks, features: 20, width: 6, quadrants }
}

/// Chunks of every width, planes that are cut into bands of rows, and such as are cut into channels only.
fn wide() -> LiteSpec {
    let block = |[kernel, stride, expansion, channels_in, channels_out]: [usize; 5]| BlockSpec {
        kernel,
        stride,
        expansion,
        channels_in,
        channels_out,
    };
    let blocks = [
        [3, 1, 1, 32, 16],
        [3, 2, 6, 16, 24],
        [5, 2, 20, 24, 40],
        [3, 1, 6, 40, 40],
        [5, 2, 3, 40, 112],
    ];
    LiteSpec {
        stem: 32,
        blocks: blocks.map(block).to_vec(),
        features: 96,
        width: 48,
        quadrants: true,
    }
}

/// Uniform in ±1, a function of place and seed.
fn draw(place: usize, seed: u64) -> f32 {
    let mut z = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn weights(spec: &LiteSpec) -> LiteWeights {
    let mut weights = LiteWeights::zeros(spec);
    for (index, (conv, (weight, bias))) in
        spec.convolutions().iter().zip(&mut weights.convolutions).enumerate()
    {
        let fan_in = (weight.len() / conv.channels_out) as f32;
        let scale = 2.5 / fan_in.sqrt();
        for (place, value) in weight.iter_mut().enumerate() {
            *value = scale * draw(place, 3 * index as u64);
        }
        for (place, value) in bias.iter_mut().enumerate() {
            *value = 0.3 * draw(place, 3 * index as u64 + 1);
        }
    }
    for (place, value) in weights.projection.iter_mut().enumerate() {
        *value = draw(place, 999);
    }
    weights
}

fn pixels(count: usize, side: usize) -> Vec<f32> {
    (0..count * 3 * side * side).map(|place| draw(place, 5)).collect()
}

/// One picture, by the definition.
fn twin(spec: &LiteSpec, weights: &LiteWeights, pixels: &[f32], side: usize) -> Vec<f64> {
    type Map = (Vec<f64>, usize, usize);
    let conv = |input: &Map, index: usize, clamp: bool| -> Map {
        let conv = spec.convolutions()[index];
        let (weight, bias) = &weights.convolutions[index];
        let (values, side, channels) = input;
        let (kernel, stride) = match conv.kind {
            ConvKind::Stem => (3, 2),
            ConvKind::Pointwise => (1, 1),
            ConvKind::Depthwise { kernel, stride } => (kernel, stride),
        };
        let out = side.div_ceil(stride);
        let before = ((out - 1) * stride + kernel).saturating_sub(*side) / 2;
        let mut output = Vec::new();
        for y in 0..out {
            for x in 0..out {
                for o in 0..conv.channels_out {
                    let mut sum = f64::from(bias[o]);
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let (Some(row), Some(column)) = (
                                (y * stride + ky).checked_sub(before),
                                (x * stride + kx).checked_sub(before),
                            ) else {
                                continue;
                            };
                            if row >= *side || column >= *side {
                                continue;
                            }
                            let pixel = &values[(row * side + column) * channels..][..*channels];
                            let tap = ky * kernel + kx;
                            match conv.kind {
                                ConvKind::Depthwise { .. } => {
                                    sum += pixel[o] * f64::from(weight[tap * channels + o]);
                                }
                                _ => {
                                    let row = &weight[(o * kernel * kernel + tap) * channels..];
                                    sum += pixel
                                        .iter()
                                        .zip(row)
                                        .map(|(p, w)| p * f64::from(*w))
                                        .sum::<f64>();
                                }
                            }
                        }
                    }
                    output.push(if clamp { sum.clamp(0.0, 6.0) } else { sum });
                }
            }
        }
        (output, out, conv.channels_out)
    };
    let picture: Vec<f64> = (0..side * side)
        .flat_map(|place| (0..3).map(move |c| f64::from(pixels[c * side * side + place])))
        .collect();
    let mut now = conv(&(picture, side, 3), 0, true);
    let mut index = 1;
    for block in &spec.blocks {
        let input = now.clone();
        if block.expansion > 1 {
            now = conv(&now, index, true);
            index += 1;
        }
        now = conv(&now, index, true);
        now = conv(&now, index + 1, false);
        index += 2;
        if block.residual() {
            now.0.iter_mut().zip(&input.0).for_each(|(x, y)| *x += y);
        }
    }
    let (map, side, features) = conv(&now, index, true);
    let pooled: Vec<f64> = (0..spec.regions())
        .flat_map(|region| {
            let [rows, columns] = LiteSpec::region(region, [side, side]);
            let area = (rows.len() * columns.len()) as f64;
            let map = &map;
            (0..features).map(move |feature| {
                let places = rows.clone().flat_map(|y| columns.clone().map(move |x| y * side + x));
                places.map(|place| map[place * features + feature]).sum::<f64>() / area
            })
        })
        .collect();
    let mut embedding: Vec<f64> = weights
        .projection
        .chunks(pooled.len())
        .map(|row| row.iter().zip(&pooled).map(|(w, x)| f64::from(*w) * x).sum())
        .collect();
    let length = embedding.iter().map(|x| x * x).sum::<f64>().sqrt();
    embedding.iter_mut().for_each(|x| *x /= length);
    embedding
}

#[test]
fn embeddings_agree_with_the_definition() {
    for (quadrants, side) in [(false, 32), (true, 33), (true, 20)] {
        let spec = small(quadrants);
        let weights = weights(&spec);
        let pixels = pixels(7, side);
        let net = LiteNet::new(spec.clone(), weights.clone());
        let found = net.embed(&pixels, side);
        for (picture, found) in pixels.chunks(3 * side * side).zip(found.chunks(spec.width)) {
            let expected = twin(&spec, &weights, picture, side);
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }
}

#[test]
fn gradients_agree_with_differences() {
    let spec = small(true);
    let start = weights(&spec);
    let side = 20;
    let pixels = pixels(2, side);
    let at: Vec<f32> = (0..2 * spec.width).map(|place| draw(place, 77)).collect();
    let found = LiteNet::new(spec.clone(), start.clone()).gradients(&pixels, side, &at);
    let loss = |weights: &LiteWeights| -> f64 {
        let pictures = pixels.chunks(3 * side * side);
        let embeddings = pictures.flat_map(|picture| twin(&spec, weights, picture, side));
        embeddings.zip(&at).map(|(e, a)| e * f64::from(*a)).sum()
    };
    let slope = |change: &dyn Fn(&mut LiteWeights, f32)| -> f64 {
        let step = 1.0 / 16384.0;
        let at = |sign: f32| {
            let mut weights = start.clone();
            change(&mut weights, sign * step);
            loss(&weights)
        };
        (at(1.0) - at(-1.0)) / f64::from(2.0 * step)
    };
    let (mut checked, mut error, mut size) = (0, 0.0, 0.0);
    let mut compare = |found: f32, expected: f64| {
        checked += 1;
        error += (f64::from(found) - expected).powi(2);
        size += expected.powi(2);
    };
    for index in 0..start.convolutions.len() {
        let (weight, bias) = &found.convolutions[index];
        assert!(weight.iter().any(|x| *x != 0.0), "convolution {index} got a gradient");
        for place in (0..weight.len()).step_by(weight.len().div_ceil(9)) {
            compare(weight[place], slope(&|w, step| w.convolutions[index].0[place] += step));
        }
        for place in (0..bias.len()).step_by(5) {
            compare(bias[place], slope(&|w, step| w.convolutions[index].1[place] += step));
        }
    }
    for place in (0..found.projection.len()).step_by(29) {
        compare(found.projection[place], slope(&|w, step| w.projection[place] += step));
    }
    // Differences cross a bend of ReLU6 here and there.
    assert!(checked > 100 && (error / size).sqrt() < 5e-3, "{checked}: {error} of {size}");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let spec = small(true);
    let net = LiteNet::new(spec.clone(), weights(&spec));
    let side = 24;
    let pixels = pixels(37, side);
    let at: Vec<f32> = (0..37 * spec.width).map(|place| draw(place, 7)).collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (net.embed(&pixels, side), net.gradients(&pixels, side, &at)))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
    // Whole batches and parts of them give the same sums, up to rounding.
    let half = 20;
    let mut parts =
        net.gradients(&pixels[..half * 3 * side * side], side, &at[..half * spec.width]);
    parts.add(&net.gradients(&pixels[half * 3 * side * side..], side, &at[half * spec.width..]));
    for (left, right) in parts.projection.iter().zip(&one.1.projection) {
        assert!((left - right).abs() < 1e-4);
    }
}

#[test]
fn lite0_has_its_published_size() {
    let spec = LiteSpec::lite0(1, false);
    let weights: usize = spec.convolutions().iter().map(ConvSpec::weight_len).sum();
    // 4,652,008 parameters less the classifier (1,281,000) and BatchNorm (2 × 21,008).
    assert_eq!(weights, 3_328_992);
    assert_eq!(spec.sizes(224).2, [7, 7]);
}

#[test]
fn every_path_embeds_as_the_definition_says() {
    for (spec, side, count) in [
        (small(false), 32, 5),
        (small(true), 45, 5),
        (small(false), 70, 5),
        (small(true), 1, 3),
        (wide(), 89, 3),
        (wide(), 32, 1),
    ] {
        let weights = weights(&spec);
        let pixels = pixels(count, side);
        let expected: Vec<Vec<f64>> =
            pixels.chunks(3 * side * side).map(|p| twin(&spec, &weights, p, side)).collect();
        for (precision, products) in Products::all() {
            let engine = engine(&spec, &weights, products);
            let embed = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads").install(|| engine.embed(&pixels, side))
            };
            let found = embed(1);
            for threads in [2, 3, 8] {
                assert_eq!(embed(threads), found, "{products:?}");
            }
            let most = if precision == Precision::F32 { 2e-6 } else { 3e-2 };
            for (found, expected) in found.chunks(spec.width).zip(&expected) {
                for (found, expected) in found.iter().zip(expected) {
                    let off = (f64::from(*found) - expected).abs();
                    assert!(off < most, "{products:?} {side}: {found} for {expected}");
                }
            }
        }
    }
}
