//! `sbir convert`.

use std::fs;

use crate::util::Dir;

#[test]
fn there_and_back_through_every_naming() {
    let dir = Dir::new();
    dir.train();
    let original = fs::read(dir.join("run/model.safetensors")).unwrap();
    let mut at = "run/model.safetensors".to_owned();
    for names in ["torchvision", "timm", "facebookresearch", "open_clip", "origin"] {
        for extension in ["pth", "safetensors"] {
            let next = format!("{names}.{extension}");
            let stdout = dir.run(&["convert", &at, &next, "--names", names]).ok();
            assert!(stdout.contains("convnext:1-1-1-1:4-6-8-10"), "{stdout}");
            at = next;
        }
    }
    dir.run(&["convert", &at, "back.pth"]).ok();
    dir.run(&["convert", "run/model.safetensors", "direct.pth"]).ok();
    assert_eq!(fs::read(dir.join("back.pth")).unwrap(), fs::read(dir.join("direct.pth")).unwrap());
    assert_eq!(fs::read(dir.join("run/model.safetensors")).unwrap(), original);
}

#[test]
fn unknown_endings_and_names_are_usage_errors() {
    let dir = Dir::new();
    dir.train();
    let model = "run/model.safetensors";
    dir.run(&["convert", model, "x.onnx"]).fails(2, &["x.onnx", ".safetensors"]);
    let ran = dir.run(&["convert", model, "x.pth", "--names", "keras"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
