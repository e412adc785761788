//! Whether a store is sound, and agrees with the folders that its photos came from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::index::each_photo;
use crate::photo_file::{RootFolder, mtime_ns};
use crate::store::{Photo, RelPath, VectorStore, is_remote};

/// How many photos are looked at together.
const MANY: usize = 1000;

/// What `gallery verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many photos the store has.
    pub photos: u64,
    /// Photos whose file is missing.
    pub missing: u64,
    /// Photos whose file has another size or time of modification, or, when contents are read, other content.
    pub changed: u64,
    /// Photos in the folders that the store does not have.
    pub new: u64,
    /// Photos of places in an object store, which are not looked at.
    pub elsewhere: u64,
    /// What is wrong with the store itself, a line each; the remedy is to remove it and index again.
    pub problems: Vec<String>,
}

/// Checks the store, every photo's file, and every file in the folders; with `contents` also the files' bytes.
///
/// # Errors
/// If the store cannot be read at all; what is wrong with it otherwise is the answer.
pub fn verify(store: &dyn VectorStore, contents: bool) -> Result<Verification> {
    let mut found = Verification::default();
    if let Some(gallery) = store.local() {
        found.problems = gallery.problems()?;
        if !found.problems.is_empty() {
            found.photos = store.stats().map_or(0, |stats| stats.photos);
            return Ok(found);
        }
    }
    let mut root: Option<(PathBuf, Option<RootFolder>)> = None;
    let mut after = None;
    loop {
        let page = store.list(None, after, MANY)?;
        for photo in page.items {
            found.photos += 1;
            if is_remote(&photo.root) {
                found.elsewhere += 1;
                continue;
            }
            if root.as_ref().is_none_or(|(path, _)| *path != photo.root) {
                root = Some((photo.root.clone(), RootFolder::open(&photo.root).ok()));
            }
            let folder = root.as_ref().and_then(|(_, folder)| folder.as_ref());
            match state(folder, &photo, contents) {
                State::Same => {}
                State::Changed => found.changed += 1,
                State::Missing => found.missing += 1,
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for root in store.roots()? {
        if !is_remote(&root.path) && root.present {
            found.new += unknown(store, &root.path)?;
        }
    }
    Ok(found)
}

/// How many photos below a root the store does not have.
fn unknown(store: &dyn VectorStore, root: &Path) -> Result<u64> {
    let mut count = 0;
    let mut ask = |paths: &[RelPath]| -> Result<()> {
        let known = store.lookup(root, paths)?;
        count += known.iter().filter(|photo| photo.is_none()).count() as u64;
        Ok(())
    };
    let mut paths = Vec::with_capacity(MANY);
    each_photo(root, |path| {
        paths.push(path);
        if paths.len() == MANY {
            ask(&paths)?;
            paths.clear();
        }
        Ok(())
    })?;
    ask(&paths)?;
    Ok(count)
}

enum State {
    Same,
    Changed,
    Missing,
}

fn state(folder: Option<&RootFolder>, photo: &Photo, contents: bool) -> State {
    let Some(Ok(mut file)) = folder.map(|folder| folder.open_file(&photo.path)) else {
        return State::Missing;
    };
    let Ok(metadata) = file.metadata() else { return State::Missing };
    if metadata.len() != photo.size || (!contents && mtime_ns(&metadata) != photo.mtime_ns) {
        return State::Changed;
    }
    if contents {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hash.update(&buffer[..count]),
                Err(_) => return State::Missing,
            }
        }
        if hash.finalize()[..] != photo.hash {
            return State::Changed;
        }
    }
    State::Same
}
