//! Searches against scoring every stored vector.

use proptest::prelude::*;
use sbir_gallery::{
    Error, Gallery, Photo, PhotoId, Record, SearchOptions, Selector, Space, VectorStore as _,
};

use crate::support::{Place, rel};

fn unit(values: &[f32]) -> Vec<f32> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-3);
    values.iter().map(|value| value / norm).collect()
}

fn record(root: &str, path: &str, embedding: Vec<f32>) -> Record {
    let photo = Photo {
        id: PhotoId(0),
        root: root.into(),
        path: rel(path),
        size: 1,
        mtime_ns: -5,
        hash: [7; 32],
        width: 3,
        height: 2,
    };
    Record { photo, embedding }
}

fn space(dimension: usize) -> Space {
    Space { fingerprint: "test".into(), dimension }
}

/// What scoring all that `scan` gives finds.
fn all_scored(
    gallery: &Gallery,
    query: &[f32],
    keep: impl Fn(&Photo) -> bool,
) -> Vec<(PhotoId, u32)> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = gallery.scan(after, 77).unwrap();
        for record in page.items.iter().filter(|record| keep(&record.photo)) {
            let halves: Vec<_> =
                record.embedding.iter().map(|v| half::f16::from_f32(*v).to_bits()).collect();
            found.push((record.photo.id, sbir_kernels::scan::score(query, &halves)));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    found.into_iter().map(|(id, score)| (id, score.to_bits())).collect()
}

fn found(gallery: &Gallery, query: &[f32], options: &SearchOptions) -> Vec<(PhotoId, u32)> {
    let hits = gallery.search(query, options).unwrap();
    assert!(hits.exhaustive);
    hits.items.iter().map(|hit| (hit.photo.id, hit.score.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Any sequence of writes and removals, in any number of pieces, leaves searches exact.
    #[test]
    fn stays_exact_while_rows_come_and_go(
        steps in prop::collection::vec((0_u8..5, 1_usize..120, any::<u32>()), 1..12),
        spread in prop::sample::select(vec![1e-4_f32, 1e-2, 1.0]),
    ) {
        let place = Place::new();
        let gallery = place.gallery();
        gallery.ensure(&space(20)).unwrap();
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let query = unit(&(0..20).map(|_| random()).collect::<Vec<_>>());
        for (kind, count, seed) in steps {
            match kind {
                0 => {
                    let page = gallery.list(None, None, count).unwrap();
                    let ids = page.items.iter().map(|photo| photo.id).skip(seed as usize % 7).collect();
                    gallery.delete(&Selector::Ids(ids)).unwrap();
                }
                1 => gallery.settle().unwrap(),
                _ => {
                    let batch: Vec<_> = (0..count)
                        .map(|place| {
                            let values: Vec<_> = query.iter().map(|v| v + spread * random()).collect();
                            let folder = ["x", "xy", "x/y"][place % 3];
                            record("/r", &format!("{folder}/{}", (seed as usize + place) % 300), unit(&values))
                        })
                        .collect();
                    gallery.upsert(&batch).unwrap();
                }
            }
            let expected = all_scored(&gallery, &query, |_| true);
            for k in [1, 10, 1000] {
                let nearest = found(&gallery, &query, &SearchOptions::nearest(k));
                prop_assert_eq!(&nearest, &expected[..k.min(expected.len())]);
            }
            let below = all_scored(&gallery, &query, |photo| photo.path.is_under(b"x"));
            let options = SearchOptions::nearest(15).under("/r/x".as_ref());
            prop_assert_eq!(&found(&gallery, &query, &options), &below[..15.min(below.len())]);
        }
    }
}

#[test]
fn ten_thousand_near_duplicates_are_told_apart() {
    let place = Place::new();
    let gallery = place.gallery();
    gallery.ensure(&space(64)).unwrap();
    let centre = unit(&(0..64).map(|i| ((i * 37) % 19) as f32 - 9.0).collect::<Vec<_>>());
    let records: Vec<_> = (0..10_000_u32)
        .map(|i| {
            let values: Vec<_> = centre
                .iter()
                .enumerate()
                .map(|(j, v)| v + 1e-4 * ((i.wrapping_mul(2_654_435_761) >> (j % 24)) % 17) as f32)
                .collect();
            record("/dup", &format!("{i}"), unit(&values))
        })
        .collect();
    gallery.upsert(&records).unwrap();
    let expected = all_scored(&gallery, &centre, |_| true);
    assert_eq!(found(&gallery, &centre, &SearchOptions::nearest(40)), expected[..40]);
    // From the derived file too.
    gallery.settle().unwrap();
    assert!(place.gallery_path().with_file_name("gallery.sbir-vectors").exists());
    let again = place.gallery();
    assert_eq!(found(&again, &centre, &SearchOptions::nearest(40)), expected[..40]);
    let queries: Vec<_> = records.iter().step_by(150).map(|record| &record.embedding[..]).collect();
    let hits = again.search_batch(&queries, &SearchOptions::nearest(5)).unwrap();
    for (query, hits) in queries.iter().zip(hits) {
        let hits: Vec<_> =
            hits.items.iter().map(|hit| (hit.photo.id, hit.score.to_bits())).collect();
        assert_eq!(hits, all_scored(&gallery, query, |_| true)[..5]);
    }
}

#[test]
fn a_least_score_and_a_folder_leave_out_the_rest() {
    let place = Place::new();
    let gallery = place.gallery();
    gallery.ensure(&space(2)).unwrap();
    let at = |degrees: f32| {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        vec![cosine, sine]
    };
    let names = ["a/1", "a/2", "ab/3", "b/4", "b/c/5"];
    let records: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(place, name)| record("/root", name, at(20.0 * place as f32)))
        .chain([record("/rooted", "a/6", at(5.0)), record("/", "root2/7", at(6.0))])
        .collect();
    gallery.upsert(&records).unwrap();
    let paths = |options: &SearchOptions| -> Vec<String> {
        let hits = gallery.search(&at(0.0), options).unwrap();
        hits.items.iter().map(|hit| hit.photo.display()).collect()
    };
    let nearest = SearchOptions::nearest(10);
    assert_eq!(paths(&nearest).len(), 7);
    assert_eq!(paths(&nearest.clone().under("/root/a".as_ref())), ["/root/a/1", "/root/a/2"]);
    assert_eq!(paths(&nearest.clone().under("/root/a/".as_ref())), ["/root/a/1", "/root/a/2"]);
    assert_eq!(paths(&nearest.clone().under("/root/b/c/5".as_ref())), ["/root/b/c/5"]);
    assert_eq!(paths(&nearest.clone().under("/root".as_ref())).len(), 5);
    assert_eq!(paths(&nearest.clone().under("/root2".as_ref())), ["/root2/7"]);
    assert_eq!(paths(&nearest.clone().under("/".as_ref())).len(), 7);
    assert_eq!(paths(&nearest.clone().under("/elsewhere".as_ref())).len(), 0);
    let close = SearchOptions { min_score: Some(0.9), ..nearest };
    assert_eq!(paths(&close), ["/root/a/1", "/rooted/a/6", "/root2/7", "/root/a/2"]);
    assert_eq!(paths(&SearchOptions::nearest(0)).len(), 0);
    assert!(matches!(gallery.search(&[f32::NAN, 0.0], &close), Err(Error::NotFinite)));
}
