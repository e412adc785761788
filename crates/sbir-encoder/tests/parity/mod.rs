//! Embeddings against PyTorch's, made by scripts/parity/encoder.py.

#[path = "inputs.rs"]
mod inputs;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn_tensor::{Device, Tensor, TensorData};
use inputs::{Kind, images};
use sbir_encoder::weights::{Scheme, StateDict, Stored, TensorValues, save_safetensors};
use sbir_encoder::{Encoder, EncoderConfig, Head, Pass, Precision, Simd, forward, to_host};

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

/// The encoder as every path of the kernels that this processor has computes it, and as Burn does.
fn every_path(encoder: &Encoder) -> impl Iterator<Item = (String, Encoder)> {
    let paths = Simd::available().map(|simd| (simd.to_string(), encoder.clone().with_simd(simd)));
    paths.chain([("burn".to_owned(), encoder.clone().without_kernels())])
}

fn embed(encoder: &Encoder, kind: Kind, first: u64, size: [usize; 3]) -> Vec<f32> {
    let [count, height, width] = size;
    encoder.embed(images(first, count, kind, height, width), size)
}

#[test]
fn embeddings_match_pytorch() {
    for (path, encoder) in every_path(&narrow()) {
        for (kind, name) in [(Kind::Sketch, "sketches"), (Kind::Photo, "photos")] {
            let found = difference(&embed(&encoder, kind, 0, [6, 128, 128]), &expected(name), 32);
            assert!(within_bar(found), "{path}, {name}: {found:?}");
        }
    }
}

#[test]
fn odd_sizes_match_pytorch() {
    let cases =
        [("64x48", 200, [2, 64, 48]), ("33x47", 210, [2, 33, 47]), ("224x224", 220, [1, 224, 224])];
    for (path, encoder) in every_path(&narrow()) {
        for (name, first, size) in cases {
            let found = difference(&embed(&encoder, Kind::Photo, first, size), &expected(name), 32);
            assert!(within_bar(found), "{path}, {name}: {found:?}");
        }
    }
}

#[test]
fn every_size_is_embedded_as_burn_does() {
    let encoder = narrow();
    for size in [[1, 32, 32], [3, 33, 33], [2, 47, 65], [1, 97, 97], [1, 32, 200], [1, 63, 34]] {
        let expected = embed(&encoder.clone().without_kernels(), Kind::Photo, 5, size);
        for (path, encoder) in every_path(&encoder) {
            let found = difference(&embed(&encoder, Kind::Photo, 5, size), &expected, 32);
            assert!(within_bar(found), "{path}, {size:?}: {found:?}");
        }
    }
}

#[test]
fn the_comparison_notices_burns_norm_epsilon() {
    for (path, encoder) in every_path(&narrow().with_norm_epsilon(1e-5)) {
        let found = embed(&encoder, Kind::Photo, 0, [6, 128, 128]);
        assert!(!within_bar(difference(&found, &expected("photos"), 32)), "{path}");
        // And it is that very mistake: PyTorch with the same epsilon agrees.
        assert!(within_bar(difference(&found, &expected("norm_eps_1e-5.photos"), 32)), "{path}");
    }
    let encoder = narrow();
    let pixels = TensorData::new(images(0, 6, Kind::Photo, 128, 128), [6, 3, 128, 128]);
    let pass = Pass { norm_epsilon: 1e-5, ..Pass::default() };
    let input = Tensor::from_data(pixels, &Device::flex());
    let found = to_host(&forward(encoder.config(), encoder.parameters(), input, pass));
    assert!(within_bar(difference(&found, &expected("norm_eps_1e-5.photos"), 32)));
}

#[test]
#[allow(clippy::print_stderr, reason = "tells what was not tested")]
fn bf16_is_close_to_f32_and_is_not_it() {
    if !Simd::Avx512Bf16.is_available() {
        eprintln!("skipped: this processor lacks AVX-512 BF16");
        return;
    }
    let exact = narrow().with_simd(Simd::Avx512Bf16);
    let rounded = exact.clone().with_precision(Precision::Bf16);
    assert_eq!(exact.fingerprint(), rounded.fingerprint());
    for size in [[6, 128, 128], [2, 47, 65], [1, 32, 32]] {
        let (f32, bf16) =
            (embed(&exact, Kind::Photo, 0, size), embed(&rounded, Kind::Photo, 0, size));
        let (one_minus_cosine, _) = difference(&bf16, &f32, 32);
        assert!(one_minus_cosine <= 1e-3, "{size:?}: {one_minus_cosine}");
        assert_ne!(bf16, f32);
    }
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
        for (path, encoder) in every_path(&loaded.encoder) {
            let found = embed(&encoder, kind, 0, [6, 128, 128]);
            let found = difference(&found, &expected(name), 16);
            assert!(within_bar(found), "{path}, {name}: {found:?}");
        }
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
fn efficientnet_lite_agrees_on_every_path() {
    let bundled = [env!("CARGO_MANIFEST_DIR"), "../../models/bundled.safetensors"];
    let bundled = bundled.iter().collect::<PathBuf>();
    let encoder = Encoder::load(&bundled, &Device::flex()).unwrap().encoder;
    let (width, size) = (encoder.width(), [3, 96, 96]);
    let burn = embed(&encoder.clone().without_kernels(), Kind::Photo, 0, size);
    for (path, encoder) in every_path(&encoder) {
        let found = difference(&embed(&encoder, Kind::Photo, 0, size), &burn, width);
        assert!(within_bar(found), "{path}: {found:?}");
    }
    if Simd::Avx512Bf16.is_available() {
        let encoder = encoder.with_simd(Simd::Avx512Bf16).with_precision(Precision::Bf16);
        let found = embed(&encoder, Kind::Photo, 0, size);
        let (one_minus_cosine, _) = difference(&found, &burn, width);
        assert!(found != burn && one_minus_cosine <= 1e-3, "{one_minus_cosine}");
    }
}

#[test]
fn embeddings_do_not_depend_on_threads() {
    let run = |encoder: &Encoder, count: usize, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| embed(encoder, Kind::Photo, 0, [count, 128, 128]))
    };
    let mut encoders: Vec<(String, Encoder)> = every_path(&narrow()).collect();
    if Simd::Avx512Bf16.is_available() {
        let encoder = narrow().with_simd(Simd::Avx512Bf16).with_precision(Precision::Bf16);
        encoders.push(("bf16".to_owned(), encoder));
    }
    for (path, encoder) in &encoders {
        for count in [1, 6] {
            let one = run(encoder, count, 1);
            for threads in [2, 3, 8] {
                assert_eq!(run(encoder, count, threads), one, "{path}: {threads} threads");
            }
        }
    }
}

#[test]
fn an_empty_batch_has_no_embeddings() {
    for (path, encoder) in every_path(&narrow()) {
        assert!(encoder.embed(Vec::new(), [0, 224, 224]).is_empty(), "{path}");
    }
}
