//! From folders of photos to a gallery.
//!
//! Three stages run at once, with bounded queues between them: one thread walks the folders beside the rows
//! ([`walk`]), some read, recognise and decode files ([`content`]), and the caller's thread embeds and writes ([`run`]).

mod asked;
mod content;
mod listing;
mod output;
mod rows;
mod run;
mod target;
mod walk;

pub use listing::NameKind;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use walk::each_photo;

use crate::embedder::Embedder;
use crate::error::{Error, Result};
use crate::store::{PhotoId, VectorStore};

/// How an index run goes.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Also forget photos under roots that are missing, empty or not listed whole.
    pub prune: bool,
    /// Look at every file's content, even where size and time of modification have not changed.
    pub rehash: bool,
    /// How many photos are embedded at once.
    pub batch: usize,
    /// How many threads decode; 0 is one a core.
    pub threads: usize,
    /// How long photos may wait to be written after they were embedded: what a kill can cost.
    pub write_every: Duration,
    /// Set to true by the caller to stop: what is done so far is kept.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            prune: false,
            rehash: false,
            batch: 16,
            threads: 0,
            write_every: Duration::from_secs(1),
            cancel: None,
        }
    }
}

/// What an index run is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Files are looked for, and photos embedded as they are found.
    #[default]
    Indexing,
    /// Photos whose files are gone are removed, and the derived files written.
    Finishing,
    /// All is done.
    Done,
}

/// How far an index run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What it is at.
    pub phase: Phase,
    /// The photos in all folders, once they are counted (a pass of its own runs ahead).
    pub total: Option<u64>,
    /// The photos done so far: the sum of `unchanged`, `embedded`, `moved`, `touched` and `failed`.
    pub done: u64,
    /// Photos whose size and time of modification are as they were.
    pub unchanged: u64,
    /// Photos that were decoded and embedded.
    pub embedded: u64,
    /// Photos whose content the gallery knew from another place: moved, or copies.
    pub moved: u64,
    /// Photos whose file was written anew with the same content.
    pub touched: u64,
    /// Photos and folders that could not be read.
    pub failed: u64,
    /// Photos forgotten since their files are gone.
    pub removed: u64,
    /// AVIF files passed over, since no decoder for them is built in.
    pub unsupported: u64,
    /// Symbolic links passed over.
    pub links: u64,
    /// Photos a second that were read and embedded, over the last seconds.
    pub rate: f64,
    /// The time since the start.
    pub elapsed: Duration,
}

impl Snapshot {
    /// The time left, once the photos are counted and some are done.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.done);
        let rate = if self.rate > 0.0 {
            self.rate
        } else {
            self.done as f64 / self.elapsed.as_secs_f64().max(1e-3)
        };
        (rate > 0.0).then(|| Duration::from_secs_f64((left as f64 / rate).min(1e9)))
    }
}

/// A file or folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file or folder.
    pub path: PathBuf,
    /// One line that names it and says why.
    pub message: String,
}

/// Who is told how an index run goes. Called from the thread that runs [`index()`].
pub trait Progress {
    /// The run got on; about ten times a second, and at the end.
    fn update(&self, snapshot: &Snapshot);

    /// A file or folder could not be read and was skipped.
    fn failed(&self, failure: &Failure) {
        let _ = failure;
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _: &Snapshot) {}
}

/// How an index run ended.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The last state.
    pub snapshot: Snapshot,
    /// What could not be read: the first [`Summary::MAX_FAILURES`]; `snapshot.failed` counts all.
    pub failures: Vec<Failure>,
    /// Roots of the gallery that were asked for but are missing or empty, and whose photos were kept.
    pub missing_roots: Vec<PathBuf>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
}

impl Summary {
    /// The most failures that are kept.
    pub const MAX_FAILURES: usize = 1000;
}

/// Brings a gallery up to date with folders.
///
/// Walks each folder in order, beside the rows of its root, or asking a store behind a network about many files at a
/// time; any number of runs may write to such a store at once. A file of the same size and time of modification is left
/// alone; else its content decides: known content keeps its embedding, wherever it lies now; new content is decoded on
/// all cores while the embedder works. Photos are written in batches, each whole or not at all, so that a killed run is
/// taken up where it was. A photo is forgotten only when its folder was listed whole without it, at the end of the run.
/// Symbolic links are not followed. A folder below a known root is indexed as part of that root, and a root below a new
/// folder becomes part of it.
///
/// # Errors
/// If another process writes to the local gallery, the gallery is of another encoder, damaged or cannot be written, a folder
/// is unknown and missing or lies in an object store, or the embedder fails. Photos that cannot be read are no error: see
/// [`Summary::failures`].
pub fn index(
    store: &dyn VectorStore,
    dirs: &[PathBuf],
    embedder: &dyn Embedder,
    options: &IndexOptions,
    progress: &dyn Progress,
) -> Result<Summary> {
    run::Run::begin(store, dirs, embedder, options, progress)?.finish()
}

/// What the stages tell each other without waiting.
#[derive(Debug, Default)]
struct Counters {
    unchanged: AtomicU64,
    unsupported: AtomicU64,
    links: AtomicU64,
    /// The run ends early.
    stop: AtomicBool,
    cancel: Option<Arc<AtomicBool>>,
}

impl Counters {
    fn cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.cancelled()
    }
}

/// What the caller's thread is told.
enum Message {
    Content(Box<content::Content>),
    Failed(Failure),
    /// A folder was walked to its end; these photos' files were not met.
    Walked {
        target: usize,
        gone: Vec<PhotoId>,
    },
    /// The photos are counted.
    Counted(u64),
    /// The run cannot go on.
    Ended(Error),
}
