//! Loads synthetic photos into a gallery on Qdrant with bounded memory, and measures loading and searching:
//!
//! `load URL PHOTOS [DIMENSION] [SPREAD]`
//!
//! The vectors lie in clusters, as those of photos do: the centre of one of a thousand clusters plus noise. Queries lie
//! further out, as sketches do. What a photo's vector is follows from its number, so that a run that was stopped can be
//! gone on with. One line of JSON a measurement on stdout; progress on stderr.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sbir_gallery::{Photo, PhotoId, Record, RelPath, SearchOptions, Space, VectorStore as _};
use sbir_qdrant::{Options, Qdrant};

const CLUSTERS: u64 = 1000;
const BATCH: usize = 4096;
const QUERIES: usize = 200;

/// Numbers that look random: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// Of variance one, about normal: a sum of the sixteen bytes of two numbers.
    fn normal(&mut self) -> f32 {
        let sum: u32 = [self.next(), self.next()]
            .map(|bits| bits.to_le_bytes().map(u32::from).iter().sum::<u32>())
            .iter()
            .sum();
        // Each byte has the mean 127.5 and the variance (256² − 1) / 12.
        (sum as f32 - 2040.0) / (16.0_f32 * 5461.25).sqrt()
    }
}

fn vector(seed: u64, cluster: u64, dimension: usize, spread: f32) -> Vec<f32> {
    let (mut centre, mut noise) = (Random(cluster.wrapping_mul(77) ^ 1 << 60), Random(seed));
    let values: Vec<f32> =
        (0..dimension).map(|_| centre.normal() + spread * noise.normal()).collect();
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / norm).collect()
}

fn record(number: usize, dimension: usize, spread: f32) -> Record {
    let cluster = Random(number as u64).next() % CLUSTERS;
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    let path = format!("{:03}/{:03}/{number}.jpg", cluster, number / 1000 % 1000);
    let photo = Photo {
        id: PhotoId(0),
        root: "/synthetic".into(),
        path: RelPath::new(path.into_bytes()).unwrap(),
        size: 1_000_000 + number as u64,
        mtime_ns: 1_700_000_000_000_000_000,
        hash,
        width: 4000,
        height: 3000,
    };
    Record { photo, embedding: vector(number as u64 ^ 1 << 40, cluster, dimension, spread) }
}

/// The most memory that this process had at once, in MiB.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, photos, more @ ..] = &arguments[..] else {
        return Err("usage: load URL PHOTOS [DIMENSION] [SPREAD]".into());
    };
    let photos: usize = photos.parse()?;
    let dimension: usize = more.first().map_or(Ok(512), |text| text.parse())?;
    let spread: f32 = more.get(1).map_or(Ok(0.8), |text| text.parse())?;
    let options = Options { settle: Duration::from_secs(6 * 3600), ..Options::from_env()? };
    let gallery = Qdrant::connect(url, options.clone())?;
    gallery.ensure(&Space { fingerprint: "synthetic".into(), dimension })?;

    let began = Instant::now();
    let mut done = gallery.stats()?.photos as usize / BATCH * BATCH;
    let first = done;
    let mut said = Instant::now();
    while done < photos {
        let end = (done + BATCH).min(photos);
        let batch: Vec<_> = (done..end).map(|number| record(number, dimension, spread)).collect();
        gallery.upsert(&batch)?;
        done = end;
        if said.elapsed() > Duration::from_secs(10) {
            eprintln!("{done} of {photos}, {} s, {} MiB", began.elapsed().as_secs(), peak());
            said = Instant::now();
        }
    }
    let loaded = began.elapsed().as_secs_f64();
    println!(
        "{{\"what\":\"load\",\"photos\":{},\"dimension\":{dimension},\"s\":{loaded:.1},\"photos_per_s\":{:.0},\"peak_mib\":{}}}",
        done - first,
        (done - first) as f64 / loaded,
        peak()
    );
    let began = Instant::now();
    gallery.settle()?;
    println!(
        "{{\"what\":\"index\",\"s\":{:.1},\"done\":{}}}",
        began.elapsed().as_secs_f64(),
        gallery.is_indexed()?
    );

    // Further out than photos: with twice the noise.
    let queries: Vec<_> = (0..QUERIES as u64)
        .map(|number| vector(number ^ 1 << 50, number * 7 % CLUSTERS, dimension, 2.0 * spread))
        .collect();
    let nearest = SearchOptions::nearest(10);
    let ids = |gallery: &Qdrant| -> Result<Vec<HashSet<PhotoId>>, sbir_gallery::Error> {
        let search = |query: &Vec<f32>| {
            let hits = gallery.search(query, &nearest)?;
            Ok(hits.items.into_iter().map(|hit| hit.photo.id).collect())
        };
        queries.iter().map(search).collect()
    };
    let exact = Qdrant::connect(url, Options { exact_up_to: u64::MAX, ..options.clone() })?;
    let began = Instant::now();
    let truth = ids(&exact)?;
    let exact_s = began.elapsed().as_secs_f64() / QUERIES as f64;
    for (beam, oversampling) in [(64, 2.0), (128, 2.0), (256, 3.0), (512, 3.0), (1024, 4.0)] {
        let options = Options { exact_up_to: 0, beam, oversampling, ..options.clone() };
        let gallery = Qdrant::connect(url, options)?;
        ids(&gallery)?;
        let mut times = Vec::new();
        let mut found = 0;
        for (query, truth) in queries.iter().zip(&truth) {
            let began = Instant::now();
            let hits = gallery.search(query, &nearest)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            found += hits.items.iter().filter(|hit| truth.contains(&hit.photo.id)).count();
        }
        times.sort_by(f64::total_cmp);
        let recall = found as f64 / truth.iter().map(HashSet::len).sum::<usize>() as f64;
        let rate = |threads: usize| {
            let next = AtomicUsize::new(0);
            let began = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        while let Some(query) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                            gallery.search(query, &nearest).unwrap();
                        }
                    });
                }
            });
            QUERIES as f64 / began.elapsed().as_secs_f64()
        };
        println!(
            "{{\"what\":\"search\",\"beam\":{beam},\"oversampling\":{oversampling},\"recall_at_10\":{recall:.4},\"median_ms\":{:.2},\"p95_ms\":{:.2},\"per_s_1\":{:.0},\"per_s_8\":{:.0},\"exact_ms\":{:.1}}}",
            times[QUERIES / 2],
            times[QUERIES * 95 / 100],
            rate(1),
            rate(8),
            exact_s * 1e3
        );
    }
    Ok(())
}
