//! The GPU path on SwiftShader, and its absence.

use std::path::Path;

use crate::util::{Dir, train_args};

/// Debian's Chromium brings this software Vulkan driver.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

fn swiftshader() -> bool {
    if !cfg!(feature = "vulkan") {
        eprintln!("skipped: built without vulkan");
        return false;
    }
    if Path::new(SWIFTSHADER).exists() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{SWIFTSHADER} is missing: install Debian's chromium"
    );
    eprintln!("skipped: {SWIFTSHADER} is missing");
    false
}

#[test]
fn a_training_step_on_vulkan_agrees_with_the_cpu() {
    if !swiftshader() {
        return;
    }
    let dir = Dir::new();
    dir.fscoco();
    let losses = |device: &str| -> Vec<f64> {
        let mut args = train_args(&["--epochs", "1", "--run-dir", device, "--device", device]);
        args.extend(["--precision", "f32"]);
        args.retain(|arg| *arg != "--no-cuda");
        let ran: crate::util::Ran =
            dir.command(&args).env("VK_DRIVER_FILES", SWIFTSHADER).output().unwrap().into();
        ran.ok();
        dir.read(&format!("{device}/metrics.jsonl"))
            .lines()
            .filter_map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64()
            })
            .collect()
    };
    let (cpu, vulkan) = (losses("cpu"), losses("vulkan:0"));
    assert_eq!(cpu.len(), 3);
    for (a, b) in cpu.iter().zip(&vulkan) {
        assert!((a / b - 1.0).abs() < 1e-3, "{cpu:?} {vulkan:?}");
    }
    assert_ne!(cpu, vulkan, "two devices do not round alike to the last bit");
    let bf16 =
        ["eval", "--device", "vulkan:0", "--model", "cpu/model.safetensors", "--precision", "bf16"];
    let ran: crate::util::Ran =
        dir.command(&bf16).env("VK_DRIVER_FILES", SWIFTSHADER).output().unwrap().into();
    ran.fails(1, &["bf16", "vulkan:0"]);
}

#[test]
fn auto_never_takes_software_and_says_what_it_took() {
    if !swiftshader() {
        return;
    }
    let dir = Dir::new();
    let ran = |args: &[&str]| -> crate::util::Ran {
        dir.command(args).env("VK_DRIVER_FILES", SWIFTSHADER).output().unwrap().into()
    };
    let text = ran(&["doctor"]).ok();
    assert!(
        text.contains("adapter:        vulkan:0 (") && text.contains("software on the CPU)"),
        "{text}"
    );
    assert!(text.contains("--device auto:  cpu (no GPU found)"), "{text}");
}

#[test]
fn without_a_driver_everything_works_on_the_cpu() {
    let dir = Dir::new();
    dir.fscoco();
    let run = |args: &[&str]| -> crate::util::Ran {
        dir.command(args).env("VK_DRIVER_FILES", "/nonexistent.json").output().unwrap().into()
    };
    let mut args = train_args(&["--epochs", "1", "--run-dir", "run"]);
    args.retain(|arg| *arg != "--no-cuda");
    let trained = run(&args);
    assert!(trained.stderr.contains("device: cpu ("), "{}", trained.stderr);
    trained.ok();
    run(&["train", "--resume", "run", "--epochs", "2"]).ok();
    run(&["eval", "--model", "run/model.safetensors"]).ok();
    run(&["embed", "fscoco/images/1", "--model", "run/model.safetensors", "--out", "x.npy"]).ok();
    let args = ["eval", "--device", "vulkan", "--model", "run/model.safetensors"];
    let line = run(&args).fails(1, &["vulkan:0"]);
    assert!(line.contains("--device cpu"), "{line}");
    run(&["eval", "--device", "cuda", "--model", "run/model.safetensors"]).fails(1, &["cuda:0"]);
}
