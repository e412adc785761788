//! Ranks against a plain twin and against SciPy.

use proptest::prelude::*;
use sbir_eval::{Error, Ranking, Summary, rank};

/// The definition: sort the whole gallery by squared distance in f64, then by index.
fn brute_force(
    queries: &[f32],
    gallery: &[f32],
    dim: usize,
    truth: &[usize],
    k: usize,
) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut ranks, mut nearest) = (Vec::new(), Vec::new());
    for (query, &truth) in queries.chunks(dim).zip(truth) {
        let mut order: Vec<(f64, usize)> = gallery
            .chunks(dim)
            .map(|photo| {
                let squares =
                    query.iter().zip(photo).map(|(&q, &p)| (f64::from(q) - f64::from(p)).powi(2));
                squares.fold(0.0, |sum, square| sum + square)
            })
            .zip(0..)
            .collect();
        order.sort_by(|left, right| left.partial_cmp(right).unwrap());
        ranks.push(1 + order.iter().position(|&(_, photo)| photo == truth).unwrap());
        nearest.push(order.iter().take(k).map(|&(_, photo)| photo).collect());
    }
    (ranks, nearest)
}

fn photos(ranking: &Ranking) -> Vec<Vec<usize>> {
    ranking.nearest.iter().map(|row| row.iter().map(|&(photo, _)| photo).collect()).collect()
}

/// C's old `rand`, in −0.5 to 0.5: easy to repeat in any language.
fn values(count: usize, mut state: u64) -> Vec<f32> {
    let next = |_| {
        state = (1_103_515_245 * state + 12_345) % (1 << 31);
        (state as f64 / f64::from(1_u32 << 31) - 0.5) as f32
    };
    (0..count).map(next).collect()
}

#[test]
fn equals_scipy() {
    // numpy 2.4.6, scipy 1.17.1:
    // import numpy as np
    // from scipy.spatial.distance import cdist
    // def values(count, state):
    //     out = np.empty(count, np.float32)
    //     for i in range(count):
    //         state = (1103515245 * state + 12345) % 2**31
    //         out[i] = np.float32(state / 2**31 - 0.5)
    //     return out
    // gallery = values(40 * 16, 1).reshape(40, 16)
    // queries = gallery[:12] + np.float32(1.5) * values(12 * 16, 2).reshape(12, 16)
    // order = np.argsort(cdist(queries, gallery, 'sqeuclidean'), axis=1, kind='stable')
    // print([int(np.flatnonzero(order[q] == q)[0]) + 1 for q in range(12)])
    // print(order[:, :3].tolist())
    // unit = lambda x: x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    // print([round(float(v), 6) for v in np.sum(unit(queries) * unit(gallery[:12]), axis=1)])
    let gallery = values(40 * 16, 1);
    let noise = values(12 * 16, 2);
    let queries: Vec<f32> =
        gallery.iter().zip(&noise).map(|(photo, noise)| photo + 1.5 * noise).collect();
    let truth: Vec<usize> = (0..12).collect();
    let ranking = rank(&queries, &gallery, 16, &truth, 3).unwrap();
    assert_eq!(ranking.ranks, [9, 4, 1, 5, 2, 1, 1, 1, 3, 1, 10, 4]);
    let nearest = [
        [9, 20, 7],
        [36, 32, 37],
        [2, 25, 34],
        [7, 27, 9],
        [20, 4, 8],
        [5, 20, 35],
        [6, 39, 32],
        [7, 11, 31],
        [11, 9, 8],
        [9, 37, 11],
        [7, 22, 28],
        [37, 32, 3],
    ];
    assert_eq!(photos(&ranking), nearest);
    let cosines = [
        0.274501, 0.488117, 0.669126, 0.351701, 0.484011, 0.609708, 0.664827, 0.653537, 0.435652,
        0.753159, 0.086288, 0.513407,
    ];
    for (found, expected) in ranking.truth_cosine.iter().zip(cosines) {
        assert!((found - expected).abs() < 1e-6, "{found} not {expected}");
    }
    // The nearest photo of query 5 is its own: the same similarity in both places.
    assert_eq!(ranking.nearest[5][0], (5, ranking.truth_cosine[5]));
    let lines = Summary::new(&ranking.ranks, 40).unwrap().lines();
    assert_eq!(lines, " top1: 0.4167 (5)\n top5: 0.8333 (10)\ntop10: 1.0000 (12)");
}

#[test]
fn blocks_of_every_size_agree_with_brute_force() {
    // Around the kernel's four queries and eight photos, and the task's 64 queries.
    for (query_count, photo_count, dim) in
        [(1, 1, 1), (3, 7, 5), (4, 8, 3), (5, 9, 2), (63, 17, 4), (65, 16, 4), (131, 129, 33)]
    {
        let queries = values(query_count * dim, 3);
        let gallery = values(photo_count * dim, 4);
        let truth: Vec<usize> = (0..query_count).map(|query| (query * 7) % photo_count).collect();
        let ranking = rank(&queries, &gallery, dim, &truth, 10).unwrap();
        let (ranks, nearest) = brute_force(&queries, &gallery, dim, &truth, 10);
        assert_eq!(ranking.ranks, ranks, "{query_count} × {photo_count} × {dim}");
        assert_eq!(photos(&ranking), nearest, "{query_count} × {photo_count} × {dim}");
    }
}

#[test]
fn thread_counts_do_not_matter() {
    let (queries, gallery) = (values(150 * 24, 5), values(97 * 24, 6));
    let truth: Vec<usize> = (0..150).map(|query| query % 97).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| rank(&queries, &gallery, 24, &truth, 5).unwrap())
    };
    let one = on(1);
    for threads in [2, 3, 16] {
        assert_eq!(one, on(threads), "{threads} threads");
    }
}

#[test]
fn equal_photos_rank_by_index() {
    let gallery = [0.5, 0.5, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let ranking = rank(&[1.0, 0.0, 1.0, 0.0], &gallery, 2, &[2, 0], 4).unwrap();
    assert_eq!(ranking.ranks, [2, 4]);
    assert_eq!(photos(&ranking), [[1, 2, 3, 0], [1, 2, 3, 0]]);
}

#[test]
fn a_large_offset_costs_no_precision() {
    // |a|² + |b|² − 2ab would lose the small differences under the large squares.
    let small = [0.0, 3.0, 1.0, 2.0, 2.0, 5.0, 4.0, 1.0];
    let far: Vec<f32> = small.iter().map(|value| value + 8_000_000.0).collect();
    let ranking = rank(&far[..2], &far, 1, &[5, 0], 8).unwrap();
    let (ranks, nearest) = brute_force(&small[..2], &small, 1, &[5, 0], 8);
    assert_eq!((ranking.ranks.clone(), photos(&ranking)), (ranks, nearest));
}

#[test]
fn more_neighbours_than_photos_means_all() {
    let ranking = rank(&[0.0], &[3.0, 1.0, 2.0], 1, &[0], usize::MAX).unwrap();
    assert_eq!(photos(&ranking), [[1, 2, 0]]);
    let ranking = rank(&[0.0], &[3.0, 1.0, 2.0], 1, &[0], 0).unwrap();
    assert_eq!((ranking.ranks, ranking.nearest), (vec![3], vec![vec![]]));
}

#[test]
fn hopeless_input_is_refused() {
    let message = |result: Result<Ranking, Error>| result.unwrap_err().to_string();
    assert!(matches!(rank(&[], &[1.0], 1, &[], 1), Err(Error::Empty { what: "queries" })));
    assert!(matches!(rank(&[1.0], &[], 1, &[0], 1), Err(Error::Empty { what: "gallery photos" })));
    assert!(matches!(rank(&[1.0], &[1.0], 0, &[0], 1), Err(Error::ZeroDimension)));
    let ragged = rank(&[1.0; 4], &[1.0; 7], 2, &[0, 0], 1);
    assert!(matches!(ragged, Err(Error::Length { what: "the gallery", expected: 8, found: 7 })));
    let short = rank(&[1.0; 4], &[1.0; 4], 2, &[0], 1);
    assert!(matches!(short, Err(Error::Length { expected: 2, found: 1, .. })));
    let beyond = rank(&[1.0; 4], &[1.0; 4], 2, &[0, 2], 1);
    assert!(matches!(beyond, Err(Error::Truth { query: 1, index: 2, gallery: 2 })));

    let mut gallery = vec![0.25; 300];
    gallery[200] = f32::INFINITY;
    gallery[154] = f32::NAN;
    let text = message(rank(&[0.5; 3], &gallery, 3, &[0], 1));
    assert!(
        text.starts_with("the embedding of gallery photo 51 (counted from 0) holds NaN at 1"),
        "{text}"
    );
    let text = message(rank(&[0.5, f32::NEG_INFINITY], &gallery, 1, &[0, 1], 1));
    assert!(
        text.starts_with("the embedding of query 1 (counted from 0) holds -inf at 0"),
        "{text}"
    );
}

proptest! {
    /// Coordinates of few values make ties the rule.
    #[test]
    fn ties_agree_with_brute_force(
        dim in 1_usize..6,
        queries in prop::collection::vec(0_u8..3, 1..120),
        gallery in prop::collection::vec(0_u8..3, 1..120),
        k in 0_usize..30,
        seed in any::<usize>(),
    ) {
        let whole = |values: Vec<u8>| -> Vec<f32> {
            let rows = (values.len() / dim).max(1);
            values.into_iter().map(f32::from).cycle().take(rows * dim).collect()
        };
        let (queries, gallery) = (whole(queries), whole(gallery));
        let photo_count = gallery.len() / dim;
        let truth: Vec<usize> =
            (0..queries.len() / dim).map(|query| (seed % 1000 + 31 * query) % photo_count).collect();
        let ranking = rank(&queries, &gallery, dim, &truth, k).unwrap();
        let (ranks, nearest) = brute_force(&queries, &gallery, dim, &truth, k);
        prop_assert_eq!(&ranking.ranks, &ranks);
        prop_assert_eq!(photos(&ranking), nearest);
    }
}
