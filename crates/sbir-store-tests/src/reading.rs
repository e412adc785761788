//! Reading photos by id, path and content, samples, roots and statistics.

use std::collections::HashSet;
use std::path::Path;

use sbir_gallery::{PhotoId, Record, RelPath};

use crate::Maker;
use crate::model::{DIMENSION, Model, Random, record, space};

/// Photos by id, by path, by content; samples; roots; statistics.
pub fn reading(maker: &Maker<'_>) {
    let store = (maker.open)("reading");
    store.ensure(&space(DIMENSION)).expect("a space");
    let (mut random, mut model) = (Random(6), Model::new(maker.exact));
    let roots = ["/sbir/r2", "/sbir/r1", "s3://bucket/folder"];
    let mut batch: Vec<_> = (0..300)
        .map(|i| record(roots[i % 3], format!("{}/{i}", i % 7), random.unit(DIMENSION)))
        .collect();
    for (place, record) in batch.iter_mut().enumerate().take(60) {
        record.photo.hash = [(place % 10) as u8; 32];
    }
    model.upsert(&*store, &batch);
    let listed = store.list(None, None, 1000).expect("list").items;
    assert_eq!(listed.len(), 300);

    // By id: all, some unknown, one twice.
    let mut ids: Vec<_> = listed.iter().map(|photo| photo.id).collect();
    let records = store.get(&ids).expect("get");
    assert_eq!(records.len(), 300);
    for record in &records {
        model.knows(record);
        let norm = record.embedding.iter().map(|value| value * value).sum::<f32>();
        assert!((norm - 1.0).abs() < 1e-2);
    }
    let known: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(records.iter().map(|record| record.photo.id).collect::<HashSet<_>>(), known);
    ids.truncate(5);
    ids.extend([PhotoId(u128::MAX), PhotoId(1 << 62), ids[0]]);
    let found: HashSet<_> = store.get(&ids).expect("get").iter().map(|r| r.photo.id).collect();
    assert_eq!(found, ids[..5].iter().copied().collect());

    // By path, in the order that was asked in.
    let path = |text: &str| RelPath::new(text.into()).expect("a path");
    let asked = [path("5/5"), path("nothing"), path("2/2"), path("5"), path("5/5"), path("0/0")];
    let found = store.lookup(Path::new("s3://bucket/folder"), &asked).expect("lookup");
    let names: Vec<_> =
        found.iter().map(|photo| photo.as_ref().map(|photo| photo.path.to_string())).collect();
    let five = Some("5/5".to_owned());
    assert_eq!(names, [five.clone(), None, Some("2/2".into()), None, five, None]);
    let whole = listed.iter().find(|photo| photo.path == asked[0]).expect("listed");
    assert_eq!(found[0].as_ref(), Some(whole));
    let found = store.lookup(Path::new("/sbir/r"), &asked).expect("lookup");
    assert!(found.iter().all(Option::is_none), "no such root");

    // By content: six each, of which up to four come.
    for place in 0..10 {
        let found = store.with_content(&[place; 32]).expect("with_content");
        assert!((1..=4).contains(&found.len()), "{}", found.len());
        assert!(distinct(&found));
        for record in &found {
            assert_eq!(record.photo.hash, [place; 32]);
            model.knows(record);
        }
    }
    assert_eq!(store.with_content(&batch[200].photo.hash).expect("with_content").len(), 1);
    assert_eq!(store.with_content(&[99; 32]).expect("with_content"), []);

    // Samples: none twice, and over time all.
    let mut seen = HashSet::new();
    for _ in 0..40 {
        let sample = store.sample(50).expect("sample");
        let ids: HashSet<_> = sample.iter().map(|photo| photo.id).collect();
        assert_eq!((sample.len(), ids.len()), (50, 50));
        assert!(ids.is_subset(&known));
        seen.extend(ids);
    }
    // Each is missed with probability (250 / 300)⁴⁰ = 0.0007.
    assert!(seen.len() > 280, "{} of 300 photos in 2,000 samples", seen.len());
    assert_eq!(store.sample(0).expect("sample"), []);
    for count in [300, 301, 5000] {
        let sample = store.sample(count).expect("sample");
        let ids: HashSet<_> = sample.iter().map(|photo| photo.id).collect();
        assert_eq!((sample.len(), ids.len()), (300, 300));
    }

    let roots = store.roots().expect("roots");
    let found: Vec<_> =
        roots.iter().map(|root| (root.path.to_str(), root.photos, root.present)).collect();
    assert_eq!(
        found,
        [
            (Some("/sbir/r1"), 100, false),
            (Some("/sbir/r2"), 100, false),
            (Some("s3://bucket/folder"), 100, true)
        ]
    );
    let stats = store.stats().expect("stats");
    assert_eq!((stats.photos, stats.roots, stats.space), (300, 3, Some(space(DIMENSION))));
    store.settle().expect("settle");
    store.compact().expect("compact");
    store.ready().expect("ready");
    model.holds(&*store);
}

fn distinct(records: &[Record]) -> bool {
    records.iter().map(|record| record.photo.id).collect::<HashSet<_>>().len() == records.len()
}
