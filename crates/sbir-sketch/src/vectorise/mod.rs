//! From a drawing's pixels back to strokes.
//!
//! Ink is what is dark beside the darkest place near it, so that faint pencil counts as much as a black pen. It is
//! thinned to lines one pixel wide (Guo and Hall, "Parallel thinning with two-subiteration algorithms", 1989), which are
//! cut where they cross, and joined again to strokes that go straight on; then smoothed and simplified, as the edges of a
//! photo are. Whoever drew it may have drawn the lines in other pieces and another order.

mod follow;
mod ink;
mod thin;

use crate::error::Error;
use crate::sketch::{MAX_CANVAS, Sketch, Stroke};
use crate::sketchify::{simplified, smoothed};

/// The shortest and the longest longer side, in pixels, at which lines are looked for.
const SIDES: [usize; 2] = [256, 512];
/// How far a simplified stroke may be off, as a share of the longer side.
const TOLERANCE: f32 = 0.0025;

/// The strokes of a drawing: dark lines on light paper. Points are in pixels, on a canvas of the picture's size.
///
/// # Shapes
/// - `pixels`: `[height, width, 3]`, RGB
///
/// # Errors
/// [`Error::Pixels`] if the number of bytes does not fit the size, or a side is 0 or too long.
pub fn vectorise(width: usize, height: usize, pixels: &[u8]) -> Result<Sketch, Error> {
    let expected = width.checked_mul(height).and_then(|area| area.checked_mul(3));
    let longer = width.max(height);
    if width.min(height) == 0 || longer as f32 > MAX_CANVAS || expected != Some(pixels.len()) {
        return Err(Error::Pixels { width, height, found: pixels.len() });
    }
    let scale = longer.clamp(SIDES[0], SIDES[1]) as f32 / longer as f32;
    // No side below 8 pixels: filters need a neighbourhood.
    let sides = [width, height].map(|side| ((side as f32 * scale).round() as usize).max(8));
    let mask = ink::mask(pixels, [width, height], sides);
    let lines = thin::lines(&mask);
    let back = [width as f32 / sides[0] as f32, height as f32 / sides[1] as f32];
    let tolerance = TOLERANCE * sides[0].max(sides[1]) as f32;
    let strokes = follow::strokes(&mask, &lines).into_iter().map(|points| {
        let points = simplified(&smoothed(points, 2), tolerance);
        Stroke::new(
            points.iter().map(|[x, y]| [(x + 0.5) * back[0], (y + 0.5) * back[1]]).collect(),
        )
    });
    let strokes = strokes.collect();
    Sketch::new([width as f32, height as f32], strokes)
}

#[cfg(test)]
mod tests;
