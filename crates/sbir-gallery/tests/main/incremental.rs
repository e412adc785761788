//! What an index run does when files come, change, move and go.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sbir_gallery::{
    Error, Failure, Gallery, IndexOptions, NoProgress, Phase, Progress, SearchOptions, Selector,
    Snapshot, VectorStore as _, index,
};

use crate::support::{Colours, Place, paths, vector, write_picture};

#[test]
fn photos_are_found_by_their_own_vectors() {
    let place = Place::with_photos(30);
    let colours = Colours::new();
    let summary = place.index(&colours);
    assert_eq!((summary.snapshot.embedded, summary.snapshot.failed), (30, 0));
    assert_eq!(summary.snapshot.total, Some(30));
    assert_eq!(summary.snapshot.phase, Phase::Done);
    let gallery = place.gallery();
    for photo in gallery.list(None, None, 100).unwrap().items {
        let picture = sbir_data::Upright::load(&photo.location(), None).unwrap();
        assert_eq!([photo.width, photo.height], picture.full_size);
        let hits = gallery.search(&vector(&picture), &SearchOptions::nearest(3)).unwrap();
        assert_eq!(hits.items[0].photo, photo);
        assert!(hits.items[0].score > 0.999 && hits.items[1].score < 0.99);
        assert_eq!((hits.exhaustive, hits.searched, hits.items.len()), (true, 30, 3));
    }
}

#[test]
fn what_is_unchanged_is_left_alone() {
    let place = Place::with_photos(20);
    let colours = Colours::new();
    place.index(&colours);
    let generation = place.gallery().stats().unwrap().generation;
    assert_eq!(colours.taken(), 20);
    let summary = place.index(&colours);
    assert_eq!((summary.snapshot.unchanged, colours.taken()), (20, 0));
    assert_eq!(place.gallery().stats().unwrap().generation, generation);
    let rehash = IndexOptions { rehash: true, ..IndexOptions::default() };
    let summary = place.index_with(&colours, &rehash);
    assert_eq!((summary.snapshot.touched, colours.taken()), (20, 0));
}

#[test]
fn changed_content_is_embedded_and_touched_content_is_not() {
    let place = Place::with_photos(6);
    let colours = Colours::new();
    place.index(&colours);
    colours.taken();
    let ids = |place: &Place| -> Vec<_> {
        place
            .gallery()
            .list(None, None, 100)
            .unwrap()
            .items
            .iter()
            .map(|p| (p.path.clone(), p.id))
            .collect()
    };
    let before = ids(&place);
    write_picture(&place.root().join("0.png"), 77);
    let touched = place.root().join("1.png");
    let time = fs::metadata(&touched).unwrap().modified().unwrap() + Duration::from_secs(9);
    fs::File::options().write(true).open(&touched).unwrap().set_modified(time).unwrap();
    let summary = place.index(&colours).snapshot;
    assert_eq!((summary.embedded, summary.touched, summary.unchanged), (1, 1, 4));
    assert_eq!(colours.taken(), 1);
    assert_eq!(ids(&place), before);
    let gallery = place.gallery();
    let picture = sbir_data::Upright::load(&place.root().join("0.png"), None).unwrap();
    let hits = gallery.search(&vector(&picture), &SearchOptions::nearest(1)).unwrap();
    assert_eq!(hits.items[0].photo.path.to_string(), "0.png");
    assert!(hits.items[0].score > 0.999);
    assert_eq!(place.index(&colours).snapshot.unchanged, 6);
}

#[test]
fn moved_files_keep_their_embedding_and_number() {
    let place = Place::with_photos(12);
    let colours = Colours::new();
    place.index(&colours);
    colours.taken();
    let id_of = |path: &str| {
        let photos = place.gallery().list(None, None, 100).unwrap().items;
        photos.iter().find(|photo| photo.path.to_string() == path).unwrap().id
    };
    let ids = [id_of("0.png"), id_of("1.png"), id_of("sub/7.png")];
    let root = place.root();
    // Before its old place in the order of paths, after it, and a whole folder.
    fs::create_dir(root.join("!first")).unwrap();
    fs::rename(root.join("0.png"), root.join("!first/0.png")).unwrap();
    fs::rename(root.join("1.png"), root.join("zz.png")).unwrap();
    fs::rename(root.join("sub"), root.join("renamed")).unwrap();
    let summary = place.index(&colours).snapshot;
    assert_eq!((summary.moved, summary.removed, summary.embedded), (8, 0, 0));
    assert_eq!(colours.taken(), 0);
    assert_eq!([id_of("!first/0.png"), id_of("zz.png"), id_of("renamed/7.png")], ids);
    assert_eq!(place.paths().len(), 12);
    assert_eq!(place.index(&colours).snapshot.unchanged, 12);
}

#[test]
fn copies_are_known_and_have_rows_of_their_own() {
    let place = Place::with_photos(4);
    let colours = Colours::new();
    place.index(&colours);
    colours.taken();
    let root = place.root();
    fs::copy(root.join("0.png"), root.join("copy.png")).unwrap();
    // One file becomes two.
    fs::copy(root.join("1.png"), root.join("twin-a.png")).unwrap();
    fs::rename(root.join("1.png"), root.join("twin-b.png")).unwrap();
    let summary = place.index(&colours).snapshot;
    assert_eq!((summary.moved, colours.taken()), (3, 0));
    assert_eq!(
        place.paths(),
        ["0.png", "copy.png", "sub/2.png", "sub/3.png", "twin-a.png", "twin-b.png"]
    );
    // Two files change places: both rows stay, with each other's content.
    fs::rename(root.join("0.png"), root.join("x")).unwrap();
    fs::rename(root.join("sub/2.png"), root.join("0.png")).unwrap();
    fs::rename(root.join("x"), root.join("sub/2.png")).unwrap();
    place.index(&colours);
    assert_eq!(colours.taken(), 0);
    let gallery = place.gallery();
    for photo in gallery.list(None, None, 100).unwrap().items {
        let picture = sbir_data::Upright::load(&photo.location(), None).unwrap();
        let embedding = gallery.record(photo.id).unwrap().embedding;
        let score: f32 = embedding.iter().zip(vector(&picture)).map(|(a, b)| a * b).sum();
        assert!(score > 0.999, "{}: {score}", photo.display());
    }
}

#[test]
fn deleted_files_are_forgotten() {
    let place = Place::with_photos(10);
    let colours = Colours::new();
    place.index(&colours);
    let gallery = place.gallery();
    let gone = sbir_data::Upright::load(&place.root().join("2.png"), None).unwrap();
    // The vectors are in memory before the photo goes.
    assert_eq!(gallery.search(&vector(&gone), &SearchOptions::nearest(1)).unwrap().searched, 10);
    fs::remove_file(place.root().join("2.png")).unwrap();
    fs::remove_dir_all(place.root().join("sub")).unwrap();
    assert_eq!(place.index(&colours).snapshot.removed, 6);
    assert_eq!(place.paths(), ["0.png", "1.png", "3.png", "4.png"]);
    let hits = gallery.search(&vector(&gone), &SearchOptions::nearest(10)).unwrap();
    assert_eq!((hits.searched, hits.items.len()), (4, 4));
    assert!(hits.items[0].score < 0.99);
}

#[test]
fn folders_below_roots_are_parts_of_them_and_roots_grow() {
    let place = Place::with_photos(8);
    let colours = Colours::new();
    let gallery = place.gallery();
    let run = |dirs: &[std::path::PathBuf]| {
        index(&gallery, dirs, &colours, &IndexOptions::default(), &NoProgress).unwrap().snapshot
    };
    let (root, sub) = (place.root(), place.root().join("sub"));
    assert_eq!(run(std::slice::from_ref(&sub)).embedded, 4);
    // The folder above takes the root in.
    assert_eq!((run(std::slice::from_ref(&root)).embedded, colours.taken()), (4, 8));
    assert_eq!(gallery.roots().unwrap().len(), 1);
    assert_eq!(paths(&gallery).len(), 8);
    // A part of the root is walked as such.
    fs::remove_file(sub.join("5.png")).unwrap();
    fs::remove_file(root.join("1.png")).unwrap();
    let part = run(std::slice::from_ref(&sub));
    assert_eq!((part.removed, part.unchanged, part.total), (1, 3, Some(3)));
    assert_eq!(run(&[sub, root.clone(), root]).removed, 1);
    assert_eq!((gallery.roots().unwrap().len(), paths(&gallery).len()), (1, 6));
}

#[test]
fn roots_that_lie_in_each_other_become_one() {
    let place = Place::with_photos(8);
    let colours = Colours::new();
    let gallery = place.gallery();
    let run = |folder: std::path::PathBuf| {
        index(&gallery, &[folder], &colours, &IndexOptions::default(), &NoProgress).unwrap()
    };
    run(place.root().join("sub"));
    let query = vec![0.1; crate::support::DIMENSION];
    assert_eq!(gallery.search(&query, &SearchOptions::default()).unwrap().searched, 4);
    // One photo is known from both, as pieces that were loaded may have it.
    let mut record = gallery.scan(None, 1).unwrap().items.remove(0);
    record.photo.root = place.root();
    record.photo.path = crate::support::rel(&format!("sub/{}", record.photo.path));
    gallery.upsert(&[record]).unwrap();
    assert_eq!((gallery.roots().unwrap().len(), paths(&gallery).len()), (2, 5));
    let summary = run(place.root()).snapshot;
    assert_eq!((summary.unchanged, summary.embedded, summary.moved), (4, 4, 0));
    assert_eq!((gallery.roots().unwrap().len(), paths(&gallery).len()), (1, 8));
    let hits = gallery.search(&query, &SearchOptions::default()).unwrap();
    assert_eq!((hits.searched, hits.items.len()), (8, 8));
}

#[test]
fn removal_forgets_photos_not_files() {
    let place = Place::with_photos(8);
    let colours = Colours::new();
    place.index(&colours);
    let gallery = place.gallery();
    assert_eq!(gallery.delete(&Selector::Under(place.root().join("su"))).unwrap(), 0);
    assert_eq!(gallery.delete(&Selector::Under(place.root().join("sub"))).unwrap(), 4);
    let first = gallery.list(None, None, 1).unwrap().items[0].id;
    assert_eq!(gallery.delete(&Selector::Ids(vec![first, first])).unwrap(), 1);
    assert_eq!(paths(&gallery).len(), 3);
    assert_eq!(gallery.delete(&Selector::All).unwrap(), 3);
    assert_eq!(gallery.roots().unwrap(), []);
    assert!(place.root().join("sub/5.png").exists());
    colours.taken();
    assert_eq!((place.index(&colours).snapshot.embedded, colours.taken()), (8, 8));
}

#[test]
fn progress_is_told_and_a_run_can_be_stopped() {
    struct Teller {
        cancel: Arc<AtomicBool>,
        phases: std::sync::Mutex<Vec<Phase>>,
    }
    impl Progress for Teller {
        fn update(&self, snapshot: &Snapshot) {
            self.phases.lock().unwrap().push(snapshot.phase);
            if snapshot.embedded > 0 {
                self.cancel.store(true, Ordering::Relaxed);
            }
        }
        fn failed(&self, failure: &Failure) {
            panic!("{failure:?}");
        }
    }
    let place = Place::with_photos(60);
    let cancel = Arc::new(AtomicBool::new(false));
    let teller = Teller { cancel: Arc::clone(&cancel), phases: Vec::new().into() };
    let colours = Colours { delay: Duration::from_millis(20), ..Colours::new() };
    let options = IndexOptions { cancel: Some(cancel), batch: 2, ..IndexOptions::default() };
    let gallery = place.gallery();
    let summary = index(&gallery, &[place.root()], &colours, &options, &teller).unwrap();
    assert!(summary.cancelled);
    let kept = gallery.stats().unwrap().photos;
    assert_eq!(kept, summary.snapshot.embedded);
    assert!((1..60).contains(&kept), "{kept}");
    let phases = teller.phases.into_inner().unwrap();
    assert_eq!((phases.first(), phases.last()), (Some(&Phase::Indexing), Some(&Phase::Done)));
    // What was done is not done again.
    colours.taken();
    place.index(&Colours::new());
    assert_eq!(place.index(&Colours::new()).snapshot.unchanged, 60);
}

#[test]
fn another_encoder_is_refused() {
    let place = Place::with_photos(2);
    place.index(&Colours::new());
    let other = Colours { fingerprint: "other".into(), ..Colours::new() };
    let gallery = place.gallery();
    let error = index(&gallery, &[place.root()], &other, &IndexOptions::default(), &NoProgress)
        .unwrap_err();
    assert!(matches!(&error, Error::OtherEncoder { expected, found, .. }
        if expected == "other" && found == "colours"));
    assert!(error.to_string().contains("--model"), "{error}");
    assert_eq!(paths(&gallery).len(), 2);
    assert!(matches!(
        gallery.search(&[1.0; 3], &SearchOptions::default()),
        Err(Error::OtherDimension { expected: 48, found: 3, .. })
    ));
}

#[test]
fn readers_see_what_a_writer_writes() {
    let place = Place::with_photos(4);
    let reader = place.gallery();
    let query = vec![0.1; crate::support::DIMENSION];
    assert_eq!(reader.search(&query, &SearchOptions::default()).unwrap().items, []);
    place.index(&Colours::new());
    assert_eq!(reader.search(&query, &SearchOptions::default()).unwrap().items.len(), 4);
    write_picture(&place.root().join("new.png"), 99);
    place.index(&Colours::new());
    assert_eq!(reader.search(&query, &SearchOptions::default()).unwrap().items.len(), 5);
    let gallery = Gallery::open(&place.gallery_path()).unwrap();
    assert_eq!(gallery.search(&query, &SearchOptions::default()).unwrap().items.len(), 5);
}
