//! Embedding in parallel: `manifest`, `embed --manifest`, `load`, with the bundled encoder.

use std::fs;

use serde_json::Value;

use crate::util::Dir;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The photos of the small FS-COCO, listed in pieces of five.
fn listed() -> Dir {
    let dir = Dir::new();
    dir.fscoco();
    let listed =
        dir.run(&["manifest", "fscoco/images", "--out", "m.jsonl", "--piece", "5", "--json"]);
    let listed = json(&listed.ok());
    assert_eq!((&listed["photos"], &listed["pieces"]), (&24.into(), &5.into()));
    dir
}

fn embed(dir: &Dir, shard: &str) -> Value {
    let args = ["embed", "--manifest", "m.jsonl", "--shard", shard, "--out", "out", "--json"];
    json(&dir.run(&args).ok())
}

#[test]
fn shards_give_the_vectors_that_index_gives() {
    let dir = listed();
    dir.write("fscoco/images/broken.jpg", "no picture");
    dir.run(&["manifest", "fscoco/images", "--out", "m.jsonl", "--piece", "5"]).ok();
    // With one thread photos get their numbers in the order of their paths.
    dir.run(&["index", "fscoco/images", "--gallery", "indexed.sbir", "--threads", "1"]).ok();
    for shard in ["1/2", "0/2"] {
        let report = embed(&dir, shard);
        assert_eq!((&report["shard"], &report["there"]), (&shard.into(), &0.into()));
    }
    let again = dir.run(&["embed", "--manifest", "m.jsonl", "--out", "out", "--no-cuda"]);
    assert!(again.ok().contains("5 there already; 0 photos embedded"));
    let loaded = dir.run(&[
        "load",
        "out",
        "--manifest",
        "m.jsonl",
        "--model",
        "bundled",
        "--gallery",
        "loaded.sbir",
    ]);
    assert!(loaded.stderr.contains("broken.jpg"), "{}", loaded.stderr);
    assert!(loaded.ok().starts_with("24 photos of 5 pieces"));
    for gallery in ["indexed", "loaded"] {
        let file = format!("{gallery}.sbir");
        dir.run(&["gallery", "export", &format!("{gallery}.npy"), "--gallery", &file]).ok();
    }
    // Photos in the order of their rows, which for both is that of their paths.
    assert!(
        fs::read(dir.join("indexed.npy")).unwrap() == fs::read(dir.join("loaded.npy")).unwrap()
    );
    assert_eq!(dir.read("indexed.jsonl"), dir.read("loaded.jsonl"));
    // Nothing is left for the indexer.
    let report =
        json(&dir.run(&["index", "fscoco/images", "--gallery", "loaded.sbir", "--json"]).ok());
    assert_eq!((&report["unchanged"], &report["embedded"]), (&24.into(), &0.into()));
}

#[test]
fn what_is_missing_is_told_with_the_command_that_makes_it() {
    let dir = listed();
    embed(&dir, "0/3");
    let ran = dir.run(&["load", "out", "--gallery", "g.sbir", "--json"]);
    let (report, said) = (json(&ran.stdout), ran.stderr.clone());
    ran.fails(1, &["3 of 5 pieces", "load again"]);
    assert_eq!((&report["loaded"], &report["photos"]), (&2.into(), &10.into()));
    assert_eq!(report["lacking"], 3);
    let shards: Vec<_> =
        report["missing"].as_array().unwrap().iter().map(|m| &m["shard"]).collect();
    assert_eq!(shards, ["1/3", "2/3", "1/3"]);
    let commands: Vec<_> = said.lines().filter(|line| line.starts_with("sbir embed")).collect();
    assert_eq!(commands.len(), 2, "{said}");
    for command in commands {
        let args: Vec<_> = command.split(' ').skip(1).chain(["--no-cuda"]).collect();
        dir.run(&args).ok();
    }
    assert!(dir.run(&["load", "out", "--gallery", "g.sbir"]).ok().starts_with("24 photos of 5"));
}

#[test]
fn wrong_usage_and_wrong_files_are_told() {
    let dir = listed();
    let run = |more: &[&str]| {
        dir.run(&[&["embed", "--manifest", "m.jsonl", "--out", "out"], more].concat())
    };
    for (shard, part) in [("3/3", "count from 0"), ("1", "I/N"), ("x/2", "I/N"), ("0/0", "I/N")] {
        let ran = run(&["--shard", shard]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    for more in [&["fscoco/images"][..], &["--no-exif"], &["--skip-bad"], &["--image-size", "64"]] {
        assert_eq!(run(more).code, Some(2), "{more:?}");
    }
    let alone =
        dir.run(&["embed", "x.png", "--model", "bundled", "--out", "x.npy", "--shard", "0/2"]);
    assert_eq!(alone.code, Some(2), "{}", alone.stderr);
    assert_eq!(dir.run(&["embed", "--model", "bundled", "--out", "x.npy"]).code, Some(2));
    assert_eq!(dir.run(&["manifest", "fscoco", "--out", "n.jsonl", "--piece", "0"]).code, Some(2));

    dir.write("cut.jsonl", &dir.read("m.jsonl")[..300]);
    let args = ["embed", "--manifest", "cut.jsonl", "--out", "out", "--no-cuda"];
    dir.run(&args).fails(1, &["cut.jsonl: line", "sbir manifest"]);
    dir.run(&["manifest", "nowhere", "--out", "n.jsonl"]).fails(1, &["nowhere"]);
    dir.run(&["load", "nowhere", "--gallery", "g.sbir"])
        .fails(1, &["nowhere", "sbir embed --manifest"]);
    assert!(!dir.join("g.sbir").exists() && !dir.join("out").exists());
    let mut command = dir.command(&["manifest", "s3://bucket/x", "--out", "n.jsonl"]);
    command.env("AWS_ACCESS_KEY_ID", "key").env_remove("AWS_SECRET_ACCESS_KEY");
    let ran: crate::util::Ran = command.output().unwrap().into();
    ran.fails(1, &["AWS_SECRET_ACCESS_KEY is not"]);
    dir.run(&["manifest", "s3://key:secret@bucket/x", "--out", "n.jsonl"])
        .fails(1, &["bucket's name"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_whole_pieces() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let dir = Dir::new();
    dir.fscoco();
    // As many photos as take a while.
    for copy in 0..40 {
        for user in 1..=12 {
            let to = dir.join(&format!("photos/{copy}/{user}.jpg"));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(dir.join(&format!("fscoco/images/{user}/{:012}.jpg", user * 1000)), to)
                .unwrap();
        }
    }
    dir.run(&["manifest", "photos", "--out", "m.jsonl", "--piece", "4"]).ok();
    let args = ["embed", "--manifest", "m.jsonl", "--out", "out", "--no-cuda", "--threads", "1"];
    let child = dir.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !dir.join("out/piece-00000001.sbir-piece").exists() {
        assert!(Instant::now() < until, "no pieces after a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let ran: crate::util::Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("the same command goes on"), "{}", ran.stderr);
    let pieces = dir.list("out").into_iter().filter(|name| name != "job.json").collect::<Vec<_>>();
    assert!((2..120).contains(&pieces.len()), "{pieces:?}");
    assert!(pieces.iter().all(|name| name.ends_with(".sbir-piece")), "{pieces:?}");
    let loaded = dir.run(&["load", "out", "--gallery", "g.sbir"]);
    assert!(!loaded.stderr.lines().any(|line| line.starts_with("damaged")), "{}", loaded.stderr);
}
