//! FS-COCO's drawings, as OpenCV makes them.
//!
//! Lines follow OpenCV 4 and 5 (Apache-2.0, `modules/imgproc/src/drawing.cpp`: `clipLine` and
//! `LineIterator` with 8-connectivity), because ties of the line's course and the course of clipped lines
//! are OpenCV's own; `scripts/parity/opencv_lines.py` makes the rasters that the tests compare with, and
//! every pixel is equal.
//!
//! Points are cut to whole pixels, not rounded: against the 300 rasters of `fscoco-mini` (drawn by another
//! tool, then JPEG) cutting agrees in 98.76 % of thresholded pixels, rounding in 98.34 %.

use crate::sketch::Sketch;

use super::PAPER;
use super::resize::resize;

/// Side of the raster that FS-COCO's sketches are drawn on.
const SIDE: usize = 256;
/// A coordinate so far out that its line's course on the raster no longer changes in whole pixels.
const FAR: f64 = (1_u64 << 30) as f64;
const INK: u8 = 0;

/// Draws every stroke on white `pixels` of `side × side`.
pub(super) fn draw(sketch: &Sketch, side: usize, pixels: &mut [u8]) {
    let mut lines = vec![PAPER; SIDE * SIDE];
    let scale = sketch.canvas.map(|length| SIDE as f64 / f64::from(length));
    // Whole pixels by cutting off the fraction, as `int()` does in the scripts that draw FS-COCO.
    let place = |p: &[f32; 2]| {
        let cut = |axis: usize| (f64::from(p[axis]) * scale[axis]).clamp(-FAR, FAR) as i64;
        (p[0].is_finite() && p[1].is_finite()).then(|| [cut(0), cut(1)])
    };
    for stroke in &sketch.strokes {
        let points = &stroke.points;
        let dot = if points.len() == 1 { points.first().map(|p| (p, p)) } else { None };
        for (from, to) in points.iter().zip(points.iter().skip(1)).chain(dot) {
            if let (Some(from), Some(to)) = (place(from), place(to)) {
                draw_line(&mut lines, from, to);
            }
        }
    }
    if side == SIDE {
        dilate(&lines, pixels);
    } else {
        let mut thick = vec![PAPER; SIDE * SIDE];
        dilate(&lines, &mut thick);
        resize(&thick, SIDE, side, pixels);
    }
}

/// Sets the pixels of an 8-connected line, left to right.
fn draw_line(lines: &mut [u8], from: [i64; 2], to: [i64; 2]) {
    let Some((mut from, mut to)) = clip(from, to) else { return };
    if to[0] < from[0] {
        std::mem::swap(&mut from, &mut to);
    }
    let (dx, dy) = (to[0] - from[0], (to[1] - from[1]).abs());
    let down = if to[1] < from[1] { -1 } else { 1 };
    let steep = dy > dx;
    let (long, short) = if steep { (dy, dx) } else { (dx, dy) };
    let [mut x, mut y] = from;
    let mut error = long - 2 * short;
    for _ in 0..=long {
        // Both ends lie on the raster after clipping, and so does all between them.
        lines[y as usize * SIDE + x as usize] = INK;
        let aside = error < 0;
        error += if aside { 2 * long - 2 * short } else { -2 * short };
        if steep || aside {
            y += down;
        }
        if !steep || aside {
            x += 1;
        }
    }
}

/// Cuts a line to the raster in whole pixels, one end after the other; the order decides the rounding.
fn clip(from: [i64; 2], to: [i64; 2]) -> Option<([i64; 2], [i64; 2])> {
    const LAST: i64 = SIDE as i64 - 1;
    let left_right = |x: i64| u8::from(x < 0) + 2 * u8::from(x > LAST);
    let code = |p: [i64; 2]| left_right(p[0]) + 4 * left_right(p[1]);
    let ([mut x1, mut y1], [mut x2, mut y2]) = (from, to);
    let (mut c1, mut c2) = (code(from), code(to));
    let meets = |c1: u8, c2: u8| c1 & c2 == 0 && c1 | c2 != 0;
    let slide = |past: i64, run: i64, rise: i64| (past as f64 * run as f64 / rise as f64) as i64;
    if meets(c1, c2) {
        if c1 & 12 != 0 {
            let edge = if c1 < 8 { 0 } else { LAST };
            x1 += slide(edge - y1, x2 - x1, y2 - y1);
            y1 = edge;
            c1 = left_right(x1);
        }
        if c2 & 12 != 0 {
            let edge = if c2 < 8 { 0 } else { LAST };
            x2 += slide(edge - y2, x2 - x1, y2 - y1);
            y2 = edge;
            c2 = left_right(x2);
        }
        if meets(c1, c2) {
            if c1 != 0 {
                let edge = if c1 == 1 { 0 } else { LAST };
                y1 += slide(edge - x1, y2 - y1, x2 - x1);
                x1 = edge;
                c1 = 0;
            }
            if c2 != 0 {
                let edge = if c2 == 1 { 0 } else { LAST };
                y2 += slide(edge - x2, y2 - y1, x2 - x1);
                x2 = edge;
                c2 = 0;
            }
        }
    }
    let on = |v: i64| (0..=LAST).contains(&v);
    (c1 | c2 == 0 && on(x1) && on(y1) && on(x2) && on(y2)).then_some(([x1, y1], [x2, y2]))
}

/// Every pixel becomes the darkest of its 3 × 3 neighbourhood.
fn dilate(lines: &[u8], out: &mut [u8]) {
    let mut wide = vec![PAPER; SIDE * SIDE];
    for (row, wide) in lines.chunks_exact(SIDE).zip(wide.chunks_exact_mut(SIDE)) {
        wide.copy_from_slice(row);
        darken(&mut wide[1..], &row[..SIDE - 1]);
        darken(&mut wide[..SIDE - 1], &row[1..]);
    }
    out.copy_from_slice(&wide);
    darken(&mut out[SIDE..], &wide[..SIDE * (SIDE - 1)]);
    darken(&mut out[..SIDE * (SIDE - 1)], &wide[SIDE..]);
}

fn darken(pixels: &mut [u8], other: &[u8]) {
    for (pixel, other) in pixels.iter_mut().zip(other) {
        *pixel = (*pixel).min(*other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Stroke;
    use crate::{LineStyle, render};

    fn raster(side: usize, canvas: f32, points: &[[f32; 2]]) -> Vec<u8> {
        let sketch = Sketch::new([canvas; 2], vec![Stroke::new(points.to_vec())]).unwrap();
        render(&sketch, side, &LineStyle::FsCoco).pixels
    }

    fn ink(pixels: &[u8]) -> Vec<(usize, usize)> {
        (0..pixels.len()).filter(|&i| pixels[i] == INK).map(|i| (i % SIDE, i / SIDE)).collect()
    }

    #[test]
    fn a_dot_is_three_by_three() {
        let dot = ink(&raster(SIDE, 1.0, &[[10.9 / 256.0, 20.2 / 256.0]]));
        assert_eq!(dot.len(), 9);
        assert_eq!((dot[0], dot[8]), ((9, 19), (11, 21)));
        let corner = ink(&raster(SIDE, 256.0, &[[0.0, 0.0]]));
        assert_eq!(corner, [(0, 0), (1, 0), (0, 1), (1, 1)]);
    }

    #[test]
    fn points_far_away_are_clipped() {
        assert!(ink(&raster(SIDE, 256.0, &[[300.0, 5.0]])).is_empty());
        let line = ink(&raster(SIDE, 256.0, &[[-f32::MAX, 100.0], [f32::MAX, 100.0]]));
        assert_eq!(line.len(), 3 * SIDE);
        assert!(line.iter().all(|(_, row)| (99..=101).contains(row)));
    }

    #[test]
    fn other_sides_are_resized() {
        let line = &[[20.0, 20.0], [200.0, 220.0]];
        for side in [1, 100, 224, 512] {
            let small = raster(side, 256.0, line);
            assert_eq!(small.len(), side * side);
            let mean = |p: &[u8]| p.iter().map(|&p| f64::from(p)).sum::<f64>() / p.len() as f64;
            let gap = mean(&small) - mean(&raster(SIDE, 256.0, line));
            assert!(gap.abs() < 1.0, "side {side}: {gap}");
        }
    }
}
