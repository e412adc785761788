//! Photos taken a little otherwise.

use super::geometry::Geometry;
use super::{AugmentRanges, Random};
use crate::transform::{Filter, Pixels, resize_part};

/// The photo cropped, mirrored, and with other colours.
///
/// # Shapes
/// - `pixels`: any square
/// - output: `[side, side, channels]`
pub(super) fn changed(
    pixels: &Pixels,
    geometry: &Geometry,
    side: usize,
    ranges: &AugmentRanges,
    random: &mut Random,
) -> Pixels {
    let from = pixels.side();
    let window = geometry.window;
    let [left, top] = window.at.map(|at| ((at * from as f32).round() as usize).min(from - 1));
    let [width, height] = [(window.size[0], left), (window.size[1], top)]
        .map(|(size, at)| ((size * from as f32).round() as usize).clamp(1, from - at));
    let mut photo = resize_part(pixels, [left, top], [width, height], side, Filter::Bilinear);
    if geometry.flip {
        mirror(&mut photo, side);
    }
    if ranges.colour > 0.0 || ranges.grey > 0.0 {
        recolour(&mut photo, ranges, random);
    }
    if random.chance(ranges.blur) {
        let strength = random.between(0.3, 1.0);
        blur(&mut photo, side, strength);
    }
    photo
}

fn mirror(photo: &mut Pixels, side: usize) {
    let channels = photo.channels;
    for row in photo.data.chunks_exact_mut(side * channels) {
        for x in 0..side / 2 {
            for channel in 0..channels {
                row.swap(x * channels + channel, (side - 1 - x) * channels + channel);
            }
        }
    }
}

/// Brightness, contrast, saturation, and a tint.
fn recolour(photo: &mut Pixels, ranges: &AugmentRanges, random: &mut Random) {
    let range = ranges.colour;
    let factor = |random: &mut Random| random.signed(range).exp();
    let (bright, contrast, mut saturation) = (factor(random), factor(random), factor(random));
    let tint = [(); 3].map(|()| random.signed(0.15 * range).exp());
    if random.chance(ranges.grey) {
        saturation = 0.0;
    }
    let count = (photo.data.len() / photo.channels).max(1) as f32;
    let grey = |p: [f32; 3]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    let change = |pixel: [f32; 3], mean: f32| {
        let luma = grey(pixel);
        [0, 1, 2].map(|channel| {
            let coloured = luma + saturation * (pixel[channel] * tint[channel] - luma);
            ((coloured - mean) * contrast + mean) * bright
        })
    };
    if photo.channels == 1 {
        let mean = photo.data.iter().map(|value| f32::from(*value)).sum::<f32>() / count;
        for value in &mut photo.data {
            *value = (((f32::from(*value) - mean) * contrast + mean) * bright).round() as u8;
        }
        return;
    }
    let float = |p: &[u8]| [f32::from(p[0]), f32::from(p[1]), f32::from(p[2])];
    let mean = photo.data.chunks_exact(3).map(|pixel| grey(float(pixel))).sum::<f32>() / count;
    for pixel in photo.data.chunks_exact_mut(3) {
        let changed = change(float(pixel), mean);
        for (value, changed) in pixel.iter_mut().zip(changed) {
            // Conversions saturate at 0 and 255.
            *value = changed.round() as u8;
        }
    }
}

/// Each pixel becomes a mean of itself and its eight neighbours; at strength 1, weights 1, 2, 1 each way.
fn blur(photo: &mut Pixels, side: usize, strength: f32) {
    let channels = photo.channels;
    let (beside, own) = (0.25 * strength, 1.0 - 0.5 * strength);
    let pass = |data: &[u8], stride: usize, length: usize, step: usize, out: &mut [u8]| {
        for line in 0..length {
            for place in 0..side {
                let at = line * stride + place * step;
                let before = at - if place > 0 { step } else { 0 };
                let after = at + if place + 1 < side { step } else { 0 };
                for channel in 0..channels {
                    let value = own * f32::from(data[at + channel])
                        + beside * f32::from(data[before + channel])
                        + beside * f32::from(data[after + channel]);
                    out[at + channel] = value.round() as u8;
                }
            }
        }
    };
    let mut across = photo.data.clone();
    pass(&photo.data, side * channels, side, channels, &mut across);
    pass(&across, channels, side, side * channels, &mut photo.data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_and_blurs() {
        let mut photo = Pixels { channels: 1, data: vec![1, 2, 3, 4, 5, 6, 7, 8, 9] };
        mirror(&mut photo, 3);
        assert_eq!(photo.data, [3, 2, 1, 6, 5, 4, 9, 8, 7]);
        let mut dot = Pixels { channels: 1, data: vec![0; 25] };
        dot.data[12] = 160;
        blur(&mut dot, 5, 1.0);
        assert_eq!(dot.data[6..9], [10, 20, 10]);
        assert_eq!(dot.data[11..14], [20, 40, 20]);
    }

    #[test]
    fn grey_photos_lose_their_colour() {
        let ranges = AugmentRanges { grey: 1.0, ..AugmentRanges::still() };
        let mut photo = Pixels { channels: 3, data: vec![200, 10, 30, 0, 255, 128] };
        recolour(&mut photo, &ranges, &mut Random::new(1, &[]));
        for pixel in photo.data.chunks_exact(3) {
            assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        }
    }
}
