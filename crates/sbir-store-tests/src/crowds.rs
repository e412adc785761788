//! Many clients at once.

use std::path::Path;
use std::sync::Barrier;

use sbir_gallery::{SearchOptions, Selector};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, patiently, record, space};

const THREADS: usize = 8;

/// Clients that make the same gallery at once, write the same photos, and search while others write.
pub fn crowds(maker: &Maker<'_>) {
    let (mut random, mut model) = (Random(11), Model::new(maker.exact));
    let shared: Vec<_> =
        (0..200).map(|i| record("/sbir/c", format!("all/{i}"), random.unit(DIMENSION))).collect();
    let owned: Vec<Vec<_>> = (0..THREADS)
        .map(|thread| {
            let own = |i| record("/sbir/c", format!("{thread}/{i}"), random.unit(DIMENSION));
            (0..100).map(own).collect()
        })
        .collect();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for own in &owned {
            let (barrier, shared) = (&barrier, &shared);
            scope.spawn(move || {
                barrier.wait();
                let store = patiently(|| Ok((maker.open)("crowds")));
                patiently(|| store.ensure(&space(DIMENSION)));
                barrier.wait();
                for (shared, own) in shared.chunks(50).zip(own.chunks(25)) {
                    patiently(|| store.upsert(shared));
                    patiently(|| store.upsert(own));
                    // What was written is found while others write.
                    for record in [&shared[0], &own[24]] {
                        let options = SearchOptions::nearest(1);
                        let hits = store.search(&record.embedding, &options).expect("search");
                        assert_eq!(hits.items[0].photo.path, record.photo.path);
                    }
                }
            });
        }
    });
    model.note(&shared);
    owned.iter().for_each(|own| model.note(own));
    let store = (maker.open)("crowds");
    model.holds(&*store);

    // One client for many threads: writes, searches, deletions of what is one's own.
    std::thread::scope(|scope| {
        for (thread, own) in owned.iter().enumerate() {
            let store = &*store;
            scope.spawn(move || {
                let place = format!("/sbir/c/{thread}");
                for _ in 0..3 {
                    let under = Selector::Under(place.clone().into());
                    assert_eq!(patiently(|| store.delete(&under)), 100);
                    let options = SearchOptions::nearest(5).under(Path::new(&place));
                    let query = &own[3].embedding;
                    assert_eq!(store.search(query, &options).expect("search").items.len(), 0);
                    // In another order than the others.
                    patiently(|| store.upsert(&own[..50]));
                    patiently(|| store.upsert(&own[50..]));
                    assert_eq!(store.search(query, &options).expect("search").items.len(), 5);
                }
            });
        }
    });
    model.holds(&*store);
    let stats = store.stats().expect("stats");
    assert_eq!((stats.photos, stats.roots), (1000, 1));
    model.search(&*store, &owned[0][0].embedding, &SearchOptions::nearest(10));
    model.found_enough();
}
