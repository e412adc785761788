//! One sorted pass over the files of a folder, beside the rows of its root.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use super::asked::{Asked, Met};
use super::listing::{Kind, Listing};
use super::rows::{Row, Rows};
use super::target::Target;
use super::{Counters, Failure, Message};
use crate::error::Result;
use crate::photo_file::mtime_ns;
use crate::store::{PhotoId, RelPath, VectorStore, bytes_to_path};

/// A file to read.
pub(super) struct Job {
    pub(super) target: Arc<Target>,
    pub(super) path: RelPath,
    /// The photo that the store has here.
    pub(super) known: Option<PhotoId>,
}

/// What a walk is connected to.
pub(super) struct Walk<'a> {
    pub(super) store: &'a dyn VectorStore,
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
    /// Walks a folder; gives the photos whose files are gone, or `None` if it did not come to the end.
    pub(super) fn run(&self, target: &Arc<Target>) -> Result<Option<Vec<PhotoId>>> {
        let mut pass = Pass {
            walk: self,
            target,
            beside: match self.store.local() {
                Some(gallery) => Beside::Rows(Rows::new(gallery, &target.root, &target.below)?),
                None => Beside::Asked(Asked::new(self.store)),
            },
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
    beside: Beside<'a>,
    gone: Vec<PhotoId>,
}

/// What the store knows, beside the files.
enum Beside<'a> {
    /// In the order of the walk.
    Rows(Rows<'a>),
    Asked(Asked<'a>),
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
        match &mut self.beside {
            // All others are gone.
            Beside::Rows(rows) => {
                while let Some(row) = rows.next()? {
                    self.gone.push(row.id);
                }
            }
            Beside::Asked(_) => {
                if let Err(stopped) = self.ask()? {
                    return Ok(Err(stopped));
                }
                if let Beside::Asked(asked) = &self.beside {
                    self.gone = asked.gone(self.target, || self.walk.counters.stopped())?;
                }
            }
        }
        Ok(if self.walk.counters.stopped() { Err(Stopped) } else { Ok(()) })
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
                match &mut self.beside {
                    Beside::Rows(rows) => {
                        while rows.peek()?.is_some_and(|row| row.path.starts_with(path)) {
                            rows.next()?;
                        }
                    }
                    // Without the slash.
                    Beside::Asked(asked) => asked.unlisted(path.strip_suffix(b"/").unwrap_or(path)),
                }
                Ok(self.walk.failed(folder, error.to_string()))
            }
        }
    }

    /// Rows before a path were not met.
    fn gone_before(&mut self, path: &[u8]) -> Result<()> {
        let Beside::Rows(rows) = &mut self.beside else { return Ok(()) };
        while rows.peek()?.is_some_and(|row| row.path.as_slice() < path) {
            if let Some(row) = rows.next()? {
                self.gone.push(row.id);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8]) -> Result<Result<(), Stopped>> {
        self.gone_before(path)?;
        let mut row = None;
        if let Beside::Rows(rows) = &mut self.beside
            && rows.peek()?.is_some_and(|row| row.path == path)
        {
            row = rows.next()?;
        }
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
                if let Beside::Asked(asked) = &mut self.beside {
                    let (size, mtime_ns) = (metadata.len(), mtime_ns(&metadata));
                    let many = asked.meet(Met { path, size, mtime_ns });
                    return if many { self.ask() } else { Ok(Ok(())) };
                }
                Ok(self.read(path, row.map(|row| row.id)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.gone.extend(row.map(|row| row.id));
                Ok(Ok(()))
            }
            Err(error) => Ok(self.walk.failed(place, error.to_string())),
        }
    }

    /// Has a file read.
    fn read(&self, path: RelPath, known: Option<PhotoId>) -> Result<(), Stopped> {
        self.walk.send(&self.walk.jobs, Job { target: Arc::clone(self.target), path, known })
    }

    /// Asks about the files that wait, and has those read that are new or changed.
    fn ask(&mut self) -> Result<Result<(), Stopped>> {
        let Beside::Asked(asked) = &mut self.beside else { return Ok(Ok(())) };
        for (path, known) in asked.ask(self.target)? {
            if !self.walk.rehash && known.is_some_and(|(_, same)| same) {
                self.walk.counters.unchanged.fetch_add(1, Ordering::Relaxed);
            } else if let Err(stopped) = self.read(path, known.map(|(id, _)| id)) {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok(()))
    }
}

/// Calls with the path of every photo below a root; what cannot be listed is passed over.
pub(crate) fn each_photo(
    root: &std::path::Path,
    mut each: impl FnMut(RelPath) -> Result<()>,
) -> Result<()> {
    let mut stack = vec![Vec::new()];
    while let Some(folder) = stack.pop() {
        let Ok(listing) = Listing::read(&root.join(bytes_to_path(&folder))) else { continue };
        for (name, kind) in (0..).map_while(|place| listing.get(place)) {
            let path = if folder.is_empty() {
                name.to_vec()
            } else {
                [folder.as_slice(), b"/", name].concat()
            };
            match kind {
                Kind::Folder => stack.push(path),
                Kind::Photo => each(RelPath::new(path)?)?,
            }
        }
    }
    Ok(())
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
