//! The list of the work: JSON lines, in order, with a digest at the end.
//!
//! ```text
//! {"format":"sbir manifest","version":1,"path":"/photos","photos":2,"bytes":4711,"piece":1024}
//! {"path":"a/1.jpg","size":4000,"mtime":1700000000000000000}
//! {"path":"b.png","size":711,"mtime":1700000000500000000}
//! {"digest":"<SHA-256 of all lines before>"}
//! ```
//!
//! Paths are in the order of their bytes; one that is no UTF-8 stands as hexadecimal digits in a field `hex`.

mod read;
mod write;

use std::path::PathBuf;

use sbir_gallery::RelPath;
use serde::{Deserialize, Serialize};

use crate::text::Text;

pub(crate) use read::root;
pub use read::{Manifest, Pieces};
pub use write::{ManifestOptions, ManifestSummary, write_manifest};

/// The number of photos of a piece.
pub const DEFAULT_PIECE: u32 = 1024;
/// The most photos of a piece.
pub const MAX_PIECE: u32 = 16_384;

/// The most pieces. Each is asked for by its name, so that a false number would be asked for a long time.
pub const MAX_PIECES: u64 = 10_000_000;

/// What the first line says it is.
const FORMAT: &str = "sbir manifest";
/// The newest format known here.
const VERSION: u32 = 1;

/// What a manifest says of all photos together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the photos lie: an absolute folder, or `s3://bucket/prefix`.
    pub root: PathBuf,
    /// The number of photos.
    pub photos: u64,
    /// The bytes of all their files.
    pub bytes: u64,
    /// The number of photos of a piece; the last may have fewer.
    pub piece: u32,
}

impl Header {
    /// The number of pieces.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.photos.div_ceil(u64::from(self.piece))
    }
}

/// A photo of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path below the root.
    pub path: RelPath,
    /// The file's size in bytes when it was listed.
    pub size: u64,
    /// The file's time of modification when it was listed, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    format: String,
    version: u32,
    #[serde(flatten)]
    root: Text,
    photos: u64,
    bytes: u64,
    piece: u32,
}

#[derive(Serialize, Deserialize)]
struct PhotoLine {
    #[serde(flatten)]
    path: Text,
    size: u64,
    mtime: i64,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    digest: String,
}
