//! `strokes.ndjson`: a line per sketch, `{"sketch": id, "photo": file, "canvas": N | [w, h], "strokes": …}`,
//! the strokes as in [our own JSON](super::json). `sketch` and `photo` may be missing.

use std::io::BufReader;
use std::path::Path;

use fs_err::File;
use serde::Deserialize;

use crate::error::{Error, Problem};
use crate::format::json::write_fields;
use crate::format::ndjson::{self, Records};
use crate::format::numbers::{Canvas, Strokes};
use crate::sketch::Sketch;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The sketch's name, by which the record is found.
    pub name: Option<String>,
    /// The photo that was drawn, as a file name.
    pub photo: Option<String>,
    /// What was drawn.
    pub sketch: Sketch,
}

#[derive(Deserialize)]
struct Line {
    sketch: Option<String>,
    photo: Option<String>,
    canvas: Canvas,
    strokes: Strokes,
}

impl ndjson::Record for Record {
    fn parse(line: &[u8]) -> Result<Self, Problem> {
        let line: Line =
            serde_json::from_slice(line).map_err(|e| Problem::json("strokes.ndjson", &e))?;
        let sketch = Sketch::check(line.canvas.0, line.strokes.into_strokes()?)?;
        Ok(Self { name: line.sketch, photo: line.photo, sketch })
    }

    fn key(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl Record {
    /// The record as one line, with its line end.
    pub fn to_line(&self) -> String {
        let mut text = String::from("{");
        for (key, value) in [("sketch", &self.name), ("photo", &self.photo)] {
            if let Some(value) = value {
                let value = serde_json::Value::from(value.as_str());
                text.push_str(&format!("\"{key}\":{value},"));
            }
        }
        write_fields(&self.sketch, &mut text);
        text.push_str("}\n");
        text
    }
}

/// The records of a file, one after the other.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be opened.
pub fn open(path: &Path) -> Result<Records<Record, BufReader<File>>, Error> {
    ndjson::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ndjson::Record as _;

    #[test]
    fn a_record_is_read_and_written() {
        let line = br#"{"sketch":"a\"1","photo":"a.png","canvas":256,"strokes":[[[67.47,85.39]]]}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(record.key(), Some("a\"1"));
        assert_eq!(record.photo.as_deref(), Some("a.png"));
        assert_eq!(record.sketch.strokes[0].points, [[67.47, 85.39]]);
        assert_eq!(record.to_line().trim_end().as_bytes(), line);
        let plain = Record::parse(br#"{"canvas":[2,1],"strokes":[]}"#).unwrap();
        assert_eq!((plain.key(), plain.sketch.canvas), (None, [2.0, 1.0]));
    }

    #[test]
    fn a_record_without_canvas_is_an_error() {
        let problem = Record::parse(br#"{"sketch":"a","strokes":[]}"#).unwrap_err();
        assert!(problem.to_string().contains("canvas"), "{problem}");
    }
}
