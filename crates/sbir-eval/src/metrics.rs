//! Retrieval metrics over ranks. A rank is the place of a query's true photo in its ranking, from 1.

use std::collections::HashMap;

use crate::Error;

/// The standard normal deviate of a two-sided 95 % interval.
const Z_95: f64 = 1.959_963_984_540_054;

/// Checks that there are ranks and that all lie in 1 to `gallery`.
///
/// # Errors
/// Where there are none, or one lies outside (the first such query is named).
pub fn check(ranks: &[usize], gallery: usize) -> Result<(), Error> {
    if ranks.is_empty() {
        return Err(Error::Empty { what: "ranks" });
    }
    match ranks.iter().position(|rank| !(1..=gallery).contains(rank)) {
        None => Ok(()),
        Some(query) => Err(Error::Rank { query, rank: ranks[query], gallery }),
    }
}

/// Queries whose true photo is among the first `k`.
#[must_use]
pub fn hits(ranks: &[usize], k: usize) -> usize {
    ranks.iter().filter(|&&rank| rank <= k).count()
}

/// The share of queries whose true photo is among the first `k`, in 0 to 1; NaN without queries.
#[must_use]
pub fn recall(ranks: &[usize], k: usize) -> f64 {
    hits(ranks, k) as f64 / ranks.len() as f64
}

/// Wilson's score interval at 95 % for a share of `hits` in `total`, as `[low, high]` in 0 to 1.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927); without
/// continuity correction. `[0, 1]` where `total` is 0.
#[must_use]
pub fn wilson(hits: usize, total: usize) -> [f64; 2] {
    if total == 0 {
        return [0.0, 1.0];
    }
    let n = total as f64;
    let share = hits as f64 / n;
    let z2 = Z_95 * Z_95;
    let centre = share + z2 / (2.0 * n);
    let spread = Z_95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // At the ends the bounds are 0 and 1 exactly; rounding would miss them.
    let low = if hits == 0 { 0.0 } else { ((centre - spread) / scale).max(0.0) };
    let high = if hits >= total { 1.0 } else { ((centre + spread) / scale).min(1.0) };
    [low, high]
}

/// The middle rank; of an even number of ranks the mean of the two middle ones. NaN without ranks.
#[must_use]
pub fn median_rank(ranks: &[usize]) -> f64 {
    if ranks.is_empty() {
        return f64::NAN;
    }
    let mut ranks = ranks.to_vec();
    let middle = ranks.len() / 2;
    let even = ranks.len().is_multiple_of(2);
    let (below, &mut upper, _) = ranks.select_nth_unstable(middle);
    match below.iter().max() {
        Some(&lower) if even => (lower as f64 + upper as f64) / 2.0,
        _ => upper as f64,
    }
}

/// The mean rank; NaN without ranks.
#[must_use]
pub fn mean_rank(ranks: &[usize]) -> f64 {
    // Summed in integers: exact, whatever the order.
    let sum: u128 = ranks.iter().map(|&rank| rank as u128).sum();
    sum as f64 / ranks.len() as f64
}

/// Mean reciprocal rank, in 0 to 1; NaN without ranks.
#[must_use]
pub fn mean_reciprocal_rank(ranks: &[usize]) -> f64 {
    ranks.iter().map(|&rank| 1.0 / rank as f64).sum::<f64>() / ranks.len() as f64
}

/// Ranks gathered by group (an FS-COCO user, a category), groups in natural order: `2` before `10`, numbers before names.
///
/// # Shapes
/// - `ranks`, `groups`: one of each per query; a query without a group is left out
///
/// # Errors
/// Where the two differ in length.
pub fn by_group<'a>(
    ranks: &[usize],
    groups: &[Option<&'a str>],
) -> Result<Vec<(&'a str, Vec<usize>)>, Error> {
    if ranks.len() != groups.len() {
        return Err(Error::Length {
            what: "the groups",
            expected: ranks.len(),
            found: groups.len(),
        });
    }
    let mut gathered: HashMap<&str, Vec<usize>> = HashMap::new();
    for (&rank, group) in ranks.iter().zip(groups) {
        if let Some(group) = group {
            gathered.entry(group).or_default().push(rank);
        }
    }
    let mut gathered: Vec<_> = gathered.into_iter().collect();
    gathered.sort_by_cached_key(|(group, _)| match group.parse::<u64>() {
        Ok(number) => (0, number, *group),
        Err(_) => (1, 0, *group),
    });
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_equals_scipy() {
        // scipy 1.17.1:
        // from scipy.stats import binomtest
        // for k, n in [(0, 10), (10, 10), (1545, 3000), (2215, 3000), (2446, 3000), (1, 1), (3, 7)]:
        //     ci = binomtest(k, n).proportion_ci(0.95, method='wilson')
        //     print(k, n, repr(float(ci.low)), repr(float(ci.high)))
        for (hits, total, low, high) in [
            (0, 10, 0.0, 0.27753279986288926),
            (10, 10, 0.7224672001371109, 1.0),
            (1545, 3000, 0.4971083577756577, 0.5328532767625827),
            (2215, 3000, 0.7223071250962867, 0.753749957011308),
            (2446, 3000, 0.8010479827626286, 0.8288121566412657),
            (1, 1, 0.20654931437723745, 1.0),
            (3, 7, 0.1582198552514697, 0.7495416354723428),
        ] {
            let found = wilson(hits, total);
            assert!((found[0] - low).abs() < 1e-14, "{hits}/{total}: {found:?}");
            assert!((found[1] - high).abs() < 1e-14, "{hits}/{total}: {found:?}");
        }
        assert_eq!(wilson(0, 10)[0], 0.0);
        assert_eq!(wilson(10, 10)[1], 1.0);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn medians() {
        assert_eq!(median_rank(&[7]), 7.0);
        assert_eq!(median_rank(&[9, 1]), 5.0);
        assert_eq!(median_rank(&[9, 1, 2]), 2.0);
        assert_eq!(median_rank(&[9, 1, 4, 2]), 3.0);
        assert_eq!(median_rank(&[1, 2, 1, 2]), 1.5);
        assert!(median_rank(&[]).is_nan());
    }

    #[test]
    fn means() {
        let ranks = [1, 2, 4, 10];
        assert_eq!(mean_rank(&ranks), 4.25);
        assert_eq!(mean_reciprocal_rank(&ranks), (1.0 + 0.5 + 0.25 + 0.1) / 4.0);
        assert_eq!((hits(&ranks, 1), hits(&ranks, 4), hits(&ranks, 9)), (1, 3, 3));
        assert_eq!(recall(&ranks, 2), 0.5);
    }

    #[test]
    fn ranks_are_checked() {
        assert!(check(&[1, 3], 3).is_ok());
        assert!(matches!(check(&[], 3), Err(Error::Empty { .. })));
        assert!(matches!(check(&[1, 0], 3), Err(Error::Rank { query: 1, rank: 0, gallery: 3 })));
        assert!(matches!(check(&[4], 3), Err(Error::Rank { query: 0, rank: 4, gallery: 3 })));
    }

    #[test]
    fn groups_come_in_natural_order() {
        let groups = [Some("10"), Some("2"), None, Some("chairs"), Some("2")];
        let gathered = by_group(&[1, 2, 3, 4, 5], &groups).unwrap();
        assert_eq!(gathered, [("2", vec![2, 5]), ("10", vec![1]), ("chairs", vec![4])]);
        assert!(by_group(&[1], &groups).is_err());
    }
}
