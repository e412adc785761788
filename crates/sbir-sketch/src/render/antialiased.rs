//! Antialiased capsule lines.
//!
//! A segment is a capsule: all places within half a line width of it. A pixel's ink is read off the
//! distance from its centre to the segment, falling from full to none over one pixel across the
//! capsule's edge, and segments combine by taking the most ink, so crossings and joints do not darken.
//!
//! Each segment visits only the pixels near it, row by row, eight at a time ([`blend`]). Two rules keep
//! that fast and repeatable: a lane's arithmetic never depends on its place in the vector, and blending a
//! pixel twice with one segment changes nothing, so the last vector of a row may overlap the one before.

use crate::sketch::Sketch;

use super::PAPER;

/// Pixels blended together: one AVX vector, two of SSE or NEON.
const LANES: usize = 8;

/// Draws every stroke on white `pixels`; `width` as a share of `side`.
#[allow(clippy::manual_clamp, reason = "clamp would hand a width that is not a number on")]
pub(super) fn draw(sketch: &Sketch, side: usize, width: f32, pixels: &mut [u8]) {
    // Not a number becomes the smallest width: `max` takes the other operand.
    let width = width.max(f32::MIN_POSITIVE).min(1.0) * side as f32;
    // Lines thinner than a pixel keep a pixel's reach and lose ink instead.
    let pen = Pen { reach: width.max(1.0) / 2.0 + 0.5, ink: width.min(1.0) * f32::from(PAPER) };
    let map =
        [side as f64 / f64::from(sketch.canvas[0]), side as f64 / f64::from(sketch.canvas[1])];
    pulp::Arch::new().dispatch(Job { sketch, map, pen, side, pixels });
}

/// The drawing as what `pulp` runs: compiled for each level of vector instructions, chosen at run time.
/// Everything in it is inlined, or it would be compiled for the lowest level only.
struct Job<'a> {
    sketch: &'a Sketch,
    /// Pixels per canvas unit of each axis.
    map: [f64; 2],
    pen: Pen,
    side: usize,
    pixels: &'a mut [u8],
}

impl pulp::WithSimd for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { sketch, map, pen, side, pixels } = self;
        for stroke in &sketch.strokes {
            let place = |p: &[f32; 2]| [f64::from(p[0]) * map[0], f64::from(p[1]) * map[1]];
            let Some((first, rest)) = stroke.points.split_first() else { continue };
            let mut from = place(first);
            if rest.is_empty() {
                draw_segment(from, from, pen, side, pixels);
            }
            for point in rest {
                let to = place(point);
                draw_segment(from, to, pen, side, pixels);
                from = to;
            }
        }
    }
}

/// The line's measures in pixels.
#[derive(Clone, Copy)]
struct Pen {
    /// Distance from the segment at which ink ends: half the width and half a pixel.
    reach: f32,
    /// Most ink of a pixel, up to 255.
    ink: f32,
}

/// A segment as the pixel loop wants it: where it starts, its unit direction, its length.
#[derive(Clone, Copy)]
struct Ray {
    start: [f32; 2],
    unit: [f32; 2],
    length: f32,
}

/// Blends the capsule from `a` to `b`, in pixels.
#[inline(always)]
fn draw_segment(a: [f64; 2], b: [f64; 2], pen: Pen, side: usize, pixels: &mut [u8]) {
    let margin = f64::from(pen.reach) + 1.0;
    let Some((a, b)) = clip(a, b, -margin, side as f64 + margin) else { return };
    let (a, b) = (a.map(|v| v as f32), b.map(|v| v as f32));
    let delta = [b[0] - a[0], b[1] - a[1]];
    let length = (delta[0] * delta[0] + delta[1] * delta[1]).sqrt();
    // A dot has no direction; any unit vector will do, as its length is 0.
    let unit = if length > 0.0 { [delta[0] / length, delta[1] / length] } else { [1.0, 0.0] };
    let ray = Ray { start: a, unit, length };

    let limit = side as f32;
    let reach = pen.reach;
    let top = smaller(a[1], b[1]) - reach;
    let bottom = larger(a[1], b[1]) + reach;
    let left = smaller(a[0], b[0]) - reach;
    let right = larger(a[0], b[0]) + reach;
    // The strip around the infinite line meets a row in `centre ± half`; it bounds slanted segments far
    // better than their box. Near the horizontal it spans the box anyway, and the division goes wild.
    let (slope, half) = if unit[1].abs() > 1e-3 {
        (unit[0] / unit[1], reach / unit[1].abs())
    } else {
        (0.0, f32::MAX)
    };
    let first_row = larger(top, 0.0) as usize;
    let last_row = (smaller(bottom, limit).max(0.0).ceil() as usize).min(side);
    for row in first_row..last_row {
        let across = row as f32 + 0.5 - a[1];
        let centre = a[0] + across * slope;
        let from = larger(larger(left, centre - half), 0.0);
        let to = smaller(smaller(right, centre + half), limit);
        if from >= to {
            continue;
        }
        let (from, to) = (from as usize, (to.ceil() as usize).min(side));
        let line = &mut pixels[row * side..(row + 1) * side];
        blend(line, from, to, across, ray, pen);
    }
}

/// Blends one segment into pixels `from..to` of a row (and maybe some beside them, which is harmless).
#[inline(always)]
fn blend(line: &mut [u8], from: usize, to: usize, across: f32, ray: Ray, pen: Pen) {
    // The row's share of the projection on the segment.
    let along = across * ray.unit[1];
    let mut at = from;
    while at < to {
        // The last vector moves left so that it stays in the row.
        let place = at.min(line.len().saturating_sub(LANES));
        let offset = place as f32 + 0.5 - ray.start[0];
        if let Some(lanes) = line[place..].first_chunk_mut::<LANES>() {
            blend_lanes(lanes, offset, across, along, ray, pen);
        } else {
            // A raster narrower than a vector.
            let mut lanes = [PAPER; LANES];
            let count = line.len();
            lanes[..count].copy_from_slice(line);
            blend_lanes(&mut lanes, offset, across, along, ray, pen);
            line.copy_from_slice(&lanes[..count]);
        }
        at = place + LANES;
    }
}

/// Blends one segment into eight pixels; the first one's centre is `offset`, `across` from the start.
#[inline(always)]
fn blend_lanes(lanes: &mut [u8; LANES], offset: f32, across: f32, along: f32, ray: Ray, pen: Pen) {
    const STEPS: [f32; LANES] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    // Adding 2²³ leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 8_388_608.0;
    let mut grey = [0_u32; LANES];
    for lane in 0..LANES {
        let x = offset + STEPS[lane];
        let t = clamp(x * ray.unit[0] + along, 0.0, ray.length);
        let dx = x - t * ray.unit[0];
        let dy = across - t * ray.unit[1];
        let distance = (dx * dx + dy * dy).sqrt();
        let ink = clamp(pen.reach - distance, 0.0, 1.0) * pen.ink;
        grey[lane] = (f32::from(PAPER) - ink + ROUND).to_bits() & 0xff;
    }
    for lane in 0..LANES {
        lanes[lane] = lanes[lane].min(grey[lane] as u8);
    }
}

/// The part of a segment inside the square `[low, high]²`, or `None` when there is none (or a coordinate
/// is not finite). Cyrus–Beck on the four sides; an end that is cut comes to lie on the side exactly.
#[inline(always)]
fn clip(a: [f64; 2], b: [f64; 2], low: f64, high: f64) -> Option<([f64; 2], [f64; 2])> {
    let inside = |p: [f64; 2]| p[0] >= low && p[0] <= high && p[1] >= low && p[1] <= high;
    if inside(a) && inside(b) {
        return Some((a, b));
    }
    clip_outside(a, b, low, high)
}

#[cold]
fn clip_outside(a: [f64; 2], b: [f64; 2], low: f64, high: f64) -> Option<([f64; 2], [f64; 2])> {
    // Where the segment enters and leaves the square: its share, and the side that it crosses there.
    let (mut enter, mut leave) = ((0.0_f64, None), (1.0_f64, None));
    for axis in 0..2 {
        let (from, to) = (a[axis], b[axis]);
        if !from.is_finite() || !to.is_finite() || from.max(to) < low || from.min(to) > high {
            return None;
        }
        let delta = to - from;
        if delta != 0.0 {
            let (near, far) = if delta > 0.0 { (low, high) } else { (high, low) };
            let (first, last) = ((near - from) / delta, (far - from) / delta);
            if first > enter.0 {
                enter = (first, Some((axis, near)));
            }
            if last < leave.0 {
                leave = (last, Some((axis, far)));
            }
        }
    }
    if enter.0 > leave.0 {
        return None;
    }
    // At large coordinates the share has too few digits: the crossed side is known exactly, and the
    // other coordinate is kept in the square.
    let cut = |end: [f64; 2], (share, side): (f64, Option<(usize, f64)>)| {
        let Some((axis, value)) = side else { return end };
        let mut point = [0, 1].map(|i| (a[i] + share * (b[i] - a[i])).clamp(low, high));
        point[axis] = value;
        point
    };
    Some((cut(a, enter), cut(b, leave)))
}

/// `clamp`, `min` and `max` as single vector instructions: the standard ones also order NaN.
#[inline(always)]
fn clamp(value: f32, low: f32, high: f32) -> f32 {
    smaller(larger(value, low), high)
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Stroke;
    use crate::{LineStyle, render};

    fn pixels(side: usize, width: f32, strokes: &[&[[f32; 2]]]) -> Vec<u8> {
        let strokes = strokes.iter().map(|points| Stroke::new(points.to_vec())).collect();
        let sketch = Sketch::new([side as f32; 2], strokes).unwrap();
        render(&sketch, side, &LineStyle::Antialiased { width: width / side as f32 }).pixels
    }

    /// The definition, pixel by pixel in double precision.
    fn reference(side: usize, width: f64, strokes: &[&[[f32; 2]]]) -> Vec<f64> {
        let mut ink = vec![0.0_f64; side * side];
        for stroke in strokes {
            let ends =
                |i: usize| (stroke[i.min(stroke.len() - 1)], stroke[(i + 1).min(stroke.len() - 1)]);
            for i in 0..stroke.len().saturating_sub(1).max(1) {
                let (a, b) = ends(i);
                let [ax, ay, bx, by] = [a[0], a[1], b[0], b[1]].map(f64::from);
                let (dx, dy) = (bx - ax, by - ay);
                let square = dx * dx + dy * dy;
                for (index, ink) in ink.iter_mut().enumerate() {
                    let (x, y) =
                        ((index % side) as f64 + 0.5 - ax, (index / side) as f64 + 0.5 - ay);
                    let t = if square > 0.0 {
                        ((x * dx + y * dy) / square).clamp(0.0, 1.0)
                    } else {
                        0.0
                    };
                    let distance = (x - t * dx).hypot(y - t * dy);
                    let cover = (width.max(1.0) / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
                    *ink = ink.max(cover * width.min(1.0));
                }
            }
        }
        ink.iter().map(|ink| 255.0 * (1.0 - ink)).collect()
    }

    #[test]
    fn agrees_with_the_definition() {
        let strokes: &[&[[f32; 2]]] = &[
            &[[3.2, 4.7], [30.1, 9.9], [31.0, 31.0]],
            &[[-20.0, 10.0], [60.0, 14.0]],
            &[[12.3, -500.0], [13.3, 700.0]],
            &[[20.5, 20.5]],
            &[[5.0, 30.0], [5.0, 30.0], [8.0, 27.0]],
            &[[0.0, 0.0], [0.0, 33.0]],
        ];
        for side in [1, 2, 5, 7, 8, 9, 33, 64] {
            for width in [0.3, 1.0, 2.6, 7.5] {
                if width > side as f32 {
                    continue;
                }
                let (got, expected) =
                    (pixels(side, width, strokes), reference(side, width.into(), strokes));
                for (index, (&got, expected)) in got.iter().zip(expected).enumerate() {
                    let error = (f64::from(got) - expected).abs();
                    assert!(
                        error < 0.52,
                        "side {side}, width {width}, pixel {index}: {got} for {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn crossings_do_not_darken() {
        let one: &[[f32; 2]] = &[[2.0, 2.3], [60.0, 55.1]];
        let other: &[[f32; 2]] = &[[2.0, 60.0], [58.0, 3.0]];
        let both = pixels(64, 2.6, &[one, other]);
        let apart = pixels(64, 2.6, &[one]).into_iter().zip(pixels(64, 2.6, &[other]));
        assert!(both == apart.map(|(a, b)| a.min(b)).collect::<Vec<_>>());
    }

    #[test]
    fn a_joint_in_a_line_shows_nothing() {
        let whole = pixels(64, 3.0, &[&[[8.0, 16.0], [56.0, 40.0]]]);
        let parts = pixels(64, 3.0, &[&[[8.0, 16.0], [32.0, 28.0], [56.0, 40.0]]]);
        assert!(whole.iter().zip(&parts).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn lines_have_their_width() {
        for width in [0.5_f32, 1.0, 2.6, 5.0] {
            let raster = pixels(64, width, &[&[[-10.0, 32.0], [80.0, 32.0]]]);
            let ink: f32 = (0..64).map(|row| f32::from(255 - raster[row * 64 + 20]) / 255.0).sum();
            assert!((ink - width).abs() < 0.02, "{width}: {ink}");
        }
    }

    #[test]
    fn clipping_keeps_the_line() {
        let near = pixels(64, 2.0, &[&[[-10.0, 22.0], [90.0, 42.0]]]);
        let far = pixels(64, 2.0, &[&[[-100_010.0, -19_978.0], [100_090.0, 20_042.0]]]);
        assert!(near.iter().zip(&far).all(|(a, b)| a.abs_diff(*b) <= 1));
        // Past a corner: the boxes meet, the lines do not.
        assert!(pixels(64, 2.0, &[&[[-40.0, 20.0], [20.0, -40.0]]]).iter().all(|&p| p == PAPER));
        let huge = pixels(64, 2.0, &[&[[-f32::MAX, 32.0], [f32::MAX, 32.0]]]);
        assert!(huge == pixels(64, 2.0, &[&[[-5.0, 32.0], [70.0, 32.0]]]));
        let upright = pixels(64, 2.0, &[&[[32.0, 1e30], [32.0, -3e38]]]);
        assert!(upright == pixels(64, 2.0, &[&[[32.0, -9.0], [32.0, 99.0]]]));
    }

    #[test]
    fn unchecked_numbers_do_no_harm() {
        let points = vec![[1.0, 1.0], [f32::NAN, 3.0], [f32::INFINITY, 0.0], [4.0, 4.0]];
        let sketch = Sketch { canvas: [8.0, 8.0], strokes: vec![Stroke::new(points)] };
        for width in [f32::NAN, -1.0, 0.0, f32::INFINITY] {
            render(&sketch, 16, &LineStyle::Antialiased { width });
        }
        assert!(render(&sketch, 16, &LineStyle::default()).pixels.iter().all(|&p| p == PAPER));
    }
}
