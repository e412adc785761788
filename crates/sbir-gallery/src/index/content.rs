//! From a file to pixels, or to content that the gallery knows.

use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use sbir_data::{MAX_FILE_BYTES, Upright};
use sha2::{Digest as _, Sha256};

use super::target::{Target, is_present};
use super::walk::Job;
use super::{Counters, Failure, Message};
use crate::embedder::Embedder;
use crate::error::Error;
use crate::photo_file::mtime_ns;
use crate::store::{PhotoId, Record, VectorStore};

/// A file that was read.
pub(super) struct Content {
    pub(super) job: Job,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) hash: [u8; 32],
    pub(super) found: Found,
}

pub(super) enum Found {
    /// The photo at this path has this content.
    Same { id: PhotoId },
    /// Another photo has it; `moved` if that one's file is gone from where it was.
    Elsewhere { known: Box<Record>, moved: bool },
    /// Nobody has; this is what it shows.
    New(Upright),
}

/// Reads files until there are no more.
pub(super) struct Reader<'a> {
    pub(super) store: &'a dyn VectorStore,
    pub(super) counters: &'a Counters,
    /// What the run walks.
    pub(super) targets: &'a [Arc<Target>],
    pub(super) embedder: &'a dyn Embedder,
    pub(super) jobs: Receiver<Job>,
    pub(super) messages: Sender<Message>,
}

impl Reader<'_> {
    pub(super) fn run(&self) {
        for job in &self.jobs {
            if self.counters.stopped() {
                return;
            }
            let place = job.target.root.join(job.path.to_path());
            // A decoder that panics costs its file, not the run.
            let result = catch_unwind(AssertUnwindSafe(|| self.read(job, &place)));
            let message = match result {
                Ok(Ok(content)) => Message::Content(Box::new(content)),
                Ok(Err(Problem::File(message))) => {
                    Message::Failed(Failure { path: place, message })
                }
                Ok(Err(Problem::Gallery(error))) => Message::Ended(error),
                Err(_) => {
                    let message = format!(
                        "{}: reading it failed unexpectedly; please report this with the file",
                        place.display()
                    );
                    Message::Failed(Failure { path: place, message })
                }
            };
            if self.messages.send(message).is_err() {
                return;
            }
        }
    }

    fn read(&self, job: Job, place: &Path) -> Result<Content, Problem> {
        let unreadable =
            |error: std::io::Error| Problem::File(format!("{}: {error}", place.display()));
        let file = job.target.folder.open_file(&job.path).map_err(unreadable)?;
        // Before reading: a file that is written meanwhile has another time at the next run.
        let metadata = file.metadata().map_err(unreadable)?;
        let bytes = read_bounded(file, metadata.len(), place)?;
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        let known = self.store.with_content(&hash).map_err(Problem::Gallery)?;
        let found = self.recognise(&job, known);
        let found = match found {
            Some(found) => found,
            None => {
                let bad = |error: &dyn std::fmt::Display| Problem::File(error.to_string());
                let short_side = 2 * self.embedder.image_size() as u32;
                let photo =
                    Upright::decode(place, &bytes, Some(short_side)).map_err(|e| bad(&e))?;
                Found::New(self.embedder.fit(photo).map_err(|e| bad(&e))?)
            }
        };
        let (size, mtime_ns) = (bytes.len() as u64, mtime_ns(&metadata));
        Ok(Content { job, size, mtime_ns, hash, found })
    }

    /// Whether what this machine has at a root is what its photos were made of. Other machines may write to a store
    /// behind a network, and have other files there: then only the roots that this run was given are known to be meant.
    fn sees(&self, root: &Path) -> bool {
        self.store.local().is_some() || self.targets.iter().any(|target| target.root == root)
    }

    fn recognise(&self, job: &Job, known: Vec<Record>) -> Option<Found> {
        if let Some(same) = known.iter().find(|known| Some(known.photo.id) == job.known) {
            return Some(Found::Same { id: same.photo.id });
        }
        // Where the store knows a photo here already, that one takes the content.
        let gone = |known: &Record| {
            job.known.is_none()
                && fs_err::symlink_metadata(known.photo.location())
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
                && is_present(&known.photo.root)
                && self.sees(&known.photo.root)
        };
        let moved = known.iter().position(gone);
        let known = known.into_iter().nth(moved.unwrap_or(0))?;
        Some(Found::Elsewhere { known: Box::new(known), moved: moved.is_some() })
    }
}

enum Problem {
    File(String),
    Gallery(Error),
}

fn read_bounded(file: File, length: u64, place: &Path) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::File(format!(
            "{}: larger than the {MAX_FILE_BYTES} bytes that are read; use a smaller file",
            place.display()
        ))
    };
    if length > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::File(format!("{}: {error}", place.display())))?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(too_large()) } else { Ok(bytes) }
}
