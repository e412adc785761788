//! What stands out: parts unlike the picture's border, near its middle.

use super::Plane;

/// Parts of the border, each with a mean colour of its own.
const PARTS: usize = 12;
/// Width of the border as a share of the shorter side.
const BORDER: f32 = 0.06;

/// The weight of each place, from `background` to 1.
pub(super) fn weights(planes: &[Plane; 3], background: f32) -> Plane {
    let (width, height) = (planes[0].width, planes[0].height);
    let border = ((width.min(height) as f32 * BORDER) as usize).max(2);
    let mut sums = [[0.0_f32; 4]; PARTS];
    for y in 0..height {
        for x in 0..width {
            let inside = |at: usize, side: usize| at >= border && at + border < side;
            if inside(x, width) && inside(y, height) {
                continue;
            }
            let angle =
                (y as f32 + 0.5 - height as f32 / 2.0).atan2(x as f32 + 0.5 - width as f32 / 2.0);
            let part = (angle / std::f32::consts::TAU + 0.5) * PARTS as f32;
            let sum = &mut sums[(part as usize).min(PARTS - 1)];
            for (sum, plane) in sum.iter_mut().zip(planes) {
                *sum += plane.at(x, y);
            }
            sum[3] += 1.0;
        }
    }
    let colours: Vec<[f32; 3]> = sums
        .iter()
        .filter(|sum| sum[3] > 0.0)
        .map(|sum| [sum[0] / sum[3], sum[1] / sum[3], sum[2] / sum[3]])
        .collect();
    let mut contrast = Plane::new(width, height);
    for (index, value) in contrast.values.iter_mut().enumerate() {
        let own = planes.each_ref().map(|plane| plane.values[index]);
        let mut distances: Vec<f32> = colours
            .iter()
            .map(|colour| own.iter().zip(colour).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt())
            .collect();
        // The second nearest part of the border: an object may cross one of them.
        distances.sort_by(f32::total_cmp);
        *value = distances.get(1).or(distances.first()).copied().unwrap_or(0.0);
    }
    // Blurred, so that an outline has a share of what it encloses.
    let contrast = contrast.gaussian(width.max(height) as f32 / 40.0);
    let strongest = contrast.values.iter().copied().fold(0.05, f32::max);
    let mut weights = contrast;
    for y in 0..height {
        for x in 0..width {
            let off =
                [(x as f32 + 0.5) / width as f32 - 0.5, (y as f32 + 0.5) / height as f32 - 0.5];
            let central = (-(off[0] * off[0] + off[1] * off[1]) / (2.0 * 0.28 * 0.28)).exp();
            let value = &mut weights.values[y * width + x];
            let standing_out = (*value / strongest).sqrt();
            *value = background + (1.0 - background) * (0.6 * standing_out + 0.4 * central);
        }
    }
    weights
}
