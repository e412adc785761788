//! Which folders are walked, and as parts of which roots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::Listing;
use super::output::Output;
use crate::error::{Error, Result};
use crate::gallery::absolute;
use crate::photo_file::RootFolder;
use crate::store::{VectorStore, is_remote, name_bytes};

/// A folder to walk.
#[derive(Debug)]
pub(super) struct Target {
    /// The root that it is, or is part of.
    pub(super) root: PathBuf,
    /// Its path below the root; empty if it is the root.
    pub(super) below: Vec<u8>,
    /// The root held open, through which files are opened.
    pub(super) folder: RootFolder,
    /// What the root was when the walk began.
    identity: Option<Identity>,
}

type Identity = (u64, u64);

/// The folders to walk, and those of known roots that are missing or empty.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) present: Vec<Arc<Target>>,
    pub(super) missing: Vec<PathBuf>,
}

impl Targets {
    /// Finds the roots of folders; new folders become roots, and roots take in those below them.
    pub(super) fn find(
        store: &dyn VectorStore,
        output: &mut Output<'_>,
        dirs: &[PathBuf],
    ) -> Result<Self> {
        // Its name as a path of the file system is one that is missing.
        if let Some(place) = dirs.iter().find(|dir| is_remote(dir)) {
            return Err(Error::InObjectStore { place: place.clone() });
        }
        let mut folders: Vec<_> = dirs.iter().map(|dir| absolute(dir)).collect();
        folders.sort();
        // A folder below another is walked with it.
        folders.dedup_by(|folder, before| folder.starts_with(before.as_path()));
        let mut found = Self::default();
        for folder in folders {
            let known: Vec<_> = store.roots()?.into_iter().map(|root| root.path).collect();
            let holds_photos =
                known.iter().any(|root| folder.starts_with(root) || root.starts_with(&folder));
            let listing = match fs_err::metadata(&folder) {
                Ok(metadata) if metadata.is_dir() => Listing::read(&folder),
                Ok(_) => return Err(Error::NoFolder { path: folder }),
                Err(error) => Err(error),
            };
            // An empty folder may be where a disk is mounted at other times.
            let missing = listing.as_ref().map_or(true, |listing| listing.all == 0);
            if missing && holds_photos {
                found.missing.push(folder);
                continue;
            }
            match listing {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::NoFolder { path: folder });
                }
                Err(error) => return Err(error.into()),
            }
            found.present.push(Arc::new(Self::target(output, &known, folder)?));
        }
        Ok(found)
    }

    fn target(output: &mut Output<'_>, known: &[PathBuf], folder: PathBuf) -> Result<Target> {
        let above = known.iter().find(|root| folder.starts_with(root));
        let (root, below) = match above {
            Some(root) => {
                let below = folder.strip_prefix(root).unwrap_or(Path::new(""));
                let below = name_bytes(below.as_os_str()).unwrap_or_default().to_vec();
                (root.clone(), below)
            }
            None => (folder, Vec::new()),
        };
        // Also into a known root: a run that took one in may have been cut off.
        for inner in known.iter().filter(|inner| inner.starts_with(&root) && **inner != root) {
            output.absorb(inner, &root)?;
        }
        let opened = RootFolder::open(&root).map_err(|error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", root.display()))
        })?;
        let identity = identity(&root);
        Ok(Target { root, below, folder: opened, identity })
    }
}

impl Target {
    /// The folder that is walked.
    pub(super) fn place(&self) -> PathBuf {
        self.root.join(crate::store::bytes_to_path(&self.below))
    }

    /// Whether the root and the folder are still what they were, and hold anything: else they went away during the walk,
    /// and what was not met may well be there.
    pub(super) fn is_still_there(&self) -> bool {
        identity(&self.root) == self.identity
            && self.identity.is_some()
            && Listing::read(&self.place()).is_ok_and(|listing| listing.all > 0)
    }
}

/// The device and number of a folder.
#[cfg(unix)]
fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs_err::metadata(folder).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(folder: &Path) -> Option<Identity> {
    folder.is_dir().then_some((0, 0))
}

/// Whether a root is there and holds anything.
pub(super) fn is_present(root: &Path) -> bool {
    fs_err::read_dir(root).is_ok_and(|mut entries| entries.next().is_some())
}
