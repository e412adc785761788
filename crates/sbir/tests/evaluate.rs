//! `sbir eval`.

use std::fs;

use serde_json::Value;

use crate::util::Dir;

const EVAL: [&str; 4] = ["eval", "--no-cuda", "--model", "run/model.safetensors"];

#[test]
fn prints_three_lines_and_writes_the_report() {
    let dir = Dir::new();
    dir.train();
    let first = dir.read("result.html");
    fs::remove_file(dir.join("result.html")).unwrap();
    let stdout = dir.run(&EVAL).ok();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with(" top1: 0.") && lines[2].starts_with("top10: "));
    let html = dir.read("result.html");
    let pictures = |html: &str| -> Vec<String> {
        html.split("src=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(pictures(&html), pictures(&first), "training's last report and evaluation agree");
    assert_eq!(html.matches("fscoco/raster_sketches/").count(), 12);
    // Ten photos a row, and the true one behind them where it is not among them.
    assert!((120..=132).contains(&html.matches("fscoco/images/").count()));
}

#[test]
fn json_holds_what_the_interface_promises() {
    let dir = Dir::new();
    dir.train();
    let args = [EVAL.as_slice(), &["--json", "--ranks", "ranks.jsonl"]].concat();
    let ran = dir.run(&args);
    assert!(!ran.stderr.contains("trained on by this checkpoint"), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!((&value["queries"], &value["gallery"]), (&12.into(), &12.into()));
    for k in ["1", "5", "10"] {
        let recall = value["recall"][k].as_f64().unwrap();
        let interval = value["recall_interval"][k].as_array().unwrap();
        assert!(interval[0].as_f64().unwrap() <= recall && recall <= interval[1].as_f64().unwrap());
    }
    for key in ["median_rank", "mean_rank", "mrr"] {
        assert!(value[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let ranks = dir.read("ranks.jsonl");
    assert_eq!(ranks.lines().count(), 12);
    let hits = ranks.lines().filter(|line| line.contains("\"rank\":1}")).count();
    assert!((value["recall"]["1"].as_f64().unwrap() - hits as f64 / 12.0).abs() < 1e-9);
}

#[test]
fn the_split_by_unseen_users_and_pairs_that_were_trained_on() {
    let dir = Dir::new();
    dir.train();
    let args = [EVAL.as_slice(), &["--val_unseen", "--json"]].concat();
    let ran = dir.run(&args);
    // Half of the unseen users' pairs were trained on in the normal split, and the run says so.
    assert!(ran.stderr.contains("4 of 8 photos were trained on"), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(value["queries"], 8);
    assert_eq!(value["trained_on_photos"], 4);
}

#[test]
fn without_a_path_the_origins_files_are_taken() {
    let dir = Dir::new();
    dir.train();
    fs::create_dir(dir.join("models")).unwrap();
    for (name, flag) in [("model_normal.pth", None), ("model_unseen.pth", Some("--val_unseen"))] {
        let mut args = vec!["eval", "--no_cuda", "--model_path", ""];
        // Every flag of the origin's is accepted.
        args.extend(["--save", "--epochs", "3", "--lr", "0.1", "--temp", "0.07"]);
        args.extend(["--batch_size", "5", "--seed", "1", "--image_size", "32"]);
        args.extend(flag);
        dir.run(&args).fails(1, &[name]);
        dir.run(&["convert", "run/model.safetensors", &format!("models/{name}")]).ok();
        dir.run(&args).ok();
    }
}

#[test]
fn strokes_can_stand_in_for_rasters() {
    let dir = Dir::new();
    dir.train();
    for user in 1..=12u32 {
        for k in 0..2 {
            let id = 1000 * user + k;
            let points = [(0.2, 0.2), (0.8, 0.3), (0.5, 0.9)].map(|(x, y)| {
                format!("{{\"timestamp\":0,\"coordinates\":[{x},{y}],\"pen_state\":[0,1,0]}}")
            });
            dir.write(
                &format!("fscoco/raw_data/{user}/{id:012}.json"),
                format!("[{}]", points.join(",")),
            );
        }
    }
    let args = [EVAL.as_slice(), &["--sketches", "strokes"]].concat();
    dir.run(&args).ok();
    let html = dir.read("result.html");
    assert_eq!(html.matches("raster_sketches/").count(), 0);
    assert_eq!(html.matches("data:image/svg+xml").count(), 12, "each sketch is drawn in place");
}

#[test]
fn embedded_pictures_make_the_report_stand_alone() {
    let dir = Dir::new();
    dir.train();
    let args = [EVAL.as_slice(), &["--embed-images", "--html", "alone/../alone.html"]].concat();
    fs::create_dir(dir.join("alone")).unwrap();
    dir.run(&args).ok();
    let html = dir.read("alone.html");
    assert!(!html.contains("src=\"fscoco/"), "no picture is a link");
    assert!(html.matches("data:image/").count() >= 24);
}
