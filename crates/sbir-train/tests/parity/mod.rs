//! Loss, gradients and Adam steps against PyTorch's, made by scripts/parity/encoder.py.

#[path = "../../../sbir-encoder/tests/parity/inputs.rs"]
mod inputs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn_tensor::Device;
use inputs::{Kind, images};
use sbir_encoder::weights::{Scheme, StateDict, names};
use sbir_encoder::{Encoder, Parameters, Simd};
use sbir_train::{
    Adam, AdamConfig, Gradients, HostBatch, LossOptions, StepOptions, loss_and_gradients,
};
use serde_json::Value;

fn encoder_golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sbir-encoder/tests/golden/parity").join(name)
}

fn train_golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn narrow() -> Encoder {
    Encoder::load(&encoder_golden("narrow.pth"), &Device::flex()).unwrap().encoder
}

/// The encoder as every path of the kernels that this processor has computes it, and as Burn does.
fn every_path(encoder: &Encoder) -> impl Iterator<Item = (String, Encoder)> {
    let paths = Simd::available().map(|simd| (simd.to_string(), encoder.clone().with_simd(simd)));
    paths.chain([("burn".to_owned(), encoder.clone().without_kernels())])
}

fn batch(first: u64, pairs: usize, side: usize) -> HostBatch {
    HostBatch {
        sketches: images(first, pairs, Kind::Sketch, side, side),
        photos: images(first, pairs, Kind::Photo, side, side),
        keys: (0..pairs as u64).collect(),
        side,
    }
}

fn options(micro_batch: usize) -> StepOptions {
    StepOptions {
        loss: LossOptions::default(),
        micro_batch,
        memory: u64::MAX,
        stochastic_depth: 0.0,
        seed: 42,
    }
}

/// Tensors of a file in the origin's names, by canonical name.
fn reference(path: &Path, like: &Parameters, prefix: &str) -> BTreeMap<String, Vec<f32>> {
    let state = StateDict::open(path).unwrap();
    like.iter()
        .map(|parameter| {
            let (name, _) =
                names::to_scheme(&parameter.name, &parameter.shape, Scheme::Origin).unwrap();
            (parameter.name.clone(), state.read_f32(&format!("{prefix}{name}")).unwrap())
        })
        .collect()
}

/// ‖found − expected‖ / ‖expected‖.
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |x: f64| x * x;
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(a - b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    (difference / size).sqrt()
}

/// Loss and gradients of a batch, by themselves.
fn step(
    encoder: &Encoder,
    batch: &HostBatch,
    step: u64,
    options: &StepOptions,
) -> (f32, Gradients) {
    let mut gradients = Gradients::zeros(encoder.parameters());
    let loss = loss_and_gradients(encoder, batch, step, options, &mut gradients);
    (loss, gradients)
}

/// The loss, and the largest relative difference of a parameter's gradient from PyTorch's.
fn gradient_difference(encoder: &Encoder, options: &StepOptions) -> (f64, f64, String) {
    let parameters = encoder.parameters();
    let (loss, gradients) = step(encoder, &batch(0, 6, 128), 0, options);
    let expected = reference(&encoder_golden("gradients.safetensors"), parameters, "");
    let (worst, name) = parameters
        .iter()
        .zip(gradients.to_host())
        .map(|(parameter, found)| {
            assert!(found.iter().any(|value| *value != 0.0), "{} has a gradient", parameter.name);
            (relative(&found, &expected[&parameter.name]), parameter.name.clone())
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    (f64::from(loss), worst, name)
}

#[test]
fn loss_and_every_gradient_match_pytorch() {
    let expected = json(&encoder_golden("expected.json"));
    let expected_loss = expected["loss"].as_f64().unwrap();
    for (path, encoder) in every_path(&narrow()) {
        for micro_batch in [60, 6, 4, 1] {
            let (loss, worst, name) = gradient_difference(&encoder, &options(micro_batch));
            assert!((loss / expected_loss - 1.0).abs() <= 1e-4, "{path}, {micro_batch}: {loss}");
            assert!(worst <= 1e-3, "{path}, micro-batch {micro_batch}: {name} is off by {worst}");
        }
    }
}

#[test]
fn the_gradient_comparison_notices_burns_norm_epsilon() {
    for (path, encoder) in every_path(&narrow().with_norm_epsilon(1e-5)) {
        let (_, worst, _) = gradient_difference(&encoder, &options(60));
        assert!(worst > 1e-2, "{path}: {worst}");
    }
}

/// Losses of ten steps, and the relative difference of the whole update from PyTorch's.
fn ten_steps(start: &Encoder, adam_epsilon: f64) -> (Vec<f64>, f64) {
    let config = AdamConfig { epsilon: adam_epsilon, ..AdamConfig::default() };
    let mut encoder = start.clone();
    let mut adam = Adam::new(config, encoder.parameters());
    let mut gradients = Gradients::zeros(encoder.parameters());
    let mut losses = Vec::new();
    for step in 0..10 {
        let batch = batch(100 + 8 * step, 8, 64);
        let loss = loss_and_gradients(&encoder, &batch, step, &options(60), &mut gradients);
        encoder.update(|parameters| adam.step(parameters, &mut gradients, 1.0));
        losses.push(f64::from(loss));
    }
    let end = reference(&train_golden("ten_steps.safetensors"), encoder.parameters(), "");
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (before, after) in start.parameters().iter().zip(encoder.parameters()) {
        let (from, to) = (before.value.to_host(), after.value.to_host());
        found.extend(to.iter().zip(from.iter()).map(|(a, b)| a - b));
        expected.extend(end[&after.name].iter().zip(from.iter()).map(|(a, b)| a - b));
    }
    (losses, relative(&found, &expected))
}

fn largest_relative(found: &[f64], expected: &[f64]) -> f64 {
    found.iter().zip(expected).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn ten_adam_steps_match_pytorch_and_other_epsilons_do_not() {
    let golden = json(&train_golden("ten_steps.json"));
    let expected = numbers(&golden["losses"]);
    for (path, encoder) in every_path(&narrow()) {
        let (losses, update) = ten_steps(&encoder, 1e-8);
        assert!(largest_relative(&losses, &expected) <= 1e-3, "{path}: {losses:?}");
        assert!(update <= 1e-3, "{path}: {update}");
        let (_, update) = ten_steps(&encoder, 1e-5);
        assert!(update > 1e-2, "{path}: Adam with Burn's epsilon passes: {update}");
        let (losses, update) = ten_steps(&encoder.with_norm_epsilon(1e-5), 1e-8);
        let off = largest_relative(&losses, &expected);
        assert!(off > 1e-2, "{path}: LayerNorm with Burn's epsilon passes");
        assert!(update > 1e-2, "{path}: {update}");
    }
}

#[test]
fn adam_alone_matches_pytorch_down_to_tiny_gradients() {
    let golden = json(&train_golden("adam.json"));
    let floats = |value: &Value| -> Vec<f32> {
        numbers(value).into_iter().map(|number| number as f32).collect()
    };
    let start = vec![("p".to_owned(), vec![6], floats(&golden["start"]))];
    let config =
        AdamConfig { learning_rate: golden["lr"].as_f64().unwrap(), ..AdamConfig::default() };
    let mut parameters = Parameters::from_values(start, &Device::flex());
    let mut adam = Adam::new(config, &parameters);
    let steps = golden["gradients"].as_array().unwrap().iter();
    for (gradient, expected) in steps.zip(golden["values"].as_array().unwrap()) {
        adam.step(&mut parameters, &mut Gradients::Host(vec![floats(gradient)]), 1.0);
        let found = parameters.iter().next().unwrap().value.to_host();
        for (a, b) in found.iter().zip(floats(expected)) {
            assert!((a - b).abs() <= 1e-6 * b.abs() + 1e-9, "{a} {b}");
        }
    }
}
