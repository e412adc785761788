//! What the index is at, as the page and scripts see it.

use serde::Serialize;
use tokio::sync::watch;

/// The most skipped files that are named.
const NAMED: usize = 50;

/// What goes on with the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexPhase {
    /// The server has just started.
    Starting,
    /// Files are found, and it is not known yet how many.
    Listing,
    /// Photos are embedded.
    Indexing,
    /// The gallery is up to date.
    Idle,
    /// The last run ended with an error.
    Failed,
}

/// A file or folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file or folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A folder of the gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// The folder, absolute.
    pub path: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// The state of the index.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndexState {
    /// What goes on.
    pub phase: IndexPhase,
    /// The photos in the gallery.
    pub photos: u64,
    /// Grows when the gallery changes.
    pub revision: u64,
    /// The files done in this run.
    pub done: u64,
    /// The files to do in this run, once counted.
    pub total: Option<u64>,
    /// Photos a second.
    pub rate: Option<f64>,
    /// The time left in seconds.
    pub seconds_left: Option<f64>,
    /// How many files and folders could not be read.
    pub skipped: u64,
    /// The first of them.
    pub skipped_files: Vec<Skipped>,
    /// The gallery's folders.
    pub roots: Vec<Folder>,
    /// The encoder's name.
    pub encoder: String,
    /// Whether changes in the folders are taken up as they happen.
    pub watching: bool,
    /// What went wrong, or what is waited for.
    pub message: Option<String>,
}

impl IndexState {
    pub(crate) fn new(encoder: &str) -> Self {
        Self {
            phase: IndexPhase::Starting,
            photos: 0,
            revision: 0,
            done: 0,
            total: None,
            rate: None,
            seconds_left: None,
            skipped: 0,
            skipped_files: Vec::new(),
            roots: Vec::new(),
            encoder: encoder.to_owned(),
            watching: false,
            message: None,
        }
    }

    pub(crate) fn skip(&mut self, path: String, reason: String) {
        self.skipped += 1;
        if self.skipped_files.len() < NAMED {
            self.skipped_files.push(Skipped { path, reason });
        }
    }
}

/// The state, and whoever follows it.
#[derive(Debug)]
pub(crate) struct LiveState(watch::Sender<IndexState>);

impl LiveState {
    pub(crate) fn new(state: IndexState) -> Self {
        Self(watch::Sender::new(state))
    }

    pub(crate) fn get(&self) -> IndexState {
        self.0.borrow().clone()
    }

    pub(crate) fn follow(&self) -> watch::Receiver<IndexState> {
        self.0.subscribe()
    }

    /// Changes the state; followers hear of it only if it did change.
    pub(crate) fn change(&self, change: impl FnOnce(&mut IndexState)) {
        self.0.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }
}
