//! From a block's first coefficients to its reduced pixels.

/// The places of the coefficients in a block, in the order that they are coded (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// From the first coefficients of a line to the means of its pixels, `pixels` of them.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) pixels: usize,
    /// How many coefficients count.
    pub(super) used: usize,
    /// `[pixel][coefficient]`
    weights: [[f32; 8]; 8],
}

impl Line {
    /// `pixels` is 1, 2, 4 or 8; a mean takes more coefficients than there are pixels, which counts for brightness only.
    pub(super) fn new(pixels: usize, fine: bool) -> Self {
        let used = if fine && pixels > 1 { (2 * pixels).min(8) } else { pixels };
        let mut weights = [[0.0; 8]; 8];
        let share = 8 / pixels;
        for (pixel, weights) in weights.iter_mut().enumerate().take(pixels) {
            for (k, weight) in weights.iter_mut().enumerate().take(used) {
                // The inverse cosine transform (T.81, A.3.3), and the mean over the pixels that become one.
                let wave =
                    |x: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                let sum: f64 = (pixel * share..(pixel + 1) * share).map(wave).sum();
                let scale = if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 } / 2.0;
                *weight = (scale * sum / share as f64) as f32;
            }
        }
        Self { pixels, used, weights }
    }

    /// How many coefficients in zigzag order must be known for a block of such lines.
    pub(super) fn needed(across: &Self, down: &Self) -> usize {
        let counts =
            |place: &u8| usize::from(place % 8) < across.used && usize::from(place / 8) < down.used;
        ZIGZAG.iter().rposition(counts).map_or(0, |last| last + 1)
    }
}

/// Brings a value to 0–255.
#[inline(always)]
fn level(value: f32) -> u8 {
    (value + 128.5).clamp(0.0, 255.0) as u8
}

/// The pixels of a block of one mean.
#[inline(always)]
pub(super) fn flat(mean: f32) -> u8 {
    level(mean / 8.0)
}

/// Writes the pixels of a block.
#[inline(always)]
pub(super) fn transform(
    coefficients: &[f32; 64],
    across: &Line,
    down: &Line,
    plane: &mut [u8],
    stride: usize,
) {
    // Sizes that the compiler knows, where they are alike.
    match [across.pixels, across.used, down.pixels, down.used] {
        [2, 2, 2, 2] => square::<2, 2>(coefficients, across, plane, stride),
        [2, 4, 2, 4] => square::<2, 4>(coefficients, across, plane, stride),
        [4, 4, 4, 4] => square::<4, 4>(coefficients, across, plane, stride),
        [4, 8, 4, 8] => square::<4, 8>(coefficients, across, plane, stride),
        [8, 8, 8, 8] => square::<8, 8>(coefficients, across, plane, stride),
        _ => any(coefficients, across, down, plane, stride),
    }
}

/// `N` by `N` pixels of `K` by `K` coefficients.
#[inline(always)]
fn square<const N: usize, const K: usize>(
    coefficients: &[f32; 64],
    line: &Line,
    plane: &mut [u8],
    stride: usize,
) {
    let mut rows = [[0.0_f32; N]; K];
    for (row, coefficients) in rows.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        for k in 0..K {
            for (value, weights) in row.iter_mut().zip(&line.weights) {
                *value += weights[k] * coefficients[k];
            }
        }
    }
    for (pixels, weights) in plane.chunks_mut(stride).zip(&line.weights).take(N) {
        let mut sums = [0.0_f32; N];
        for k in 0..K {
            for (sum, value) in sums.iter_mut().zip(&rows[k]) {
                *sum += weights[k] * value;
            }
        }
        for (pixel, sum) in pixels.iter_mut().zip(sums) {
            *pixel = level(sum);
        }
    }
}

fn any(coefficients: &[f32; 64], across: &Line, down: &Line, plane: &mut [u8], stride: usize) {
    let mut rows = [[0.0_f32; 8]; 8];
    for (row, coefficients) in rows.iter_mut().zip(coefficients.as_chunks::<8>().0).take(down.used)
    {
        for (value, weights) in row.iter_mut().zip(&across.weights).take(across.pixels) {
            *value = weights.iter().zip(coefficients).take(across.used).map(|(w, c)| w * c).sum();
        }
    }
    for (line, weights) in plane.chunks_mut(stride).zip(&down.weights).take(down.pixels) {
        for (column, pixel) in line.iter_mut().enumerate().take(across.pixels) {
            let sum: f32 =
                weights.iter().zip(&rows).take(down.used).map(|(w, row)| w * row[column]).sum();
            *pixel = level(sum);
        }
    }
}
