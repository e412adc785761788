//! Searching without filters.

use sbir_gallery::{Error, SearchOptions};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// Searches of any length, with ties, thresholds, batches and bad queries.
pub fn searches(maker: &Maker<'_>) {
    let store = (maker.open)("searches");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(8), Model::new(maker.exact));
    let mut batch: Vec<_> = (0..1500)
        .map(|i| record("/sbir/s", format!("{}/{i}", i % 5), random.unit(DIMENSION)))
        .collect();
    // Thirty pictures of the same vector.
    let twin = random.unit(DIMENSION);
    batch.extend((0..30).map(|i| record("/sbir/s", format!("twin/{i}"), twin.clone())));
    model.upsert(&*store, &batch);
    let queries: Vec<_> = (0..20).map(|_| random.unit(DIMENSION)).collect();
    for query in &queries {
        for k in [0, 1, 2, 10, 100, 1529, 1530, 1531, 5000] {
            model.search(&*store, query, &SearchOptions::nearest(k));
        }
        // Below, within and above all scores; the opposite of the query is at least at -1.
        for least in [-2.0, -0.2, 0.0, 0.3, 0.6, 2.0] {
            let mut least = least;
            while model
                .records
                .values()
                .any(|record| (crate::model::cosine(query, &record.embedding) - least).abs() < 5e-4)
            {
                // So that no rounding decides.
                least += 1e-4;
            }
            for k in [5, 5000] {
                let options = SearchOptions { min_score: Some(least), ..SearchOptions::nearest(k) };
                model.search(&*store, query, &options);
            }
        }
    }
    // Ties are in order of id; which ten of thirty is the store's choice only where it is approximate.
    let hits = model.search(&*store, &twin, &SearchOptions::nearest(10));
    assert!(hits.items.iter().all(|hit| (hit.score - 1.0).abs() < 1e-3));
    let all = model.search(&*store, &twin, &SearchOptions::nearest(30));
    let ids =
        |hits: &sbir_gallery::Hits| hits.items.iter().map(|hit| hit.photo.id).collect::<Vec<_>>();
    if hits.exhaustive && all.exhaustive {
        assert_eq!(ids(&hits), ids(&all)[..10]);
    }
    // A batch is its searches.
    let asked: Vec<_> = queries.iter().map(Vec::as_slice).collect();
    for k in [1, 10, 200] {
        let options = SearchOptions::nearest(k);
        let together = store.search_batch(&asked, &options).expect("search_batch");
        assert_eq!(together.len(), asked.len());
        for (query, together) in asked.iter().zip(&together) {
            model.judge(together, query, &options);
            let alone = store.search(query, &options).expect("search");
            if together.exhaustive && alone.exhaustive {
                assert_eq!(ids(together), ids(&alone));
            }
        }
    }
    // Bad queries; a longer one than the space has, and values that are none.
    let error = store.search(&[0.5; DIMENSION + 1], &SearchOptions::default()).expect_err("long");
    assert!(matches!(error, Error::OtherDimension { .. }), "{error:?}");
    let error = store.search(&[], &SearchOptions::default()).expect_err("none");
    assert!(matches!(error, Error::OtherDimension { .. }), "{error:?}");
    for value in [f32::NAN, f32::INFINITY] {
        let mut query = queries[0].clone();
        query[2] = value;
        let error = store.search_batch(&[&queries[1], &query], &SearchOptions::default());
        assert!(matches!(error, Err(Error::NotFinite)), "{error:?}");
    }
    // Derived data anew: the same answers.
    store.settle().expect("settle");
    store.compact().expect("compact");
    for query in &queries {
        model.search(&*store, query, &SearchOptions::nearest(10));
    }
    model.found_enough();
}
