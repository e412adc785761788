//! Exact ranking of a gallery by squared Euclidean distance.
//!
//! Distances are sums of squared differences in f64, taken in the order of the dimensions, so that identical photos tie
//! exactly and every machine, block size and thread count gives the same bits. The kernel gets its speed from ranking
//! four queries against eight photos at once, never from reordering a sum.

mod kernel;
mod nearest;

use pulp::Arch;
use rayon::prelude::*;

use self::kernel::{PHOTO_LANES, QUERY_LANES};
use self::nearest::Nearest;
use crate::Error;

/// Most queries that one task ranks: enough that packing a photo costs little, few enough for the second-level cache.
const MOST_QUERIES_PER_TASK: usize = 64;

/// Where each query's true photo stands, and which photos stand before all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The rank of each query's true photo, from 1.
    pub ranks: Vec<usize>,
    /// The cosine similarity of each query and its true photo, in −1 to 1; 0 where a vector is all zeros.
    pub truth_cosine: Vec<f32>,
    /// For each query the nearest photos, nearest first: gallery index and cosine similarity.
    pub nearest: Vec<Vec<(usize, f32)>>,
}

/// Ranks the gallery for every query by squared Euclidean distance, smallest first; ties go to the lower gallery index.
///
/// On unit vectors this is the order of falling cosine similarity. Memory beyond the result is a few hundred kilobytes
/// a thread, whatever the gallery's size. Queries are ranked in parallel on rayon's current pool; the result does not
/// depend on the number of threads.
///
/// # Shapes
/// - `queries`: `[query_count, dim]`, row-major
/// - `gallery`: `[photo_count, dim]`, row-major
/// - `truth`: `[query_count]`, each query's own photo as an index into the gallery
/// - `k`: how many of the nearest to return; more than `photo_count` means all
///
/// # Errors
/// Where there are no queries or no photos, `dim` is 0, a length does not fit, a truth index is not in the gallery, or
/// an embedding holds a NaN or an infinity (the first such row is named, queries before photos).
pub fn rank(
    queries: &[f32],
    gallery: &[f32],
    dim: usize,
    truth: &[usize],
    k: usize,
) -> Result<Ranking, Error> {
    check(queries, gallery, dim, truth)?;
    let query_count = truth.len();

    // Small jobs are cut finer, so that every thread gets some.
    let task = query_count
        .div_ceil(4 * rayon::current_num_threads())
        .next_multiple_of(QUERY_LANES)
        .min(MOST_QUERIES_PER_TASK);
    let arch = Arch::new();
    let ranked: Vec<Ranked> = queries
        .par_chunks(task * dim)
        .zip(truth.par_chunks(task))
        .flat_map_iter(|(queries, truth)| rank_task(arch, queries, gallery, dim, truth, k))
        .collect();

    let mut ranking = Ranking {
        ranks: Vec::with_capacity(query_count),
        truth_cosine: Vec::with_capacity(query_count),
        nearest: Vec::with_capacity(query_count),
    };
    for ranked in ranked {
        ranking.ranks.push(ranked.rank);
        ranking.truth_cosine.push(ranked.truth_cosine);
        ranking.nearest.push(ranked.nearest);
    }
    Ok(ranking)
}

fn check(queries: &[f32], gallery: &[f32], dim: usize, truth: &[usize]) -> Result<(), Error> {
    if dim == 0 {
        return Err(Error::ZeroDimension);
    }
    for (empty, embeddings, what) in
        [("queries", queries, "the queries"), ("gallery photos", gallery, "the gallery")]
    {
        if embeddings.is_empty() {
            return Err(Error::Empty { what: empty });
        }
        if !embeddings.len().is_multiple_of(dim) {
            return Err(Error::Length {
                what,
                expected: embeddings.len().next_multiple_of(dim),
                found: embeddings.len(),
            });
        }
    }
    if truth.len() != queries.len() / dim {
        return Err(Error::Length {
            what: "the truth indices",
            expected: queries.len() / dim,
            found: truth.len(),
        });
    }
    let photo_count = gallery.len() / dim;
    if let Some(query) = truth.iter().position(|&index| index >= photo_count) {
        return Err(Error::Truth { query, index: truth[query], gallery: photo_count });
    }
    check_finite(queries, dim, "query")?;
    check_finite(gallery, dim, "gallery photo")
}

fn check_finite(embeddings: &[f32], dim: usize, what: &'static str) -> Result<(), Error> {
    let bad = |row: &[f32]| row.iter().position(|value| !value.is_finite());
    match embeddings.par_chunks(dim).position_first(|row| bad(row).is_some()) {
        None => Ok(()),
        Some(row) => {
            let values = &embeddings[row * dim..][..dim];
            let column = bad(values).unwrap_or_default();
            Err(Error::NotFinite { what, row, column, value: values[column] })
        }
    }
}

/// One query's result.
struct Ranked {
    rank: usize,
    truth_cosine: f32,
    nearest: Vec<(usize, f32)>,
}

/// One query's state while the gallery streams by.
struct Progress {
    truth: usize,
    truth_distance: f64,
    /// Photos that stand before the true one.
    before: usize,
    nearest: Nearest,
}

impl Progress {
    /// Photos must come in the order of their indices: [`Nearest`] settles ties by it.
    fn see(&mut self, photo: usize, distance: f64) {
        self.before += usize::from(
            distance < self.truth_distance
                || (distance == self.truth_distance && photo < self.truth),
        );
        self.nearest.see(photo, distance);
    }
}

fn rank_task(
    arch: Arch,
    queries: &[f32],
    gallery: &[f32],
    dim: usize,
    truth: &[usize],
    k: usize,
) -> Vec<Ranked> {
    let photo_count = gallery.len() / dim;
    let row = |index: usize| &gallery[index * dim..][..dim];
    let mut progress: Vec<Progress> = queries
        .chunks_exact(dim)
        .zip(truth)
        .map(|(query, &truth)| Progress {
            truth,
            truth_distance: kernel::distance(query, row(truth)),
            before: 0,
            nearest: Nearest::new(k.min(photo_count)),
        })
        .collect();

    let groups: Vec<Vec<[f64; QUERY_LANES]>> =
        queries.chunks(QUERY_LANES * dim).map(|group| kernel::pack(group, dim)).collect();
    let mut panel = vec![[0.0; PHOTO_LANES]; dim];
    for (photos, first_photo) in
        gallery.chunks(PHOTO_LANES * dim).zip((0..photo_count).step_by(PHOTO_LANES))
    {
        kernel::pack_into(photos, &mut panel);
        let photos_here = photos.len() / dim;
        for (group, progress) in groups.iter().zip(progress.chunks_mut(QUERY_LANES)) {
            let distances = kernel::distances(arch, group, &panel);
            for (progress, distances) in progress.iter_mut().zip(&distances) {
                for (lane, &distance) in distances[..photos_here].iter().enumerate() {
                    progress.see(first_photo + lane, distance);
                }
            }
        }
    }

    queries
        .chunks_exact(dim)
        .zip(progress)
        .map(|(query, progress)| Ranked {
            rank: progress.before + 1,
            truth_cosine: cosine(query, row(progress.truth)),
            nearest: progress
                .nearest
                .into_sorted()
                .into_iter()
                .map(|photo| (photo, cosine(query, row(photo))))
                .collect(),
        })
        .collect()
}

/// Cosine similarity; 0 where a vector is all zeros.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let (mut dot, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (&left, &right) in left.iter().zip(right) {
        let (left, right) = (f64::from(left), f64::from(right));
        dot += left * right;
        left_square += left * left;
        right_square += right * right;
    }
    let norms = left_square.sqrt() * right_square.sqrt();
    if norms == 0.0 { 0.0 } else { (dot / norms).clamp(-1.0, 1.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_of_known_vectors() {
        assert_eq!(cosine(&[3.0, 4.0], &[3.0, 4.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert_eq!(cosine(&[1.0, 0.0], &[-5.0, 0.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f32.sqrt()).abs() < 1e-7);
        // The squares of both overflow and vanish in f32, not in f64.
        assert_eq!(cosine(&[1e38, 0.0], &[1e-38, 0.0]), 1.0);
    }
}
