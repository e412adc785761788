//! What a store should hold, kept in a map, and what it should answer, by brute force.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sbir_gallery::{
    Error, Hits, Photo, PhotoId, Record, RelPath, Result, SearchOptions, Selector, Space,
    VectorStore,
};

/// Stores keep vectors as f16, whose rounding changes a cosine by less than this.
pub(crate) const ROUNDING: f32 = 1e-3;
/// How much of what is nearest an approximate store finds.
const RECALL: f64 = 0.99;
/// The vectors of most cases.
pub(crate) const DIMENSION: usize = 16;

/// A photo's key.
type Place = (PathBuf, RelPath);

pub(crate) fn space(dimension: usize) -> Space {
    Space { fingerprint: "conformance".into(), dimension }
}

/// Numbers that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64: https://prng.di.unimi.it/splitmix64.c
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn normal(&mut self) -> f32 {
        // A sum of twelve uniform values, of variance one.
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }

    pub(crate) fn unit(&mut self, dimension: usize) -> Vec<f32> {
        let values: Vec<_> = (0..dimension).map(|_| self.normal()).collect();
        unit(&values)
    }

    /// A vector of unit length near another.
    pub(crate) fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        unit(&centre.iter().map(|value| value + spread * self.normal()).collect::<Vec<_>>())
    }
}

pub(crate) fn unit(values: &[f32]) -> Vec<f32> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / norm).collect()
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A record with metadata that follow from its path.
pub(crate) fn record(root: &str, path: impl AsRef<[u8]>, embedding: Vec<f32>) -> Record {
    let path = RelPath::new(path.as_ref().to_vec()).expect("a sound path");
    let mut hash = [0; 32];
    for (place, byte) in path.as_bytes().iter().enumerate() {
        hash[place % 32] ^= byte.rotate_left((place / 32 % 8) as u32);
    }
    let photo = Photo {
        // Any: the store gives it one of its own.
        id: PhotoId(0),
        root: root.into(),
        size: 1000 + path.as_bytes().len() as u64,
        mtime_ns: 1_700_000_000_123_456_789 + path.as_bytes().len() as i64,
        hash,
        width: 640,
        height: 480,
        path,
    };
    Record { photo, embedding }
}

/// A store beside what it should hold.
pub(crate) struct Model {
    pub(crate) records: BTreeMap<Place, Record>,
    exact: bool,
    wanted: u64,
    found: u64,
}

fn place(photo: &Photo) -> Place {
    (photo.root.clone(), photo.path.clone())
}

/// Whether a photo lies at or below a place: byte by byte, up to a slash.
fn is_below(photo: &Photo, place: &Path) -> bool {
    let bytes = |path: &'_ Path| {
        let bytes = path.as_os_str().as_encoded_bytes();
        bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec()
    };
    let (place, root) = (bytes(place), bytes(&photo.root));
    let mut location = root.iter().chain(b"/").chain(photo.path.as_bytes());
    place.iter().all(|byte| location.next() == Some(byte))
        && location.next().is_none_or(|byte| *byte == b'/')
}

fn without_id(photo: &Photo) -> Photo {
    Photo { id: PhotoId(0), ..photo.clone() }
}

impl Model {
    pub(crate) fn new(exact: bool) -> Self {
        Self { records: BTreeMap::new(), exact, wanted: 0, found: 0 }
    }

    /// Writes to both.
    pub(crate) fn upsert(&mut self, store: &dyn VectorStore, batch: &[Record]) {
        store.upsert(batch).expect("upsert");
        self.note(batch);
    }

    /// Notes what was written.
    pub(crate) fn note(&mut self, batch: &[Record]) {
        for record in batch {
            self.records.insert(place(&record.photo), record.clone());
        }
    }

    /// Deletes from both all at or below a place, and compares how many that were.
    pub(crate) fn delete_under(&mut self, store: &dyn VectorStore, under: &Path) {
        let before = self.records.len();
        self.records.retain(|_, record| !is_below(&record.photo, under));
        let gone = before - self.records.len();
        let deleted = store.delete(&Selector::Under(under.into())).expect("delete");
        assert_eq!(deleted, gone as u64, "deleted under {under:?}");
    }

    /// The records at or below a place.
    pub(crate) fn under(&self, under: Option<&Path>) -> Vec<&Record> {
        let allowed = |record: &&Record| under.is_none_or(|under| is_below(&record.photo, under));
        self.records.values().filter(allowed).collect()
    }

    /// Compares all that the store has.
    pub(crate) fn holds(&self, store: &dyn VectorStore) {
        let mut seen: Vec<Record> = Vec::new();
        let mut after = None;
        loop {
            let page = store.scan(after, 1000).expect("scan");
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(seen.is_sorted_by(|a, b| a.photo.id < b.photo.id), "in order of id");
        assert_eq!(seen.len(), self.records.len(), "as many as there should be");
        for record in &seen {
            self.knows(record);
        }
        assert_eq!(store.stats().expect("stats").photos, self.records.len() as u64);
    }

    /// Compares a record with the one that should be at its place.
    pub(crate) fn knows(&self, record: &Record) {
        let own = &self.records[&place(&record.photo)];
        assert_eq!(without_id(&record.photo), without_id(&own.photo));
        let cosine = cosine(&record.embedding, &own.embedding);
        assert!((cosine - 1.0).abs() < ROUNDING, "{:?}: {cosine}", own.photo.path);
    }

    /// Searches, and compares with every record's cosine.
    pub(crate) fn search(
        &mut self,
        store: &dyn VectorStore,
        query: &[f32],
        options: &SearchOptions,
    ) -> Hits {
        let hits = store.search(query, options).expect("search");
        self.judge(&hits, query, options);
        hits
    }

    /// Compares what was found with every record's cosine.
    pub(crate) fn judge(&mut self, hits: &Hits, query: &[f32], options: &SearchOptions) {
        let allowed = self.under(options.under.as_deref());
        let mut expected: Vec<f32> = allowed
            .iter()
            .map(|record| cosine(query, &record.embedding))
            .filter(|score| options.min_score.is_none_or(|least| *score >= least))
            .collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        expected.truncate(options.k);
        let scores: Vec<_> = hits.items.iter().map(|hit| hit.score).collect();
        assert_eq!(scores.len(), expected.len(), "{options:?}: {scores:?} for {expected:?}");
        if self.exact {
            assert!(hits.exhaustive, "{options:?}");
        }
        if hits.exhaustive {
            assert_eq!(hits.searched, allowed.len() as u64, "{options:?}");
        }
        let mut places = HashSet::new();
        for hit in &hits.items {
            assert!(places.insert(place(&hit.photo)), "twice: {:?}", hit.photo);
            let own = &self.records[&place(&hit.photo)];
            assert_eq!(without_id(&hit.photo), without_id(&own.photo));
            let score = cosine(query, &own.embedding);
            assert!((hit.score - score).abs() < ROUNDING, "{} for {score}", hit.score);
            assert!(options.under.as_ref().is_none_or(|under| is_below(&own.photo, under)));
        }
        let in_order = hits.items.is_sorted_by(|a, b| {
            a.score > b.score || a.score.to_bits() == b.score.to_bits() && a.photo.id < b.photo.id
        });
        assert!(in_order, "best first, ties by id: {scores:?}");
        if hits.exhaustive {
            for (score, expected) in scores.iter().zip(&expected) {
                assert!((score - expected).abs() < ROUNDING, "{options:?}: {score} for {expected}");
            }
        }
        let last = expected.last().copied().unwrap_or_default();
        self.wanted += expected.len() as u64;
        self.found += scores.iter().filter(|score| **score > last - ROUNDING).count() as u64;
    }

    /// Whether enough was found over all searches.
    pub(crate) fn found_enough(&self) {
        let recall = self.found as f64 / self.wanted.max(1) as f64;
        assert!(recall >= RECALL, "recall {recall:.4}");
    }
}

/// Does it again while another writes: the local gallery has one writer at a time.
pub(crate) fn patiently<T>(mut work: impl FnMut() -> Result<T>) -> T {
    let began = Instant::now();
    loop {
        match work() {
            Err(Error::Locked { .. }) if began.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            result => return result.expect("once nobody else writes"),
        }
    }
}
