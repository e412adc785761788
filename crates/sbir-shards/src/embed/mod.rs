//! One share of a manifest's pieces, from photos to files of vectors.
//!
//! Four stages run at once, with bounded queues between them: one thread deals the pieces' photos out ([`run`]), some
//! read files and some decode them ([`read`]), the caller's thread embeds, and one writes finished pieces ([`commit`]).

mod assembly;
mod commit;
mod read;
mod run;

pub use run::embed;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::shard::Shard;

/// How a share is embedded.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// Which share.
    pub shard: Shard,
    /// How many photos are embedded at once.
    pub batch: usize,
    /// How many threads decode; 0 is one a core.
    pub threads: usize,
    /// How many files are read at once; 0 is a few from a folder, and more from an object store.
    pub readers: usize,
    /// The most bytes of files that are read ahead. A larger file is read alone.
    pub memory: u64,
    /// Set to true by somebody else to stop: finished pieces stay, no part of another is left.
    pub stop: Option<&'static AtomicBool>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            shard: Shard::default(),
            batch: 16,
            threads: 0,
            readers: 0,
            memory: 256 << 20,
            stop: None,
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The photos of the share.
    pub total: u64,
    /// Photos done so far: the sum of `embedded`, `failed` and those of pieces that were there.
    pub done: u64,
    /// Photos that were embedded.
    pub embedded: u64,
    /// Photos that could not be read.
    pub failed: u64,
    /// The pieces of the share.
    pub pieces: u64,
    /// Pieces written by this run.
    pub written: u64,
    /// Pieces that were there, or that another run wrote first.
    pub there: u64,
    /// The time since the start.
    pub elapsed: Duration,
}

/// Who is told how a run goes. Called from the thread that runs [`embed`].
pub trait Progress {
    /// The run got on; about ten times a second, and at the end.
    fn update(&self, snapshot: &Snapshot);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _: &Snapshot) {}
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct EmbedSummary {
    /// The last state.
    pub snapshot: Snapshot,
    /// What could not be read by this run: the first [`MAX_FAILURES`](crate::MAX_FAILURES); `snapshot.failed` counts all.
    pub failures: Vec<String>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
}
