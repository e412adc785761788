//! Embedding in parallel on whatever machines there are, with nothing shared but files.
//!
//! 1. [`write_manifest`] lists the photos of a folder or bucket, in order, cut into pieces.
//! 2. [`embed`] does one share of the pieces: shard `i` of `N` takes pieces `i`, `i + N`, `i + 2N` and so on. Each piece
//!    becomes one file, made whole by a write that never replaces: any piece may be done twice, be killed at any
//!    moment, or be done elsewhere.
//! 3. [`load`] brings the pieces into any [`VectorStore`](sbir_gallery::VectorStore) and names those that are missing.
//!
//! The vectors are bit for bit those that [`sbir_gallery::index()`] writes.

mod embed;
mod error;
mod job;
mod load;
mod manifest;
mod piece;
mod shard;
mod sort;
mod text;

pub use embed::{EmbedOptions, EmbedSummary, NoProgress, Progress, Snapshot, embed};
pub use error::{Error, Result};
pub use job::Job;
pub use load::{LoadOptions, LoadSummary, Missing, load};
pub use manifest::{
    DEFAULT_PIECE, Header, Listed, MAX_PIECE, MAX_PIECES, Manifest, ManifestOptions,
    ManifestSummary, Pieces, write_manifest,
};
pub use piece::{Made, Piece, PieceHeader, Unreadable};
pub use shard::Shard;

/// The most failures that are kept to be told; all are counted.
pub const MAX_FAILURES: usize = 1000;
