//! Squared distances of four queries to eight photos.

use pulp::{Arch, Simd, WithSimd};

/// Queries that the kernel takes at once.
pub(super) const QUERY_LANES: usize = 4;
/// Photos that the kernel takes at once: one AVX-512 register, two AVX2 registers of f64.
pub(super) const PHOTO_LANES: usize = 8;

/// Squared Euclidean distance of two vectors, summed in the order of the dimensions: the reference for [`distances`].
pub(super) fn distance(left: &[f32], right: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (&left, &right) in left.iter().zip(right) {
        let difference = f64::from(left) - f64::from(right);
        sum += difference * difference;
    }
    sum
}

/// Transposes up to `LANES` rows to `[dim][LANES]` in f64; lanes without a row are zero.
pub(super) fn pack<const LANES: usize>(rows: &[f32], dim: usize) -> Vec<[f64; LANES]> {
    let mut packed = vec![[0.0; LANES]; dim];
    pack_into(rows, &mut packed);
    packed
}

/// As [`pack`], into `[dim][LANES]` memory. Lanes without a row keep what they held.
pub(super) fn pack_into<const LANES: usize>(rows: &[f32], packed: &mut [[f64; LANES]]) {
    for (lane, row) in rows.chunks_exact(packed.len()).enumerate() {
        for (&value, packed) in row.iter().zip(&mut *packed) {
            packed[lane] = f64::from(value);
        }
    }
}

/// Squared Euclidean distance of every query to every photo, with the widest registers that the processor has.
///
/// # Shapes
/// - `queries`: `[dim][QUERY_LANES]`
/// - `photos`: `[dim][PHOTO_LANES]`
/// - output: `[QUERY_LANES][PHOTO_LANES]`
pub(super) fn distances(
    arch: Arch,
    queries: &[[f64; QUERY_LANES]],
    photos: &[[f64; PHOTO_LANES]],
) -> [[f64; PHOTO_LANES]; QUERY_LANES] {
    arch.dispatch(Distances { queries, photos })
}

/// The body of [`distances`]. A type and not a closure: a closure's call is not inlined, and so not compiled for the
/// processor's registers.
struct Distances<'a> {
    queries: &'a [[f64; QUERY_LANES]],
    photos: &'a [[f64; PHOTO_LANES]],
}

impl WithSimd for Distances<'_> {
    type Output = [[f64; PHOTO_LANES]; QUERY_LANES];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut sums = [[0.0; PHOTO_LANES]; QUERY_LANES];
        for (query, photo) in self.queries.iter().zip(self.photos) {
            for (sums, &query) in sums.iter_mut().zip(query) {
                for (sum, &photo) in sums.iter_mut().zip(photo) {
                    let difference = query - photo;
                    // Not fused: the same bits with and without FMA instructions.
                    *sum += difference * difference;
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_equal_the_reference_bit_for_bit() {
        let dim = 37;
        let value = |index: usize| ((index * 2_654_435_761) % 1000) as f32 / 999.0 - 0.5;
        let queries: Vec<f32> = (0..QUERY_LANES * dim).map(value).collect();
        let photos: Vec<f32> = (0..PHOTO_LANES * dim).map(|index| value(index + 7)).collect();
        let found = distances(Arch::new(), &pack(&queries, dim), &pack(&photos, dim));
        for (query, found) in queries.chunks(dim).zip(found) {
            for (photo, found) in photos.chunks(dim).zip(found) {
                assert_eq!(found.to_bits(), distance(query, photo).to_bits());
            }
        }
    }
}
