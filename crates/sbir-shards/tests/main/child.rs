//! Runs in processes of their own: killed in the middle of a piece, two at the same pieces.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sbir_gallery::VectorStore as _;

use crate::support::{Colours, Work};

/// Not a test of its own: what the other tests start as a process.
#[test]
#[ignore = "started by other tests"]
fn embedder() {
    let Some(folder) = std::env::var_os("SBIR_TEST_FOLDER") else { return };
    let delay = std::env::var("SBIR_TEST_DELAY_MS").unwrap().parse().unwrap();
    let folder = std::path::PathBuf::from(folder);
    let colours = Colours { delay: Duration::from_millis(delay), ..Colours::new() };
    let (place, key) = crate::support::file(&folder.join("m.jsonl"));
    let mut manifest = sbir_shards::Manifest::open(&place, &key).unwrap();
    let summary = sbir_shards::embed(
        &mut manifest,
        &crate::support::open(&folder.join("out")),
        &colours,
        &sbir_objects::Options::default(),
        &crate::support::options("0/1"),
        &sbir_shards::NoProgress,
    )
    .unwrap();
    println!("written {}", summary.snapshot.written);
}

fn start(work: &Work, delay_ms: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::embedder", "--ignored", "--nocapture"])
        .env("SBIR_TEST_FOLDER", work.path(""))
        .env("SBIR_TEST_DELAY_MS", delay_ms.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until there are some whole pieces; gives their number.
fn wait_for_pieces(work: &Work, least: usize) -> usize {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "no pieces after a minute");
        if work.path("out/job.json").exists() {
            let pieces = work.pieces();
            let whole = pieces.iter().filter(|name| name.ends_with(".sbir-piece")).count();
            if whole >= least {
                return whole;
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn a_run_killed_at_any_moment_is_taken_up() {
    let work = Work::with_photos(90);
    work.list(6);
    let mut seen = 0;
    for least in [0, 1, 3, 6] {
        let mut child = start(&work, 6);
        if least == 0 {
            thread::sleep(Duration::from_millis(5));
        } else {
            seen = wait_for_pieces(&work, least.max(seen + 1));
            // Into the middle of the next piece.
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let gallery = work.gallery("g.sbir");
    let part = work.load_checked(&gallery).unwrap();
    assert!(part.loaded >= seen as u64 && part.loaded < 15, "{} of 15", part.loaded);
    assert!(part.missing.iter().all(|missing| missing.damage.is_none()), "{:?}", part.missing);
    let colours = Colours::new();
    let summary = work.embed("0/1", &colours).unwrap().snapshot;
    assert_eq!((summary.there, summary.written), (part.loaded, 15 - part.loaded));
    assert_eq!(colours.taken() as u64, 6 * (15 - part.loaded));
    let whole = work.load_checked(&gallery).unwrap();
    assert_eq!((whole.photos, whole.missing.len()), (90, 0));
    assert_eq!(gallery.stats().unwrap().photos, 90);
}

#[test]
fn two_processes_at_the_same_pieces_both_succeed() {
    let work = Work::with_photos(24);
    work.list(3);
    let children = [start(&work, 4), start(&work, 4)];
    let written: u64 = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            let line = text.lines().find_map(|line| line.split("written ").nth(1)).unwrap();
            line.trim().parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(written, 8);
    assert_eq!(work.pieces().len(), 8);
    assert_eq!(work.load_checked(&work.gallery("g.sbir")).unwrap().photos, 24);
}
