//! What can go wrong, with the remedy in the message.

use std::path::PathBuf;

use thiserror::Error;

use crate::atomic::WriteError;

/// An error of this crate. Each message is one line that names the file or the row, and the remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to work on.
    #[error("there are no {what}: give at least one")]
    Empty {
        /// What is missing: `"queries"`, `"gallery photos"`, `"ranks"`.
        what: &'static str,
    },

    /// Embeddings of zero dimensions.
    #[error("the embeddings have dimension 0: give vectors of at least one value")]
    ZeroDimension,

    /// A slice has another length than its partner.
    #[error("{what}: expected {expected} values, found {found}; pass slices of the same data")]
    Length {
        /// The slice.
        what: &'static str,
        /// The length that fits, or the next multiple of the dimension.
        expected: usize,
        /// The length that was given.
        found: usize,
    },

    /// An embedding holds a NaN or an infinity.
    #[error(
        "the embedding of {what} {row} (counted from 0) holds {value} at {column}: it cannot be ranked; \
         check that input, or the checkpoint that embedded it"
    )]
    NotFinite {
        /// `"query"` or `"gallery photo"`.
        what: &'static str,
        /// The row, from 0.
        row: usize,
        /// The place in the row, from 0.
        column: usize,
        /// The value found.
        value: f32,
    },

    /// A query's true photo is not in the gallery.
    #[error(
        "query {query} names photo {index} as its own, but the gallery holds {gallery}: \
         truth indices count from 0 to {gallery} - 1"
    )]
    Truth {
        /// The query, from 0.
        query: usize,
        /// The photo that it names.
        index: usize,
        /// Photos in the gallery.
        gallery: usize,
    },

    /// A rank that cannot be.
    #[error(
        "query {query} has rank {rank} in a gallery of {gallery}: ranks run from 1 to the gallery's size"
    )]
    Rank {
        /// The query, from 0.
        query: usize,
        /// Its rank.
        rank: usize,
        /// Photos in the gallery.
        gallery: usize,
    },

    /// A cutoff of zero, at which nothing can be a hit.
    #[error("recall at 0 has no meaning: give a cutoff of at least 1")]
    Cutoff,

    /// An interval over no resamples, or at a level outside (0, 1).
    #[error(
        "a bootstrap interval needs at least 1 resample and a level between 0 and 1, \
         got {resamples} and {level}"
    )]
    Bootstrap {
        /// Resamples asked for.
        resamples: usize,
        /// Level asked for.
        level: f64,
    },

    /// A file could not be written; nothing was left behind.
    #[error(transparent)]
    Write(#[from] WriteError),

    /// A file could not be read.
    #[error("{}: cannot be read ({source}); check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A file is not a float32 `[n, dim]` NumPy array.
    #[error("{}: expected {expected}, found {found}; save it with numpy.save(path, x.astype('<f4', order='C'))", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What a readable file has in that place.
        expected: &'static str,
        /// What this one has.
        found: String,
    },

    /// A NumPy array above the limit that the caller set.
    #[error("{}: holds {found} values, above the limit of {limit}; split it, or raise the limit", path.display())]
    NpyTooLarge {
        /// The file.
        path: PathBuf,
        /// Values in the file.
        found: u64,
        /// Values allowed.
        limit: u64,
    },

    /// A picture of the report could not be had from the caller, or cannot be embedded.
    #[error("{subject} cannot be shown in the report: {reason}")]
    Picture {
        /// `sketch 12`, `photo 7` (from 0), with its file where there is one.
        subject: String,
        /// Why, and the remedy.
        reason: String,
    },
}
