//! `--precision`, `--memory` and SBIR_SIMD.

use std::fs;

use sbir_encoder::{PrecisionChoice, Simd};
use serde_json::Value;

use crate::util::{Dir, Ran, train_args};

/// What `auto` takes here.
fn auto() -> String {
    PrecisionChoice::of_cpu(Simd::best()).to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The binary with SBIR_SIMD set.
fn with_simd(dir: &Dir, simd: &str, args: &[&str]) -> Ran {
    dir.command(args).env("SBIR_SIMD", simd).output().unwrap().into()
}

/// What a run's metrics say, each once.
fn precisions(dir: &Dir, run: &str) -> Vec<String> {
    let metrics = dir.read(&format!("{run}/metrics.jsonl"));
    let mut list: Vec<String> =
        metrics.lines().map(|line| json(line)["precision"].as_str().unwrap().to_owned()).collect();
    list.dedup();
    list
}

#[test]
fn auto_is_the_default_and_what_was_used_is_told() {
    let dir = Dir::new();
    dir.train();
    let best = auto();
    assert_eq!(json(&dir.read("run/config.json"))["precision"], best);
    assert_eq!(precisions(&dir, "run"), [best.as_str()]);
    let eval = ["eval", "--no-cuda", "--model", "run/model.safetensors", "--json"];
    let picture = "fscoco/images/1/000000001000.jpg";
    let embed = ["embed", picture, "--no-cuda", "--model", "run/model.safetensors", "--out"];
    let embed = |out| [&embed[..], &[out, "--json"]].concat();
    for (asked, expected) in [("auto", best.as_str()), ("f32", "f32")] {
        let more = ["--precision", asked];
        let told = json(&dir.run(&[&eval[..], &more].concat()).ok());
        assert_eq!(told["precision"], expected);
        let told = json(&dir.run(&[&embed("x.npy")[..], &more].concat()).ok());
        assert_eq!(told["precision"], expected);
    }
    let told = json(&with_simd(&dir, "portable", &embed("y.npy")).ok());
    assert_eq!(told["precision"], "f32");
}

#[test]
fn bf16_where_there_is_none_is_one_clear_error() {
    let dir = Dir::new();
    dir.train();
    let bf16 = ["--precision", "bf16"];
    let model = ["--no-cuda", "--model", "run/model.safetensors"];
    let commands = [
        vec!["eval"],
        vec!["embed", "fscoco/images/1", "--out", "x.npy"],
        vec!["index", "fscoco/images", "--gallery", "g.sbir"],
        vec!["serve", "fscoco/images", "--gallery", "g.sbir", "--no-open"],
    ];
    for command in commands {
        let args = [&command[..], &model, &bf16].concat();
        with_simd(&dir, "portable", &args).fails(1, &["bf16", "AVX-512 BF16", "--precision f32"]);
    }
    let train = train_args(&["--run-dir", "other", "--precision", "bf16"]);
    with_simd(&dir, "portable", &train).fails(1, &["AVX-512 BF16"]);
    assert!(!dir.join("other").exists() && !dir.join("g.sbir").exists());
    // EfficientNet-Lite's backward pass knows f32 only.
    let lite = ["train", "--no-cuda", "--encoder", "efficientnet_lite0", "--init", "random"];
    let lite = [&lite[..], &["--run-dir", "lite", "--epochs", "1"], &bf16].concat();
    dir.run(&lite).fails(1, &["bf16", "EfficientNet-Lite"]);
    assert!(!dir.join("lite").exists());
    for value in ["f16", "fp32", ""] {
        assert_eq!(dir.run(&[&["eval", "--precision", value], &model[..]].concat()).code, Some(2));
    }
}

#[test]
fn a_run_keeps_its_precision() {
    let dir = Dir::new();
    dir.fscoco();
    let f32 = ["--epochs", "1", "--run-dir", "run", "--precision", "f32"];
    dir.run(&train_args(&f32)).ok();
    let resume = ["train", "--no-cuda", "--resume", "run"];
    dir.run(&[&resume[..], &["--epochs", "2"]].concat()).ok();
    dir.run(&[&resume[..], &["--epochs", "3", "--precision", "auto"]].concat()).ok();
    assert_eq!(precisions(&dir, "run"), ["f32"]);
    dir.run(&[&resume[..], &["--precision", "bf16"]].concat()).fails(2, &["--precision", "run"]);
    if !Simd::Avx512Bf16.is_available() {
        eprintln!("skipped: this processor lacks AVX-512 BF16");
        return;
    }
    let bf16 = ["--epochs", "1", "--run-dir", "other", "--precision", "bf16"];
    dir.run(&train_args(&bf16)).ok();
    let resume = ["train", "--no-cuda", "--resume", "other", "--epochs", "2"];
    with_simd(&dir, "portable", &resume).fails(1, &["AVX-512 BF16"]);
    dir.run(&resume).ok();
    assert_eq!(precisions(&dir, "other"), ["bf16"]);
}

#[test]
fn a_bad_simd_is_one_clear_error_everywhere() {
    let dir = Dir::new();
    dir.train();
    let model = ["--model", "run/model.safetensors", "--no-cuda"];
    let train = train_args(&["--run-dir", "other"]);
    let commands = [
        vec!["eval"],
        vec!["embed", "fscoco/images/1", "--out", "x.npy"],
        vec!["index", "fscoco/images", "--gallery", "g.sbir"],
        vec!["serve", "fscoco/images", "--gallery", "g.sbir", "--no-open"],
    ];
    for command in commands.iter().map(|command| [command, &model[..]].concat()).chain([train]) {
        with_simd(&dir, "sse9", &command).fails(1, &["SBIR_SIMD=sse9", "portable"]);
        for simd in Simd::ALL.into_iter().filter(|simd| !simd.is_available()) {
            let name = simd.to_string();
            with_simd(&dir, &name, &command).fails(1, &[&name, "lacks"]);
        }
    }
    assert!(!dir.join("other").exists());
}

#[test]
fn every_path_gives_the_same_vectors() {
    let dir = Dir::new();
    dir.train();
    let vectors = |simd: &str| -> Vec<f32> {
        let args = ["embed", "fscoco/images/1", "--out", "x.npy", "--precision", "f32"];
        let model = ["--no-cuda", "--model", "run/model.safetensors"];
        with_simd(&dir, simd, &[&args[..], &model].concat()).ok();
        let bytes = fs::read(dir.join("x.npy")).unwrap();
        let values = bytes[bytes.len() - 2 * 10 * 4..].chunks(4);
        values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let expected = vectors("portable");
    for simd in Simd::available() {
        for (a, b) in vectors(&simd.to_string()).iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4, "{simd}: {a} {b}");
        }
    }
}

#[test]
fn doctor_tells_the_path_and_what_auto_means() {
    let dir = Dir::new();
    let text = dir.run(&["doctor"]).ok();
    let best = Simd::best().to_string();
    assert!(text.contains(&format!("simd:           {best} (there are: {best}")), "{text}");
    assert!(text.contains(&format!("--precision auto: {}", auto())), "{text}");
    let told = json(&with_simd(&dir, "portable", &["doctor", "--json"]).ok());
    assert_eq!((&told["simd"], &told["precision"]), (&"portable".into(), &"f32".into()));
    // It tells what is wrong rather than stopping at it.
    let text = with_simd(&dir, "sse9", &["doctor"]).ok();
    assert!(text.contains("SBIR_SIMD=sse9"), "{text}");
}

#[test]
fn memory_decides_the_micro_batch_and_changes_no_number() {
    let dir = Dir::new();
    dir.fscoco();
    let losses = |run: &str, more: &[&str]| -> Vec<f64> {
        let fixed = ["--epochs", "1", "--run-dir", run, "--precision", "f32"];
        dir.run(&train_args(&[&fixed[..], more].concat())).ok();
        let metrics = dir.read(&format!("{run}/metrics.jsonl"));
        metrics.lines().filter_map(|line| json(line)["loss"].as_f64()).collect()
    };
    let micro_batch =
        |run: &str| json(&dir.read(&format!("{run}/config.json")))["micro_batch"].clone();
    let whole = losses("whole", &[]);
    assert_eq!(micro_batch("whole"), 4);
    for (run, more, expected) in [
        ("tight", ["--memory", "1"], 1),
        ("capped", ["--micro-batch", "3"], 2),
        ("roomy", ["--memory", "1G"], 4),
    ] {
        let found = losses(run, &more);
        assert_eq!(micro_batch(run), expected, "{run}");
        assert_eq!(found.len(), whole.len());
        for (a, b) in found.iter().zip(&whole) {
            assert!((a / b - 1.0).abs() < 1e-4, "{run}: {found:?} {whole:?}");
        }
    }
    for value in ["0", "much", "-1", "1.5G"] {
        let args = train_args(&["--run-dir", "bad", "--memory", value]);
        assert_eq!(dir.run(&args).code, Some(2), "{value}");
    }
}
