//! From pieces to a gallery.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
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
    /// How many pieces are missing or damaged.
    pub lacking: u64,
    /// Which, in order: the first [`MAX_FAILURES`].
    pub missing: Vec<Missing>,
    /// The shards of all of them.
    shards: BTreeSet<u32>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
    /// The time it took.
    pub elapsed: Duration,
}

impl LoadSummary {
    /// The shards that make what is missing, of as many as whoever came first spoke of.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        self.shards.iter().map(|index| Shard::of((*index).into(), self.job.shards)).collect()
    }

    fn lack(&mut self, piece: u64, damage: Option<String>) {
        self.lacking += 1;
        self.shards.insert(Shard::of(piece, self.job.shards).index());
        if self.missing.len() < MAX_FAILURES {
            self.missing.push(Missing { piece, damage });
        }
    }
}

/// Brings the pieces of a place into a store, whatever of it is there already: doing it twice changes nothing. Memory
/// stays bounded by a few pieces. `progress` is told how many pieces were looked at.
///
/// Where the store has a root above the pieces', the photos become that root's, as the indexer has it: none is there
/// under two roots.
///
/// # Errors
/// If the place has no pieces, cannot be read, has pieces of another manifest or encoder, or the store is of another
/// encoder, has a root below the pieces', or cannot be written. Missing and damaged pieces are no error: see
/// [`LoadSummary::missing`].
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
        let header = manifest.header();
        let asked = Job {
            manifest: manifest.digest().to_owned(),
            root: header.root.clone(),
            photos: header.photos,
            piece: header.piece,
            ..job.clone()
        };
        asked.check(&name, &job.manifest, &job.space)?;
        asked.check_photos(place, &job)?;
    }
    if let Some(expected) = &options.expected {
        let asked = Job { space: expected.clone(), ..job.clone() };
        asked.check(&name, &job.manifest, &job.space)?;
    }
    let mut loading = Loading {
        store,
        began: Instant::now(),
        home: None,
        summary: LoadSummary {
            job: job.clone(),
            loaded: 0,
            photos: 0,
            failed: 0,
            failures: Vec::new(),
            lacking: 0,
            missing: Vec::new(),
            shards: BTreeSet::new(),
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
    if loading.home.is_some() {
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

/// Where photos go in a store: a root, and what comes before their paths below it.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    root: PathBuf,
    folder: Option<RelPath>,
}

impl Home {
    /// Where the photos of a root go beside these roots.
    fn find(root: &Path, known: &[PathBuf], gallery: &str) -> Result<Self> {
        let own = || Self { root: root.to_owned(), folder: None };
        if known.iter().any(|known| known == root) {
            return Ok(own());
        }
        if let Some(below) = known.iter().find(|known| known.starts_with(root)) {
            let line = |path: &Path| Error::line(&path.display().to_string());
            return Err(Error::RootBelow {
                gallery: gallery.to_owned(),
                root: line(root),
                below: line(below),
            });
        }
        let above = known.iter().find_map(|known| Some((known, root.strip_prefix(known).ok()?)));
        let Some((above, below)) = above else { return Ok(own()) };
        Ok(Self { root: above.clone(), folder: Some(RelPath::from_path(below)?) })
    }

    fn path(&self, path: RelPath) -> Result<RelPath> {
        let Some(folder) = &self.folder else { return Ok(path) };
        Ok(RelPath::new([folder.as_bytes(), b"/", path.as_bytes()].concat())?)
    }
}

struct Loading<'a> {
    store: &'a dyn VectorStore,
    began: Instant,
    /// Known once there is something to write.
    home: Option<Home>,
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
                Fetched::None => self.summary.lack(number, None),
                Fetched::Damaged(problem) => {
                    self.summary.lack(number, Some(Error::line(&problem)));
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
        let home = match self.home.take() {
            Some(home) => home,
            None => {
                self.store.ensure(&self.summary.job.space)?;
                let known: Vec<_> = self.store.roots()?.into_iter().map(|root| root.path).collect();
                Home::find(&self.summary.job.root, &known, &self.store.name())?
            }
        };
        let home = self.home.insert(home);
        let dimension = self.summary.job.space.dimension;
        let vectors = piece.halves.chunks_exact(dimension);
        let mut records = piece.photos.into_iter().zip(vectors).map(|(made, halves)| {
            let halves: Vec<_> = halves.iter().map(|bits| f16::from_bits(*bits)).collect();
            Ok(Record {
                photo: Photo {
                    id: PhotoId(0),
                    root: home.root.clone(),
                    path: home.path(made.path)?,
                    size: made.size,
                    mtime_ns: made.mtime_ns,
                    hash: made.hash,
                    width: made.width,
                    height: made.height,
                },
                embedding: halves.to_f32_vec(),
            })
        });
        let mut written = 0;
        loop {
            let batch = records.by_ref().take(BATCH).collect::<Result<Vec<_>>>()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn home(root: &str, known: &[&str]) -> Result<(PathBuf, String)> {
        let known: Vec<_> = known.iter().map(PathBuf::from).collect();
        let home = Home::find(Path::new(root), &known, "g.sbir")?;
        let path = home.path(RelPath::new(b"1.jpg".into())?)?.to_string();
        Ok((home.root, path))
    }

    #[test]
    fn photos_go_to_the_root_above() {
        for (root, known, expected) in [
            ("/photos", &[][..], ("/photos", "1.jpg")),
            ("/photos", &["/photos", "/photos/2024"], ("/photos", "1.jpg")),
            ("/photos/2024", &["/a", "/photos"], ("/photos", "2024/1.jpg")),
            ("/photos 2", &["/photos"], ("/photos 2", "1.jpg")),
            ("/photos", &["/"], ("/", "photos/1.jpg")),
            ("s3://b/x/y", &["s3://b/x"], ("s3://b/x", "y/1.jpg")),
            ("s3://b/x", &["s3://b"], ("s3://b", "x/1.jpg")),
            ("s3://b/xy", &["s3://b/x", "s3://c"], ("s3://b/xy", "1.jpg")),
        ] {
            let found = home(root, known).unwrap();
            assert_eq!(found, (expected.0.into(), expected.1.into()), "{root} in {known:?}");
        }
        for (root, below) in [("/photos", "/photos/20\n24"), ("s3://b", "s3://b/x")] {
            let error = home(root, &["/a", below]).unwrap_err().to_string();
            let named = error.contains(root) && error.contains(&Error::line(below));
            assert!(named && error.lines().count() == 1, "{error}");
        }
        assert!(home("/photos/../x", &["/photos"]).is_err());
    }
}
