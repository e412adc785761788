//! What can go wrong between a folder of photos and an answer.

use std::io;
use std::path::PathBuf;

use crate::embedder::EmbedError;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message is one line that names the file and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === The gallery's file ===
    /// There is no gallery there.
    #[error("{}: no gallery here; make one with `sbir index FOLDER`, or name another with --gallery", path.display())]
    NoGallery {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}: not a gallery ({found}); name another file with --gallery", path.display())]
    NotAGallery {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A later version of this program made the gallery.
    #[error("{}: a gallery of format {found}, and this program knows formats up to {known}; use a newer sbir", path.display())]
    NewerFormat {
        /// The gallery's file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The gallery holds another encoder's vectors.
    #[error(
        "{gallery}: made with the encoder {found}, not with {expected}; use the model it was made with (--model), another gallery (--gallery), or remove this one and index again"
    )]
    OtherEncoder {
        /// The gallery's name.
        gallery: String,
        /// The fingerprint asked for.
        expected: String,
        /// The gallery's fingerprint.
        found: String,
    },
    /// A vector does not have the gallery's dimension.
    #[error(
        "{gallery}: vectors here have {expected} values, not {found}; use the model the gallery was made with (--model)"
    )]
    OtherDimension {
        /// The gallery's name.
        gallery: String,
        /// The gallery's dimension.
        expected: usize,
        /// The vector's length.
        found: usize,
    },
    /// A vector has a value that is no finite number, or none but zeros.
    #[error("a vector has a value that is no finite number; use other weights")]
    NotFinite,
    /// The file is damaged.
    #[error("{}: the gallery is damaged ({problem}); remove it and index again, or import a copy made by `sbir gallery export`", path.display())]
    Corrupt {
        /// The gallery's file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another process writes to the gallery.
    #[error("{}: process {pid} is writing to this gallery; wait for it or stop it", path.display())]
    Locked {
        /// The gallery's file.
        path: PathBuf,
        /// The other process, 0 where it is not known.
        pid: u32,
    },
    /// No space is left where the gallery lies.
    #[error("{}: the disk is full; free some space and run it again: what was written so far is kept", path.display())]
    DiskFull {
        /// The gallery's file.
        path: PathBuf,
    },
    /// The gallery may not be written.
    #[error("{}: the gallery cannot be written; check its permissions, or name another with --gallery", path.display())]
    ReadOnly {
        /// The gallery's file.
        path: PathBuf,
    },
    /// SQLite failed otherwise.
    #[error("{}: {problem}", path.display())]
    Sqlite {
        /// The gallery's file.
        path: PathBuf,
        /// SQLite's words, in one line.
        problem: String,
    },
    /// There is no user's data folder to keep the default gallery in.
    #[error(
        "no place for a gallery: neither XDG_DATA_HOME nor HOME is set; name one with --gallery"
    )]
    NoDefaultPlace,

    // === Galleries behind a network ===
    /// The address of a gallery cannot be understood.
    #[error("{gallery}: {problem}")]
    BadAddress {
        /// The address, without secrets.
        gallery: String,
        /// What is wrong with it, and how it should be.
        problem: String,
    },
    /// No server answers there.
    #[error(
        "{gallery}: cannot be reached ({problem}); is the server running, and is this its address?"
    )]
    Unreachable {
        /// The gallery's name.
        gallery: String,
        /// What was seen.
        problem: String,
    },
    /// The server did not answer in time.
    #[error("{gallery}: no answer within {:.1} s; what was acknowledged is safe, the same command goes on once the servers answer", after.as_secs_f64())]
    TimedOut {
        /// The gallery's name.
        gallery: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// Some of the photos cannot be reached, so that an answer would be short.
    #[error("{gallery}: incomplete, {missing}; bring the missing servers back")]
    Incomplete {
        /// The gallery's name.
        gallery: String,
        /// Which part is missing.
        missing: String,
    },
    /// The server does not do what it is asked.
    #[error("{gallery}: {problem}")]
    Refused {
        /// The gallery's name.
        gallery: String,
        /// The server's words in one line, and the remedy where there is one.
        problem: String,
    },
    /// The server's answer is not what it should be.
    #[error("{gallery}: the server gave {problem}; is it the version that docs/scale.md names?")]
    BadAnswer {
        /// The gallery's name.
        gallery: String,
        /// What is wrong with it.
        problem: String,
    },

    // === Photos ===
    /// No photo has this id.
    #[error("no photo {id} in the gallery")]
    NoPhoto {
        /// The id.
        id: crate::PhotoId,
    },
    /// The photo's file is not there any more, or leads out of its root.
    #[error("{path}: {problem}; index its folder again")]
    PhotoGone {
        /// The photo, as one printable line.
        path: String,
        /// What was found.
        problem: String,
    },
    /// A path that would leave its root, or cannot be one.
    #[error("{path}: not a path below a root")]
    BadPath {
        /// The path, as one printable line.
        path: String,
    },
    /// A folder to index does not exist, and the gallery knows nothing of it.
    #[error("{}: no such folder", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A place in an object store, which cannot be walked as a folder is.
    #[error("{}: a place in an object store, which `sbir index` does not read; list it with `sbir manifest`, embed it with `sbir embed --manifest`, and bring that in with `sbir load`", place.display())]
    InObjectStore {
        /// The place.
        place: PathBuf,
    },
    /// The encoder failed.
    #[error("the encoder failed: {0}")]
    Embedding(EmbedError),
    /// The encoder gave something else than vectors of its dimension and unit length.
    #[error("the encoder gave {found} where {expected} was expected; use other weights")]
    BadEmbedding {
        /// What was expected.
        expected: String,
        /// What came.
        found: String,
    },

    // === Files ===
    /// The system could not read or write; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An imported file does not hold what it should.
    #[error("{}{}: {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Import {
        /// The file.
        path: PathBuf,
        /// The line from 1, where it has lines.
        line: Option<usize>,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The caller asked to stop.
    #[error("stopped; run it again to go on")]
    Cancelled,
}
