//! Runs of the indexer in processes of their own: killed, on a full disk, two at once.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sbir_gallery::{Error, Gallery, IndexOptions, NoProgress, VectorStore as _, index};

use crate::support::{Colours, DIMENSION, Place};

/// Not a test of its own: what the other tests start as a process.
#[test]
#[ignore = "started by other tests"]
fn indexer() {
    let (Some(gallery), Some(root)) =
        (std::env::var_os("SBIR_TEST_GALLERY"), std::env::var_os("SBIR_TEST_ROOT"))
    else {
        return;
    };
    let delay = std::env::var("SBIR_TEST_DELAY_MS").unwrap().parse().unwrap();
    let colours = Colours { delay: Duration::from_millis(delay), ..Colours::new() };
    let options = IndexOptions {
        batch: 4,
        write_every: Duration::from_millis(50),
        ..IndexOptions::default()
    };
    let run = || {
        let gallery = Gallery::open_or_create(gallery.as_ref())?;
        index(&gallery, &[root.into()], &colours, &options, &NoProgress)
    };
    match run() {
        Ok(summary) => println!("embedded {}", summary.snapshot.embedded),
        Err(error) => println!("error: {error}"),
    }
}

fn arguments(command: &mut Command, place: &Place, delay_ms: u32) -> Child {
    command
        .args(["--exact", "child::indexer", "--ignored", "--nocapture"])
        .env("SBIR_TEST_GALLERY", place.gallery_path())
        .env("SBIR_TEST_ROOT", place.root())
        .env("SBIR_TEST_DELAY_MS", delay_ms.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn start(place: &Place, delay_ms: u32) -> Child {
    arguments(&mut Command::new(std::env::current_exe().unwrap()), place, delay_ms)
}

/// Waits until a gallery has some photos; gives their number.
fn wait_for_photos(path: &Path, least: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "no photos after a minute");
        if let Ok(gallery) = Gallery::open(path)
            && let Ok(stats) = gallery.stats()
            && stats.photos >= least
        {
            return stats.photos;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_run_loses_nothing_that_was_seen_and_is_taken_up() {
    let place = Place::with_photos(120);
    let mut seen = 0;
    // Killed at several moments, one of them in the first instants.
    for least in [0, 5, 30, 60] {
        let mut child = start(&place, 10);
        if least == 0 {
            thread::sleep(Duration::from_millis(3));
        } else {
            seen = wait_for_photos(&place.gallery_path(), least.max(seen + 1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if least > 0 {
            let gallery = Gallery::open(&place.gallery_path()).unwrap();
            assert!(gallery.stats().unwrap().photos >= seen);
            assert_eq!(
                sbir_gallery::verify(&gallery, true).unwrap().problems,
                Vec::<String>::new()
            );
        }
    }
    let kept = place.gallery().stats().unwrap().photos;
    assert!(kept < 120, "the last run came to its end before it was killed");
    let colours = Colours::new();
    let summary = place.index(&colours).snapshot;
    assert_eq!((summary.unchanged, colours.taken() as u64), (kept, 120 - kept));
    let gallery = place.gallery();
    let found = sbir_gallery::verify(&gallery, true).unwrap();
    assert_eq!((found.photos, found.missing, found.changed, found.problems.len()), (120, 0, 0, 0));
}

#[test]
fn a_second_indexer_is_told_who_is_first() {
    let place = Place::with_photos(60);
    let mut child = start(&place, 30);
    wait_for_photos(&place.gallery_path(), 1);
    let gallery = place.gallery();
    let colours = Colours::new();
    let error = index(&gallery, &[place.root()], &colours, &IndexOptions::default(), &NoProgress)
        .unwrap_err();
    assert!(matches!(&error, Error::Locked { pid, .. } if *pid == child.id()), "{error}");
    assert!(error.to_string().contains(&child.id().to_string()));
    // Reading goes on.
    let query = [0.1; DIMENSION];
    assert!(
        !gallery.search(&query, &sbir_gallery::SearchOptions::default()).unwrap().items.is_empty()
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // The system gave the lock back.
    assert_eq!(place.index(&colours).snapshot.failed, 0);
    assert_eq!(place.paths().len(), 60);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_survived() {
    let place = Place::with_photos(600);
    // No file may grow past some size, and the signal for that is ignored, as a full disk sends none.
    let run = |blocks: u32| {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited]).arg(std::env::current_exe().unwrap());
        let output = arguments(&mut shell, &place, 1).wait_with_output().unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains("the disk is full"), "{output}");
    };
    // Too full even for an empty gallery: none is left.
    run(40);
    assert!(matches!(Gallery::open(&place.gallery_path()), Err(Error::NoGallery { .. })));
    run(800);
    let kept = place.gallery().stats().unwrap().photos;
    assert!((1..600).contains(&kept), "{kept}");
    assert_eq!(
        sbir_gallery::verify(&place.gallery(), true).unwrap().problems,
        Vec::<String>::new()
    );
    let colours = Colours::new();
    assert_eq!(place.index(&colours).snapshot.unchanged, kept);
    assert_eq!(colours.taken() as u64, 600 - kept);
}
