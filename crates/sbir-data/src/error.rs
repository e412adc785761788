//! What can go wrong between a folder on disk and a batch of tensors.

use std::io;
use std::path::PathBuf;

use crate::dataset::DatasetKind;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message is one line that names the file or folder and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Folders and layouts ===
    /// The data folder does not exist.
    #[error("{}: no such folder; give the folder that holds the dataset", path.display())]
    MissingFolder {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// The data path is a file.
    #[error("{}: not a folder; give the folder that holds the dataset", path.display())]
    NotAFolder {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// No known dataset layout was found in the folder.
    #[error("{}: no known dataset layout; looked for {looked_for}", root.display())]
    UnknownLayout {
        /// The data folder.
        root: PathBuf,
        /// The layouts that were looked for.
        looked_for: String,
    },
    /// The folder does not hold the layout that was asked for.
    #[error("{}: not laid out as {kind}; looked for {looked_for}", root.display())]
    WrongLayout {
        /// The data folder.
        root: PathBuf,
        /// The layout that was asked for.
        kind: DatasetKind,
        /// What the layout needs.
        looked_for: String,
    },
    /// The layout has no sketches of the kind that was asked for.
    #[error("{}: no {wanted} sketches here; {remedy}", root.display())]
    NoSuchSketches {
        /// The data folder.
        root: PathBuf,
        /// `raster` or `stroke`.
        wanted: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A folder or list holds no pairs at all.
    #[error("{}: no pairs found; {remedy}", path.display())]
    NoPairs {
        /// The folder or list.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Two photos answer to one name, so that a sketch of that name would be ambiguous.
    #[error("{}: the same photo name as {}; rename or remove one", path.display(), other.display())]
    DuplicatePhoto {
        /// The second photo.
        path: PathBuf,
        /// The first photo.
        other: PathBuf,
    },

    // === Splits ===
    /// The split's file is missing.
    #[error("{}: the split file is missing; {remedy}", path.display())]
    MissingSplit {
        /// The file that was looked for.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A split by unseen users was asked for where the dataset has none.
    #[error("{}: {kind} has no split by unseen users; leave out --val-unseen", root.display())]
    NoUnseenSplit {
        /// The data folder.
        root: PathBuf,
        /// Its layout.
        kind: DatasetKind,
    },
    /// A line of a split file could not be read.
    #[error("{}:{line}: {found:?} is no {expected}; give one a line", path.display())]
    BadSplitLine {
        /// The split file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the line should have held.
        expected: &'static str,
        /// What it held (shortened).
        found: String,
    },
    /// A split has nothing in it.
    #[error("{}: the {which} split is empty; {remedy}", path.display())]
    EmptySplit {
        /// The split file, or the data folder.
        path: PathBuf,
        /// `train` or `validation`.
        which: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// None of a split's entries belongs to a photo.
    #[error("{}: none of its {count} entries names a photo here; is it the split file of another dataset?", path.display())]
    SplitWithoutFiles {
        /// The split file.
        path: PathBuf,
        /// How many entries it has.
        count: usize,
    },

    // === Pairs ===
    /// Photos without a sketch.
    #[error("{}: photo without a sketch ({count} such), expected {expected}; restore the sketch or remove the photo", path.display())]
    PhotoWithoutSketch {
        /// The first such photo.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Where its sketch was looked for.
        expected: String,
    },
    /// Sketches without a photo.
    #[error("{}: sketch without a photo ({count} such), expected {expected}; restore the photo or remove the sketch", path.display())]
    SketchWithoutPhoto {
        /// The first such sketch.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// What its photo should have been called.
        expected: String,
    },
    /// Photos and sketches share classes, but many sketches no photo's name.
    #[error("{}: photos and sketches share classes ({classes}) but {count} of {sketches} sketches have no photo of their name, so these are not pairs (the first: {}); name each sketch after its photo, or list the pairs in pairs.csv", root.display(), path.display())]
    NotPairs {
        /// The data folder.
        root: PathBuf,
        /// The number of classes in common.
        classes: usize,
        /// The first sketch without a photo.
        path: PathBuf,
        /// How many sketches have no photo of their name.
        count: usize,
        /// How many sketches there are.
        sketches: usize,
    },
    /// A row of `pairs.csv` could not be used.
    #[error("{}:{line}: {problem}", path.display())]
    Csv {
        /// The list.
        path: PathBuf,
        /// The line at which the row starts, from 1.
        line: usize,
        /// What is wrong with it and what was expected.
        problem: String,
    },
    /// A file listed in `pairs.csv` or `strokes.ndjson` does not exist.
    #[error("{}: listed in {} ({count} such) but missing; restore the file or remove the entry", path.display(), list.display())]
    MissingFile {
        /// The first missing file.
        path: PathBuf,
        /// The list that names it.
        list: PathBuf,
        /// How many there are.
        count: usize,
    },

    // === Files ===
    /// The system could not read a file or folder; the message names it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path is a folder, a pipe or a device.
    #[error("{}: not a regular file; give an image file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty; restore it or remove it", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than is read.
    #[error("{}: {bytes} bytes, more than the {limit} that are read; use a smaller file", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size.
        limit: u64,
    },
    /// The content is not an image of a known format.
    #[error("{}: not an image; expected JPEG, PNG, WebP, GIF, BMP or TIFF content", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// The image is larger than is decoded.
    #[error("{}: {width}x{height} pixels, more than is decoded ({limit}); use a smaller image", path.display())]
    ImageTooLarge {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The limit in words.
        limit: &'static str,
    },
    /// The image breaks off.
    #[error("{}: the image is truncated; restore the file or remove it", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The image could not be decoded.
    #[error("{}: the image cannot be decoded ({problem}); restore the file or remove it", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's words, in one line.
        problem: String,
    },
    /// A picture could not be written as a JPEG.
    #[error("the picture cannot be written as a JPEG ({problem})")]
    Encode {
        /// The encoder's words, in one line.
        problem: String,
    },
    /// Pixels that do not fit the size given with them.
    #[error("{width}x{height} pixels need {expected} bytes, found {found}")]
    PixelCount {
        /// The width in pixels.
        width: usize,
        /// The height in pixels.
        height: usize,
        /// The bytes that the size needs.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// A stroke file could not be read; the message names it.
    #[error(transparent)]
    Sketch(#[from] sbir_sketch::Error),

    // === Loader ===
    /// The work on one item panicked.
    #[error(
        "loading item {index} failed unexpectedly ({message}); please report this with the file"
    )]
    Panicked {
        /// The item's index.
        index: usize,
        /// The panic's message, in one line.
        message: String,
    },

    // === Names ===
    /// A name that stands for nothing known.
    #[error("{found:?} is no {what}; one of {expected}")]
    UnknownName {
        /// What was named.
        what: &'static str,
        /// The names that there are.
        expected: &'static str,
        /// The name given.
        found: String,
    },
}

/// `text` in one line of at most 200 characters, for messages from other libraries.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
