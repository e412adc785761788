//! The words that a store is asked in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::id::{Cursor, PhotoId};
use super::is_remote;
use super::path::RelPath;
use super::{escaped, name_bytes};

/// The space that a store's vectors live in: vectors of two spaces cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Names the encoder's weights and preprocessing.
    pub fingerprint: String,
    /// The number of values of a vector.
    pub dimension: usize,
}

impl Space {
    /// Whether vectors of this space may go into the gallery of this name, which holds another's.
    ///
    /// # Errors
    /// [`Error::OtherEncoder`] or [`Error::OtherDimension`] where they may not.
    pub fn check(&self, gallery: &str, held: &Self) -> Result<()> {
        let gallery = gallery.to_owned();
        if self.fingerprint != held.fingerprint {
            let (expected, found) = (self.fingerprint.clone(), held.fingerprint.clone());
            return Err(Error::OtherEncoder { gallery, expected, found });
        }
        if self.dimension != held.dimension {
            let (expected, found) = (held.dimension, self.dimension);
            return Err(Error::OtherDimension { gallery, expected, found });
        }
        Ok(())
    }
}

/// What a store knows of a photo besides its embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its id; any in a [`Record`] that is to be written.
    pub id: PhotoId,
    /// The folder it was indexed from: absolute, or a place in an object store.
    pub root: PathBuf,
    /// Its path below the root.
    pub path: RelPath,
    /// The file's size in bytes when it was embedded.
    pub size: u64,
    /// The file's time of modification when it was embedded, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The SHA-256 of the file's bytes.
    pub hash: [u8; 32],
    /// The width of the upright picture in pixels.
    pub width: u32,
    /// The height of the upright picture in pixels.
    pub height: u32,
}

impl Photo {
    /// Where the file should be.
    #[must_use]
    pub fn location(&self) -> PathBuf {
        self.root.join(self.path.to_path())
    }

    /// Where the file should be, as one printable line.
    #[must_use]
    pub fn display(&self) -> String {
        let location = self.location();
        match name_bytes(location.as_os_str()) {
            Some(bytes) => escaped(bytes),
            None => location.display().to_string(),
        }
    }
}

/// A photo with its embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The photo.
    pub photo: Photo,
    /// Its vector of unit length, `[dimension]`; stores may keep it as f16.
    pub embedding: Vec<f32>,
}

/// A file that was written anew with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The photo.
    pub id: PhotoId,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's time of modification in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// A folder that photos of a store come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootInfo {
    /// The folder: absolute, or a place in an object store.
    pub path: PathBuf,
    /// How many photos the store has of it.
    pub photos: u64,
    /// Whether it is there now, as seen from this machine; places in an object store count as there.
    pub present: bool,
}

impl RootInfo {
    /// Looks whether the root is there.
    #[must_use]
    pub fn new(path: PathBuf, photos: u64) -> Self {
        let present = is_remote(&path) || path.is_dir();
        Self { path, photos, present }
    }
}

/// Which photos are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// These.
    Ids(Vec<PhotoId>),
    /// All at or below an absolute path, which need not exist.
    Under(PathBuf),
    /// All.
    All,
}

/// What to look for besides the query.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// The most photos to return.
    pub k: usize,
    /// The least cosine similarity.
    pub min_score: Option<f32>,
    /// Only photos at or below this absolute path. It never shortens the list: the nearest `k` of those are found.
    pub under: Option<PathBuf>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { k: 10, min_score: None, under: None }
    }
}

impl SearchOptions {
    /// The nearest `k`.
    #[must_use]
    pub fn nearest(k: usize) -> Self {
        Self { k, ..Self::default() }
    }

    /// Only photos at or below an absolute path.
    #[must_use]
    pub fn under(self, folder: &Path) -> Self {
        Self { under: Some(folder.into()), ..self }
    }
}

/// A photo that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The photo.
    pub photo: Photo,
    /// The cosine similarity of its embedding and the query.
    pub score: f32,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// Best first, ties by id.
    pub items: Vec<Hit>,
    /// Whether every photo that the options allow was compared, so that none better was missed.
    pub exhaustive: bool,
    /// How many photos were compared.
    pub searched: u64,
}

/// Some photos in order, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The photos.
    pub items: Vec<T>,
    /// What to ask with for the next page; none after the last.
    pub next: Option<Cursor>,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The space, once the first photo is in.
    pub space: Option<Space>,
    /// The number of photos.
    pub photos: u64,
    /// The number of folders that were indexed.
    pub roots: u64,
    /// Changes with every change of the photos, as far as the store can tell: an answer of another generation may be
    /// out of date.
    pub generation: u64,
    /// The bytes on disk, derived files included; 0 where the store does not say.
    pub bytes: u64,
}
