//! Writing, replacing, refusing and deleting photos.

use std::path::Path;

use sbir_gallery::{Error, PhotoId, Record, SearchOptions, Selector, Touch};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// Writing twice is writing once; what is new takes the old one's place; what is no vector is refused.
pub fn writes(maker: &Maker<'_>) {
    let store = (maker.open)("writes");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(4), Model::new(maker.exact));
    let batch: Vec<_> =
        (0..50).map(|i| record("/sbir/w", format!("{i}.jpg"), random.unit(DIMENSION))).collect();
    let mut generation = store.stats().expect("stats").generation;
    let mut changed = || {
        let now = store.stats().expect("stats").generation;
        std::mem::replace(&mut generation, now) != now
    };
    assert!(!changed());
    model.upsert(&*store, &batch);
    assert!(changed());
    assert!(!changed(), "the generation stays while nothing changes");
    model.holds(&*store);
    let ids = ids(&*store);
    model.upsert(&*store, &batch);
    model.holds(&*store);
    assert_eq!(ids, self::ids(&*store), "ids stay");
    changed();

    // A new vector and new metadata at an old place: found there at once, by another client too.
    let mut new = record("/sbir/w", "7.jpg", random.unit(DIMENSION));
    new.photo.size = u64::from(u32::MAX) + 5;
    new.photo.mtime_ns = -5;
    new.photo.hash = [0xff; 32];
    (new.photo.width, new.photo.height) = (u32::MAX, 1);
    model.upsert(&*store, std::slice::from_ref(&new));
    assert!(changed());
    model.holds(&*store);
    assert_eq!(ids, self::ids(&*store), "the id stays");
    let second = (maker.open)("writes");
    for store in [&store, &second] {
        for query in [&new.embedding, &batch[7].embedding] {
            model.search(&**store, query, &SearchOptions::nearest(3));
        }
        let hits = store.search(&new.embedding, &SearchOptions::nearest(1)).expect("search");
        assert_eq!(hits.items[0].photo.path, new.photo.path);
    }
    // Twice in one batch: the last counts.
    let twice = [
        record("/sbir/w", "8.jpg", random.unit(DIMENSION)),
        record("/sbir/w", "new.jpg", random.unit(DIMENSION)),
        record("/sbir/w", "8.jpg", random.unit(DIMENSION)),
    ];
    model.upsert(&*second, &twice);
    model.holds(&*store);
    assert!(changed());

    // The same file with new times.
    let touched: Vec<_> =
        store.lookup(Path::new("/sbir/w"), &[new.photo.path.clone()]).expect("lookup");
    let id = touched[0].as_ref().expect("it is there").id;
    let unknown = Touch { id: PhotoId(12_345), size: 1, mtime_ns: 1 };
    store.touch(&[unknown, Touch { id, size: 77, mtime_ns: i64::MIN }]).expect("touch");
    (new.photo.size, new.photo.mtime_ns) = (77, i64::MIN);
    model.note(std::slice::from_ref(&new));
    model.holds(&*store);

    // What is no vector of this space is refused, and nothing beside it is written.
    let good = record("/sbir/w", "beside", random.unit(DIMENSION));
    let mut bad = vec![0.0; DIMENSION];
    refused(&*store, &good, &bad);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        bad[3] = value;
        refused(&*store, &good, &bad);
    }
    for length in [0, DIMENSION - 1, DIMENSION + 1] {
        let odd = record("/sbir/w", "odd", vec![0.1; length]);
        let error = store.upsert(&[good.clone(), odd]).expect_err("another dimension");
        assert!(matches!(error, Error::OtherDimension { .. }), "{error:?}");
    }
    // So is a photo of no root.
    for root in ["", "relative/folder", "http://bucket"] {
        let odd = record(root, "a", random.unit(DIMENSION));
        let error = store.upsert(&[good.clone(), odd]).expect_err("no root");
        assert!(matches!(error, Error::BadPath { .. }), "{error:?}");
    }
    model.holds(&*store);
    model.found_enough();
}

fn refused(store: &dyn sbir_gallery::VectorStore, good: &Record, values: &[f32]) {
    let bad = record("/sbir/w", "bad", values.to_vec());
    let error = store.upsert(&[good.clone(), bad]).expect_err("no vector");
    assert!(matches!(error, Error::NotFinite), "{error:?}");
}

fn ids(store: &dyn sbir_gallery::VectorStore) -> Vec<PhotoId> {
    let page = store.list(None, None, 1000).expect("list");
    page.items.iter().map(|photo| photo.id).collect()
}

/// Deleting by id, by place and all, with exact counts; what was deleted can be written again.
pub fn deletes(maker: &Maker<'_>) {
    let store = (maker.open)("deletes");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(5), Model::new(maker.exact));
    let names = ["a/1", "a/2", "a/b/3", "a/bc/4", "ab/5", "a.b/6", "c/7", "c/8", "c"];
    let batch: Vec<_> = ["/sbir/d", "/sbir/d/a", "/sbir/de", "/sbir"]
        .iter()
        .flat_map(|root| names.map(|name| (root, name)))
        .map(|(root, name)| record(root, name, random.unit(DIMENSION)))
        .collect();
    model.upsert(&*store, &batch);
    let generation = store.stats().expect("stats").generation;
    model.delete_under(&*store, Path::new("/sbir/nothing"));
    let page = store.list(Some(Path::new("/sbir/d/c")), None, 100).expect("list");
    let mut ids: Vec<_> = page.items.iter().map(|photo| photo.id).collect();
    assert_eq!(ids.len(), 3);
    // Unknown ones, and one twice.
    ids.extend([PhotoId(999_999), PhotoId(u128::MAX), ids[0]]);
    assert_eq!(store.delete(&Selector::Ids(ids.clone())).expect("delete"), 3);
    assert_eq!(store.delete(&Selector::Ids(ids)).expect("delete"), 0);
    assert_ne!(store.stats().expect("stats").generation, generation);
    let gone = |record: &Record| record.photo.location().starts_with("/sbir/d/c");
    model.records.retain(|_, record| !gone(record));
    model.holds(&*store);
    let query = random.unit(DIMENSION);
    for place in ["/sbir/d/a/b", "/sbir/d/a", "/sbir/de/a.b/6", "/sbir/de/c", "/sbir/de"] {
        model.delete_under(&*store, Path::new(place));
        model.holds(&*store);
        model.search(&*store, &query, &SearchOptions::nearest(100));
        model.search(&*store, &query, &SearchOptions::nearest(5).under(Path::new("/sbir/d")));
    }
    let left = model.records.len() as u64;
    assert!(left > 0);
    assert_eq!(store.delete(&Selector::All).expect("delete"), left);
    model.records.clear();
    model.holds(&*store);
    // The same photos again, and all through the root above.
    model.upsert(&*store, &batch);
    model.holds(&*store);
    model.search(&*store, &query, &SearchOptions::nearest(100));
    model.delete_under(&*(maker.open)("deletes"), Path::new("/"));
    model.holds(&*store);
    assert!(model.records.is_empty());
    model.found_enough();
}
