//! Killed at any moment, a run goes on as if nothing had happened.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::util::{Dir, train_args};

const EPOCHS: &str = "6";
const LAST: &str = "step-000000018.safetensors";

fn args<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = train_args(&["--epochs", EPOCHS, "--checkpoint-seconds", "0", "--run-dir", run]);
    args.extend(["--stochastic-depth", "0.4"]);
    args.extend(more);
    args
}

/// A number in `0..bound` that differs from call to call of a run but not from run to run.
fn draw(seed: u64, bound: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)) % bound
}

#[test]
fn kill_nine_at_twenty_moments_changes_no_bit() {
    let dir = Dir::new();
    dir.fscoco();
    let started = Instant::now();
    dir.run(&args("whole", &[])).ok();
    let whole = started.elapsed();
    let expected = fs::read(dir.join(&format!("whole/checkpoints/{LAST}"))).unwrap();
    let losses = |run: &str| -> Vec<String> {
        dir.read(&format!("{run}/metrics.jsonl"))
            .lines()
            .filter(|line| line.contains("\"loss\""))
            .map(|line| line.split(",\"seconds\"").next().unwrap().to_owned())
            .collect()
    };
    // A run that gets to its end before it is killed makes room for another.
    let (mut kills, mut number) = (0, 0);
    for attempt in 0..500 {
        if kills == 20 {
            break;
        }
        let run = format!("run{number}");
        let begun = dir.join(&run).join("config.json").exists();
        let command = if begun {
            vec!["train", "--resume", run.as_str(), "--no-cuda", "--threads", "2"]
        } else {
            args(&run, &[])
        };
        let mut child =
            dir.command(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_micros(draw(attempt, whole.as_micros() as u64)));
        let finished = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u32::from(!finished);
        number += u32::from(finished);
    }
    assert_eq!(kills, 20);
    for run in (0..=number).map(|number| format!("run{number}")) {
        let run = run.as_str();
        let resumed = dir.run(&["train", "--resume", run, "--no-cuda"]);
        if dir.join(run).join("config.json").exists() {
            resumed.ok();
        } else {
            // Killed before there was anything to resume: the same command begins anew.
            dir.run(&args(run, &[])).ok();
        }
        let found = fs::read(dir.join(&format!("{run}/checkpoints/{LAST}"))).unwrap();
        assert!(found == expected, "{run}: the last checkpoint differs");
        assert_eq!(losses(run), losses("whole"), "{run}");
        let leftovers: Vec<String> = dir
            .list(&format!("{run}/checkpoints"))
            .into_iter()
            .filter(|name| !name.starts_with("step-") && name != "best.safetensors")
            .collect();
        assert!(leftovers.is_empty(), "{run}: {leftovers:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_state_and_says_how_to_go_on() {
    let dir = Dir::new();
    dir.fscoco();
    let child = dir
        .command(&args("run", &["--epochs", "100000"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.join("run/checkpoints").join("best.safetensors").exists() {
        assert!(Instant::now() < deadline, "no checkpoint within a minute");
        sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ran: crate::util::Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("sbir train --resume run"), "{}", ran.stderr);
}

#[test]
fn resume_without_a_value_takes_the_newest_run() {
    let dir = Dir::new();
    dir.fscoco();
    dir.run(&args("runs/20260101-000000-a", &["--epochs", "1"])).ok();
    dir.run(&args("runs/20260102-000000-b", &["--epochs", "1"])).ok();
    let stderr = dir.run(&["train", "--no-cuda", "--epochs", "2", "--resume"]).stderr;
    assert!(stderr.contains("20260102-000000-b"), "{stderr}");
    assert!(dir.join("runs/20260102-000000-b/checkpoints/step-000000006.safetensors").exists());
    assert!(!dir.join("runs/20260101-000000-a/checkpoints/step-000000006.safetensors").exists());
}

#[test]
fn what_a_resumed_run_refuses() {
    let dir = Dir::new();
    dir.fscoco();
    dir.run(&args("run", &["--epochs", "1"])).ok();
    let resume = ["train", "--no-cuda", "--resume", "run"];
    let differing = [resume.as_slice(), &["--lr", "0.5"]].concat();
    dir.run(&differing).fails(2, &["--lr", "run"]);
    dir.run(&["train", "--no-cuda", "--resume", "nowhere"]).fails(1, &["nowhere", "config.json"]);
    dir.run(&args("run", &[])).fails(1, &["already holds a run", "--resume"]);
    fs::remove_dir_all(dir.join("fscoco/images/3")).unwrap();
    fs::remove_dir_all(dir.join("fscoco/raster_sketches/3")).unwrap();
    let longer = [resume.as_slice(), &["--epochs", "2"]].concat();
    dir.run(&longer).fails(1, &["training pairs changed"]);
}
