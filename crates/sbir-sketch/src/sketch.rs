//! Strokes and sketches, and how large they may be.

use crate::error::{Error, Problem};

/// Most strokes in a sketch. The largest FS-COCO drawing has a few hundred.
pub const MAX_STROKES: usize = 100_000;
/// Most points in a sketch, over all its strokes.
pub const MAX_POINTS: usize = 1_000_000;
/// Smallest canvas side in canvas units (FS-COCO's raw data has a canvas of 1).
pub const MIN_CANVAS: f32 = 1e-3;
/// Largest canvas side in canvas units.
pub const MAX_CANVAS: f32 = 1e6;
/// Most bytes that are read of a file that holds one sketch.
pub const MAX_FILE_BYTES: u64 = 32 << 20;
/// Most bytes in a line of an `.ndjson` file; the file itself may have any length.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// A line drawn without lifting the pen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stroke {
    /// Points `[x, y]` in canvas units, x to the right and y downwards. They may lie off the canvas.
    pub points: Vec<[f32; 2]>,
    /// The time of each point in seconds, if known; as many as points.
    pub times: Option<Vec<f32>>,
}

impl Stroke {
    /// A stroke without times.
    pub fn new(points: Vec<[f32; 2]>) -> Self {
        Self { points, times: None }
    }
}

/// Strokes on a canvas.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    /// Width and height of the canvas in canvas units; its top left corner is `[0, 0]`.
    pub canvas: [f32; 2],
    /// The strokes in drawing order. A stroke of one point is a dot, one without points draws nothing.
    pub strokes: Vec<Stroke>,
}

impl Sketch {
    /// A sketch whose content was checked.
    ///
    /// # Errors
    ///
    /// [`Error::Sketch`] when the canvas is out of range ([`MIN_CANVAS`] to [`MAX_CANVAS`]), a number is not
    /// finite, a stroke has not one time per point, or there are more than [`MAX_STROKES`] strokes or
    /// [`MAX_POINTS`] points.
    pub fn new(canvas: [f32; 2], strokes: Vec<Stroke>) -> Result<Self, Error> {
        Self::check(canvas, strokes).map_err(Error::Sketch)
    }

    /// [`new`](Self::new) for the readers, which add the file's name to the problem.
    pub(crate) fn check(canvas: [f32; 2], strokes: Vec<Stroke>) -> Result<Self, Problem> {
        let [width, height] = canvas;
        let range = MIN_CANVAS..=MAX_CANVAS;
        if !range.contains(&width) || !range.contains(&height) {
            return Err(Problem::Canvas { width, height });
        }
        if strokes.len() > MAX_STROKES {
            return Err(Problem::TooManyStrokes { found: strokes.len() });
        }
        let sketch = Self { canvas, strokes };
        let found = sketch.point_count();
        if found > MAX_POINTS {
            return Err(Problem::TooManyPoints { found });
        }
        for (index, stroke) in sketch.strokes.iter().enumerate() {
            let finite = |p: &[f32; 2]| p[0].is_finite() && p[1].is_finite();
            if let Some(point) = stroke.points.iter().position(|p| !finite(p)) {
                return Err(Problem::NonFinite { stroke: index, point });
            }
            if let Some(times) = &stroke.times {
                if times.len() != stroke.points.len() {
                    let (expected, found) = (stroke.points.len(), times.len());
                    return Err(Problem::Lengths { stroke: index, expected, found });
                }
                if let Some(point) = times.iter().position(|t| !t.is_finite()) {
                    return Err(Problem::NonFinite { stroke: index, point });
                }
            }
        }
        Ok(sketch)
    }

    /// Whether there is no point at all. A sketch whose points all lie off the canvas is not blank by
    /// this, though it renders white.
    pub fn is_blank(&self) -> bool {
        self.strokes.iter().all(|stroke| stroke.points.is_empty())
    }

    /// Number of points over all strokes.
    pub fn point_count(&self) -> usize {
        self.strokes.iter().map(|stroke| stroke.points.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f32, y: f32) -> Vec<Stroke> {
        vec![Stroke::new(vec![[x, y]])]
    }

    #[test]
    fn canvas_sides_are_bounded() {
        for side in [0.0, -1.0, f32::NAN, f32::INFINITY, MAX_CANVAS * 2.0, MIN_CANVAS / 2.0] {
            let error = Sketch::new([side, 10.0], dot(1.0, 1.0)).unwrap_err();
            assert!(matches!(error.problem(), Some(Problem::Canvas { .. })), "{side}: {error}");
            assert!(Sketch::new([10.0, side], dot(1.0, 1.0)).is_err());
        }
        assert!(Sketch::new([MIN_CANVAS, MAX_CANVAS], dot(1.0, 1.0)).is_ok());
    }

    #[test]
    fn numbers_must_be_finite() {
        let mut strokes = dot(0.0, 0.0);
        strokes.push(Stroke::new(vec![[0.0, 0.0], [1.0, f32::NAN]]));
        let error = Sketch::new([10.0, 10.0], strokes).unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::NonFinite { stroke: 1, point: 1 }));
        let times = Stroke { points: vec![[0.0, 0.0]], times: Some(vec![f32::INFINITY]) };
        assert!(Sketch::new([10.0, 10.0], vec![times]).is_err());
    }

    #[test]
    fn times_and_counts_are_checked() {
        let stroke = Stroke { points: vec![[0.0, 0.0]], times: Some(vec![]) };
        let error = Sketch::new([10.0, 10.0], vec![stroke]).unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::Lengths { stroke: 0, expected: 1, found: 0 }));
        let many = vec![Stroke::default(); MAX_STROKES + 1];
        let error = Sketch::new([10.0, 10.0], many).unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::TooManyStrokes { found: MAX_STROKES + 1 }));
        let long = vec![Stroke::new(vec![[0.0, 0.0]; MAX_POINTS + 1])];
        let error = Sketch::new([10.0, 10.0], long).unwrap_err();
        assert_eq!(error.problem(), Some(&Problem::TooManyPoints { found: MAX_POINTS + 1 }));
    }

    #[test]
    fn blank_means_no_points() {
        assert!(Sketch::new([10.0, 10.0], vec![Stroke::default()]).unwrap().is_blank());
        assert!(!Sketch::new([10.0, 10.0], dot(50.0, 50.0)).unwrap().is_blank());
    }
}
