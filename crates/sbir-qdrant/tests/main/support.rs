//! Servers and photos for the tests.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sbir_gallery::{Photo, PhotoId, Record, RelPath, Result, Space, VectorStore as _};
use sbir_qdrant::{Options, Qdrant};
use sbir_servers::{qdrant, skipped};

/// The vectors of the tests here.
pub(crate) const DIMENSION: usize = 32;

/// One node that the tests of a run share; the last of them ends it.
pub(crate) fn node() -> Option<Arc<qdrant::Qdrant>> {
    static SHARED: Mutex<Weak<qdrant::Qdrant>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    match qdrant::Qdrant::start() {
        Ok(server) => {
            let server = Arc::new(server);
            *shared = Arc::downgrade(&server);
            Some(server)
        }
        Err(error) => {
            skipped("Qdrant", &error);
            None
        }
    }
}

pub(crate) fn open(url: &str) -> Qdrant {
    Qdrant::connect(url, Options::default()).unwrap()
}

pub(crate) fn space(fingerprint: &str) -> Space {
    Space { fingerprint: fingerprint.into(), dimension: DIMENSION }
}

/// A photo of a number, whose vector follows from it.
pub(crate) fn record(number: usize) -> Record {
    let photo = Photo {
        id: PhotoId(0),
        root: "/sbir/photos".into(),
        path: RelPath::new(format!("{}/{number}.jpg", number % 10).into_bytes()).unwrap(),
        size: number as u64,
        mtime_ns: 1,
        hash: [number as u8; 32],
        width: 4,
        height: 3,
    };
    Record { photo, embedding: vector(number as u64) }
}

pub(crate) fn records(numbers: std::ops::Range<usize>) -> Vec<Record> {
    numbers.map(record).collect()
}

/// A vector of unit length that follows from a number.
pub(crate) fn vector(number: u64) -> Vec<f32> {
    // SplitMix64: https://prng.di.unimi.it/splitmix64.c
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..DIMENSION).map(|_| next()).collect();
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / norm).collect()
}

/// The numbers of all photos that a gallery has.
pub(crate) fn numbers(gallery: &Qdrant) -> Result<Vec<usize>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = gallery.list(None, after, 10_000)?;
        found.extend(page.items.iter().map(|photo| photo.size as usize));
        after = page.next;
        if after.is_none() {
            found.sort_unstable();
            return Ok(found);
        }
    }
}

/// Does it until it works.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut work: impl FnMut() -> Result<T>,
) -> T {
    let began = Instant::now();
    loop {
        match work() {
            Ok(value) => return value,
            Err(error) => {
                assert!(began.elapsed() < within, "{what}: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
