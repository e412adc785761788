//! From a folder over pieces to a gallery.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sbir_gallery::{IndexOptions, VectorStore as _, index};
use sbir_shards::{Error, Shard};

use crate::support::{Colours, Work, records, write_picture};

fn never() -> &'static AtomicBool {
    Box::leak(Box::default())
}

#[test]
fn all_shards_together_give_what_the_indexer_gives() {
    let work = Work::with_photos(40);
    std::fs::write(work.root().join("broken.jpg"), "no picture").unwrap();
    std::fs::write(work.root().join("notes.txt"), "no picture either").unwrap();
    // The same content twice is a photo twice.
    std::fs::copy(work.root().join("2.png"), work.root().join("copy.png")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = std::ffi::OsStr::from_bytes(b"odd \xff\n%.png");
        std::fs::copy(work.root().join("4.png"), work.root().join(odd)).unwrap();
    }
    let indexed = work.gallery("indexed.sbir");
    let roots = [work.root()];
    let colours = Colours::new();
    let found =
        index(&indexed, &roots, &colours, &IndexOptions::default(), &sbir_gallery::NoProgress);
    assert_eq!(found.unwrap().snapshot.failed, 1);

    let listed = work.list(7);
    assert_eq!((listed.photos, listed.pieces), (43, 7));
    let mut sums = (0, 0, 0);
    for shard in ["2/3", "0/3", "1/3"] {
        let summary = work.embed(shard, &colours).unwrap();
        assert_eq!(summary.snapshot.done, summary.snapshot.total, "{shard}");
        sums.0 += summary.snapshot.embedded;
        sums.1 += summary.snapshot.failed;
        sums.2 += summary.snapshot.written;
        if summary.snapshot.failed > 0 {
            assert!(summary.failures[0].contains("broken.jpg"), "{:?}", summary.failures);
        }
    }
    assert_eq!(sums, (42, 1, 7));
    for round in 0..2 {
        let loaded = work.gallery("loaded.sbir");
        let summary =
            if round == 0 { work.load(&loaded) } else { work.load_checked(&loaded) }.unwrap();
        assert_eq!((summary.photos, summary.failed, summary.missing.len()), (42, 1, 0));
        assert!(summary.failures[0].contains("broken.jpg"));
        // Sizes, times, hashes, and every bit of every vector.
        assert_eq!(records(&loaded), records(&indexed));
    }
    // What was loaded is what the indexer would have made: there is nothing left for it.
    let loaded = work.gallery("loaded.sbir");
    colours.taken();
    index(&loaded, &roots, &colours, &IndexOptions::default(), &sbir_gallery::NoProgress).unwrap();
    assert_eq!(colours.taken(), 0);
}

#[test]
fn what_is_there_is_not_made_again() {
    let work = Work::with_photos(20);
    work.list(4);
    let colours = Colours::new();
    let first = work.embed("1/2", &colours).unwrap().snapshot;
    assert_eq!((first.pieces, first.written, first.there, colours.taken()), (2, 2, 0, 8));
    let all = work.embed("0/1", &colours).unwrap().snapshot;
    assert_eq!((all.pieces, all.written, all.there, colours.taken()), (5, 3, 2, 12));
    assert_eq!((all.done, all.total, all.embedded), (20, 20, 12));
    std::fs::remove_file(work.piece(3)).unwrap();
    let again = work.embed("0/1", &colours).unwrap().snapshot;
    assert_eq!((again.written, again.there, colours.taken()), (1, 4, 4));
    assert_eq!(work.pieces().len(), 5);
}

#[test]
fn pieces_of_another_encoder_or_manifest_are_told_apart() {
    let work = Work::with_photos(6);
    work.list(2);
    work.embed("0/3", &Colours::new()).unwrap();
    let other = Colours { fingerprint: "others".into(), ..Colours::new() };
    let said = |error: Error, parts: &[&str]| {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(text.lines().count(), 1);
    };
    said(work.embed("1/3", &other).unwrap_err(), &["colours", "others", "--model", "--out"]);
    write_picture(&work.root().join("new.png"), 77);
    work.list(2);
    said(work.embed("1/3", &Colours::new()).unwrap_err(), &["another manifest", "--out"]);
    let gallery = work.gallery("g.sbir");
    said(work.load_checked(&gallery).unwrap_err(), &["another manifest"]);
    assert_eq!(work.pieces().len(), 1);
    // Even without the file that says what they are of.
    std::fs::remove_file(work.path("out/job.json")).unwrap();
    said(work.embed("0/1", &Colours::new()).unwrap_err(), &["piece-00000000", "another manifest"]);
}

#[test]
fn what_is_missing_is_named_and_the_rest_loaded() {
    let work = Work::with_photos(23);
    work.list(4);
    let colours = Colours::new();
    work.embed("0/4", &colours).unwrap();
    work.embed("3/4", &colours).unwrap();
    let gallery = work.gallery("g.sbir");
    let summary = work.load(&gallery).unwrap();
    let missing: Vec<_> = summary.missing.iter().map(|missing| missing.piece).collect();
    // Piece 4 has four photos, piece 5 three.
    assert_eq!((missing, summary.loaded, summary.photos), (vec![1, 2, 5], 3, 12));
    assert_eq!(summary.shards(), [Shard::of(1, 4), Shard::of(2, 4)]);
    for shard in summary.shards() {
        work.embed(&shard.to_string(), &colours).unwrap();
    }
    let summary = work.load_checked(&gallery).unwrap();
    assert_eq!((summary.missing.len(), summary.photos), (0, 23));
    assert_eq!(gallery.stats().unwrap().photos, 23);
}

#[test]
fn an_empty_tree_and_one_without_a_readable_photo_end_well() {
    let work = Work::new();
    assert_eq!(work.list(4).photos, 0);
    let summary = work.embed("0/1", &Colours::new()).unwrap().snapshot;
    assert_eq!((summary.pieces, summary.total), (0, 0));
    let gallery = work.gallery("g.sbir");
    let loaded = work.load(&gallery).unwrap();
    assert_eq!((loaded.photos, loaded.missing.len()), (0, 0));

    let work = Work::new();
    for n in 0..5 {
        std::fs::write(work.root().join(format!("{n}.jpg")), format!("text {n}")).unwrap();
    }
    std::fs::write(work.root().join("empty.png"), "").unwrap();
    work.list(4);
    let summary = work.embed("0/1", &Colours::new()).unwrap();
    assert_eq!(
        (summary.snapshot.failed, summary.snapshot.written, summary.failures.len()),
        (6, 2, 6)
    );
    let loaded = work.load_checked(&work.gallery("g.sbir")).unwrap();
    assert_eq!((loaded.photos, loaded.failed, loaded.failures.len()), (0, 6, 6));
}

#[test]
fn photos_are_taken_as_they_are_now() {
    let work = Work::with_photos(8);
    work.list(4);
    let before = std::fs::metadata(work.root().join("1.jpg")).unwrap().len();
    // Larger than it was, smaller than it was, and gone.
    write_picture(&work.root().join("1.jpg"), 30);
    std::fs::copy(work.root().join("2.png"), work.root().join("0.png")).unwrap();
    std::fs::remove_file(work.root().join("3.jpg")).unwrap();
    let summary = work.embed("0/1", &Colours::new()).unwrap();
    assert_eq!((summary.snapshot.embedded, summary.snapshot.failed), (7, 1));
    assert!(summary.failures[0].contains("3.jpg"));
    let gallery = work.gallery("g.sbir");
    work.load_checked(&gallery).unwrap();
    for record in records(&gallery) {
        let metadata = std::fs::metadata(record.photo.location()).unwrap();
        assert_eq!(record.photo.size, metadata.len(), "{}", record.photo.path);
    }
    assert!(std::fs::metadata(work.root().join("1.jpg")).unwrap().len() > before);
}

#[test]
fn photos_that_are_all_gone_are_no_result() {
    let work = Work::with_photos(8);
    work.list(4);
    let aside = work.path("aside");
    std::fs::rename(work.root(), &aside).unwrap();
    let error = work.embed("0/1", &Colours::new()).unwrap_err();
    assert!(matches!(&error, Error::NoPhotos { .. }), "{error}");
    // As an empty folder where a disk was mounted, and with only something else in it.
    std::fs::create_dir(work.root()).unwrap();
    let error = work.embed("0/1", &Colours::new()).unwrap_err();
    assert!(matches!(&error, Error::NoPhotos { .. }), "{error}");
    std::fs::write(work.root().join("else.txt"), "").unwrap();
    let error = work.embed("0/1", &Colours::new()).unwrap_err();
    let Error::LeftOut { pieces: 2, all: 2, cause, .. } = &error else { panic!("{error}") };
    assert!(matches!(**cause, Error::NoPhotos { .. }), "{error}");
    assert!(work.pieces().is_empty());
    std::fs::remove_dir_all(work.root()).unwrap();
    std::fs::rename(&aside, work.root()).unwrap();
    assert_eq!(work.embed("0/1", &Colours::new()).unwrap().snapshot.written, 2);
}

#[test]
fn a_stop_leaves_whole_pieces_only() {
    let work = Work::with_photos(40);
    work.list(5);
    let stop = never();
    let colours =
        Colours { stop: Some((18, stop)), delay: Duration::from_millis(2), ..Colours::new() };
    let summary = work.embed("0/1", &colours).unwrap();
    assert!(summary.cancelled && summary.snapshot.embedded < 40, "{summary:?}");
    let kept = work.pieces();
    assert!((1..8).contains(&kept.len()), "{kept:?}");
    assert!(kept.iter().all(|name| name.ends_with(".sbir-piece")), "{kept:?}");
    let gallery = work.gallery("g.sbir");
    assert_eq!(work.load_checked(&gallery).unwrap().loaded, kept.len() as u64);
    stop.store(false, Ordering::SeqCst);
    let summary = work.embed("0/1", &Colours::new()).unwrap().snapshot;
    assert_eq!((summary.there, summary.written), (kept.len() as u64, 8 - kept.len() as u64));
    assert_eq!(work.load_checked(&gallery).unwrap().photos, 40);
}

#[test]
fn two_runs_of_the_same_share_both_succeed() {
    let work = Work::with_photos(24);
    work.list(4);
    let slow = || Colours { delay: Duration::from_millis(3), ..Colours::new() };
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| work.embed("0/1", &slow()).unwrap().snapshot);
        let other = scope.spawn(|| work.embed("0/1", &slow()).unwrap().snapshot);
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one.written + other.written, 6);
    assert_eq!((one.written + one.there, other.written + other.there), (6, 6));
    assert_eq!(work.load_checked(&work.gallery("g.sbir")).unwrap().photos, 24);
    assert_eq!(work.pieces().len(), 6);
}

#[test]
fn an_encoder_that_fails_ends_the_run() {
    struct Broken(Colours);
    impl sbir_gallery::Embedder for Broken {
        fn fingerprint(&self) -> &str {
            self.0.fingerprint()
        }
        fn dimension(&self) -> usize {
            self.0.dimension()
        }
        fn image_size(&self) -> usize {
            self.0.image_size()
        }
        fn embed_photos(
            &self,
            photos: &[sbir_gallery::Upright],
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            match self.0.taken() {
                0 => Err("out of memory".into()),
                1 => Ok(vec![0.0; photos.len() * self.dimension()]),
                _ => Ok(vec![0.0; 7]),
            }
        }
        fn embed_sketch(
            &self,
            sketch: &sbir_sketch::Sketch,
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            self.0.embed_sketch(sketch)
        }
        fn embed_drawing(
            &self,
            picture: &sbir_gallery::Upright,
        ) -> Result<Vec<f32>, sbir_gallery::EmbedError> {
            self.0.embed_drawing(picture)
        }
    }
    let work = Work::with_photos(9);
    work.list(4);
    for (kind, said) in [(0, "out of memory"), (1, "unit length"), (2, "values")] {
        let broken = Broken(Colours::new());
        broken.0.embedded.store(kind, Ordering::SeqCst);
        let error = sbir_shards::embed(
            &mut work.manifest(),
            &work.out(),
            &broken,
            &sbir_objects::Options::default(),
            &crate::support::options("0/1"),
            &sbir_shards::NoProgress,
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains(said), "{error}");
        assert!(work.pieces().is_empty());
    }
}

#[test]
fn a_few_photos_may_all_be_gone_and_more_are_left_out() {
    let work = Work::with_photos(9);
    work.list(4);
    // All of the last piece, and all of the one before.
    let photo = |seed: u32| {
        let kind = if seed.is_multiple_of(2) { "png" } else { "jpg" };
        work.root().join(format!("sub folder/{seed}.{kind}"))
    };
    for seed in 4..9 {
        std::fs::remove_file(photo(seed)).unwrap();
    }
    // The second time nothing is read, and the root can be listed.
    for there in [false, true] {
        let error = work.embed("0/1", &Colours::new()).unwrap_err();
        assert!(matches!(&error, Error::LeftOut { pieces: 1, first: 1, .. }), "{error}");
        assert!(error.to_string().contains("none of the 4 photos of piece 1 is there"), "{error}");
        assert_eq!(work.pieces(), ["piece-00000000.sbir-piece", "piece-00000002.sbir-piece"]);
        if !there {
            std::fs::remove_file(work.piece(2)).unwrap();
        }
    }
    let loaded = work.load_checked(&work.gallery("g.sbir")).unwrap();
    assert_eq!((loaded.photos, loaded.failed, loaded.lacking), (4, 1, 1));
    write_picture(&photo(5), 5);
    assert_eq!(work.embed("0/1", &Colours::new()).unwrap().snapshot.failed, 3);
}

#[cfg(target_os = "linux")]
#[test]
fn a_photo_that_the_system_fails_to_read_leaves_its_piece_out() {
    let work = Work::new();
    // Reading `mem` from its start is EIO, as from a disk that fails; the others are no pictures.
    work.list_by_hand("/proc/self", &["limits", "mem", "stat", "status"], 2);
    let error = work.embed("0/1", &Colours::new()).unwrap_err();
    assert!(matches!(&error, Error::LeftOut { pieces: 1, all: 2, first: 0, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/mem: ") && text.lines().count() == 1, "{text}");
    assert_eq!(work.pieces(), ["piece-00000001.sbir-piece"]);
    // Where nothing can be had for as long as one call may take, which is no time here, the run ends.
    work.list_by_hand("/proc/self", &["mem"], 1);
    let mut objects = sbir_objects::Options::default();
    objects.patience.deadline = Duration::ZERO;
    let out = work.place("out of nothing");
    let options = crate::support::options("0/1");
    let error = sbir_shards::embed(
        &mut work.manifest(),
        &out,
        &Colours::new(),
        &objects,
        &options,
        &sbir_shards::NoProgress,
    );
    assert!(matches!(&error, Err(Error::Objects(_))), "{error:?}");
}

#[test]
fn photos_of_nested_roots_are_there_once() {
    let work = Work::with_photos(10);
    let indexed = work.gallery("g.sbir");
    let colours = Colours::new();
    let options = IndexOptions::default();
    index(&indexed, &[work.root()], &colours, &options, &sbir_gallery::NoProgress).unwrap();
    let before = records(&indexed);
    work.list_below("photos/sub folder", 2);
    work.embed("0/1", &colours).unwrap();
    assert_eq!(work.load_checked(&indexed).unwrap().photos, 5);
    assert_eq!(records(&indexed), before);
    // The other way round: a gallery has the folder within, and pieces of the folder around it come.
    let inner = work.gallery("h.sbir");
    work.load(&inner).unwrap();
    std::fs::remove_dir_all(work.path("out")).unwrap();
    work.list(5);
    work.embed("0/1", &colours).unwrap();
    let error = work.load(&inner).unwrap_err();
    let text = error.to_string();
    let [root, below] = [work.root(), work.root().join("sub folder")];
    let said = format!("photos of {}, which is below {}, ", below.display(), root.display());
    assert!(matches!(&error, Error::RootBelow { .. }) && text.contains(&said), "{text}");
    assert_eq!((text.lines().count(), inner.stats().unwrap().photos), (1, 5));
}
