//! Google's Quick, Draw! as `.ndjson`, raw and simplified (`googlecreativelab/quickdraw-dataset`).
//!
//! A line is `{"key_id": …, "word": …, "drawing": [[[x…], [y…], ([t…])], …]}`. Simplified drawings have no
//! times, touch the left and top edges, and reach 255 along their longer axis. Raw ones have times in
//! milliseconds and the pixels of whatever screen they came from; they are brought into the same frame
//! here (shifted to the edges, scaled evenly until the longer axis is 255), so that both give the same
//! picture. The canvas is 256 × 256.

use std::io::BufReader;
use std::path::Path;

use fs_err::File;
use serde::Deserialize;

use crate::error::{Error, Problem};
use crate::format::ndjson::{self, Records};
use crate::format::numbers::Bounded;
use crate::geometry::Bounds;
use crate::sketch::{MAX_POINTS, MAX_STROKES, Sketch, Stroke};

/// Side of the canvas.
pub const CANVAS: f32 = 256.0;
/// Length of the drawing's longer axis.
const EXTENT: f64 = 255.0;

/// One drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The drawing's identifier, by which the record is found.
    pub key_id: Option<String>,
    /// What was asked for, such as `cat`.
    pub word: Option<String>,
    /// Whether the game recognised it.
    pub recognized: Option<bool>,
    /// What was drawn.
    pub sketch: Sketch,
}

#[derive(Deserialize)]
struct Line {
    key_id: Option<String>,
    word: Option<String>,
    recognized: Option<bool>,
    drawing: Bounded<Bounded<Bounded<f32, MAX_POINTS>, 3>, MAX_STROKES>,
}

impl ndjson::Record for Drawing {
    fn parse(line: &[u8]) -> Result<Self, Problem> {
        let line: Line =
            serde_json::from_slice(line).map_err(|e| Problem::json("QuickDraw ndjson", &e))?;
        let strokes = line.drawing.0.into_iter().enumerate();
        let strokes = strokes.map(|(index, axes)| stroke(index, axes.0));
        let strokes = strokes.collect::<Result<Vec<Stroke>, Problem>>()?;
        let raw = strokes.iter().any(|stroke| stroke.times.is_some());
        let mut sketch = Sketch::check([CANVAS; 2], strokes)?;
        if raw {
            align(&mut sketch);
        }
        let Line { key_id, word, recognized, .. } = line;
        Ok(Self { key_id, word, recognized, sketch })
    }

    fn key(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

/// Joins a stroke's lists of x, y and maybe t.
fn stroke(index: usize, axes: Vec<Bounded<f32, MAX_POINTS>>) -> Result<Stroke, Problem> {
    let mut axes = axes.into_iter().map(|axis| axis.0);
    let (Some(x), Some(y), times) = (axes.next(), axes.next(), axes.next()) else {
        let detail = format!("stroke {index} has no lists of x and y");
        return Err(Problem::Syntax { format: "QuickDraw ndjson", detail });
    };
    let expected = x.len();
    let lengths = [y.len(), times.as_ref().map_or(expected, Vec::len)];
    if let Some(&found) = lengths.iter().find(|&&length| length != expected) {
        return Err(Problem::Lengths { stroke: index, expected, found });
    }
    let points = x.into_iter().zip(y).map(|(x, y)| [x, y]).collect();
    let seconds = |times: Vec<f32>| times.into_iter().map(|t| t / 1000.0).collect();
    Ok(Stroke { points, times: times.map(seconds) })
}

/// Brings a raw drawing into the frame of the simplified ones. In double precision, in which no
/// difference of two coordinates overflows.
fn align(sketch: &mut Sketch) {
    let Some(Bounds { min, max }) = sketch.bounds() else { return };
    let extent = [0, 1].map(|axis| f64::from(max[axis]) - f64::from(min[axis]));
    let extent = extent[0].max(extent[1]);
    // A dot has no size to scale.
    let scale = if extent > 0.0 { EXTENT / extent } else { 1.0 };
    for point in sketch.strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
        for axis in 0..2 {
            point[axis] = ((f64::from(point[axis]) - f64::from(min[axis])) * scale) as f32;
        }
    }
}

/// The drawings of a file, one after the other.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be opened.
pub fn open(path: &Path) -> Result<Records<Drawing, BufReader<File>>, Error> {
    ndjson::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ndjson::Record as _;

    #[test]
    fn simplified_drawings_stand_as_they_are() {
        let line = br#"{"word":"cat","countrycode":"VE","timestamp":"2017-03-02 23:25:10.07453 UTC",
            "recognized":true,"key_id":"5201136883597312","drawing":[[[130,113],[72,40]],[[0],[255]]]}"#;
        let drawing = Drawing::parse(line).unwrap();
        assert_eq!(drawing.key(), Some("5201136883597312"));
        assert_eq!(drawing.word.as_deref(), Some("cat"));
        assert_eq!(drawing.recognized, Some(true));
        assert_eq!(drawing.sketch.canvas, [256.0, 256.0]);
        assert_eq!(drawing.sketch.strokes[0], Stroke::new(vec![[130.0, 72.0], [113.0, 40.0]]));
        assert_eq!(drawing.sketch.strokes[1].points, [[0.0, 255.0]]);
    }

    #[test]
    fn raw_drawings_are_brought_into_the_frame() {
        let line = br#"{"drawing":[[[100,610],[50,50.0],[0,1500]],[[355],[305],[2000]]]}"#;
        let sketch = Drawing::parse(line).unwrap().sketch;
        assert_eq!(sketch.strokes[0].points, [[0.0, 0.0], [255.0, 0.0]]);
        assert_eq!(sketch.strokes[0].times, Some(vec![0.0, 1.5]));
        assert_eq!(sketch.strokes[1].points, [[127.5, 127.5]]);
        let dot = Drawing::parse(br#"{"drawing":[[[100],[50],[0]]]}"#).unwrap().sketch;
        assert_eq!(dot.strokes[0].points, [[0.0, 0.0]]);
        assert!(Drawing::parse(br#"{"drawing":[]}"#).unwrap().sketch.is_blank());
    }

    #[test]
    fn lists_must_match() {
        let problem = Drawing::parse(br#"{"drawing":[[[1,2],[3]]]}"#).unwrap_err();
        assert_eq!(problem, Problem::Lengths { stroke: 0, expected: 2, found: 1 });
        let problem = Drawing::parse(br#"{"drawing":[[[1],[3],[0,1]]]}"#).unwrap_err();
        assert_eq!(problem, Problem::Lengths { stroke: 0, expected: 1, found: 2 });
        for line in
            [&br#"{"drawing":[[[1]]]}"#[..], br#"{"drawing":[[[1],[2],[3],[4]]]}"#, b"{}", b""]
        {
            assert!(matches!(Drawing::parse(line).unwrap_err(), Problem::Syntax { .. }));
        }
    }

    #[test]
    fn raw_coordinates_at_the_end_of_the_range_stay_finite() {
        let line = br#"{"drawing":[[[-3e38,3e38],[0,1],[0,1]]]}"#;
        let sketch = Drawing::parse(line).unwrap().sketch;
        assert!(Sketch::new(sketch.canvas, sketch.strokes).is_ok());
    }
}
