//! Help, completions, man pages, and pipes that close early.

use std::io::Read;
use std::process::Stdio;

use crate::util::Dir;

#[test]
fn every_command_has_short_and_long_help() {
    let dir = Dir::new();
    let commands = [
        "serve",
        "train",
        "eval",
        "embed",
        "manifest",
        "load",
        "convert",
        "index",
        "search",
        "gallery",
        "sketchify",
        "doctor",
        "completions",
        "man",
    ];
    for command in commands {
        let short = dir.run(&[command, "-h"]).ok();
        let long = dir.run(&[command, "--help"]).ok();
        assert!(short.contains("Usage: sbir") && long.len() >= short.len(), "{command}");
    }
    let top = dir.run(&["--help"]).ok();
    assert!(top.contains("130 after Ctrl-C") && !top.contains("__adapters"), "{top}");
    assert_eq!(dir.run(&[]).code, Some(2));
    assert_eq!(dir.run(&["--version"]).ok(), format!("sbir {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_man_pages_know_the_flags() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(dir.run(&["completions", shell]).ok().contains("micro-batch"), "{shell}");
    }
    assert!(dir.run(&["man"]).ok().contains(".TH sbir"));
    dir.run(&["man", "pages"]).ok();
    let pages = dir.list("pages");
    assert!(pages.contains(&"sbir-train.1".to_owned()) && pages.contains(&"sbir.1".to_owned()));
    assert!(dir.read("pages/sbir-train.1").contains("stochastic"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = Dir::new();
    let mut child = dir
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ran: crate::util::Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr, "");
}

#[test]
fn doctor_tells_what_there_is() {
    let dir = Dir::new();
    let text = dir.run(&["doctor"]).ok();
    for part in ["features:", "--device auto:", "weights folder:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let value: serde_json::Value =
        serde_json::from_str(&dir.run(&["doctor", "--json"]).ok()).unwrap();
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
    assert!(value["weights_folder"].as_str().unwrap().starts_with(dir.path().to_str().unwrap()));
}
