//! The index of embeddings, and searches along it with filters.

use sbir_gallery::{Hits, Record, SearchOptions, VectorStore as _};
use sbir_postgres::{Options, Postgres};

use crate::support::{DIMENSION, Random, open, options, record, server, space};

const PHOTOS: usize = 20_000;
/// Up to so many are all compared.
const EXACT: usize = 4_000;

/// Searches below a folder beside every photo's cosine; gives the share of the nearest that were found.
fn recall(found: &[Hits], queries: &[Vec<f32>], records: &[&Record], k: usize) -> f64 {
    let (mut right, mut wanted) = (0, 0);
    for (hits, query) in found.iter().zip(queries) {
        let score =
            |record: &&Record| query.iter().zip(&record.embedding).map(|(a, b)| a * b).sum::<f32>();
        let mut scores: Vec<_> = records.iter().map(score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.truncate(k);
        assert_eq!(hits.items.len(), scores.len(), "never short");
        let Some(last) = scores.last() else { continue };
        wanted += scores.len();
        right += hits.items.iter().filter(|hit| hit.score > last - 1e-3).count();
    }
    if wanted == 0 { 1.0 } else { right as f64 / wanted as f64 }
}

#[test]
fn filters_of_any_share_find_all_that_is_nearest() {
    let Some(server) = server() else { return };
    let options = Options { exact: EXACT, ..options() };
    let gallery = Postgres::connect(&server.url("photos"), options).unwrap();
    gallery.ensure(&space()).unwrap();
    let mut random = Random(3);
    let records: Vec<_> = (0..PHOTOS)
        .map(|i| {
            // 50 %, and within the rest 1 % and 0.01 % of all, and a half that lies far from the queries.
            let folder = match i {
                _ if i % 2 == 0 => "half",
                _ if i % 100 == 1 => "percent",
                _ if i % 10_000 == 3 || i == 5 => "few",
                _ => "far",
            };
            let mut vector = random.vector(DIMENSION);
            vector[0] = if folder == "far" { -vector[0].abs() - 0.5 } else { vector[0] };
            record(&format!("{folder}/{i}"), &vector)
        })
        .collect();
    gallery.upsert(&records).unwrap();
    let mut queries: Vec<_> = (0..40).map(|_| random.vector(DIMENSION)).collect();
    for query in &mut queries {
        query[0] = query[0].abs() + 0.5;
        *query = crate::support::unit(query);
    }
    let asked: Vec<_> = queries.iter().map(Vec::as_slice).collect();
    let folders = ["half", "percent", "few", "far", "nothing"];
    let compare = |indexed: bool| {
        for folder in folders.map(Some).into_iter().chain([None]) {
            let below = folder.map(|folder| format!("{folder}/"));
            let allowed: Vec<_> = records
                .iter()
                .filter(|record| {
                    below.as_ref().is_none_or(|below| {
                        record.photo.path.as_bytes().starts_with(below.as_bytes())
                    })
                })
                .collect();
            for k in [1, 10, 100] {
                let mut options = SearchOptions::nearest(k);
                options.under = folder.map(|folder| format!("/photos/{folder}").into());
                let found = gallery.search_batch(&asked, &options).unwrap();
                let recall = recall(&found, &queries, &allowed, k);
                let exhaustive = found.iter().filter(|hits| hits.exhaustive).count();
                println!(
                    "{folder:?} of {}: k {k}, recall {recall:.4}, {exhaustive} exact",
                    allowed.len()
                );
                assert!(recall >= 0.99, "{folder:?}, k {k}: {recall}");
                if !indexed || allowed.len() <= EXACT {
                    assert_eq!(exhaustive, 40);
                    assert!(recall == 1.0 && found[0].searched == allowed.len() as u64);
                }
                if indexed && folder.is_none() {
                    assert_eq!(exhaustive, 0, "the index is used");
                }
            }
        }
    };
    compare(false);
    gallery.settle().unwrap();
    assert!(used(&server));
    compare(true);
    // It is derived: nobody misses it, and it comes back.
    server.sql("photos", "DROP INDEX sbir.photo_embedding").unwrap();
    compare(false);
    gallery.compact().unwrap();
    assert!(used(&server));
    // Half built, as a kill leaves it.
    let cut = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sbir.photo_embedding'::regclass";
    server.sql("photos", cut).unwrap();
    assert!(gallery.search(&queries[0], &SearchOptions::default()).unwrap().exhaustive);
    gallery.settle().unwrap();
    assert!(used(&server));
    compare(true);
}

fn used(server: &sbir_servers::Postgres) -> bool {
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('sbir.photo_embedding') AND indisvalid";
    server.sql("photos", valid).unwrap() == "1"
}

#[test]
fn few_photos_need_no_index() {
    let Some(server) = server() else { return };
    let gallery = open(&server, "sbir");
    gallery.ensure(&space()).unwrap();
    gallery.upsert(&[record("a", &[1.0; DIMENSION])]).unwrap();
    gallery.settle().unwrap();
    gallery.compact().unwrap();
    assert!(!used(&server));
}
