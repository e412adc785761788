//! The inner product that a search ranks by, with one order of additions on every processor.

use half::f16;

/// The number of partial sums.
pub(super) const LANES: usize = 32;

/// A query with zeros up to a whole number of [`LANES`].
pub(super) struct PaddedQuery {
    pub(super) dimension: usize,
    pub(super) values: Vec<f32>,
}

impl PaddedQuery {
    pub(super) fn new(query: &[f32]) -> Self {
        let mut values = query.to_vec();
        values.resize(query.len().next_multiple_of(LANES), 0.0);
        Self { dimension: query.len(), values }
    }
}

/// The inner product of a query and a stored vector in f32.
///
/// Value i goes to partial sum i mod 32, a product and a sum rounded each; the partial sums are then added by halves.
///
/// # Shapes
/// - `query`, `halves`: `[dimension]`, the latter bits of f16
#[must_use]
pub fn score(query: &[f32], halves: &[u16]) -> f32 {
    portable(&PaddedQuery::new(query), halves)
}

pub(super) fn portable(query: &PaddedQuery, halves: &[u16]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (whole, rest) = halves.as_chunks::<LANES>();
    let (queries, _) = query.values.as_chunks::<LANES>();
    let tail = tail(rest);
    for (query, halves) in queries.iter().zip(whole.iter().chain(&tail)) {
        for ((sum, query), half) in sums.iter_mut().zip(query).zip(halves) {
            *sum += query * f16::from_bits(*half).to_f32();
        }
    }
    reduced(sums)
}

/// The last values, with zeros after them; none if there are none.
pub(super) fn tail(rest: &[u16]) -> Option<[u16; LANES]> {
    if rest.is_empty() {
        return None;
    }
    let mut tail = [0; LANES];
    tail[..rest.len()].copy_from_slice(rest);
    Some(tail)
}

pub(super) fn reduced(mut sums: [f32; LANES]) -> f32 {
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            sums[lane] += sums[lane + count];
        }
    }
    sums[0]
}
