//! Galleries of made vectors, and how fast they are searched: the half of `benchsuite/search.sh` that measures this
//! project.
//!
//! ```text
//! search_bench make GALLERY ROWS DIMENSION [NEAR_DUPLICATES]
//! search_bench export GALLERY NPY
//! search_bench search GALLERY QUERIES.npy K REPEATS OUT.json
//! search_bench scored NPY QUERIES.npy K OUT.json
//! ```
//!
//! `scored` is what `search` must find: every exported vector scored in f32, one after the other.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sbir_gallery::{
    Gallery, Photo, PhotoId, Record, RelPath, SearchOptions, Space, VectorStore as _, export,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", gallery, rows, dimension] => make(gallery, rows.parse()?, dimension.parse()?, 0),
        ["make", gallery, rows, dimension, near] => {
            make(gallery, rows.parse()?, dimension.parse()?, near.parse()?)
        }
        ["export", gallery, npy] => {
            let lines = format!("{npy}.jsonl");
            export(&Gallery::open(gallery.as_ref())?, npy.as_ref(), lines.as_ref())?;
            fs_err::remove_file(lines)?;
            Ok(())
        }
        ["search", gallery, queries, k, repeats, out] => {
            search(gallery, queries.as_ref(), k.parse()?, repeats.parse()?, out.as_ref())
        }
        ["scored", npy, queries, k, out] => {
            scored(npy.as_ref(), queries.as_ref(), k.parse()?, out.as_ref())
        }
        _ => Err("see the head of this file for the arguments".into()),
    }
}

/// SplitMix64, made normal by the sum of twelve uniform values.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    fn unit(&mut self, dimension: usize) -> Vec<f32> {
        let normal = |random: &mut Self| (0..12).map(|_| random.uniform()).sum::<f32>() - 6.0;
        normalised((0..dimension).map(|_| normal(self)).collect())
    }
}

fn normalised(mut values: Vec<f32>) -> Vec<f32> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= norm);
    values
}

/// Random vectors; the last `near` are one of them with a little added.
fn make(path: &str, rows: usize, dimension: usize, near: usize) -> Result<(), Box<dyn Error>> {
    let gallery = Gallery::open_or_create(path.as_ref())?;
    gallery.ensure(&Space { fingerprint: "made".into(), dimension })?;
    let mut random = Random(7);
    let centre = random.unit(dimension);
    let mut batch = Vec::new();
    for row in 0..rows {
        let embedding = if row < rows - near {
            random.unit(dimension)
        } else {
            normalised(centre.iter().map(|v| v + 1e-4 * (random.uniform() - 0.5)).collect())
        };
        let path = RelPath::new(format!("{:03}/{row:09}.jpg", row / 10_000).into_bytes())?;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&row.to_le_bytes());
        let photo = Photo {
            id: PhotoId(0),
            root: "/made".into(),
            path,
            size: 1,
            mtime_ns: 0,
            hash,
            width: 1,
            height: 1,
        };
        batch.push(Record { photo, embedding });
        if batch.len() == 20_000 || row + 1 == rows {
            gallery.upsert(&batch)?;
            batch.clear();
        }
    }
    gallery.settle()?;
    Ok(())
}

/// A matrix of f32 as NumPy writes it.
fn read_npy(path: &Path) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
    let bytes = fs_err::read(path)?;
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..header]).into_owned();
    let shape = text.split_once("'shape': (").ok_or("no shape")?.1;
    let columns = shape.split([',', ')']).nth(1).ok_or("no columns")?.trim().parse()?;
    let values = bytes[header..].as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
    Ok((values, columns))
}

/// Times one query at a time, then all of them at once; writes what was found.
fn search(
    path: &str,
    queries: &Path,
    k: usize,
    repeats: usize,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let (values, dimension) = read_npy(queries)?;
    let queries: Vec<_> = values.chunks_exact(dimension).collect();
    let options = SearchOptions::nearest(k);
    let peak = Peak::watch();
    let start = Instant::now();
    let gallery = Gallery::open(path.as_ref())?;
    gallery.search(queries[0], &options)?;
    let opening = start.elapsed().as_secs_f64();
    let mut single = Vec::new();
    for _ in 0..repeats {
        for query in &queries {
            let start = Instant::now();
            gallery.search(query, &options)?;
            single.push(start.elapsed().as_secs_f64());
        }
    }
    let mut together = Vec::new();
    let mut found = Vec::new();
    for _ in 0..repeats {
        let start = Instant::now();
        found = gallery.search_batch(&queries, &options)?;
        together.push(start.elapsed().as_secs_f64());
    }
    let results: Vec<Vec<_>> = found
        .iter()
        .map(|hits| hits.items.iter().map(|hit| (hit.photo.id.0, hit.score)).collect())
        .collect();
    let report = serde_json::json!({
        "opening_s": opening,
        "single_s": single,
        "together_s": together,
        "queries": queries.len(),
        "anonymous_kib": peak.stop(),
        "file_kib": kib("RssFile:"),
        "resident_kib": kib("VmHWM:"),
        "found": results,
    });
    fs_err::write(out, serde_json::to_vec(&report)?)?;
    Ok(())
}

/// A line of this process's status, in KiB.
fn kib(name: &str) -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The most memory that is no file's, looked at every two milliseconds.
struct Peak {
    thread: std::thread::JoinHandle<()>,
}

static MOST: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

impl Peak {
    fn watch() -> Self {
        let thread = std::thread::spawn(|| {
            while !DONE.load(Ordering::Relaxed) {
                MOST.fetch_max(kib("RssAnon:").unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { thread }
    }

    fn stop(self) -> u64 {
        MOST.fetch_max(kib("RssAnon:").unwrap_or(0), Ordering::Relaxed);
        DONE.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        MOST.load(Ordering::Relaxed)
    }
}

/// The best of all vectors of an export, each scored in f32 as stored; rows are numbered from 1 as in a fresh gallery.
fn scored(npy: &Path, queries: &Path, k: usize, out: &Path) -> Result<(), Box<dyn Error>> {
    let (values, dimension) = read_npy(queries)?;
    let queries: Vec<_> = values.chunks_exact(dimension).collect();
    let mut file = std::io::BufReader::new(fs_err::File::open(npy)?);
    let mut start = [0; 10];
    file.read_exact(&mut start)?;
    let mut header = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut header)?;
    let mut bytes = vec![0; 4 * dimension];
    let mut best: Vec<Vec<(i64, f32)>> = vec![Vec::new(); queries.len()];
    let mut id = 0;
    while file.read_exact(&mut bytes).is_ok() {
        id += 1;
        let halves: Vec<u16> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|value| half::f16::from_f32(f32::from_le_bytes(*value)).to_bits())
            .collect();
        for (query, best) in queries.iter().zip(&mut best) {
            let score = sbir_kernels::scan::score(query, &halves);
            // Ties go to the lower number, which came first.
            if best.len() < k || best.last().is_some_and(|(_, least)| score > *least) {
                let place = best.partition_point(|(_, other)| *other >= score);
                best.insert(place, (id, score));
                best.truncate(k);
            }
        }
    }
    fs_err::write(out, serde_json::to_vec(&serde_json::json!({ "rows": id, "found": best }))?)?;
    Ok(())
}
