//! What every store must do; also for those to come.

use sbir_gallery::{Error, Photo, PhotoId, Record, SearchOptions, Selector, Space, VectorStore};

use crate::support::{Place, rel};

fn record(path: &str, embedding: [f32; 3]) -> Record {
    let photo = Photo {
        id: PhotoId(0),
        root: "/photos".into(),
        path: rel(path),
        size: 12,
        mtime_ns: 1_700_000_000_123_456_789,
        hash: [3; 32],
        width: 640,
        height: 480,
    };
    Record { photo, embedding: embedding.into() }
}

/// The conformance of a store, empty at the start.
fn conforms(store: &dyn VectorStore) {
    let space = Space { fingerprint: "one".into(), dimension: 3 };
    assert!(store.upsert(&[record("early", [1.0, 0.0, 0.0])]).is_err());
    store.ensure(&space).unwrap();
    store.ensure(&space).unwrap();
    let other = Space { fingerprint: "two".into(), ..space.clone() };
    assert!(matches!(store.ensure(&other), Err(Error::OtherEncoder { .. })));
    let other = Space { dimension: 4, ..space.clone() };
    assert!(matches!(store.ensure(&other), Err(Error::OtherDimension { .. })));
    assert_eq!(store.stats().unwrap().space, Some(space));
    assert_eq!(store.stats().unwrap().photos, 0);
    assert_eq!(store.search(&[1.0, 0.0, 0.0], &SearchOptions::default()).unwrap().items, []);

    let batch =
        [record("a", [1.0, 0.0, 0.0]), record("b", [0.0, 1.0, 0.0]), record("c", [0.6, 0.8, 0.0])];
    store.upsert(&batch).unwrap();
    let generation = store.stats().unwrap().generation;
    // Writing twice changes nothing but takes the place.
    store.upsert(&batch).unwrap();
    assert!(store.stats().unwrap().generation >= generation);
    assert_eq!(store.stats().unwrap().photos, 3);
    let hits = store.search(&[1.0, 0.0, 0.0], &SearchOptions::nearest(2)).unwrap();
    let names: Vec<_> = hits.items.iter().map(|hit| hit.photo.path.to_string()).collect();
    assert_eq!((names, hits.exhaustive, hits.searched), (vec!["a".into(), "c".into()], true, 3));
    assert!((hits.items[1].score - 0.6).abs() < 1e-3);
    assert_eq!(hits.items[0].photo, Photo { id: hits.items[0].photo.id, ..batch[0].photo.clone() });

    // Whole or not at all.
    let bad = [record("d", [0.0, 0.0, 1.0]), record("e", [f32::NAN, 0.0, 0.0])];
    assert!(matches!(store.upsert(&bad), Err(Error::NotFinite)));
    let bad =
        [record("d", [0.0, 0.0, 1.0]), Record { embedding: vec![1.0; 4], ..record("e", [0.0; 3]) }];
    assert!(matches!(store.upsert(&bad), Err(Error::OtherDimension { .. })));
    assert_eq!(store.stats().unwrap().photos, 3);

    // Pages cover all, in order of id.
    let mut seen: Vec<(PhotoId, String)> = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(after, 2).unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.iter().map(|r| (r.photo.id, r.photo.path.to_string())));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted() && seen.len() == 3);

    // New content takes the old place and number.
    store.upsert(&[record("b", [0.0, 0.0, 1.0])]).unwrap();
    let hits = store.search(&[0.0, 0.0, 1.0], &SearchOptions::nearest(1)).unwrap();
    assert_eq!(
        (hits.items[0].photo.path.to_string(), hits.items[0].photo.id),
        ("b".into(), seen[1].0)
    );
    let hits = store.search(&[0.0, 1.0, 0.0], &SearchOptions::nearest(1)).unwrap();
    assert_eq!(hits.items[0].photo.path.to_string(), "c");

    assert_eq!(store.delete(&Selector::Ids(vec![seen[0].0, PhotoId(999)])).unwrap(), 1);
    assert_eq!(store.delete(&Selector::Under("/photos/b".into())).unwrap(), 1);
    let hits = store.search(&[1.0, 0.0, 0.0], &SearchOptions::default()).unwrap();
    assert_eq!((hits.items.len(), hits.searched), (1, 1));
    assert_eq!(store.delete(&Selector::All).unwrap(), 1);
    // Numbers are not given twice.
    store.upsert(&[record("a", [1.0, 0.0, 0.0])]).unwrap();
    assert!(store.scan(None, 10).unwrap().items[0].photo.id > seen[2].0);
}

#[test]
fn the_local_store_conforms() {
    let place = Place::new();
    conforms(&place.gallery());
}

#[test]
fn galleries_can_be_listed_in_pages() {
    let place = Place::with_photos(25);
    place.index(&crate::support::Colours::new());
    let gallery = place.gallery();
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let page = gallery.list(Some(&place.root().join("sub")), after, 5).unwrap();
        ids.extend(page.items.iter().map(|photo| photo.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(ids.is_sorted() && ids.len() == 13, "{ids:?}");
    let (stats, roots) = (gallery.stats().unwrap(), gallery.roots().unwrap());
    assert_eq!((stats.photos, stats.roots, roots.len()), (25, 1, 1));
    assert_eq!((roots[0].photos, roots[0].present), (25, true));
    assert!(stats.bytes > 1000);
}

#[test]
fn verification_counts_what_is_missing_and_changed() {
    let place = Place::with_photos(6);
    place.index(&crate::support::Colours::new());
    let gallery = place.gallery();
    std::fs::remove_file(place.root().join("0.png")).unwrap();
    crate::support::write_picture(&place.root().join("1.png"), 100);
    // Other content, but the same size and time.
    let path = place.root().join("sub/4.png");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let found = sbir_gallery::verify(&gallery, false).unwrap();
    assert_eq!((found.photos, found.missing, found.changed, found.new), (6, 1, 1, 0));
    let found = sbir_gallery::verify(&gallery, true).unwrap();
    assert_eq!((found.photos, found.missing, found.changed), (6, 1, 2));
    assert_eq!(found.problems, Vec::<String>::new());
    crate::support::write_picture(&place.root().join("sub/new.png"), 7);
    assert_eq!(sbir_gallery::verify(&gallery, false).unwrap().new, 1);
}
