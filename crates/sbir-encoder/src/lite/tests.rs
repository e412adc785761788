//! The kernels against Burn's operations, on the CPU.

use burn_tensor::TensorData;

use super::*;
use crate::values::to_host;

fn pixels(count: usize, side: usize) -> Vec<f32> {
    random::normals(7, &[1], count * 3 * side * side).into_iter().map(|x| x as f32).collect()
}

/// Random parameters with scales and shifts that matter.
fn parameters(config: &LiteConfig) -> Parameters {
    let plain = random_parameters(config, 3, &Device::flex());
    let values = plain.to_values().enumerate().map(|(index, (name, shape, mut values))| {
        let draws = random::normals(11, &[index as u64], values.len());
        if name.ends_with("scale") {
            values.iter_mut().zip(draws).for_each(|(x, draw)| *x = 0.8 + 0.1 * draw as f32);
        } else if name.ends_with("shift") {
            values.iter_mut().zip(draws).for_each(|(x, draw)| *x = 0.2 * draw as f32);
        } else if name.starts_with("head") {
            values.iter_mut().zip(draws).for_each(|(x, draw)| *x = 0.05 * draw as f32);
        }
        (name, shape, values)
    });
    Parameters::from_values(values.collect::<Vec<_>>(), &Device::flex())
}

fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 =
        found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = expected.iter().map(|x| square(f64::from(*x))).sum();
    (difference / size.max(1e-30)).sqrt()
}

#[test]
fn embeddings_and_gradients_agree_with_burn() {
    let device = Device::flex();
    let side = 40;
    for quadrants in [false, true] {
        let config = LiteConfig::new(24, quadrants).unwrap();
        let parameters = parameters(&config);
        let pixels = pixels(3, side);
        let net = net(&config, &parameters, Precision::F32, Simd::best());
        let found = net.embed(&pixels, side);
        let tracked = parameters.tracked();
        let data = TensorData::new(pixels.clone(), [3, 3, side, side]);
        let images = Tensor::from_data(data, &device.clone().autodiff());
        let embeddings = forward(&config, &tracked, images);
        assert!(relative(&found, &to_host(&embeddings)) < 1e-5);

        let at: Vec<f32> =
            random::normals(9, &[2], found.len()).into_iter().map(|x| x as f32).collect();
        let weights =
            Tensor::<2>::from_data(TensorData::new(at.clone(), [3, 24]), &device).autodiff();
        let mut gradients = (embeddings * weights).sum().backward();
        let mut found: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.0; p.len()]).collect();
        unfold(&config, &parameters, &net.gradients(&pixels, side, &at), &mut found);
        for ((parameter, tracked), found) in parameters.iter().zip(tracked.iter()).zip(&found) {
            let leaf = tracked.value.tensor(&device);
            let expected = to_host(&leaf.grad_remove(&mut gradients).unwrap());
            let off = relative(found, &expected);
            assert!(off < 1e-3, "{}: {off}", parameter.name);
        }
    }
}

#[test]
fn kernel_places_are_permutations() {
    for kind in [ConvKind::Pointwise, ConvKind::Stem, ConvKind::Depthwise { kernel: 3, stride: 1 }]
    {
        let count = 4 * 27;
        let channels = if matches!(kind, ConvKind::Depthwise { .. }) { 12 } else { 4 };
        let mut places: Vec<usize> =
            (0..count).map(|place| kernel_place(kind, channels, place)).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..count), "{kind:?}");
    }
}
