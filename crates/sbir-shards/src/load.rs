//! From pieces to a gallery.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use sbir_gallery::{Photo, PhotoId, Record, RelPath, Space, VectorStore};
use sbir_objects::Place;

use crate::MAX_FAILURES;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::manifest::{Listed, Manifest};
use crate::piece::{MAX_BYTES, Piece};
use crate::shard::Shard;

/// Records that are written at once.
const BATCH: usize = 512;
/// How often the caller is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How pieces are loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The encoder that the pieces must be of.
    pub expected: Option<Space>,
    /// Set to true by somebody else to stop: what is loaded stays.
    pub stop: Option<&'static AtomicBool>,
}

/// A piece that is not there, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its number.
    pub piece: u64,
    /// What is wrong with its file; none if there is no file.
    pub damage: Option<String>,
}

/// How a load ended.
#[derive(Clone, Debug)]
pub struct LoadSummary {
    /// What the pieces are of.
    pub job: Job,
    /// The pieces that were loaded.
    pub loaded: u64,
    /// The photos that were loaded.
    pub photos: u64,
    /// The photos that could not be read when they were to be embedded.
    pub failed: u64,
    /// Why: the first [`MAX_FAILURES`].
    pub failures: Vec<String>,
    /// The pieces that are missing or damaged, in order.
    pub missing: Vec<Missing>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
    /// The time it took.
    pub elapsed: Duration,
}

impl LoadSummary {
    /// The shards that make what is missing, of as many as whoever came first spoke of.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        let mut shards: Vec<Shard> = Vec::new();
        for missing in &self.missing {
            let shard = Shard::of(missing.piece, self.job.shards);
            if !shards.contains(&shard) {
                shards.push(shard);
            }
            if shards.len() >= self.job.shards as usize {
                break;
            }
        }
        shards
    }
}

/// Brings the pieces of a place into a store, whatever of it is there already: doing it twice changes nothing. Memory
/// stays bounded by a few pieces. `progress` is told how many pieces were looked at.
///
/// # Errors
/// If the place has no pieces, cannot be read, has pieces of another manifest or encoder, or the store is of another
/// encoder or cannot be written. Missing and damaged pieces are no error: see [`LoadSummary::missing`].
pub fn load(
    place: &Place,
    manifest: Option<&mut Manifest>,
    store: &dyn VectorStore,
    options: &LoadOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<LoadSummary> {
    let job = Job::read(place)?.ok_or_else(|| Error::NoJob { place: place.to_string() })?;
    let name = place.to_string();
    if let Some(manifest) = &manifest {
        // Their order: the caller holds the manifest to be right.
        let asked = Job { manifest: manifest.digest().to_owned(), ..job.clone() };
        asked.check(&name, &job.manifest, &job.space)?;
    }
    if let Some(expected) = &options.expected {
        let asked = Job { space: expected.clone(), ..job.clone() };
        asked.check(&name, &job.manifest, &job.space)?;
    }
    let mut loading = Loading {
        store,
        began: Instant::now(),
        ensured: false,
        summary: LoadSummary {
            job: job.clone(),
            loaded: 0,
            photos: 0,
            failed: 0,
            failures: Vec::new(),
            missing: Vec::new(),
            cancelled: false,
            elapsed: Duration::ZERO,
        },
    };
    let stopped = || options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
    // One piece is read while another is written.
    let (pieces, pieces_out) = bounded::<(u64, Result<Fetched>)>(1);
    thread::scope(|scope| {
        let theirs = &job;
        scope.spawn(move || fetch(theirs, place, manifest, &pieces));
        let result = loading.take(&pieces_out, &stopped, progress);
        drop(pieces_out);
        result
    })?;
    if loading.ensured {
        store.settle()?;
    }
    loading.summary.cancelled = stopped();
    loading.summary.elapsed = loading.began.elapsed();
    Ok(loading.summary)
}

/// A piece's file.
enum Fetched {
    None,
    Damaged(String),
    Piece(Box<Piece>),
}

/// Reads pieces until nobody wants more.
fn fetch(
    job: &Job,
    place: &Place,
    manifest: Option<&mut Manifest>,
    pieces: &Sender<(u64, Result<Fetched>)>,
) {
    let send = |number, fetched| pieces.send((number, fetched)).is_ok();
    let Some(manifest) = manifest else {
        for number in 0..job.pieces() {
            if !send(number, read(job, place, number, None)) {
                return;
            }
        }
        return;
    };
    let listed = match manifest.pieces(|_| true) {
        Ok(listed) => listed,
        Err(error) => {
            send(0, Err(error));
            return;
        }
    };
    for piece in listed {
        let went_on = match piece {
            Ok((number, photos)) => send(number, read(job, place, number, Some(&photos))),
            Err(error) => send(0, Err(error)),
        };
        if !went_on {
            return;
        }
    }
}

fn read(job: &Job, place: &Place, number: u64, listed: Option<&[Listed]>) -> Result<Fetched> {
    let key = Job::key(number)?;
    let bytes = match place.get(&key, MAX_BYTES) {
        Ok(object) => object.bytes,
        Err(error) if error.is_not_found() => return Ok(Fetched::None),
        Err(sbir_objects::Error::TooLarge { size, .. }) => {
            return Ok(Fetched::Damaged(format!("it has {size} bytes")));
        }
        Err(error) => return Err(error.into()),
    };
    let piece = match Piece::decode(&bytes) {
        Ok(piece) => piece,
        Err(problem) => return Ok(Fetched::Damaged(problem)),
    };
    job.check(&place.name_of(&key), &piece.header.manifest, &piece.header.space)?;
    if piece.header.number != number {
        let problem = format!("it says that it is piece {}", piece.header.number);
        return Ok(Fetched::Damaged(problem));
    }
    let paths = || {
        let unreadable = piece.unreadable.iter().map(|unreadable| &unreadable.path);
        piece.photos.iter().map(|made| &made.path).chain(unreadable)
    };
    let found: HashSet<&RelPath> = paths().collect();
    let whole = found.len() == paths().count() && found.len() as u64 == job.photos_of(number);
    let as_listed =
        listed.is_none_or(|listed| listed.iter().all(|listed| found.contains(&listed.path)));
    if whole && as_listed {
        Ok(Fetched::Piece(Box::new(piece)))
    } else {
        Ok(Fetched::Damaged("its photos are not those of the manifest".to_owned()))
    }
}

struct Loading<'a> {
    store: &'a dyn VectorStore,
    began: Instant,
    ensured: bool,
    summary: LoadSummary,
}

impl Loading<'_> {
    fn take(
        &mut self,
        pieces: &Receiver<(u64, Result<Fetched>)>,
        stopped: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut told = Instant::now();
        for (number, fetched) in pieces {
            match fetched? {
                Fetched::None => {
                    self.summary.missing.push(Missing { piece: number, damage: None });
                }
                Fetched::Damaged(problem) => {
                    let damage = Some(Error::line(&problem));
                    self.summary.missing.push(Missing { piece: number, damage });
                }
                Fetched::Piece(piece) => self.write(*piece)?,
            }
            if stopped() {
                break;
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                progress(number + 1);
            }
        }
        Ok(())
    }

    fn write(&mut self, piece: Piece) -> Result<()> {
        if !self.ensured {
            self.store.ensure(&self.summary.job.space)?;
            self.ensured = true;
        }
        let dimension = self.summary.job.space.dimension;
        let vectors = piece.halves.chunks_exact(dimension);
        let mut records = piece.photos.into_iter().zip(vectors).map(|(made, halves)| {
            let halves: Vec<_> = halves.iter().map(|bits| f16::from_bits(*bits)).collect();
            Record {
                photo: Photo {
                    id: PhotoId(0),
                    root: self.summary.job.root.clone(),
                    path: made.path,
                    size: made.size,
                    mtime_ns: made.mtime_ns,
                    hash: made.hash,
                    width: made.width,
                    height: made.height,
                },
                embedding: halves.to_f32_vec(),
            }
        });
        let mut written = 0;
        loop {
            let batch: Vec<_> = records.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            self.store.upsert(&batch)?;
            written += batch.len() as u64;
        }
        self.summary.photos += written;
        self.summary.loaded += 1;
        self.summary.failed += piece.unreadable.len() as u64;
        let room = MAX_FAILURES - self.summary.failures.len();
        let reasons = piece.unreadable.into_iter().map(|unreadable| unreadable.reason);
        self.summary.failures.extend(reasons.take(room));
        Ok(())
    }
}
