//! The main job on real pairs, where they are at hand.

use std::path::PathBuf;

use serde_json::Value;

use crate::util::Dir;

/// A folder of the data at hand; `None`, said on standard error, where it is missing.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SBIR_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.is_dir() {
        return Some(path.canonicalize().unwrap());
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

#[test]
fn fscoco_mini_trains_and_evaluates_on_both_splits() {
    let Some(data) = data("fscoco-mini") else { return };
    let data = data.to_str().unwrap();
    let dir = Dir::new();
    let narrow = ["--encoder", "convnext:1-1-1-1:8-16-24-32", "--init", "random"];
    let sizes =
        ["--layer-scale", "0.5", "--image-size", "48", "--lr", "0.003", "--batch-size", "25"];
    for (split, run, queries) in [(None, "normal", 100), (Some("--val-unseen"), "unseen", 90)] {
        let mut args = vec!["train", data, "--no-cuda", "--epochs", "4", "--run-dir", run];
        args.extend(narrow.iter().chain(&sizes));
        args.extend(split);
        let stdout = dir.run(&args).ok();
        let losses: Vec<f64> =
            stdout.lines().filter_map(|line| line.split_once("] loss: ")?.1.parse().ok()).collect();
        assert_eq!(losses.len(), 4, "{stdout}");
        assert!(losses[3] < losses[0], "{losses:?}");
        let trained: Vec<&str> = stdout.lines().rev().take(3).collect();

        let model = format!("{run}/model.safetensors");
        let mut args = vec!["eval", data, "--no-cuda", "--model", &model];
        args.extend(split);
        let evaluated = dir.run(&args).ok();
        let evaluated: Vec<&str> = evaluated.lines().rev().collect();
        assert_eq!(evaluated, trained, "training's last evaluation and eval agree");
        args.push("--json");
        let value: Value = serde_json::from_str(&dir.run(&args).ok()).unwrap();
        assert_eq!(value["queries"], queries);
        assert_eq!(value["trained_on_photos"], 0);
    }
}

#[test]
fn other_sets_at_hand_train_a_step() {
    for (name, pairs) in [("chairv2", "qmul"), ("shoe304", "pairs"), ("bsds500/train", "pairs")] {
        let Some(data) = data(name) else { return };
        let dir = Dir::new();
        let narrow = ["--encoder", "convnext:1-1-1-1:4-6-8-10", "--init", "random"];
        let mut args = vec!["train", data.to_str().unwrap(), "--no-cuda", "--epochs", "1"];
        args.extend(narrow);
        args.extend(["--image-size", "32", "--batch-size", "100", "--run-dir", "run"]);
        let ran = dir.run(&args);
        assert!(ran.stderr.contains(&format!("{pairs} layout")), "{}", ran.stderr);
        assert!(ran.ok().contains("top10: "));
    }
}
