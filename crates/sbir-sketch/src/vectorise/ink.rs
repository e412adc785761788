//! Where there is ink.

use crate::sketchify::{Plane, lightness};

/// The least contrast to the paper that is ink at all, of 0 to 1.
const FAINT: f32 = 0.12;
/// Ink is at least this share of the darkest place near it.
const SHARE: f32 = 0.45;
/// How far "near" reaches, in pixels.
const NEAR: usize = 6;
/// Blur before anything is decided, in pixels: against the noise of JPEG.
const BLUR: f32 = 0.8;
/// Holes of up to so many pixels are closed, and specks of up to so many left out.
const HOLE: usize = 8;
const SPECK: usize = 6;

/// What is ink, of `to` pixels, by the RGB pixels of a drawing of `from`: 1, else 0; the outermost pixels are none.
pub(super) fn mask(pixels: &[u8], from: [usize; 2], to: [usize; 2]) -> Plane {
    let light = lightness(pixels, from, to);
    let paper = median(&light);
    let ink = light.zip(&light, |light, _| (paper - light).max(0.0)).gaussian(BLUR);
    let near = highest(&ink, NEAR);
    let mut mask = ink.zip(&near, |ink, near| f32::from(ink >= FAINT && ink >= SHARE * near));
    let (width, height) = (mask.width, mask.height);
    mask.values[..width].fill(0.0);
    mask.values[(height - 1) * width..].fill(0.0);
    for row in mask.values.chunks_exact_mut(width) {
        row[0] = 0.0;
        row[width - 1] = 0.0;
    }
    replace_small(&mut mask, 0.0, HOLE);
    replace_small(&mut mask, 1.0, SPECK);
    mask
}

fn median(plane: &Plane) -> f32 {
    let mut values = plane.values.clone();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The highest value of the square of side `2 · radius + 1` around each pixel.
fn highest(plane: &Plane, radius: usize) -> Plane {
    let (width, height) = (plane.width, plane.height);
    let over = |values: &[f32], at: usize| {
        let near = &values[at.saturating_sub(radius)..(at + radius + 1).min(values.len())];
        near.iter().copied().fold(0.0, f32::max)
    };
    let mut across = Plane::new(width, height);
    for (row, out) in plane.values.chunks_exact(width).zip(across.values.chunks_exact_mut(width)) {
        out.iter_mut().enumerate().for_each(|(x, value)| *value = over(row, x));
    }
    let mut result = Plane::new(width, height);
    for (y, out) in result.values.chunks_exact_mut(width).enumerate() {
        for row in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            let row = &across.values[row * width..(row + 1) * width];
            out.iter_mut().zip(row).for_each(|(value, seen)| *value = value.max(*seen));
        }
    }
    result
}

/// Turns regions of a value, of at most so many pixels, into the other value. Ink hangs together over corners, paper
/// does not.
fn replace_small(mask: &mut Plane, value: f32, most: usize) {
    let (width, height) = (mask.width as i32, mask.height as i32);
    let reach: &[(i32, i32)] = if value > 0.5 {
        &[(0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    } else {
        &[(0, -1), (1, 0), (0, 1), (-1, 0)]
    };
    let mut seen = vec![false; mask.values.len()];
    let mut region = Vec::new();
    for start in 0..mask.values.len() {
        if seen[start] || mask.values[start] != value {
            continue;
        }
        seen[start] = true;
        region.clear();
        region.push(start);
        let mut next = 0;
        while let Some(&at) = region.get(next) {
            next += 1;
            let (x, y) = (at as i32 % width, at as i32 / width);
            for (dx, dy) in reach {
                let (x, y) = (x + dx, y + dy);
                if (0..width).contains(&x) && (0..height).contains(&y) {
                    let place = (y * width + x) as usize;
                    if !seen[place] && mask.values[place] == value {
                        seen[place] = true;
                        region.push(place);
                    }
                }
            }
        }
        if region.len() <= most {
            region.iter().for_each(|&at| mask.values[at] = 1.0 - value);
        }
    }
}
