//! As many photos as a family has in a lifetime.

use std::collections::HashSet;
use std::path::Path;

use sbir_gallery::{SearchOptions, Selector};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

const PHOTOS: usize = 100_000;

/// 100,000 photos: loaded, counted, gone through, searched with and without a filter, and deleted in part.
pub fn many(maker: &Maker<'_>) {
    let store = (maker.open)("many");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(12), Model::new(maker.exact));
    let centres: Vec<_> = (0..200).map(|_| random.unit(DIMENSION)).collect();
    for part in 0..PHOTOS / 5000 {
        let batch: Vec<_> = (0..5000)
            .map(|i| {
                let i = part * 5000 + i;
                let centre = &centres[random.below(200)];
                let path = format!("{}/{}/{i}.jpg", i % 2, i / 100);
                record("/sbir/m", path, random.near(centre, 0.2))
            })
            .collect();
        model.upsert(&*store, &batch);
    }
    assert_eq!(store.stats().expect("stats").photos, PHOTOS as u64);
    assert_eq!(store.roots().expect("roots")[0].photos, PHOTOS as u64);
    store.settle().expect("settle");
    let mut ids = HashSet::new();
    let mut after = None;
    loop {
        let page = store.list(None, after, usize::MAX).expect("list");
        assert!(page.items.len() <= 10_000);
        ids.extend(page.items.iter().map(|photo| photo.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), PHOTOS);
    model.holds(&*store);
    for centre in &centres[..10] {
        let query = random.near(centre, 0.2);
        model.search(&*store, &query, &SearchOptions::nearest(10));
        // Half of them, and a hundredth of a hundredth and less.
        for place in ["/sbir/m/1", "/sbir/m/0/77", "/sbir/m/0/77/7700.jpg"] {
            model.search(&*store, &query, &SearchOptions::nearest(10).under(Path::new(place)));
        }
    }
    let some: Vec<_> = ids.into_iter().take(20_000).collect();
    assert_eq!(store.delete(&Selector::Ids(some)).expect("delete"), 20_000);
    assert_eq!(store.delete(&Selector::All).expect("delete"), 80_000);
    assert_eq!(store.stats().expect("stats").photos, 0);
    model.found_enough();
}
