//! Our own JSON, which the page, the interface and stroke files share:
//! `{"canvas": N | [w, h], "strokes": [[[x, y(, t)], …], …]}`, in canvas units and seconds.
//!
//! Other keys are ignored. Of each stroke, all points or none have a time.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::error::Problem;
use crate::format::numbers::{Canvas, Strokes};
use crate::sketch::Sketch;

/// Name of the format in messages.
const NAME: &str = "stroke JSON {\"canvas\": …, \"strokes\": …}";

#[derive(Deserialize)]
struct File {
    canvas: Canvas,
    strokes: Strokes,
}

/// Reads one sketch from JSON text.
///
/// # Errors
///
/// A [`Problem`] when the text is no such JSON or the sketch breaks a limit of [`Sketch::new`].
pub fn parse(bytes: &[u8]) -> Result<Sketch, Problem> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| Problem::json(NAME, &e))?;
    Sketch::check(file.canvas.0, file.strokes.into_strokes()?)
}

/// Writes a sketch as one line of JSON, without a line end. [`parse`] gives back the same sketch, to the
/// bit, except that an empty list of times becomes none.
pub fn to_string(sketch: &Sketch) -> String {
    let mut text = String::from("{");
    write_fields(sketch, &mut text);
    text.push('}');
    text
}

/// Writes `"canvas":…,"strokes":…`. Floats are written in the fewest digits that read back the same.
pub(crate) fn write_fields(sketch: &Sketch, text: &mut String) {
    let [width, height] = sketch.canvas;
    // Writing to a string cannot fail.
    let _ = if width == height {
        write!(text, "\"canvas\":{width}")
    } else {
        write!(text, "\"canvas\":[{width},{height}]")
    };
    text.push_str(",\"strokes\":[");
    for (index, stroke) in sketch.strokes.iter().enumerate() {
        text.push_str(if index == 0 { "[" } else { ",[" });
        for (index, [x, y]) in stroke.points.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}[{x:?},{y:?}");
            if let Some(time) = stroke.times.as_ref().and_then(|times| times.get(index)) {
                let _ = write!(text, ",{time:?}");
            }
            text.push(']');
        }
        text.push(']');
    }
    text.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Stroke;

    #[test]
    fn canvas_and_times_are_read() {
        let sketch = parse(
            br#"{"strokes": [[[1, 2.5], [3, -4]], [], [[5, 6, 0.5]]], "canvas": [640, 480]}"#,
        );
        let sketch = sketch.unwrap();
        assert_eq!(sketch.canvas, [640.0, 480.0]);
        assert_eq!(sketch.strokes[0], Stroke::new(vec![[1.0, 2.5], [3.0, -4.0]]));
        assert!(sketch.strokes[1].points.is_empty());
        assert_eq!(sketch.strokes[2].times, Some(vec![0.5]));
        assert_eq!(parse(br#"{"canvas": 7, "strokes": []}"#).unwrap().canvas, [7.0, 7.0]);
    }

    #[test]
    fn written_text_is_compact() {
        let stroke =
            Stroke { points: vec![[1.5, 2.0], [1e30, -0.25]], times: Some(vec![0.0, 0.25]) };
        let sketch = Sketch::new([256.0, 256.0], vec![stroke, Stroke::default()]).unwrap();
        let text = to_string(&sketch);
        assert_eq!(text, r#"{"canvas":256,"strokes":[[[1.5,2.0,0.0],[1e30,-0.25,0.25]],[]]}"#);
        assert_eq!(parse(text.as_bytes()).unwrap(), sketch);
    }

    #[test]
    fn bad_input_is_named() {
        let syntax = [
            "",
            "{",
            "[]",
            "null",
            r#"{"canvas": 5}"#,
            r#"{"canvas": "5", "strokes": []}"#,
            r#"{"canvas": [5, 6, 7], "strokes": []}"#,
            r#"{"canvas": [5], "strokes": []}"#,
            r#"{"canvas": 5, "strokes": [[[1]]]}"#,
            r#"{"canvas": 5, "strokes": [[[1, 2, 3, 4]]]}"#,
            r#"{"canvas": 5, "strokes": [[[1, null]]]}"#,
            r#"{"canvas": 5, "strokes": [[[1, NaN]]]}"#,
            r#"{"canvas": 5, "strokes": [[[1, 1e999]]]}"#,
        ];
        for text in syntax {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(matches!(problem, Problem::Syntax { .. }), "{text}: {problem}");
        }
        let canvas = parse(br#"{"canvas": 0, "strokes": []}"#).unwrap_err();
        assert!(matches!(canvas, Problem::Canvas { .. }));
        let times = parse(br#"{"canvas": 5, "strokes": [[[1, 2, 3], [1, 2]]]}"#).unwrap_err();
        assert_eq!(times, Problem::Lengths { stroke: 0, expected: 2, found: 1 });
    }
}
