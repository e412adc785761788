//! FS-COCO's `raw_data/<user>/<id>.json`: a list of points in drawing order,
//! `{"timestamp": s, "coordinates": [x, y], "pen_state": [0, 1, 0]}`.
//!
//! Coordinates are shares of the canvas, so the canvas is 1 × 1; they may lie off it. State `[0,1,0]` goes
//! on, `[1,0,0]` lifts the pen: that point ends its stroke and the next one starts another. The last stroke
//! may be left open. Times are taken over as they stand, and only where every point of a stroke has one.

use serde::Deserialize;

use crate::error::Problem;
use crate::format::numbers::Bounded;
use crate::sketch::{MAX_POINTS, Sketch, Stroke};

#[derive(Deserialize)]
struct Point {
    timestamp: Option<f32>,
    coordinates: [f32; 2],
    pen_state: Bounded<f32, 8>,
}

/// Reads one sketch; its canvas is `[1, 1]`.
///
/// # Errors
///
/// A [`Problem`] when the text is no such JSON, a pen state is another, or the sketch breaks a limit of
/// [`Sketch::new`].
pub fn parse(bytes: &[u8]) -> Result<Sketch, Problem> {
    let Bounded(points): Bounded<Point, MAX_POINTS> =
        serde_json::from_slice(bytes).map_err(|e| Problem::json("FS-COCO raw_data JSON", &e))?;
    let mut strokes = Vec::new();
    let mut stroke = Open::default();
    for (index, point) in points.into_iter().enumerate() {
        stroke.push(point.coordinates, point.timestamp);
        match point.pen_state.0[..] {
            [0.0, 1.0, 0.0] => {}
            [1.0, 0.0, 0.0] => strokes.extend(stroke.close()),
            _ => return Err(Problem::PenState { point: index, found: point.pen_state.0 }),
        }
    }
    strokes.extend(stroke.close());
    Sketch::check([1.0, 1.0], strokes)
}

/// The stroke being drawn.
#[derive(Default)]
struct Open {
    points: Vec<[f32; 2]>,
    times: Vec<f32>,
}

impl Open {
    fn push(&mut self, point: [f32; 2], time: Option<f32>) {
        self.points.push(point);
        self.times.extend(time);
    }

    fn close(&mut self) -> Option<Stroke> {
        let Self { points, times } = std::mem::take(self);
        let timed = times.len() == points.len();
        (!points.is_empty()).then(|| Stroke { points, times: timed.then_some(times) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(points: &[(f32, f32, &str)]) -> Vec<u8> {
        let points: Vec<String> = (points.iter().enumerate())
            .map(|(i, (x, y, state))| {
                format!(r#"{{"timestamp": {i}, "coordinates": [{x}, {y}], "pen_state": {state}}}"#)
            })
            .collect();
        format!("[{}]", points.join(", ")).into_bytes()
    }

    const GO: &str = "[0,1,0]";
    const LIFT: &str = "[1,0,0]";

    #[test]
    fn a_lift_ends_the_stroke_with_its_point() {
        let bytes = file(&[(0.1, 0.2, GO), (0.3, 0.4, LIFT), (0.5, 0.5, LIFT), (-0.1, 1.2, GO)]);
        let sketch = parse(&bytes).unwrap();
        assert_eq!(sketch.canvas, [1.0, 1.0]);
        let points: Vec<_> = sketch.strokes.iter().map(|stroke| stroke.points.clone()).collect();
        // The last stroke is open, and off the canvas.
        assert_eq!(points, [vec![[0.1, 0.2], [0.3, 0.4]], vec![[0.5, 0.5]], vec![[-0.1, 1.2]]]);
        assert_eq!(sketch.strokes[0].times, Some(vec![0.0, 1.0]));
        assert_eq!(sketch.strokes[2].times, Some(vec![3.0]));
    }

    #[test]
    fn no_points_and_no_times_are_fine() {
        assert!(parse(b"[]").unwrap().is_blank());
        let bytes = br#"[{"coordinates": [0.5, 0.5], "pen_state": [0.0, 1.0, 0.0]}]"#;
        assert_eq!(parse(bytes).unwrap().strokes[0].times, None);
    }

    #[test]
    fn other_states_are_errors() {
        for state in ["[0,0,1]", "[1,1,0]", "[0,1]", "[]", "[0,1,0,0]"] {
            let problem = parse(&file(&[(0.0, 0.0, GO), (0.1, 0.2, state)])).unwrap_err();
            assert!(matches!(problem, Problem::PenState { point: 1, .. }), "{state}: {problem}");
        }
    }

    #[test]
    fn bad_points_are_errors() {
        for bytes in [
            &br#"[{"coordinates": [0.5], "pen_state": [0,1,0]}]"#[..],
            br#"[{"coordinates": [0.5, "a"], "pen_state": [0,1,0]}]"#,
            br#"[{"pen_state": [0,1,0]}]"#,
            br#"[{"coordinates": [0.5, 0.5], "pen_state": [0,1,0]}"#,
            br#"[{"coordinates": [0.5, NaN], "pen_state": [0,1,0]}]"#,
        ] {
            assert!(matches!(parse(bytes).unwrap_err(), Problem::Syntax { .. }));
        }
        let huge = br#"[{"coordinates": [0.5, 1e300], "pen_state": [0,1,0]}]"#;
        assert!(parse(huge).is_err());
    }
}
