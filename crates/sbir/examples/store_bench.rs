//! Loads vectors into a gallery of any kind and times searches there: the half of `benchsuite/scale.sh` that is ours.
//!
//! ```text
//! store_bench load GALLERY VECTORS.npy COUNT [SHARDS REPLICAS]
//! store_bench settle GALLERY SECONDS
//! store_bench search GALLERY QUERIES.npy TRUTH.npy K THREADS
//! ```
//!
//! Row `r` of the vectors becomes the photo `RRRR/RRRRRRRRRR.jpg` below `/bench`; the truth has, for each query, the rows of
//! its nearest vectors. Each command prints one JSON object.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sbir::gallery::{Photo, PhotoId, Record, RelPath, SearchOptions, Space};
use sbir::{AnyStore, Creation};
use serde_json::json;

/// How many photos are written together.
const BATCH: usize = 1000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", gallery, vectors, count] => {
            load(gallery, vectors, count.parse()?, Creation::default())
        }
        ["load", gallery, vectors, count, shards, replicas] => {
            let creation =
                Creation { shards: shards.parse().ok(), replicas: replicas.parse().ok() };
            load(gallery, vectors, count.parse()?, creation)
        }
        ["settle", gallery, seconds] => settle(gallery, Duration::from_secs(seconds.parse()?)),
        ["search", gallery, queries, truth, k, threads] => {
            search(gallery, queries, truth, k.parse()?, threads.parse()?)
        }
        _ => Err("see the head of this file".into()),
    }
}

/// A NumPy matrix of little-endian values of four bytes, row by row.
struct Matrix {
    file: BufReader<File>,
    rows: usize,
    columns: usize,
}

impl Matrix {
    fn open(path: &str) -> Result<Self> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut start = [0; 10];
        file.read_exact(&mut start)?;
        let mut header = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
        file.read_exact(&mut header)?;
        let header = String::from_utf8(header)?;
        let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next());
        let sides: Vec<usize> = shape
            .ok_or("no shape")?
            .split(',')
            .map(str::trim)
            .filter(|side| !side.is_empty())
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        let [rows, columns] = sides[..] else { return Err("not a matrix".into()) };
        Ok(Self { file, rows, columns })
    }

    fn row(&mut self) -> Result<Vec<[u8; 4]>> {
        let mut bytes = vec![0; self.columns * 4];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks().0.to_vec())
    }

    fn floats(&mut self) -> Result<Vec<f32>> {
        Ok(self.row()?.into_iter().map(f32::from_le_bytes).collect())
    }

    fn all<T>(mut self, value: impl Fn([u8; 4]) -> T) -> Result<Vec<Vec<T>>> {
        (0..self.rows).map(|_| Ok(self.row()?.into_iter().map(&value).collect())).collect()
    }
}

fn photo(row: usize) -> Result<Photo> {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&row.to_le_bytes());
    Ok(Photo {
        id: PhotoId(0),
        root: "/bench".into(),
        path: RelPath::new(format!("{:04}/{row:010}.jpg", row / 1000).into_bytes())?,
        size: 100_000,
        mtime_ns: 1_700_000_000_000_000_000,
        hash,
        width: 640,
        height: 480,
    })
}

/// A number of kilobytes that the system says of this process.
fn kilobytes(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Writes the rows that are not there yet.
fn load(gallery: &str, vectors: &str, count: usize, creation: Creation) -> Result<()> {
    let store = AnyStore::open(Path::new(gallery), Some(creation))?.store();
    let mut matrix = Matrix::open(vectors)?;
    let count = count.min(matrix.rows);
    store.ensure(&Space { fingerprint: "bench".into(), dimension: matrix.columns })?;
    let before = usize::try_from(store.stats()?.photos)?;
    for _ in 0..before {
        matrix.row()?;
    }
    let start = Instant::now();
    let mut batch = Vec::with_capacity(BATCH);
    for row in before..count {
        batch.push(Record { photo: photo(row)?, embedding: matrix.floats()? });
        if batch.len() == BATCH || row + 1 == count {
            store.upsert(&batch)?;
            batch.clear();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let loaded = count.saturating_sub(before);
    println!(
        "{}",
        json!({
            "what": "load", "gallery": store.name(), "photos": store.stats()?.photos, "loaded": loaded,
            "seconds": seconds, "per_second": loaded as f64 / seconds,
            "peak_rss_mib": kilobytes("VmHWM") as f64 / 1024.0,
        })
    );
    Ok(())
}

/// Waits until the gallery has built what searches use.
fn settle(gallery: &str, within: Duration) -> Result<()> {
    let any = AnyStore::open(Path::new(gallery), None)?;
    let (store, start) = (any.store(), Instant::now());
    store.settle()?;
    let indexed = loop {
        let done = match &any {
            AnyStore::Qdrant(qdrant) => qdrant.is_indexed()?,
            _ => true,
        };
        if done || start.elapsed() > within {
            break done;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "what": "settle", "gallery": store.name(), "seconds": seconds, "indexed": indexed,
            "bytes": store.stats()?.bytes,
        })
    );
    Ok(())
}

fn search(gallery: &str, queries: &str, truth: &str, k: usize, threads: usize) -> Result<()> {
    let opening = Instant::now();
    let store = AnyStore::open(Path::new(gallery), None)?.store();
    let queries = Matrix::open(queries)?.all(f32::from_le_bytes)?;
    let truth = Matrix::open(truth)?.all(i32::from_le_bytes)?;
    let options = SearchOptions::nearest(k);
    let ask = |query: &[f32]| store.search(query, &options);
    ask(&queries[0])?;
    let opening = opening.elapsed().as_secs_f64();
    // Once over all, so that what can be in memory is.
    for query in &queries {
        ask(query)?;
    }

    let (mut times, mut found, mut exhaustive) = (Vec::new(), 0, true);
    for (query, truth) in queries.iter().zip(&truth) {
        let start = Instant::now();
        let hits = ask(query)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        exhaustive &= hits.exhaustive;
        for hit in &hits.items {
            let name = String::from_utf8_lossy(hit.photo.path.file_name()).into_owned();
            let row: i32 = name.trim_end_matches(".jpg").parse()?;
            found += usize::from(truth[..k].contains(&row));
        }
    }
    times.sort_by(f64::total_cmp);

    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(query) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if ask(query).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let rate = queries.len() as f64 / start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "what": "search", "gallery": store.name(), "photos": store.stats()?.photos, "k": k,
            "queries": queries.len(), "recall": found as f64 / (queries.len() * k) as f64,
            "exhaustive": exhaustive, "opening_s": opening, "median_ms": times[times.len() / 2],
            "p95_ms": times[times.len() * 95 / 100], "threads": threads, "queries_per_second": rate,
            "failed": failed.into_inner(), "peak_rss_mib": kilobytes("VmHWM") as f64 / 1024.0,
            "anonymous_mib": kilobytes("RssAnon") as f64 / 1024.0,
        })
    );
    Ok(())
}
