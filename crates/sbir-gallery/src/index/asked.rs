//! The photos of a store behind a network, asked about many files at a time.

use std::io::ErrorKind;

use super::target::Target;
use crate::error::Result;
use crate::store::{PhotoId, RelPath, VectorStore};

/// How many files are asked about at once.
const MANY: usize = 1000;

/// A file that was met.
pub(super) struct Met {
    pub(super) path: RelPath,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
}

/// A file, and the photo that the store has there, with whether it is of the same size and time.
pub(super) type Answer = (RelPath, Option<(PhotoId, bool)>);

/// Files that wait for what the store knows of them.
pub(super) struct Asked<'a> {
    store: &'a dyn VectorStore,
    waiting: Vec<Met>,
    /// Folders that could not be listed: nothing below them is gone.
    unlisted: Vec<Vec<u8>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(store: &'a dyn VectorStore) -> Self {
        Self { store, waiting: Vec::with_capacity(MANY), unlisted: Vec::new() }
    }

    /// Takes a file in; says whether it is time to [`ask`](Self::ask).
    pub(super) fn meet(&mut self, met: Met) -> bool {
        self.waiting.push(met);
        self.waiting.len() >= MANY
    }

    pub(super) fn unlisted(&mut self, folder: &[u8]) {
        self.unlisted.push(folder.to_vec());
    }

    /// What the store knows of the files that waited.
    pub(super) fn ask(&mut self, target: &Target) -> Result<Vec<Answer>> {
        let met = std::mem::take(&mut self.waiting);
        let paths: Vec<_> = met.iter().map(|met| met.path.clone()).collect();
        let known = self.store.lookup(&target.root, &paths)?;
        let each = met.into_iter().zip(known).map(|(met, known)| {
            let known = known
                .map(|photo| (photo.id, photo.size == met.size && photo.mtime_ns == met.mtime_ns));
            (met.path, known)
        });
        Ok(each.collect())
    }

    /// The photos below the target whose files are not there: each is looked for, so that nothing has to be remembered
    /// of the walk.
    pub(super) fn gone(&self, target: &Target, stopped: impl Fn() -> bool) -> Result<Vec<PhotoId>> {
        let (mut gone, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(Some(&target.place()), after, MANY)?;
            for photo in page.items {
                let unlisted = || self.unlisted.iter().any(|folder| photo.path.is_under(folder));
                if photo.root == target.root && is_gone(&photo.location()) && !unlisted() {
                    gone.push(photo.id);
                }
            }
            after = page.next;
            if after.is_none() || stopped() {
                return Ok(gone);
            }
        }
    }
}

/// Whether no file is there, or one that is reached through a link only.
fn is_gone(place: &std::path::Path) -> bool {
    match fs_err::symlink_metadata(place) {
        Ok(metadata) => !metadata.is_file(),
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}
