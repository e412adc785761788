//! A step by the CPU's kernels beside the same step through Burn's graph, whole and in parts.

use std::path::Path;

use burn_tensor::Device;
use sbir_encoder::{
    ConvNextConfig, Encoder, Head, NORM_EPSILON, Precision, Preprocessing, Simd, random,
};
use sbir_train::{Gradients, HostBatch, LossOptions, StepOptions, loss_and_gradients};

/// One with channel counts that fit no vector register, and a head.
fn narrow() -> Encoder {
    let config = ConvNextConfig::new([1, 2, 1, 1], [12, 20, 24, 36]).unwrap();
    let config = config.with_head(Head::Projection { width: 18 });
    let preprocessing = Preprocessing::origin(48).unwrap();
    Encoder::random(config, preprocessing, 5, 0.5, &Device::flex())
}

fn batch(pairs: usize, side: usize) -> HostBatch {
    let pixels = |tower: u64| -> Vec<f32> {
        let draws = random::normals(17, &[tower], pairs * 3 * side * side);
        draws.into_iter().map(|draw| draw as f32).collect()
    };
    // Two pairs share a photo's key.
    let keys = (0..pairs as u64).map(|key| key.max(1)).collect();
    HostBatch { sketches: pixels(0), photos: pixels(1), keys, side }
}

fn options(micro_batch: usize, memory: u64) -> StepOptions {
    StepOptions {
        loss: LossOptions { temperature: 0.1, label_smoothing: 0.1, both_ways: true },
        micro_batch,
        memory,
        stochastic_depth: 0.5,
        seed: 3,
    }
}

fn step(encoder: &Encoder, batch: &HostBatch, options: &StepOptions) -> (f32, Vec<Vec<f32>>) {
    let mut gradients = Gradients::zeros(encoder.parameters());
    let loss = loss_and_gradients(encoder, batch, 7, options, &mut gradients);
    (loss, gradients.to_host().into_iter().map(std::borrow::Cow::into_owned).collect())
}

/// The largest ‖found − expected‖ / ‖expected‖ of a parameter.
fn difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let square = |x: f64| x * x;
    let one = |found: &[f32], expected: &[f32]| -> f64 {
        assert_eq!(found.len(), expected.len());
        let off: f64 =
            found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
        let size: f64 = expected.iter().map(|x| square(f64::from(*x))).sum();
        (off / size.max(1e-30)).sqrt()
    };
    found.iter().zip(expected).map(|(a, b)| one(a, b)).fold(0.0, f64::max)
}

#[test]
fn every_path_agrees_with_the_graph() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundled.safetensors");
    let lite = Encoder::load(&bundled, &Device::flex()).unwrap().encoder;
    for (encoder, side) in [(narrow(), 48), (narrow(), 33), (lite, 64)] {
        let batch = batch(5, side);
        let (loss, expected) = step(&encoder.clone().without_kernels(), &batch, &options(60, 0));
        for simd in Simd::available() {
            let (found_loss, found) =
                step(&encoder.clone().with_simd(simd), &batch, &options(60, u64::MAX));
            assert!((found_loss / loss - 1.0).abs() < 1e-4, "{simd} {side}: {found_loss} {loss}");
            let off = difference(&found, &expected);
            assert!(off < 1e-3, "{simd} {side}: {off}");
        }
    }
}

#[test]
fn parts_and_memory_change_nothing() {
    let encoder = narrow();
    let batch = batch(7, 48);
    let (loss, whole) = step(&encoder, &batch, &options(60, u64::MAX));
    // What is computed again is the same to the bit.
    let (_, recomputed) = step(&encoder, &batch, &options(60, 0));
    assert!(recomputed == whole);
    for micro_batch in [1, 2, 3, 6] {
        let (found_loss, found) = step(&encoder, &batch, &options(micro_batch, u64::MAX));
        assert!((found_loss / loss - 1.0).abs() < 1e-6, "{micro_batch}: {found_loss} {loss}");
        let off = difference(&found, &whole);
        assert!(off < 1e-5, "micro-batch {micro_batch}: {off}");
    }
}

#[test]
fn nothing_depends_on_threads() {
    let (encoder, batch) = (narrow(), batch(5, 48));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| step(&encoder, &batch, &options(60, u64::MAX)))
    };
    let (loss, one) = run(1);
    for threads in [2, 3] {
        let (found_loss, found) = run(threads);
        assert!(found_loss == loss && found == one, "{threads} threads");
    }
}

#[test]
fn norm_epsilon_reaches_the_kernels() {
    let (encoder, batch) = (narrow(), batch(4, 48));
    let (_, right) = step(&encoder, &batch, &options(60, u64::MAX));
    let (_, same) =
        step(&encoder.clone().with_norm_epsilon(NORM_EPSILON), &batch, &options(60, u64::MAX));
    let (_, wrong) = step(&encoder.with_norm_epsilon(1e-2), &batch, &options(60, u64::MAX));
    assert!(same == right && difference(&wrong, &right) > 1e-3);
}

#[test]
#[allow(clippy::print_stderr, reason = "tells what was not tested")]
fn bf16_gradients_point_the_same_way() {
    if !Simd::Avx512Bf16.is_available() {
        eprintln!("skipped: this processor lacks AVX-512 BF16");
        return;
    }
    let batch = batch(6, 64);
    let encoder = narrow().with_simd(Simd::Avx512Bf16);
    let (loss, expected) = step(&encoder, &batch, &options(60, u64::MAX));
    let (found_loss, found) =
        step(&encoder.with_precision(Precision::Bf16), &batch, &options(60, u64::MAX));
    assert!((found_loss / loss - 1.0).abs() < 0.02, "{found_loss} {loss}");
    let dot = |a: &[Vec<f32>], b: &[Vec<f32>]| -> f64 {
        a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let cosine = dot(&found, &expected) / (dot(&found, &found) * dot(&expected, &expected)).sqrt();
    assert!(cosine > 0.99, "{cosine}");
}
