//! One sorted pass over the files of a folder, beside the rows of its root.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use super::listing::{Kind, Listing};
use super::rows::{Row, Rows};
use super::target::Target;
use super::{Counters, Failure, Message};
use crate::error::Result;
use crate::gallery::{Gallery, mtime_ns};
use crate::store::{RelPath, bytes_to_path};

/// A file to read.
pub(super) struct Job {
    pub(super) target: Arc<Target>,
    pub(super) path: RelPath,
    /// The row at this path.
    pub(super) row: Option<i64>,
}

/// What a walk is connected to.
pub(super) struct Walk<'a> {
    pub(super) gallery: &'a Gallery,
    pub(super) counters: &'a Counters,
    pub(super) rehash: bool,
    pub(super) jobs: Sender<Job>,
    pub(super) messages: Sender<Message>,
}

/// The caller asked to stop, or nobody listens any more.
struct Stopped;

/// A folder that is being walked.
struct Frame {
    listing: Listing,
    next: usize,
    /// The length of the folder's path, with the slash after it.
    base: usize,
}

impl Walk<'_> {
    /// Walks a folder; gives the rows whose files are gone, or `None` if it did not come to the end.
    pub(super) fn run(&self, target: &Arc<Target>) -> Result<Option<Vec<i64>>> {
        let mut pass = Pass {
            walk: self,
            target,
            rows: Rows::new(self.gallery, target.root_id, &target.below),
            gone: Vec::new(),
        };
        Ok(match pass.run()? {
            Ok(()) => Some(pass.gone),
            Err(Stopped) => None,
        })
    }

    fn send<T>(&self, sender: &Sender<T>, value: T) -> Result<(), Stopped> {
        if self.counters.stopped() { Err(Stopped) } else { sender.send(value).map_err(|_| Stopped) }
    }

    fn failed(&self, path: PathBuf, message: String) -> Result<(), Stopped> {
        self.send(&self.messages, Message::Failed(Failure { path, message }))
    }
}

struct Pass<'a> {
    walk: &'a Walk<'a>,
    target: &'a Arc<Target>,
    rows: Rows<'a>,
    gone: Vec<i64>,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<Result<(), Stopped>> {
        let mut path = self.target.below.clone();
        let mut stack = Vec::new();
        if let Err(stopped) = self.enter(&mut path, &mut stack)? {
            return Ok(Err(stopped));
        }
        while let Some(frame) = stack.last_mut() {
            path.truncate(frame.base);
            let Some((name, kind)) = frame.listing.get(frame.next) else {
                stack.pop();
                continue;
            };
            path.extend_from_slice(name);
            frame.next += 1;
            let result = match kind {
                Kind::Folder => self.enter(&mut path, &mut stack)?,
                Kind::Photo => self.file(&path)?,
            };
            if let Err(stopped) = result {
                return Ok(Err(stopped));
            }
        }
        // All others are gone.
        while let Some(row) = self.rows.next()? {
            self.gone.push(row.id);
        }
        Ok(Ok(()))
    }

    /// Lists a folder. If that fails, its rows are passed over.
    fn enter(&mut self, path: &mut Vec<u8>, stack: &mut Vec<Frame>) -> Result<Result<(), Stopped>> {
        let folder = self.target.root.join(bytes_to_path(path));
        let listing = Listing::read(&folder);
        if !path.is_empty() {
            path.push(b'/');
        }
        match listing {
            Ok(listing) => {
                self.walk.counters.unsupported.fetch_add(listing.unsupported, Ordering::Relaxed);
                self.walk.counters.links.fetch_add(listing.links, Ordering::Relaxed);
                stack.push(Frame { listing, next: 0, base: path.len() });
                Ok(if self.walk.counters.stopped() { Err(Stopped) } else { Ok(()) })
            }
            Err(error) => {
                self.gone_before(path)?;
                while self.rows.peek()?.is_some_and(|row| row.path.starts_with(path)) {
                    self.rows.next()?;
                }
                Ok(self.walk.failed(folder, error.to_string()))
            }
        }
    }

    /// Rows before a path were not met.
    fn gone_before(&mut self, path: &[u8]) -> Result<()> {
        while self.rows.peek()?.is_some_and(|row| row.path.as_slice() < path) {
            if let Some(row) = self.rows.next()? {
                self.gone.push(row.id);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8]) -> Result<Result<(), Stopped>> {
        self.gone_before(path)?;
        let row = if self.rows.peek()?.is_some_and(|row| row.path == path) {
            self.rows.next()?
        } else {
            None
        };
        let place = self.target.root.join(bytes_to_path(path));
        // Not through a link, should the file have become one.
        match fs_err::symlink_metadata(&place) {
            Ok(metadata) => {
                let same =
                    |row: &Row| row.size == metadata.len() && row.mtime_ns == mtime_ns(&metadata);
                if !self.walk.rehash && row.as_ref().is_some_and(same) {
                    self.walk.counters.unchanged.fetch_add(1, Ordering::Relaxed);
                    return Ok(Ok(()));
                }
                let Ok(path) = RelPath::new(path.to_vec()) else { return Ok(Ok(())) };
                let row = row.map(|row| row.id);
                let job = Job { target: Arc::clone(self.target), path, row };
                Ok(self.walk.send(&self.walk.jobs, job))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.gone.extend(row.map(|row| row.id));
                Ok(Ok(()))
            }
            Err(error) => Ok(self.walk.failed(place, error.to_string())),
        }
    }
}

/// Counts the photos of folders; `None` if it was stopped.
pub(super) fn count(targets: &[Arc<Target>], counters: &Counters) -> Option<u64> {
    let mut photos = 0;
    for target in targets {
        let mut stack = vec![target.root.join(bytes_to_path(&target.below))];
        while let Some(folder) = stack.pop() {
            if counters.stopped() {
                return None;
            }
            // What cannot be listed is told by the walk.
            let Ok(listing) = Listing::read(&folder) else { continue };
            photos += listing.photos();
            stack.extend(listing.folders().map(|name| folder.join(bytes_to_path(name))));
        }
    }
    Some(photos)
}
