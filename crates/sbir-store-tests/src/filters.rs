//! Searching below a folder, whatever its share of the photos, and wherever they lie.

use std::path::Path;

use sbir_gallery::{Record, SearchOptions};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// How many photos each folder has of 12,000.
const FOLDERS: [(&str, usize); 6] =
    [("half", 6000), ("tenth", 1200), ("few", 120), ("two", 2), ("one", 1), ("far", 600)];

/// A filter never shortens the list: not where few photos are allowed, and not where those allowed are the last that
/// an index would come to.
pub fn filters(maker: &Maker<'_>) {
    let store = (maker.open)("filters");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(9), Model::new(maker.exact));
    let centres: Vec<_> = (0..8).map(|_| random.unit(DIMENSION)).collect();
    let opposite: Vec<_> = centres[0].iter().map(|value| -value).collect();
    let mut batch: Vec<Record> = Vec::new();
    for i in 0..12_000 {
        let centre = &centres[i % 8];
        let mut below = i;
        let folder = FOLDERS.iter().find(|(_, count)| {
            let inside = below < *count;
            below = below.saturating_sub(*count);
            inside
        });
        let folder = folder.map_or("rest", |(folder, _)| folder);
        // Those of one folder lie opposite to where the queries look.
        let centre = if folder == "far" { &opposite } else { centre };
        batch.push(record("/sbir/f", format!("{folder}/{i}"), random.near(centre, 0.15)));
    }
    for part in batch.chunks(3000) {
        model.upsert(&*store, part);
    }
    store.settle().expect("settle");
    let queries: Vec<_> =
        (0..6).map(|i| random.near(&centres[if i < 3 { 0 } else { i }], 0.3)).collect();
    let places = FOLDERS.map(|(folder, _)| format!("/sbir/f/{folder}"));
    let others = ["/sbir/f/rest", "/sbir/f", "/sbir", "/", "/sbir/f/nothing", "/sbir/f/hal"];
    for query in &queries {
        for place in places.iter().map(String::as_str).chain(others) {
            for k in [1, 10, 150] {
                let options = SearchOptions::nearest(k).under(Path::new(place));
                model.search(&*store, query, &options);
            }
            let mut least = 0.4;
            while model
                .records
                .values()
                .any(|record| (crate::model::cosine(query, &record.embedding) - least).abs() < 2e-5)
            {
                least += 1e-5;
            }
            // The margin is smaller than the rounding: the list may differ by those between.
            let options = SearchOptions {
                min_score: Some(least),
                ..SearchOptions::nearest(20).under(Path::new(place))
            };
            let hits = store.search(query, &options).expect("search");
            let count = |least: f32| {
                let allowed = model.under(Some(Path::new(place)));
                let scores = allowed.iter().map(|r| crate::model::cosine(query, &r.embedding));
                scores.filter(|score| *score >= least).count().min(20)
            };
            let (low, high) = (count(least + 1e-3), count(least - 1e-3));
            assert!((low..=high).contains(&hits.items.len()), "{place}: {} hits", hits.items.len());
            assert!(hits.items.iter().all(|hit| hit.score >= least));
        }
    }
    // The allowed ones go, one after the other.
    for place in ["/sbir/f/one", "/sbir/f/half", "/sbir/f/far"] {
        model.delete_under(&*store, Path::new(place));
        for query in &queries {
            for under in [place, "/sbir/f"] {
                model.search(&*store, query, &SearchOptions::nearest(30).under(Path::new(under)));
            }
        }
    }
    model.found_enough();
}
