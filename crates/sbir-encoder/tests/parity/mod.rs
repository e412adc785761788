//! Embeddings against PyTorch's, made by scripts/parity/encoder.py.

#[path = "inputs.rs"]
mod inputs;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn_tensor::{Device, Tensor, TensorData};
use inputs::{Kind, images};
use sbir_encoder::weights::{Scheme, StateDict, Stored, TensorValues, save_safetensors};
use sbir_encoder::{Encoder, EncoderConfig, Head, Pass, forward, to_host};

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/golden/parity", name].iter().collect()
}

#[allow(clippy::unwrap_used, reason = "a helper of tests")]
fn expected(name: &str) -> Vec<f32> {
    StateDict::open(&golden("embeddings.safetensors")).unwrap().read_f32(name).unwrap()
}

/// Largest 1 - cosine over rows, and largest difference of a value.
fn difference(found: &[f32], expected: &[f32], width: usize) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let mut worst = (0.0f64, 0.0f64);
    for (a, b) in found.chunks(width).zip(expected.chunks(width)) {
        let dot = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        worst.0 = worst.0.max(1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
        for (x, y) in a.iter().zip(b) {
            worst.1 = worst.1.max(f64::from((x - y).abs()));
        }
    }
    worst
}

/// The bar: cosine of at least 0.99999, no value off by more than 1e-4.
fn within_bar((one_minus_cosine, largest): (f64, f64)) -> bool {
    one_minus_cosine <= 1e-5 && largest <= 1e-4
}

#[allow(clippy::unwrap_used, reason = "a helper of tests")]
fn narrow() -> Encoder {
    let loaded = Encoder::load(&golden("narrow.pth"), &Device::flex()).unwrap();
    assert_eq!(loaded.scheme, Scheme::Origin);
    assert_eq!(loaded.encoder.config().to_string(), "convnext:1-1-2-1:8-16-24-32");
    loaded.encoder
}

fn embed(encoder: &Encoder, kind: Kind, first: u64, size: [usize; 3]) -> Vec<f32> {
    let [count, height, width] = size;
    encoder.embed(images(first, count, kind, height, width), size)
}

#[test]
fn embeddings_match_pytorch() {
    let encoder = narrow();
    for (kind, name) in [(Kind::Sketch, "sketches"), (Kind::Photo, "photos")] {
        let found = difference(&embed(&encoder, kind, 0, [6, 128, 128]), &expected(name), 32);
        assert!(within_bar(found), "{name}: {found:?}");
    }
}

#[test]
fn odd_sizes_match_pytorch() {
    let encoder = narrow();
    let cases =
        [("64x48", 200, [2, 64, 48]), ("33x47", 210, [2, 33, 47]), ("224x224", 220, [1, 224, 224])];
    for (name, first, size) in cases {
        let found = difference(&embed(&encoder, Kind::Photo, first, size), &expected(name), 32);
        assert!(within_bar(found), "{name}: {found:?}");
    }
}

#[test]
fn the_comparison_notices_burns_norm_epsilon() {
    let encoder = narrow();
    let device = Device::flex();
    let pixels = TensorData::new(images(0, 6, Kind::Photo, 128, 128), [6, 3, 128, 128]);
    let pass = Pass { drop: None, norm_epsilon: 1e-5 };
    let input = Tensor::from_data(pixels, &device);
    let found = to_host(&forward(encoder.config(), encoder.parameters(), input, pass));
    assert!(!within_bar(difference(&found, &expected("photos"), 32)));
    // And it is that very mistake: PyTorch with the same epsilon agrees.
    assert!(within_bar(difference(&found, &expected("norm_eps_1e-5.photos"), 32)));
}

#[test]
fn open_clips_head_matches_pytorch() {
    let encoder = narrow();
    let folder = tempfile::tempdir().unwrap();
    let features = folder.path().join("features.safetensors");
    encoder.write(&features, Scheme::OpenClip, None).unwrap();
    let mut entries = Vec::new();
    for path in [features, golden("open_clip_head.safetensors")] {
        let state = StateDict::open(&path).unwrap();
        for name in state.names() {
            let shape = state.get(name).unwrap().shape().to_vec();
            entries.push(TensorValues::new(name, shape, state.read_f32(name).unwrap()));
        }
    }
    let whole = folder.path().join("tower.safetensors");
    save_safetensors(&whole, &entries, &BTreeMap::new(), Stored::F32).unwrap();
    let loaded = Encoder::load(&whole, &Device::flex()).unwrap();
    assert_eq!(loaded.scheme, Scheme::OpenClip);
    let EncoderConfig::ConvNext(config) = loaded.encoder.config() else { panic!("a ConvNeXt") };
    assert_eq!(config.head, Head::Projection { width: 16 });
    for (kind, name) in [(Kind::Sketch, "open_clip.sketches"), (Kind::Photo, "open_clip.photos")] {
        let found = embed(&loaded.encoder, kind, 0, [6, 128, 128]);
        let found = difference(&found, &expected(name), 16);
        assert!(within_bar(found), "{name}: {found:?}");
    }
}

#[test]
fn weights_survive_every_naming_and_format() {
    let encoder = narrow();
    let folder = tempfile::tempdir().unwrap();
    let expected: Vec<_> = encoder.parameters().to_values().collect();
    for scheme in Scheme::ALL {
        for extension in ["pth", "safetensors"] {
            let path = folder.path().join(format!("{scheme}.{extension}"));
            encoder.write(&path, scheme, None).unwrap();
            let loaded = Encoder::load(&path, &Device::flex()).unwrap();
            assert_eq!(loaded.encoder.parameters().to_values().collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn embeddings_do_not_depend_on_threads() {
    let encoder = narrow();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| embed(&encoder, Kind::Photo, 0, [6, 128, 128]))
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn an_empty_batch_has_no_embeddings() {
    assert!(narrow().embed(Vec::new(), [0, 224, 224]).is_empty());
}
