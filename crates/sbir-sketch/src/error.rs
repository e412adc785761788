//! What can go wrong with a sketch, and in which file it did.

use std::path::{Path, PathBuf};

use crate::sketch::{MAX_CANVAS, MAX_POINTS, MAX_STROKES, MIN_CANVAS};

/// A failure of this crate, in one line that names the file and says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened or read; the source names its path.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file's content is at fault.
    #[error("{}{}: {problem}", path.display(), line.map(|n| format!(":{n}")).unwrap_or_default())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, in formats of one record per line.
        line: Option<usize>,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// Strokes given to [`Sketch::new`](crate::Sketch::new) are at fault.
    #[error("sketch: {0}")]
    Sketch(#[source] Problem),
    /// The file's name has an extension that no reader knows.
    #[error("{}: not a stroke file by its name; expected .json, .npy, .svg or .ndjson", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// A file of several records was given where one sketch is wanted.
    #[error(
        "{0}: holds more than one sketch; name one as {0}#<index from 0 or key>",
        path.display()
    )]
    SeveralRecords {
        /// The file.
        path: PathBuf,
    },
    /// The record asked for is not there.
    #[error(
        "{}: no record `{selector}` among its {records}; give an index from 0 or a record's key",
        path.display()
    )]
    NoRecord {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        selector: String,
        /// How many records the file has.
        records: usize,
    },
    /// Text that is no [`LineStyle`](crate::LineStyle).
    #[error(
        "line style `{found}` is unknown; expected `fscoco` or a width as a share of the side, \
         above 0 and at most 1, such as 0.0117"
    )]
    LineStyle {
        /// The text.
        found: String,
    },
    /// Text that is no [`DrawingStyle`](crate::DrawingStyle).
    #[error("drawing style `{found}` is unknown; expected gist, outline or detailed")]
    DrawingStyle {
        /// The text.
        found: String,
    },
    /// Pixels that do not fit the size given with them.
    #[error(
        "{width} × {height} pixels of RGB do not make {found} bytes; give three bytes a pixel and sides \
         from 1 to {MAX_CANVAS}"
    )]
    Pixels {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes given.
        found: usize,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, problem: Problem) -> Self {
        Self::File { path: path.to_owned(), line: None, problem }
    }

    pub(crate) fn line(path: &Path, line: usize, problem: Problem) -> Self {
        Self::File { path: path.to_owned(), line: Some(line), problem }
    }

    /// The content problem behind this error, if its cause is content.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::File { problem, .. } | Self::Sketch(problem) => Some(problem),
            _ => None,
        }
    }
}

/// What is wrong with a sketch's content. Strokes and points are counted from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file has no bytes.
    #[error("the file is empty; write or fetch it again")]
    Empty,
    /// The text is not of the format.
    #[error("not valid {format}: {detail}; correct the file or write it again")]
    Syntax {
        /// The format that was expected.
        format: &'static str,
        /// What the parser met, with its place.
        detail: String,
    },
    /// More bytes than are read.
    #[error("has more than {limit} bytes, the most that is read; split or simplify it")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// More strokes than [`MAX_STROKES`](crate::MAX_STROKES).
    #[error("has {found} strokes, at most {MAX_STROKES} are allowed; simplify the sketch")]
    TooManyStrokes {
        /// How many there are.
        found: usize,
    },
    /// More points than [`MAX_POINTS`](crate::MAX_POINTS).
    #[error("has {found} points, at most {MAX_POINTS} are allowed; simplify the sketch")]
    TooManyPoints {
        /// How many there are.
        found: usize,
    },
    /// A canvas side outside of [`MIN_CANVAS`](crate::MIN_CANVAS) to [`MAX_CANVAS`](crate::MAX_CANVAS).
    #[error(
        "canvas {width} × {height} is out of range; each side must be {MIN_CANVAS} to {MAX_CANVAS}"
    )]
    Canvas {
        /// Width in canvas units.
        width: f32,
        /// Height in canvas units.
        height: f32,
    },
    /// A coordinate or time that is infinite, not a number, or beyond 32-bit floating point.
    #[error("stroke {stroke}, point {point} is not finite; remove the point")]
    NonFinite {
        /// The stroke's index.
        stroke: usize,
        /// The point's index in it.
        point: usize,
    },
    /// A stroke whose coordinates or times are not of one length.
    #[error(
        "stroke {stroke} has {found} times or coordinates for {expected} points; give one per point"
    )]
    Lengths {
        /// The stroke's index.
        stroke: usize,
        /// Number of points.
        expected: usize,
        /// Number of the other values.
        found: usize,
    },
    /// An FS-COCO point whose `pen_state` is neither `[0,1,0]` nor `[1,0,0]`.
    #[error(
        "point {point} has pen_state {found:?}; expected [0,1,0] (the stroke goes on) or [1,0,0] (it ends)"
    )]
    PenState {
        /// The point's index in the file.
        point: usize,
        /// The state found.
        found: Vec<f32>,
    },
    /// An FS-COCO `.npy` row whose flag is none of 0, 1, 2.
    #[error(
        "row {row} has pen flag {found}; expected 0 (the stroke goes on), 1 (it ends) or 2 (the drawing ends)"
    )]
    PenFlag {
        /// The row.
        row: usize,
        /// The flag found.
        found: f32,
    },
    /// A `.npy` array of another type or shape.
    #[error("is a .npy array of {found}; expected {expected}")]
    NpyArray {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A file that ends too early.
    #[error("ends after {found} bytes where {expected} are declared; fetch or write it again")]
    Truncated {
        /// Bytes that its header asks for.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// An SVG that would grow without measure or leaves the file.
    #[error("SVG {detail}; flatten it in a drawing program and save it as plain SVG")]
    Svg {
        /// What is refused.
        detail: String,
    },
}

impl Problem {
    /// A syntax problem from a JSON parser's message.
    pub(crate) fn json(format: &'static str, error: &serde_json::Error) -> Self {
        Self::Syntax { format, detail: one_line(&error.to_string()) }
    }
}

/// Cuts a foreign message to a short single line.
pub(crate) fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= 200 {
        clean
    } else {
        clean.chars().take(199).chain(['…']).collect()
    }
}
