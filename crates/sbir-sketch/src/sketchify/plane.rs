//! Planes of floats and the filters that edge detection needs.

/// The widest blur that is done with a Gaussian's own weights, in pixels.
const WIDE: f32 = 2.2;

/// A plane of values, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

impl Plane {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, values: vec![0.0; width * height] }
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// The value between pixels, with the border repeated.
    pub(super) fn between(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, (self.width - 1) as f32);
        let y = y.clamp(0.0, (self.height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (right, low) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (dx, dy) = (x - left as f32, y - top as f32);
        let above = self.at(left, top) * (1.0 - dx) + self.at(right, top) * dx;
        let below = self.at(left, low) * (1.0 - dx) + self.at(right, low) * dx;
        above * (1.0 - dy) + below * dy
    }

    /// A plane of the same size made of both planes' values.
    pub(crate) fn zip(&self, other: &Self, make: impl Fn(f32, f32) -> f32) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| make(a, b)).collect();
        Self { width: self.width, height: self.height, values }
    }

    /// Mean over a square of side `2 · radius + 1`, cut at the border.
    pub(super) fn box_blur(&self, radius: usize) -> Self {
        let (width, height) = (self.width, self.height);
        let mut across = Self::new(width, height);
        for (row, out) in self.values.chunks_exact(width).zip(across.values.chunks_exact_mut(width))
        {
            let mut sum: f32 = row[..radius.min(width)].iter().sum();
            let mut count = radius.min(width);
            for x in 0..width {
                if x + radius < width {
                    sum += row[x + radius];
                    count += 1;
                }
                if x > radius {
                    sum -= row[x - radius - 1];
                    count -= 1;
                }
                out[x] = sum / count as f32;
            }
        }
        let mut result = Self::new(width, height);
        let mut sums = vec![0.0; width];
        let mut count = 0;
        let add = |sums: &mut [f32], y: usize, sign: f32| {
            for (sum, value) in sums.iter_mut().zip(&across.values[y * width..(y + 1) * width]) {
                *sum += sign * value;
            }
        };
        for y in 0..radius.min(height) {
            add(&mut sums, y, 1.0);
            count += 1;
        }
        for y in 0..height {
            if y + radius < height {
                add(&mut sums, y + radius, 1.0);
                count += 1;
            }
            if y > radius {
                add(&mut sums, y - radius - 1, -1.0);
                count -= 1;
            }
            let share = 1.0 / count as f32;
            let out = &mut result.values[y * width..(y + 1) * width];
            for (value, sum) in out.iter_mut().zip(&sums) {
                *value = sum * share;
            }
        }
        result
    }

    /// Gaussian blur; of more than [`WIDE`] pixels three boxes, which is near enough and takes no longer for a wider one.
    pub(crate) fn gaussian(&self, sigma: f32) -> Self {
        if sigma > WIDE {
            // Three boxes of side n have the variance (n² − 1) / 4.
            let radius = (((4.0 * sigma * sigma + 1.0).sqrt() - 1.0) / 2.0).round() as usize;
            return self.box_blur(radius).box_blur(radius).box_blur(radius);
        }
        let radius = (3.0 * sigma).ceil().max(1.0) as usize;
        let weight = |at: usize| (-0.5 * ((at as f32 - radius as f32) / sigma).powi(2)).exp();
        let mut kernel: Vec<f32> = (0..=2 * radius).map(weight).collect();
        let total: f32 = kernel.iter().sum();
        kernel.iter_mut().for_each(|weight| *weight /= total);
        let (width, height) = (self.width, self.height);
        let mut across = Self::new(width, height);
        let mut padded = vec![0.0; width + 2 * radius];
        for (row, out) in self.values.chunks_exact(width).zip(across.values.chunks_exact_mut(width))
        {
            padded[..radius].fill(row[0]);
            padded[radius..radius + width].copy_from_slice(row);
            padded[radius + width..].fill(row[width - 1]);
            for (shift, weight) in kernel.iter().enumerate() {
                for (value, seen) in out.iter_mut().zip(&padded[shift..]) {
                    *value += weight * seen;
                }
            }
        }
        let mut result = Self::new(width, height);
        for (y, out) in result.values.chunks_exact_mut(width).enumerate() {
            for (shift, weight) in kernel.iter().enumerate() {
                let from = (y + shift).saturating_sub(radius).min(height - 1);
                let row = &across.values[from * width..(from + 1) * width];
                for (value, seen) in out.iter_mut().zip(row) {
                    *value += weight * seen;
                }
            }
        }
        result
    }
}

/// For each of `to` places, the first of `from` places under a triangle that widens when shrinking, and the weights.
fn triangle(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f32 / to as f32;
    let support = scale.max(1.0);
    (0..to)
        .map(|place| {
            let centre = (place as f32 + 0.5) * scale;
            let first = ((centre - support).floor().max(0.0) as usize).min(from - 1);
            let end = ((centre + support).ceil() as usize).clamp(first + 1, from);
            let weight = |at: usize| (1.0 - ((at as f32 + 0.5 - centre) / support).abs()).max(0.0);
            let weights: Vec<f32> = (first..end).map(weight).collect();
            let total: f32 = weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            (first, weights.iter().map(|weight| weight / total).collect())
        })
        .collect()
}

/// RGB pixels as the three planes of CIE L*a*b* under D65, all divided by 100, resized.
///
/// # Shapes
/// - `pixels`: `[from[1], from[0], 3]`
/// - output: three planes of `to[0]` × `to[1]`
pub(super) fn lab(pixels: &[u8], from: [usize; 2], to: [usize; 2]) -> [Plane; 3] {
    let columns = triangle(from[0], to[0]);
    let rows = triangle(from[1], to[1]);
    let mut narrow = vec![0.0_f32; from[1] * to[0] * 3];
    for (row, out) in pixels.chunks_exact(from[0] * 3).zip(narrow.chunks_exact_mut(to[0] * 3)) {
        for ((first, weights), out) in columns.iter().zip(out.chunks_exact_mut(3)) {
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, value) in out.iter_mut().zip(pixel) {
                    *sum += weight * f32::from(*value);
                }
            }
        }
    }
    let mut planes = [(); 3].map(|()| Plane::new(to[0], to[1]));
    let mut line = vec![0.0_f32; to[0] * 3];
    for (y, (first, weights)) in rows.iter().enumerate() {
        line.fill(0.0);
        for (row, weight) in narrow.chunks_exact(to[0] * 3).skip(*first).zip(weights) {
            for (sum, value) in line.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        for (x, rgb) in line.chunks_exact(3).enumerate() {
            let lab = to_lab([rgb[0], rgb[1], rgb[2]].map(|value| value / 255.0));
            for (plane, value) in planes.iter_mut().zip(lab) {
                plane.values[y * to[0] + x] = value;
            }
        }
    }
    planes
}

/// The lightness of RGB pixels, L* divided by 100, resized.
///
/// # Shapes
/// - `pixels`: `[from[1], from[0], 3]`
/// - output: a plane of `to[0]` × `to[1]`
pub(crate) fn lightness(pixels: &[u8], from: [usize; 2], to: [usize; 2]) -> Plane {
    let [lightness, ..] = lab(pixels, from, to);
    lightness
}

/// sRGB of 0 to 1 to L*a*b*, divided by 100 (IEC 61966-2-1 and CIE 15).
fn to_lab(rgb: [f32; 3]) -> [f32; 3] {
    let [r, g, b] =
        rgb.map(
            |value| {
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            },
        );
    let root = |value: f32| {
        if value > 0.008_856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 }
    };
    let x = root((0.412_456 * r + 0.357_576 * g + 0.180_437 * b) / 0.950_47);
    let y = root(0.212_673 * r + 0.715_152 * g + 0.072_175 * b);
    let z = root((0.019_334 * r + 0.119_192 * g + 0.950_304 * b) / 1.088_83);
    [1.16 * y - 0.16, 5.0 * (x - y), 2.0 * (y - z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Plane {
        let values = (0..width * height).map(|i| (i * 7919 % 101) as f32 / 100.0).collect();
        Plane { width, height, values }
    }

    #[test]
    fn a_box_is_a_mean() {
        let plane = noise(13, 9);
        for radius in [1, 3, 20] {
            let blurred = plane.box_blur(radius);
            for (x, y) in [(0, 0), (5, 4), (12, 8), (1, 7)] {
                let (xs, ys) = (
                    x.max(radius) - radius..(x + radius + 1).min(13),
                    y.max(radius) - radius..(y + radius + 1).min(9),
                );
                let count = (xs.len() * ys.len()) as f32;
                let sum: f32 = ys
                    .flat_map(|y| xs.clone().map(move |x| (x, y)))
                    .map(|(x, y)| plane.at(x, y))
                    .sum();
                assert!((blurred.at(x, y) - sum / count).abs() < 1e-5, "{radius} {x} {y}");
            }
        }
    }

    #[test]
    fn blurs_keep_flat_planes_flat() {
        let flat = Plane { width: 9, height: 8, values: vec![0.7; 72] };
        for plane in [flat.box_blur(3), flat.gaussian(2.5)] {
            assert!(plane.values.iter().all(|value| (value - 0.7).abs() < 1e-5));
        }
        assert!((flat.between(3.4, -2.0) - 0.7).abs() < 1e-6);
    }

    #[test]
    fn lab_of_known_colours() {
        // Lindbloom's calculator: red is 53.24, 80.09, 67.20; white 100, 0, 0.
        for (rgb, expected) in [
            ([1.0, 0.0, 0.0], [0.5324, 0.8009, 0.6720]),
            ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ] {
            let lab = to_lab(rgb);
            for (value, expected) in lab.iter().zip(expected) {
                assert!((value - expected).abs() < 2e-3, "{rgb:?}: {lab:?}");
            }
        }
    }
}
