//! Raster sketches drawn a little otherwise.

use super::geometry::{Bend, Geometry};
use super::{AugmentRanges, Random};
use crate::transform::Pixels;

/// The sketch changed, grey.
///
/// # Shapes
/// - `pixels`: any square
/// - output: `[side, side, 1]`
pub(super) fn changed(
    pixels: &Pixels,
    geometry: &Geometry,
    side: usize,
    ranges: &AugmentRanges,
    random: &mut Random,
) -> Pixels {
    let bend = Bend::draw(ranges.wobble, random);
    let mut ink = warped(&grey_ink(pixels), pixels.side(), geometry, &bend, side);
    if !random.chance(ranges.usual_line) {
        // Up to the difference of the widest and the thinnest line, in half pixels on each side.
        let reach = random.uniform() * (ranges.line[1] - ranges.line[0]) * side as f32 / 2.0;
        ink = thicker(&ink, side, reach);
        let darker = random.between(1.0, 2.5);
        ink.iter_mut().for_each(|value| *value = (*value * darker).min(255.0));
    }
    if random.chance(ranges.erase) {
        let patches = 1 + random.below(2);
        for _ in 0..patches {
            let size = [(); 2].map(|()| (random.between(0.08, 0.3) * side as f32) as usize);
            let at = size.map(|size| random.below(side.saturating_sub(size).max(1)));
            for row in ink.chunks_exact_mut(side).skip(at[1]).take(size[1]) {
                row[at[0]..(at[0] + size[0]).min(side)].fill(0.0);
            }
        }
    }
    Pixels { channels: 1, data: ink.iter().map(|ink| 255 - ink.round() as u8).collect() }
}

/// How far each pixel is from white.
fn grey_ink(pixels: &Pixels) -> Vec<f32> {
    if pixels.channels == 1 {
        return pixels.data.iter().map(|value| f32::from(255 - value)).collect();
    }
    let grey =
        |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
    pixels.data.chunks_exact(3).map(|pixel| 255.0 - grey(pixel)).collect()
}

/// What is shown, bilinearly; outside there is paper.
fn warped(ink: &[f32], from: usize, geometry: &Geometry, bend: &Bend, side: usize) -> Vec<f32> {
    let at = |x: isize, y: isize| {
        let inside = (0..from as isize).contains(&x) && (0..from as isize).contains(&y);
        if inside { ink[y as usize * from + x as usize] } else { 0.0 }
    };
    let step = 1.0 / side as f32;
    let mut shown = Vec::with_capacity(side * side);
    // Source pixels are finer than shown ones: the mean of four places in each keeps thin lines.
    let finer = from as f32 > 1.1 * side as f32;
    let places: &[f32] = if finer { &[0.25, 0.75] } else { &[0.5] };
    let share = 1.0 / (places.len() * places.len()) as f32;
    for row in 0..side {
        for column in 0..side {
            let mut sum = 0.0;
            for dy in places {
                for dx in places {
                    let shown = [(column as f32 + dx) * step, (row as f32 + dy) * step];
                    let place = bend.at(geometry.backward(shown));
                    let [x, y] = place.map(|place| place * from as f32 - 0.5);
                    let (left, top) = (x.floor(), y.floor());
                    let (dx, dy) = (x - left, y - top);
                    let (left, top) = (left as isize, top as isize);
                    // Far outside, the next pixel's number would overflow.
                    if left.abs().max(top.abs()) > 1 << 20 {
                        continue;
                    }
                    let above = at(left, top) * (1.0 - dx) + at(left + 1, top) * dx;
                    let below = at(left, top + 1) * (1.0 - dx) + at(left + 1, top + 1) * dx;
                    sum += above * (1.0 - dy) + below * dy;
                }
            }
            shown.push(sum * share);
        }
    }
    shown
}

/// Lines wider by `reach` pixels on each side: the darkest of the neighbourhood, the last pixel in part.
fn thicker(ink: &[f32], side: usize, reach: f32) -> Vec<f32> {
    let (whole, part) = (reach.floor() as usize, reach.fract());
    let spread = |ink: &[f32], share: f32| -> Vec<f32> {
        let mut wide = ink.to_vec();
        for (row, out) in ink.chunks_exact(side).zip(wide.chunks_exact_mut(side)) {
            for x in 0..side {
                let left = if x > 0 { row[x - 1] } else { 0.0 };
                let right = if x + 1 < side { row[x + 1] } else { 0.0 };
                out[x] = row[x].max(share * left.max(right));
            }
        }
        let mut both = wide.clone();
        for y in 0..side {
            for x in 0..side {
                let above = if y > 0 { wide[(y - 1) * side + x] } else { 0.0 };
                let below = if y + 1 < side { wide[(y + 1) * side + x] } else { 0.0 };
                both[y * side + x] = wide[y * side + x].max(share * above.max(below));
            }
        }
        both
    };
    let mut wide = ink.to_vec();
    for _ in 0..whole.min(side) {
        wide = spread(&wide, 1.0);
    }
    spread(&wide, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_thicker_by_what_is_asked() {
        let line: Vec<f32> = (0..81).map(|i| if i / 9 == 4 { 200.0 } else { 0.0 }).collect();
        let column = |ink: &[f32]| -> Vec<f32> { (0..9).map(|y| ink[y * 9 + 4]).collect() };
        let wide = column(&thicker(&line, 9, 1.5));
        assert_eq!(wide, [0.0, 0.0, 100.0, 200.0, 200.0, 200.0, 100.0, 0.0, 0.0]);
        assert_eq!(thicker(&line, 9, 0.0), line);
    }
}
