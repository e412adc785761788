//! What can go wrong between a tree of photos and a gallery.

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message is one line that names the thing and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder or an object store could not be read or written.
    #[error(transparent)]
    Objects(#[from] sbir_objects::Error),
    /// The gallery could not be read or written.
    #[error(transparent)]
    Gallery(#[from] sbir_gallery::Error),
    /// The system could not read or write a temporary file.
    #[error("a temporary file: {0}; free some space, or name another folder in TMPDIR")]
    Temporary(std::io::Error),
    /// The file is no manifest, or not a whole one.
    #[error("{name}: {problem}; write it anew with `sbir manifest`")]
    Manifest {
        /// The manifest.
        name: String,
        /// What is wrong, with the line where there is one.
        problem: String,
    },
    /// A later version of this program wrote it.
    #[error(
        "{name}: of format {found}, and this program knows formats up to {known}; use a newer sbir"
    )]
    NewerFormat {
        /// The file.
        name: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// No pieces were made there.
    #[error("{place}: no pieces here; make them with `sbir embed --manifest M --out {place}`")]
    NoJob {
        /// The place of the pieces.
        place: String,
    },
    /// The file that says what the pieces are of is damaged.
    #[error("{name}: {problem}; remove it and run `sbir embed` again, which writes it anew")]
    Job {
        /// The file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The pieces there are of another manifest.
    #[error(
        "{name}: made from another manifest ({found}, not {expected}); use that manifest, or another --out"
    )]
    OtherManifest {
        /// The piece or place.
        name: String,
        /// The digest asked for, its beginning.
        expected: String,
        /// The digest there, its beginning.
        found: String,
    },
    /// The pieces there are of another encoder.
    #[error(
        "{name}: made with the encoder {found}, not with {expected}; use the model it was made with (--model), or another --out"
    )]
    OtherEncoder {
        /// The piece or place.
        name: String,
        /// The fingerprint asked for.
        expected: String,
        /// The fingerprint there.
        found: String,
    },
    /// A piece is damaged.
    #[error("{name}: {problem}; remove it and run its shard again")]
    Piece {
        /// The piece.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The place of the photos is not there, or none of them.
    #[error("{root}: {problem}; mount or name it as it was, or write the manifest anew")]
    NoPhotos {
        /// The photos' root.
        root: String,
        /// What was found.
        problem: String,
    },
    /// Some pieces were not made; the others were.
    #[error(
        "{pieces} of {all} pieces are left out, at first piece {first}: {cause}; the same command makes them once their photos can be read"
    )]
    LeftOut {
        /// How many.
        pieces: u64,
        /// How many there are in this share.
        all: u64,
        /// The first that was left out.
        first: u64,
        /// Why that one was.
        cause: Box<Error>,
    },
    /// The gallery has photos of a folder below the pieces' root.
    #[error(
        "{gallery}: it has photos of {below}, which is below {root}, the root of these pieces, so that they would be there twice; load these pieces into another gallery"
    )]
    RootBelow {
        /// The gallery's name.
        gallery: String,
        /// The root of the pieces.
        root: String,
        /// The root in the gallery.
        below: String,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Options(String),
    /// The caller asked to stop.
    #[error("stopped; run it again to go on")]
    Cancelled,
}

impl Error {
    /// A problem as one printable line: names may have line ends in them.
    pub(crate) fn line(problem: &str) -> String {
        let mut line = String::with_capacity(problem.len());
        for character in problem.chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        line
    }
}
