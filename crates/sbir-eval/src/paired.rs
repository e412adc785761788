//! Comparing two rankings of the same queries.
//!
//! Two runs over one test set share their queries, so the queries on which both agree say nothing about which is better.
//! These methods look at the discordant ones only, and are far sharper than comparing two separate intervals.

use rayon::prelude::*;
use serde::Serialize;

use crate::Error;

/// The queries on which two rankings disagree about a hit at k, as indices in rising order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discordant {
    /// Hits of the first ranking that the second misses.
    pub first_only: Vec<usize>,
    /// Hits of the second ranking that the first misses.
    pub second_only: Vec<usize>,
}

/// Finds the queries on which two rankings disagree about a hit at `k`.
///
/// # Shapes
/// - `first`, `second`: `[query_count]`, the 1-based ranks of the true photos
///
/// # Errors
/// Where there are no ranks, the lengths differ, or `k` is 0.
pub fn discordant(first: &[usize], second: &[usize], k: usize) -> Result<Discordant, Error> {
    if first.is_empty() {
        return Err(Error::Empty { what: "ranks" });
    }
    if first.len() != second.len() {
        return Err(Error::Length {
            what: "the second ranking",
            expected: first.len(),
            found: second.len(),
        });
    }
    if k == 0 {
        return Err(Error::Cutoff);
    }
    let mut found = Discordant { first_only: Vec::new(), second_only: Vec::new() };
    for (query, (&first, &second)) in first.iter().zip(second).enumerate() {
        match (first <= k, second <= k) {
            (true, false) => found.first_only.push(query),
            (false, true) => found.second_only.push(query),
            _ => {}
        }
    }
    Ok(found)
}

/// McNemar's test of two rankings' hits at k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// Queries that only the first ranking hits.
    pub first_only: usize,
    /// Queries that only the second ranking hits.
    pub second_only: usize,
    /// Two-sided exact p-value of "both are equally good", in 0 to 1.
    pub p_value: f64,
}

/// Tests exactly whether two rankings differ in recall at `k`.
///
/// Under the null hypothesis each discordant query falls to either side like a fair coin; the p-value is the two-sided
/// binomial one (Q. McNemar, Psychometrika 12 (1947); `mcnemar(table, exact=True)` in statsmodels).
///
/// # Shapes
/// - `first`, `second`: `[query_count]`, the 1-based ranks of the true photos
///
/// # Errors
/// Where there are no ranks, the lengths differ, or `k` is 0.
pub fn mcnemar(first: &[usize], second: &[usize], k: usize) -> Result<McNemar, Error> {
    let discordant = discordant(first, second, k)?;
    let (first_only, second_only) = (discordant.first_only.len(), discordant.second_only.len());
    Ok(McNemar { first_only, second_only, p_value: fair_coin_p_value(first_only, second_only) })
}

/// Two-sided p-value of `heads` and `tails` tosses of a fair coin.
fn fair_coin_p_value(heads: usize, tails: usize) -> f64 {
    let (few, total) = (heads.min(tails), heads + tails);
    if heads == tails {
        return 1.0;
    }
    // P(X = few) = C(total, few) / 2^total as a mantissa and a power of two: neither factor fits an f64 alone.
    let mut mantissa = 1.0_f64;
    let mut halvings = total;
    for index in 1..=few {
        mantissa *= (total - few + index) as f64 / index as f64;
        while mantissa >= 2.0 && halvings > 0 {
            mantissa /= 2.0;
            halvings -= 1;
        }
    }
    // P(X <= few) over P(X = few): the terms shrink by k / (total - k + 1) each.
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=few).rev() {
        term *= k as f64 / (total - k + 1) as f64;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    let power = i32::try_from(halvings).map_or(0.0, |halvings| 2.0_f64.powi(-halvings));
    (2.0 * mantissa * sum * power).min(1.0)
}

/// The difference of two recalls, second minus first, with a paired bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Recall of the second ranking minus recall of the first, in −1 to 1.
    pub difference: f64,
    /// Percentile interval, `[low, high]`.
    pub interval: [f64; 2],
    /// The interval's level, such as 0.95.
    pub level: f64,
    /// Resamples drawn.
    pub resamples: usize,
}

/// Bootstraps the difference in recall at `k` over the queries, both rankings resampled together.
///
/// Percentile method (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, §13.3), quantiles interpolated
/// linearly. Every resample draws from (`seed`, its number), so the result does not depend on the number of threads.
///
/// # Shapes
/// - `first`, `second`: `[query_count]`, the 1-based ranks of the true photos
///
/// # Errors
/// Where there are no ranks, the lengths differ, `k` or `resamples` is 0, or `level` lies outside (0, 1).
pub fn bootstrap(
    first: &[usize],
    second: &[usize],
    k: usize,
    resamples: usize,
    level: f64,
    seed: u64,
) -> Result<Difference, Error> {
    let discordant = discordant(first, second, k)?;
    if resamples == 0 || !(level > 0.0 && level < 1.0) {
        return Err(Error::Bootstrap { resamples, level });
    }
    let queries = first.len();
    let gained = discordant.second_only.len();
    let changed = gained + discordant.first_only.len();
    // Queries are exchangeable: the first `gained` stand for those that only the second hits, and so on.
    let resample = |number: usize| -> i64 {
        let mut random = SplitMix64::new(seed, number as u64);
        (0..queries)
            .map(|_| match random.below(queries) {
                drawn if drawn < gained => 1,
                drawn if drawn < changed => -1,
                _ => 0,
            })
            .sum()
    };
    let mut differences: Vec<i64> = (0..resamples).into_par_iter().map(resample).collect();
    differences.sort_unstable();
    let quantile = |share: f64| {
        let place = share * (resamples - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let (low, high) = (differences[low] as f64, differences[high] as f64);
        (low + (high - low) * place.fract()) / queries as f64
    };
    let tail = (1.0 - level) / 2.0;
    Ok(Difference {
        difference: (gained as f64 - (changed - gained) as f64) / queries as f64,
        interval: [quantile(tail), quantile(1.0 - tail)],
        level,
        resamples,
    })
}

/// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

    /// A generator for one stream of a seed: streams start far apart, as their numbers are mixed first.
    fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ Self(stream).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of at most `bound` / 2^64 is far below any resample's noise.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rankings with given numbers of queries that only the first, only the second, both and neither hit at 1.
    fn rankings(first: usize, second: usize, both: usize, neither: usize) -> [Vec<usize>; 2] {
        let repeat = |ranks: [usize; 4]| {
            [first, second, both, neither]
                .iter()
                .zip(ranks)
                .flat_map(|(&count, rank)| std::iter::repeat_n(rank, count))
                .collect()
        };
        [repeat([1, 2, 1, 2]), repeat([2, 1, 1, 2])]
    }

    #[test]
    fn splitmix_equals_the_reference() {
        // The published C program (prng.di.unimi.it/splitmix64.c) with x = 1234567.
        let mut random = SplitMix64(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([random.next(), random.next()], expected);
    }

    #[test]
    fn discordant_queries_are_listed() {
        let found = discordant(&[1, 9, 3, 7, 5], &[6, 2, 3, 8, 1], 5).unwrap();
        assert_eq!(found, Discordant { first_only: vec![0], second_only: vec![1] });
    }

    #[test]
    fn mcnemar_equals_statsmodels() {
        // statsmodels 0.15.0, scipy 1.17.1:
        // from statsmodels.stats.contingency_tables import mcnemar
        // for b, c in [(0, 0), (1, 0), (5, 5), (10, 2), (121, 86), (3, 40), (600, 500), (0, 30), (4, 5)]:
        //     print(b, c, repr(float(mcnemar([[7, b], [c, 3]], exact=True).pvalue)))
        for (first_only, second_only, p_value) in [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (5, 5, 1.0),
            (10, 2, 0.03857421875),
            (121, 86, 0.017905614973719838),
            (3, 40, 3.0213413992896676e-09),
            (600, 500, 0.0028195449914364284),
            (0, 30, 1.862645149230957e-09),
            (4, 5, 1.0),
        ] {
            let [first, second] = rankings(first_only, second_only, 7, 3);
            let found = mcnemar(&first, &second, 1).unwrap();
            assert_eq!((found.first_only, found.second_only), (first_only, second_only));
            let off = (found.p_value - p_value).abs() / p_value;
            assert!(off < 1e-12, "{first_only}, {second_only}: {} not {p_value}", found.p_value);
        }
    }

    #[test]
    fn mcnemar_holds_at_the_extremes() {
        // A p-value below the smallest f64 is 0, and many tosses neither overflow nor hang.
        assert_eq!(fair_coin_p_value(0, 5000), 0.0);
        let even = fair_coin_p_value(500_000, 500_100);
        assert!((0.91..0.93).contains(&even), "{even}");
    }

    #[test]
    fn bootstrap_agrees_with_the_normal_approximation() {
        let [first, second] = rankings(86, 121, 1400, 1393);
        let found = bootstrap(&first, &second, 1, 20_000, 0.95, 42).unwrap();
        let mean = (121.0 - 86.0) / 3000.0;
        assert!((found.difference - mean).abs() < 1e-15);
        let deviation = ((121.0 + 86.0) / 3000.0 - mean * mean).sqrt() / 3000.0_f64.sqrt();
        for (found, z) in found.interval.into_iter().zip([-1.96, 1.96]) {
            let expected = mean + z * deviation;
            assert!((found - expected).abs() < 0.1 * deviation, "{found} not {expected}");
        }
    }

    #[test]
    fn bootstrap_repeats_over_thread_counts_and_not_over_seeds() {
        let [first, second] = rankings(17, 40, 100, 143);
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(&first, &second, 1, 500, 0.9, seed).unwrap())
        };
        assert_eq!(run(1, 1), run(3, 1));
        assert_ne!(run(1, 1), run(1, 2));
        // Equal rankings cannot differ, however they are drawn.
        let equal = bootstrap(&first, &first, 1, 50, 0.95, 7).unwrap();
        assert_eq!((equal.difference, equal.interval), (0.0, [0.0, 0.0]));
    }

    #[test]
    fn hopeless_input_is_refused() {
        assert!(matches!(mcnemar(&[], &[], 1), Err(Error::Empty { .. })));
        assert!(matches!(mcnemar(&[1], &[1, 2], 1), Err(Error::Length { .. })));
        assert!(matches!(mcnemar(&[1], &[1], 0), Err(Error::Cutoff)));
        assert!(matches!(bootstrap(&[1], &[1], 1, 0, 0.95, 1), Err(Error::Bootstrap { .. })));
        let level = bootstrap(&[1], &[1], 1, 9, f64::NAN, 1);
        assert!(matches!(level, Err(Error::Bootstrap { .. })));
    }
}
