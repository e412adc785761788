//! `sbir train`.

use serde_json::Value;

use crate::util::{Dir, train_args};

#[test]
fn prints_what_the_origin_prints_and_keeps_a_run() {
    let dir = Dir::new();
    dir.fscoco();
    // The origin's spellings, all of them.
    let more = ["--epochs", "2", "--save", "--run_dir", "run", "--model_path", "", "--seed", "7"];
    let mut args = train_args(&more);
    for arg in &mut args {
        *arg = match *arg {
            "--no-cuda" => "--no_cuda",
            "--batch-size" => "--batch_size",
            "--image-size" => "--image_size",
            other => other,
        };
    }
    args.extend(["--lr", "0.001", "--temp", "0.05"]);
    let stdout = dir.run(&args).ok();
    let lines: Vec<&str> = stdout.lines().collect();
    // 12 training pairs in batches of 4: three batches, so no fifth batch and no loss line.
    assert_eq!(lines.len(), 8, "{stdout}");
    for (epoch, block) in lines.chunks(4).enumerate() {
        assert_eq!(block[0], format!("EPOCH {epoch}:"));
        for (line, prefix) in block[1..].iter().zip([" top1: ", " top5: ", "top10: "]) {
            let rest = line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}"));
            let (fraction, count) = rest.split_once(" (").unwrap();
            let hits: f64 = count.strip_suffix(')').unwrap().parse().unwrap();
            assert_eq!(fraction, format!("{:.4}", hits / 12.0));
        }
    }
    assert!(dir.join("result.html").is_file());
    assert!(dir.join("E0_model.pth").is_file() && dir.join("E1_model.pth").is_file());
    assert_eq!(
        dir.list("run/checkpoints"),
        ["best.safetensors", "step-000000003.safetensors", "step-000000006.safetensors"]
    );
    let config: Value = serde_json::from_str(&dir.read("run/config.json")).unwrap();
    assert_eq!(config["seed"], 7);
    assert_eq!(config["adam"]["epsilon"], 1e-8);
    let metrics = dir.read("run/metrics.jsonl");
    assert_eq!(metrics.lines().count(), 6 + 2, "{metrics}");
    assert_eq!(dir.read("run/validation.txt").lines().count(), 12);
}

#[test]
fn loss_lines_come_every_fifth_batch_and_count_from_zero() {
    let dir = Dir::new();
    dir.fscoco();
    let args = ["--epochs", "2", "--batch-size", "2", "--run-dir", "run"];
    let stdout = dir.run(&train_args(&args)).ok();
    let lines: Vec<&str> = stdout.lines().filter(|line| line.starts_with('[')).collect();
    // Six batches an epoch: one line each, and the sixth loss is not carried into the next epoch.
    let metrics = dir.read("run/metrics.jsonl");
    let losses: Vec<f32> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64())
        .map(|loss| loss as f32)
        .collect();
    for (epoch, line) in lines.iter().enumerate() {
        let mean = losses[6 * epoch..][..5].iter().sum::<f32>() / 5.0;
        assert_eq!(*line, format!("[{epoch:03}, 004] loss: {mean:.5}"));
    }
    assert_eq!(lines.len(), 2, "{stdout}");
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_the_threads() {
    let dir = Dir::new();
    dir.fscoco();
    let weights = |name: &str, threads: &str, seed: &str| {
        dir.run(&train_args(&[
            "--epochs",
            "1",
            "--run-dir",
            name,
            "--threads",
            threads,
            "--seed",
            seed,
        ]))
        .ok();
        std::fs::read(dir.join(&format!("{name}/checkpoints/step-000000003.safetensors"))).unwrap()
    };
    let first = weights("a", "1", "3");
    assert_eq!(first, weights("b", "4", "3"));
    assert_ne!(first, weights("c", "1", "4"));
}

#[test]
fn json_is_one_object_on_standard_output() {
    let dir = Dir::new();
    dir.fscoco();
    let ran = dir.run(&train_args(&["--epochs", "1", "--run-dir", "run", "--json"]));
    assert!(ran.stderr.contains("EPOCH 0:"), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(value["run"], "run");
    assert_eq!(value["evaluation"]["queries"], 12);
}

#[test]
fn several_sets_are_mixed() {
    let dir = Dir::new();
    dir.fscoco();
    std::fs::rename(dir.join("fscoco"), dir.join("one")).unwrap();
    dir.fscoco();
    let mut args = train_args(&["--epochs", "1", "--run-dir", "run", "--json"]);
    args.extend(["one", "fscoco"]);
    let value: Value = serde_json::from_str(&dir.run(&args).ok()).unwrap();
    assert_eq!(value["evaluation"]["gallery"], 24);
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_checkpoint() {
    let dir = Dir::new();
    dir.fscoco();
    let args = ["--epochs", "9", "--run-dir", "run", "--lr", "1e30", "--checkpoint-seconds", "0"];
    let line = dir.run(&train_args(&args)).fails(1, &["loss became", "at step", "--lr"]);
    let kept = dir.list("run/checkpoints");
    assert!(!kept.is_empty());
    assert!(line.contains(kept.last().unwrap()), "{line} {kept:?}");
}
