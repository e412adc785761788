//! Loads synthetic photos into a PostgreSQL server of its own, and measures: `load [PHOTOS [DIMENSION [EF_SEARCH]]]`.
//!
//! Vectors lie around a thousand centres, queries beside them. What is found along the index is compared with what an
//! exact search finds.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::Instant;

use sbir_gallery::{Photo, PhotoId, Record, RelPath, SearchOptions, Space, VectorStore as _};
use sbir_postgres::{Options, Postgres};
use sbir_servers::Postgres as Server;

const BATCH: usize = 5_000;
const QUERIES: usize = 200;

fn main() {
    let argument =
        |place, default| std::env::args().nth(place).map_or(default, |text| text.parse().unwrap());
    let (photos, dimension, ef_search) = (argument(1, 50_000), argument(2, 512), argument(3, 200));
    let server = Server::start_with(&["shared_buffers=1GB", "max_wal_size=4GB"]).unwrap();
    server.create_database("photos").unwrap();
    let password = Some(Server::PASSWORD.to_owned());
    let options = Options { password, ef_search, ..Options::default() };
    let gallery = Postgres::connect(&server.url("photos"), options.clone()).unwrap();
    gallery.ensure(&Space { fingerprint: "load".into(), dimension }).unwrap();

    let mut random = Random(1);
    let centres: Vec<_> = (0..1000).map(|_| random.near(&vec![0.0; dimension], 1.0)).collect();
    let mut load = |from: usize, to: usize| {
        let mut seconds = 0.0;
        for from in (from..to).step_by(BATCH) {
            let batch: Vec<_> = (from..to.min(from + BATCH))
                .map(|i| record(i, random.near(&centres[i % 1000], 0.7)))
                .collect();
            let began = Instant::now();
            gallery.upsert(&batch).unwrap();
            seconds += began.elapsed().as_secs_f64();
        }
        (to - from) as f64 / seconds
    };
    println!("{photos} photos, dimension {dimension}, ef_search {ef_search}");
    println!("load without an index: {:.0} rows/s", load(0, photos));
    println!("peak memory of this process: {} MB", peak() >> 20);
    println!("disk before the index: {} MB", gallery.stats().unwrap().bytes >> 20);
    let began = Instant::now();
    gallery.settle().unwrap();
    println!("index: built in {:.1} s", began.elapsed().as_secs_f64());
    println!("disk with the index: {} MB", gallery.stats().unwrap().bytes >> 20);
    println!("memory of the server: {} MB", server.memory().unwrap() >> 20);

    let mut random = Random(2);
    let queries: Vec<_> = (0..QUERIES).map(|i| random.near(&centres[i], 0.7)).collect();
    let exact = Options { exact: usize::MAX, ..options };
    let exact = Postgres::connect(&server.url("photos"), exact).unwrap();
    for under in [None, Some("/photos/0"), Some("/photos/1")] {
        let mut search = SearchOptions::nearest(10);
        search.under = under.map(Into::into);
        let (mut found, mut times, mut slow, mut full) = (0, Vec::new(), Vec::new(), 0);
        for query in &queries {
            let began = Instant::now();
            let hits = gallery.search(query, &search).unwrap();
            times.push(began.elapsed().as_secs_f64() * 1e3);
            full += usize::from(hits.exhaustive);
            let began = Instant::now();
            let all = exact.search(query, &search).unwrap();
            slow.push(began.elapsed().as_secs_f64() * 1e3);
            assert!(all.exhaustive && hits.items.len() == 10);
            let ids: HashSet<_> = all.items.iter().map(|hit| hit.photo.id).collect();
            found += hits.items.iter().filter(|hit| ids.contains(&hit.photo.id)).count();
        }
        times.sort_by(f64::total_cmp);
        slow.sort_by(f64::total_cmp);
        println!(
            "under {under:?}: recall@10 {:.4}, p50 {:.1} ms, p95 {:.1} ms, {full} of {QUERIES} exact; exact p50 {:.1} ms",
            found as f64 / (10 * QUERIES) as f64,
            times[QUERIES / 2],
            times[QUERIES * 95 / 100],
            slow[QUERIES / 2],
        );
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in queries.chunks(QUERIES / 4) {
            let gallery = &gallery;
            scope.spawn(move || {
                for query in part {
                    gallery.search(query, &SearchOptions::nearest(10)).unwrap();
                }
            });
        }
    });
    println!("four clients: {:.0} queries/s", QUERIES as f64 / began.elapsed().as_secs_f64());
    println!("load with the index there: {:.0} rows/s", load(photos, photos + 2 * BATCH));
}

fn record(i: usize, embedding: Vec<f32>) -> Record {
    let photo = Photo {
        id: PhotoId(0),
        root: "/photos".into(),
        // A half, and a hundredth.
        path: RelPath::new(
            format!("{}/{}.jpg", if i % 100 == 1 { 1 } else { i % 2 * 2 }, i).into(),
        )
        .unwrap(),
        size: 100_000,
        mtime_ns: 0,
        hash: std::array::from_fn(|place| (i >> (place % 8 * 8)) as u8),
        width: 640,
        height: 480,
    };
    Record { photo, embedding }
}

/// The most memory that this process had at once, in bytes.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

struct Random(u64);

impl Random {
    /// A vector of unit length around a centre: noise of `spread` times its length.
    fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        let scale = spread * (3.0 / centre.len() as f32).sqrt();
        let values: Vec<_> = centre
            .iter()
            .map(|value| {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                value + scale * ((self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect();
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter().map(|value| value / norm).collect()
    }
}
