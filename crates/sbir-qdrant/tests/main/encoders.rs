//! Making a gallery from many sides, and one encoder after another.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sbir_gallery::{Error, SearchOptions, Space, VectorStore as _};

use crate::support::{DIMENSION, eventually, node, numbers, open, record, records, space, vector};

#[test]
fn of_many_encoders_at_once_one_is_taken() {
    let Some(server) = node() else { return };
    for round in 0..3 {
        let url = server.url(&format!("race-{round}"));
        let barrier = Barrier::new(8);
        let made: Vec<(usize, Result<(), Error>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (url, barrier) = (&url, &barrier);
                    scope.spawn(move || {
                        let gallery = open(url);
                        barrier.wait();
                        let encoder = thread % 3;
                        let made = gallery.ensure(&space(&format!("encoder {encoder}")));
                        if made.is_ok() {
                            gallery.upsert(&records(thread * 10..thread * 10 + 10)).unwrap();
                        }
                        (encoder, made)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let held = open(&url).stats().unwrap().space.unwrap();
        let mut photos = 0;
        for (encoder, made) in made {
            if held == space(&format!("encoder {encoder}")) {
                made.unwrap();
                photos += 10;
            } else {
                assert!(matches!(made, Err(Error::OtherEncoder { .. })), "{made:?}");
            }
        }
        let gallery = open(&url);
        assert_eq!(numbers(&gallery).unwrap().len(), photos);
        assert_eq!(gallery.unpublished().unwrap(), [""; 0], "nothing is left over");
    }
}

#[test]
fn another_encoder_takes_over_while_searches_go_on() {
    let Some(server) = node() else { return };
    let url = server.url("swap");
    let old = open(&url);
    old.ensure(&space("old")).unwrap();
    old.upsert(&records(0..100)).unwrap();
    let (stop, searches) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // One that has the old encoder, and one that looks each time what there is.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let hits = old.search(&vector(7), &SearchOptions::nearest(100)).unwrap();
                assert_eq!((hits.items.len(), hits.items[0].photo.size), (100, 7));
                searches.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let gallery = open(&url);
                let hits = gallery.search(&vector(7), &SearchOptions::nearest(300)).unwrap();
                let (new, len) = (space("new"), hits.items.len());
                let expected = if gallery.stats().unwrap().space == Some(new) { 200 } else { 100 };
                assert_eq!((len, hits.items[0].photo.size), (expected, 7));
                searches.fetch_add(1, Ordering::Relaxed);
            }
        });
        let new = old.staging(&space("new")).unwrap();
        new.upsert(&records(0..120)).unwrap();
        // Interrupted, and gone on with.
        let new = {
            drop(new);
            open(&url).staging(&space("new")).unwrap()
        };
        new.upsert(&records(120..200)).unwrap();
        assert_eq!(open(&url).stats().unwrap().photos, 100);
        assert_eq!(new.unpublished().unwrap().len(), 1);
        let before = new.publish().unwrap().expect("one before");
        assert_eq!(new.publish().unwrap(), None, "once more changes nothing");
        let fresh = open(&url);
        assert_eq!(fresh.stats().unwrap().photos, 200);
        assert_eq!(fresh.stats().unwrap().space, Some(space("new")));
        let until = searches.load(Ordering::Relaxed) + 20;
        while searches.load(Ordering::Relaxed) < until {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(fresh.unpublished().unwrap(), [before]);
    });
    // A writer with the old encoder hears of it, once it has not looked for a while.
    let error = eventually("it is noticed", std::time::Duration::from_secs(20), || {
        match old.upsert(&[record(0)]) {
            Err(error @ Error::OtherEncoder { .. }) => Ok(error),
            other => Err(other.err().unwrap_or(Error::Cancelled)),
        }
    });
    assert_eq!(error.to_string().lines().count(), 1);
    assert!(matches!(old.ensure(&space("third")), Err(Error::OtherEncoder { .. })));
    // Removed, the old one is not found as if it were empty.
    assert_eq!(open(&url).drop_unpublished().unwrap().len(), 1);
    for _ in 0..2 {
        let error = old.search(&vector(7), &SearchOptions::nearest(3)).unwrap_err();
        assert!(matches!(error, Error::Refused { .. } | Error::OtherEncoder { .. }), "{error:?}");
    }
    assert_eq!(numbers(&open(&url)).unwrap(), (0..200).collect::<Vec<_>>());
}

#[test]
fn other_dimensions_are_refused() {
    let Some(server) = node() else { return };
    let gallery = open(&server.url("dimensions"));
    for dimension in [0, 1 << 20] {
        let space = Space { fingerprint: "a".into(), dimension };
        assert!(matches!(gallery.ensure(&space), Err(Error::Refused { .. })));
    }
    gallery.ensure(&space("a")).unwrap();
    let other = Space { fingerprint: "a".into(), dimension: DIMENSION * 2 };
    let error = open(&server.url("dimensions")).staging(&other).unwrap_err();
    assert!(matches!(error, Error::OtherDimension { .. }), "{error:?}");
}
