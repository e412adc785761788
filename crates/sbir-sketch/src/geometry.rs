//! Geometry of sketches: extent, length, affine maps and mirroring.

use crate::sketch::Sketch;

/// An axis-parallel rectangle in canvas units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Left and top.
    pub min: [f32; 2],
    /// Right and bottom, at least `min`.
    pub max: [f32; 2],
}

impl Bounds {
    /// Width of the rectangle.
    pub fn width(&self) -> f32 {
        self.max[0] - self.min[0]
    }

    /// Height of the rectangle.
    pub fn height(&self) -> f32 {
        self.max[1] - self.min[1]
    }
}

/// An affine map of the plane: `x' = a·x + c·y + e`, `y' = b·x + d·y + f` (SVG's `matrix(a b c d e f)`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(
    /// `[a, b, c, d, e, f]`.
    pub [f32; 6],
);

impl Affine {
    /// The map that changes nothing.
    pub const IDENTITY: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    /// Shift by `x`, `y` canvas units.
    pub fn translate(x: f32, y: f32) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// Stretch about the origin.
    pub fn scale(x: f32, y: f32) -> Self {
        Self([x, 0.0, 0.0, y, 0.0, 0.0])
    }

    /// Turn about the origin by `angle` radians, clockwise as seen (y points down).
    pub fn rotate(angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self([cos, sin, -sin, cos, 0.0, 0.0])
    }

    /// The map that does `self` first and `next` after it.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let linear = |x: f32, y: f32| {
            let n = &next.0;
            [n[0] * x + n[2] * y, n[1] * x + n[3] * y]
        };
        let ([a, b], [c, d], [e, f]) = (linear(a, b), linear(c, d), linear(e, f));
        Self([a, b, c, d, e + next.0[4], f + next.0[5]])
    }

    /// Where a point goes.
    pub fn apply(&self, point: [f32; 2]) -> [f32; 2] {
        let [a, b, c, d, e, f] = self.0;
        let [x, y] = point;
        [a * x + c * y + e, b * x + d * y + f]
    }
}

impl Sketch {
    /// The smallest rectangle around all points; `None` when there are none.
    pub fn bounds(&self) -> Option<Bounds> {
        let mut points = self.strokes.iter().flat_map(|stroke| &stroke.points);
        let &first = points.next()?;
        let mut bounds = Bounds { min: first, max: first };
        for point in points {
            for (axis, &value) in point.iter().enumerate() {
                bounds.min[axis] = bounds.min[axis].min(value);
                bounds.max[axis] = bounds.max[axis].max(value);
            }
        }
        Some(bounds)
    }

    /// Length of all strokes together, in canvas units, without the jumps between them.
    pub fn length(&self) -> f64 {
        let pairs = self.strokes.iter().flat_map(|stroke| stroke.points.windows(2));
        pairs
            .map(|pair| {
                let delta = |axis: usize| f64::from(pair[1][axis]) - f64::from(pair[0][axis]);
                delta(0).hypot(delta(1))
            })
            .sum()
    }

    /// Moves every point by `map`; the canvas stays. Points may leave the canvas, and a map with huge
    /// factors may make them infinite, which the renderer then leaves out.
    pub fn transform(&mut self, map: &Affine) {
        for point in self.strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
            *point = map.apply(*point);
        }
    }

    /// Mirrors left and right about the middle of the canvas.
    pub fn flip_horizontal(&mut self) {
        let width = self.canvas[0];
        self.transform(&Affine([-1.0, 0.0, 0.0, 1.0, width, 0.0]));
    }

    /// Mirrors top and bottom about the middle of the canvas.
    pub fn flip_vertical(&mut self) {
        let height = self.canvas[1];
        self.transform(&Affine([1.0, 0.0, 0.0, -1.0, 0.0, height]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Stroke;

    fn sketch() -> Sketch {
        let strokes = vec![
            Stroke::new(vec![[0.0, 0.0], [3.0, 4.0]]),
            Stroke::new(vec![[10.0, -2.0]]),
            Stroke::default(),
        ];
        Sketch::new([20.0, 10.0], strokes).unwrap()
    }

    #[test]
    fn bounds_and_length() {
        let bounds = sketch().bounds().unwrap();
        assert_eq!(bounds, Bounds { min: [0.0, -2.0], max: [10.0, 4.0] });
        assert_eq!((bounds.width(), bounds.height()), (10.0, 6.0));
        assert_eq!(sketch().length(), 5.0);
        assert_eq!(Sketch::new([1.0, 1.0], vec![]).unwrap().bounds(), None);
    }

    #[test]
    fn flips_mirror_about_the_canvas() {
        let mut flipped = sketch();
        flipped.flip_horizontal();
        assert_eq!(flipped.strokes[0].points, [[20.0, 0.0], [17.0, 4.0]]);
        flipped.flip_vertical();
        assert_eq!(flipped.strokes[1].points, [[10.0, 12.0]]);
        flipped.flip_vertical();
        flipped.flip_horizontal();
        assert_eq!(flipped, sketch());
    }

    #[test]
    fn then_composes_in_order() {
        let map = Affine::translate(1.0, 2.0).then(&Affine::scale(10.0, 100.0));
        assert_eq!(map.apply([1.0, 1.0]), [20.0, 300.0]);
        let quarter = Affine::rotate(std::f32::consts::FRAC_PI_2).apply([1.0, 0.0]);
        assert!((quarter[0]).abs() < 1e-6 && (quarter[1] - 1.0).abs() < 1e-6);
        assert_eq!(Affine::IDENTITY.then(&map), map);
    }
}
