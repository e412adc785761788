//! Bad input costs one clear line and the right exit code, and leaves nothing half-written.

use std::fs;

use crate::util::{Dir, NARROW, train_args};

const TRAIN: &[&str] = &["--epochs", "1", "--run-dir", "run"];

fn train(dir: &Dir) -> crate::util::Ran {
    dir.run(&train_args(TRAIN))
}

fn eval(dir: &Dir, model: &str) -> crate::util::Ran {
    dir.run(&["eval", "--no-cuda", "--model", model])
}

#[test]
fn values_out_of_range_are_usage_errors() {
    let dir = Dir::new();
    dir.fscoco();
    for (option, value) in [
        ("--batch-size", "0"),
        ("--temp", "0"),
        ("--temp", "nan"),
        ("--lr", "-1"),
        ("--epochs", "0"),
        ("--micro-batch", "0"),
        ("--image-size", "16"),
        ("--stochastic-depth", "1"),
        ("--encoder", "resnet50"),
        ("--layer-scale", "nan"),
    ] {
        let mut args = train_args(&["--run-dir", "run"]);
        // The option replaces an earlier one of the same name.
        if let Some(at) = args.iter().position(|arg| *arg == option) {
            args.drain(at..at + 2);
        }
        args.extend([option, value]);
        let ran = dir.run(&args);
        assert_eq!(ran.code, Some(2), "{option} {value}: {}", ran.stderr);
        assert!(!dir.join("run").exists(), "{option} {value}");
    }
    for args in
        [["eval", "--batch-size", "0"], ["eval", "--temp", "0"], ["train", "--device", "tpu"]]
    {
        assert_eq!(dir.run(&args).code, Some(2), "{args:?}");
    }
}

#[test]
fn data_that_is_not_there() {
    let dir = Dir::new();
    train(&dir).fails(1, &["fscoco"]);
    assert!(!dir.join("run").exists());
    fs::create_dir(dir.join("fscoco")).unwrap();
    train(&dir).fails(1, &["fscoco"]);
    dir.fscoco();
    fs::remove_file(dir.join("fscoco/val_unseen_user.txt")).unwrap();
    dir.run(&train_args(&["--run-dir", "run", "--val-unseen"])).fails(1, &["val_unseen_user.txt"]);
    fs::remove_file(dir.join("fscoco/val_normal.txt")).unwrap();
    train(&dir).fails(1, &["val_normal.txt"]);
    assert!(!dir.join("run").exists());
}

#[test]
fn splits_that_do_not_fit() {
    let dir = Dir::new();
    dir.fscoco();
    dir.write("fscoco/val_normal.txt", "999999999999\n888888888888\n");
    train(&dir).fails(1, &["val_normal.txt"]);
    dir.write("fscoco/val_normal.txt", "");
    train(&dir).fails(1, &["val_normal.txt"]);
    dir.write("fscoco/val_normal.txt", "twelve\n");
    train(&dir).fails(1, &["val_normal.txt", "twelve"]);
    dir.fscoco();
    fs::remove_file(dir.join("fscoco/raster_sketches/3/000000003000.jpg")).unwrap();
    train(&dir).fails(1, &["000000003000"]);
}

#[test]
fn pictures_that_cannot_be_read() {
    let bomb = {
        // A PNG that declares 60,000 × 60,000 pixels.
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend([0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 6, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    };
    let victim = "fscoco/images/5/000000005000.jpg";
    let dir = Dir::new();
    dir.fscoco();
    let whole = fs::read(dir.join(victim)).unwrap();
    let cases: [(&str, Vec<u8>); 4] = [
        ("zero bytes", Vec::new()),
        ("text", b"no picture".to_vec()),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("bomb", bomb),
    ];
    for (what, bytes) in cases {
        dir.write(victim, bytes);
        let _ = fs::remove_dir_all(dir.join("run"));
        let line = train(&dir).fails(1, &["000000005000.jpg"]);
        assert!(!dir.join("result.html").exists(), "{what}: {line}");
    }
}

#[test]
fn checkpoints_that_are_none() {
    let dir = Dir::new();
    dir.train();
    fs::remove_file(dir.join("result.html")).unwrap();
    let whole = fs::read(dir.join("run/model.safetensors")).unwrap();
    dir.run(&["convert", "run/model.safetensors", "whole.pth"]).ok();
    let pickle = fs::read(dir.join("whole.pth")).unwrap();
    dir.write("text.pth", "weights, honestly");
    dir.write("empty.pth", "");
    dir.write("cut.safetensors", &whole[..whole.len() - 100]);
    dir.write("cut.pth", &pickle[..pickle.len() / 2]);
    // cos\nsystem\n(S'touch owned'\ntR. : what a malicious pickle looks like.
    dir.write("evil.pth", b"\x80\x02cos\nsystem\nq\0X\x0b\0\0\0touch ownedq\x01\x85q\x02Rq\x03.");
    // A header that declares 8 GiB.
    let header = br#"{"features.0.0.weight":{"dtype":"F32","shape":[2147483648],"data_offsets":[0,8589934592]}}"#;
    let mut huge = (header.len() as u64).to_le_bytes().to_vec();
    huge.extend(header);
    dir.write("huge.safetensors", huge);
    fs::create_dir(dir.join("folder.pth")).unwrap();
    for name in [
        "text.pth",
        "empty.pth",
        "cut.safetensors",
        "cut.pth",
        "evil.pth",
        "huge.safetensors",
        "folder.pth",
        "missing.pth",
    ] {
        eval(&dir, name).fails(1, &[name]);
        dir.run(&["convert", name, "out.safetensors"]).fails(1, &[name]);
    }
    assert!(!dir.join("owned").exists() && !dir.join("result.html").exists());
    assert!(!dir.join("out.safetensors").exists());
}

#[test]
fn a_checkpoint_of_another_size_names_the_key() {
    let dir = Dir::new();
    dir.train();
    let mut args = train_args(&["--run-dir", "other"]);
    for arg in &mut args {
        *arg = match *arg {
            "random" => "run/model.safetensors",
            NARROW => "convnext:1-1-1-1:4-6-8-12",
            other => other,
        };
    }
    let at = args.iter().position(|arg| *arg == "--layer-scale").unwrap();
    args.drain(at..at + 2);
    dir.run(&args).fails(1, &["model.safetensors", "10", "12"]);
    assert!(!dir.join("other").exists());
}

#[test]
fn imagenet_weights_without_a_network_say_where_to_put_them() {
    let dir = Dir::new();
    dir.fscoco();
    let ran = dir
        .command(&["train", "--no-cuda", "--run-dir", "run"])
        .env("SBIR_WEIGHTS_URL", "http://127.0.0.1:9/none")
        .output()
        .unwrap();
    let cache = dir.join("cache").display().to_string();
    crate::util::Ran::from(ran).fails(1, &["convnext_small-0c510722.pth", "127.0.0.1:9", &cache]);
    assert!(!dir.join("run").exists());
}

#[test]
fn folders_that_cannot_be_written() {
    let dir = Dir::new();
    dir.fscoco();
    dir.write("file", "in the way");
    dir.run(&train_args(&["--run-dir", "file/run"])).fails(1, &["file"]);
    let args = train_args(&["--run-dir", "run", "--html", "nowhere/result.html", "--epochs", "1"]);
    dir.run(&args).fails(1, &["nowhere/result.html"]);
}

/// A real limit, not a mock: the process may not write files larger than a few kilobytes.
#[cfg(unix)]
#[test]
fn a_full_disk_while_saving_keeps_the_old_checkpoint() {
    let dir = Dir::new();
    dir.train();
    let before = dir.list("run/checkpoints");
    let binary = env!("CARGO_BIN_EXE_sbir");
    // ulimit counts in blocks of 1,024 bytes; a checkpoint here takes more than 8.
    let script = format!("ulimit -f 8; exec '{binary}' train --resume run --no-cuda --epochs 2");
    let ran: crate::util::Ran = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap()
        .into();
    ran.fails(1, &["run/checkpoints/"]);
    assert_eq!(dir.list("run/checkpoints"), before);
    dir.run(&["train", "--resume", "run", "--no-cuda", "--epochs", "2"]).ok();
    assert!(dir.join("run/checkpoints/step-000000006.safetensors").exists());
}
