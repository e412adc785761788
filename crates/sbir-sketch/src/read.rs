//! Reading a sketch from any stroke file.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Problem};
use crate::format::{fscoco_json, fscoco_npy, json, ndjson, quickdraw, strokes_ndjson, svg};
use crate::sketch::{MAX_FILE_BYTES, Sketch};

/// Which record of an `.ndjson` file is meant; written behind the file's name as `file.ndjson#<selector>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The record at this place, counted from 0. As text: up to nine digits.
    Index(usize),
    /// The first record of this key (`sketch`, or QuickDraw's `key_id`). As text: anything else.
    Key(String),
}

impl From<&str> for Selector {
    fn from(text: &str) -> Self {
        // QuickDraw's keys are numbers too, of sixteen digits.
        let index = text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(number) if index => Self::Index(number),
            _ => Self::Key(text.to_owned()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

/// The formats by file name.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Json,
    Npy,
    Svg,
    Ndjson,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "json" => Some(Self::Json),
            "npy" => Some(Self::Npy),
            "svg" => Some(Self::Svg),
            "ndjson" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Parts `file.ndjson#selector`. A name that is a stroke file's as it stands has no selector.
fn split_selector(path: &Path) -> (PathBuf, Option<Selector>) {
    let whole = || (path.to_owned(), None);
    if Kind::of(path).is_some() {
        return whole();
    }
    let Some(text) = path.to_str() else { return whole() };
    let marker = ".ndjson#";
    // `to_ascii_lowercase` keeps every byte's place.
    let Some(at) = text.to_ascii_lowercase().find(marker) else { return whole() };
    let (file, selector) = (&text[..at + marker.len() - 1], &text[at + marker.len()..]);
    (PathBuf::from(file), Some(Selector::from(selector)))
}

/// Whether the name is a stroke file's: `.json`, `.npy`, `.svg` or `.ndjson`, in any case, the last one
/// with or without `#selector`. The file need not exist.
pub fn is_stroke_file(path: &Path) -> bool {
    Kind::of(&split_selector(path).0).is_some()
}

/// Reads one sketch from a file, by its extension and its content:
///
/// | name | content |
/// |---|---|
/// | `.json` | FS-COCO's `raw_data` (a list) or [our own JSON](json) (an object) |
/// | `.npy` | FS-COCO's `vector_sketches` |
/// | `.svg` | line art |
/// | `.ndjson` | QuickDraw or `strokes.ndjson`, when it has exactly one record |
/// | `.ndjson#S` | the record that the [`Selector`] `S` names |
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read, [`Error::File`] when its content is at fault,
/// [`Error::SeveralRecords`] or [`Error::NoRecord`] for `.ndjson`, [`Error::UnknownExtension`].
pub fn read_sketch(path: &Path) -> Result<Sketch, Error> {
    let (path, selector) = split_selector(path);
    let path = path.as_path();
    let (parse, limit): (Parse, u64) = match Kind::of(path) {
        None => return Err(Error::UnknownExtension { path: path.to_owned() }),
        Some(Kind::Ndjson) => return read_record(path, selector.as_ref()),
        Some(Kind::Json) => (parse_json, MAX_FILE_BYTES),
        Some(Kind::Npy) => (fscoco_npy::parse, MAX_FILE_BYTES),
        Some(Kind::Svg) => (svg::parse, svg::MAX_BYTES),
    };
    let bytes = read_bytes(path, limit)?;
    parse(&bytes).map_err(|problem| Error::file(path, problem))
}

/// A reader of one whole file.
type Parse = fn(&[u8]) -> Result<Sketch, Problem>;

/// The whole file, unless it is longer than `limit`, whatever its metadata says.
fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        0 => Err(Error::file(path, Problem::Empty)),
        length if length > limit => Err(Error::file(path, Problem::TooLarge { limit })),
        _ => Ok(bytes),
    }
}

/// FS-COCO's list or our object.
fn parse_json(bytes: &[u8]) -> Result<Sketch, Problem> {
    match bytes.trim_ascii_start().first() {
        Some(b'[') => fscoco_json::parse(bytes),
        _ => json::parse(bytes),
    }
}

/// A line of either kind of `.ndjson`.
struct AnyRecord {
    key: Option<String>,
    sketch: Sketch,
}

impl ndjson::Record for AnyRecord {
    fn parse(line: &[u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Keys {
            drawing: Option<IgnoredAny>,
        }
        let drawing = serde_json::from_slice::<Keys>(line).is_ok_and(|keys| keys.drawing.is_some());
        if drawing {
            let quickdraw::Drawing { key_id: key, sketch, .. } = ndjson::Record::parse(line)?;
            Ok(Self { key, sketch })
        } else {
            let strokes_ndjson::Record { name: key, sketch, .. } = ndjson::Record::parse(line)?;
            Ok(Self { key, sketch })
        }
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

fn read_record(path: &Path, selector: Option<&Selector>) -> Result<Sketch, Error> {
    if let Some(selector) = selector {
        return ndjson::find::<AnyRecord>(path, selector).map(|record| record.sketch);
    }
    let mut records = ndjson::open::<AnyRecord>(path)?;
    let first = records.next().ok_or_else(|| Error::file(path, Problem::Empty))??;
    match records.next() {
        None => Ok(first.sketch),
        Some(Err(error @ Error::Io(_))) => Err(error),
        Some(_) => Err(Error::SeveralRecords { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stroke_files_are_known_by_name() {
        for name in
            ["a.json", "b/a.NPY", "a.svg", "a.ndjson", "a.ndjson#7", "x/a.NDJSON#key.with.dots"]
        {
            assert!(is_stroke_file(Path::new(name)), "{name}");
        }
        for name in ["a.png", "json", ".svg", "a.svg#1", "a.ndjson.png", "", "a.json.gz"] {
            assert!(!is_stroke_file(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn selectors_are_parted_from_the_name() {
        let part = |name: &str| split_selector(Path::new(name));
        let file = PathBuf::from("d/s.ndjson");
        assert_eq!(part("d/s.ndjson#12"), (file.clone(), Some(Selector::Index(12))));
        let key = |key: &str| Some(Selector::Key(key.into()));
        assert_eq!(part("d/s.ndjson#00140128_v1_1"), (file.clone(), key("00140128_v1_1")));
        assert_eq!(part("d/s.ndjson#5201136883597312"), (file.clone(), key("5201136883597312")));
        assert_eq!(part("d/s.ndjson#"), (file.clone(), key("")));
        assert_eq!(part("d/s.ndjson#a#b"), (file.clone(), key("a#b")));
        assert_eq!(part("d/s.ndjson"), (file, None));
        assert_eq!(part("d/#1.json"), (PathBuf::from("d/#1.json"), None));
    }
}
