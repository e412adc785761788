//! Lists of photos.

use sbir_objects::Extent;
use sbir_shards::{Error, ManifestOptions, write_manifest};

use crate::support::{Work, file, write_picture};

fn text(work: &Work) -> Vec<u8> {
    std::fs::read(work.path("m.jsonl")).unwrap()
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let work = Work::with_photos(12);
    let first = work.list(5);
    let bytes = text(&work);
    assert_eq!(work.list(5), first);
    assert_eq!(text(&work), bytes);
    let manifest = work.manifest();
    assert_eq!((manifest.header().photos, manifest.header().pieces()), (12, 3));
    assert_eq!(manifest.header().bytes, first.bytes);
    assert_eq!(manifest.header().root, work.root());
    assert_eq!(manifest.digest(), first.digest);
    write_picture(&work.root().join("z.png"), 99);
    assert_ne!(work.list(5).digest, first.digest);
}

#[test]
fn the_rules_are_those_of_the_indexer() {
    let work = Work::new();
    for name in
        ["a.JPG", ".hidden.png", ".folder/b.tiff", "c.txt", "d.avif", "e", "f.heic", "g.jpg/h.png"]
    {
        let path = work.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.JPG", work.root().join("link.jpg")).unwrap();
    let summary = work.list(100);
    let paths: Vec<_> = work
        .manifest()
        .pieces(|_| true)
        .unwrap()
        .flat_map(|piece| piece.unwrap().1)
        .map(|listed| listed.path.to_string())
        .collect();
    assert_eq!(paths, [".folder/b.tiff", ".hidden.png", "a.JPG", "f.heic", "g.jpg/h.png"]);
    assert_eq!((summary.unsupported, summary.links), (1, u64::from(cfg!(unix))));
    // The indexer meets the same files, none of which it can read.
    let gallery = work.gallery("g.sbir");
    let found = sbir_gallery::index(
        &gallery,
        &[work.root()],
        &crate::support::Colours::new(),
        &sbir_gallery::IndexOptions::default(),
        &sbir_gallery::NoProgress,
    )
    .unwrap();
    assert_eq!(found.snapshot.failed, summary.photos);
    assert_eq!((found.snapshot.unsupported, found.snapshot.links), (1, summary.links));
}

#[test]
fn what_cannot_be_is_said() {
    let work = Work::with_photos(1);
    let (place, key) = file(&work.path("m.jsonl"));
    for piece in [0, 20_000] {
        let options = ManifestOptions { piece, ..ManifestOptions::default() };
        let error = write_manifest(&work.place("photos"), (&place, &key), &options, &mut |_| {});
        assert!(matches!(error, Err(Error::Options(_))));
    }
    let options = ManifestOptions::default();
    let error = write_manifest(&work.place("none"), (&place, &key), &options, &mut |_| {});
    assert!(error.unwrap_err().to_string().contains("none"));
    assert!(!work.path("m.jsonl").exists());
    std::fs::write(work.path("m.jsonl"), "{}\n").unwrap();
    let error = sbir_shards::Manifest::open(&place, &key).unwrap_err().to_string();
    assert!(error.contains("m.jsonl: line 1: not a manifest"), "{error}");
}

/// Not a test of its own: it takes all files that the process may open.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "started by another test"]
fn lister() {
    let Some(folder) = std::env::var_os("SBIR_TEST_FOLDER") else { return };
    let folder = std::path::PathBuf::from(folder);
    let (place, key) = file(&folder.join("m.jsonl"));
    let photos = crate::support::open(&folder.join("photos"));
    let options = ManifestOptions::default();
    let mut held = Vec::new();
    let result = write_manifest(&photos, (&place, &key), &options, &mut |_| {
        held.extend(std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()));
    });
    drop(held);
    let error = result.unwrap_err();
    let place = matches!(&error, Error::Objects(error) if error.extent() == Extent::Place);
    assert!(place && error.to_string().contains("/z/: "), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_fails_amid_the_list_gives_no_shorter_list() {
    let work = Work::new();
    // So many that the caller is told before the folder after them is listed.
    for n in 0..1000 {
        std::fs::write(work.root().join(format!("{n:04}.jpg")), "").unwrap();
    }
    write_picture(&work.root().join("z/1.jpg"), 1);
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "manifest::lister", "--ignored", "--nocapture"])
        .env("SBIR_TEST_FOLDER", work.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!work.path("m.jsonl").exists());
}
