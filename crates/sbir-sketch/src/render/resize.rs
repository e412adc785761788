//! Antialiased bilinear resizing of a square 8-bit picture, as Pillow does it (`Image.resize`, `BILINEAR`):
//! a triangle filter that widens when the picture shrinks, columns first, rounded to 8 bits between the
//! two passes, weights in 22-bit fixed point.

/// Bits behind the point of a weight.
const BITS: u32 = 22;

/// Resizes `from × from` pixels to `to × to`.
pub(super) fn resize(source: &[u8], from: usize, to: usize, out: &mut [u8]) {
    let filters: Vec<Filter> = (0..to).map(|index| Filter::new(index, from, to)).collect();
    let mut narrow = vec![0; from * to];
    for (row, narrow) in source.chunks_exact(from).zip(narrow.chunks_exact_mut(to)) {
        for (pixel, filter) in narrow.iter_mut().zip(&filters) {
            let seen = &row[filter.first..filter.first + filter.weights.len()];
            let terms = seen.iter().zip(&filter.weights);
            *pixel = round(terms.map(|(&value, weight)| i32::from(value) * weight).sum());
        }
    }
    let mut sums = vec![0_i32; to];
    for (row, filter) in out.chunks_exact_mut(to).zip(&filters) {
        sums.fill(0);
        let seen = narrow.chunks_exact(to).skip(filter.first);
        for (line, weight) in seen.zip(&filter.weights) {
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum += i32::from(value) * weight;
            }
        }
        for (pixel, &sum) in row.iter_mut().zip(&sums) {
            *pixel = round(sum);
        }
    }
}

/// A weighted sum back to 8 bits. Weights add up to 1 within their rounding, so sums of at most 511
/// weights fit 31 bits.
fn round(sum: i32) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// What one output pixel takes of which input pixels.
struct Filter {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    fn new(index: usize, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(from);
        let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / support).abs()).max(0.0);
        let total: f64 = (first..last).map(weight).sum();
        let fixed = |at| (weight(at) / total * f64::from(1 << BITS)).round() as i32;
        Self { first, weights: (first..last).map(fixed).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_normalised_and_in_range() {
        for (from, to) in [(256, 1), (256, 3), (256, 224), (256, 256), (256, 257), (256, 1024)] {
            for index in 0..to {
                let filter = Filter::new(index, from, to);
                let sum: i32 = filter.weights.iter().sum();
                assert!((sum - (1 << BITS)).abs() <= 256, "{from} to {to}, {index}: {sum}");
                assert!(filter.first + filter.weights.len() <= from);
            }
        }
    }

    #[test]
    fn the_same_side_changes_nothing_and_flat_stays_flat() {
        let picture: Vec<u8> = (0..64).map(|i| (i * 37 % 256) as u8).collect();
        let mut same = vec![0; 64];
        resize(&picture, 8, 8, &mut same);
        assert_eq!(same, picture);
        for to in [1, 3, 8, 50] {
            for value in [0, 1, 128, 255] {
                let mut flat = vec![7; to * to];
                resize(&[value; 64], 8, to, &mut flat);
                assert!(flat.iter().all(|&pixel| pixel == value));
            }
        }
    }

    #[test]
    fn halving_is_a_triangle_of_four() {
        // Weights 1, 3, 3, 1 of 8, in both directions.
        let mut picture = [0_u8; 64];
        picture[3 * 8 + 3] = 128;
        let mut small = [0_u8; 16];
        resize(&picture, 8, 4, &mut small);
        assert_eq!(small[5], 18);
        assert_eq!([small[6], small[9], small[10]], [6, 6, 2]);
    }
}
