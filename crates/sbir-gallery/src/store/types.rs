//! The words that a store is asked in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::path::{RelPath, escaped, name_bytes};

/// The space that a store's vectors live in: vectors of two spaces cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Names the encoder's weights and preprocessing.
    pub fingerprint: String,
    /// The number of values of a vector.
    pub dimension: usize,
}

/// A photo's number in its store. It is never given twice, and stays when the file is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhotoId(pub i64);

impl fmt::Display for PhotoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PhotoId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a store knows of a photo besides its embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its number; any in a [`Record`] that is to be written.
    pub id: PhotoId,
    /// The folder it was indexed from, absolute.
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

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub i64);

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
    /// Grows with every change: an answer of an earlier generation may be out of date.
    pub generation: u64,
    /// The bytes on disk, derived files included.
    pub bytes: u64,
}
