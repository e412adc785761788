//! The scan against scoring every vector.

use half::f16;
use proptest::prelude::*;
use sbir_kernels::scan::{
    BLOCK, Codes, Found, Isa, Rows, Wanted, quantise, score, search, search_with,
};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In −1 to 1.
    fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn unit(&mut self, dimension: usize) -> Vec<f32> {
        let mut values: Vec<_> = (0..dimension).map(|_| self.value() + self.value()).collect();
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
        values.iter_mut().for_each(|value| *value /= norm);
        values
    }
}

struct Piece {
    ids: Vec<i64>,
    halves: Vec<u16>,
    codes: Codes,
    live: Option<Vec<u64>>,
}

impl Piece {
    fn new(ids: Vec<i64>, vectors: &[Vec<f32>], live: Option<Vec<u64>>) -> Self {
        let dimension = vectors.first().map_or(1, Vec::len);
        let halves: Vec<_> =
            vectors.iter().flatten().map(|value| f16::from_f32(*value).to_bits()).collect();
        let codes = quantise(&halves, dimension).unwrap();
        Self { ids, halves, codes, live }
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            ids: &self.ids,
            halves: &self.halves,
            codes: &self.codes.codes,
            scales: &self.codes.scales,
            errors: &self.codes.errors,
            norm: self.codes.norm,
            live: self.live.as_deref(),
        }
    }
}

/// What scoring every vector gives.
fn all_scored(pieces: &[Piece], query: &[f32], wanted: Wanted) -> Vec<Found> {
    let mut found = Vec::new();
    for piece in pieces {
        for (row, halves) in piece.halves.chunks_exact(query.len()).enumerate() {
            let live =
                piece.live.as_ref().is_none_or(|live| live[row / BLOCK] >> (row % BLOCK) & 1 == 1);
            let score = score(query, halves);
            if live && score >= wanted.min_score {
                found.push(Found { id: piece.ids[row], score });
            }
        }
    }
    found.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.id.cmp(&b.id)));
    found.truncate(wanted.k);
    found
}

/// Compares to the bit, for every set of instructions.
fn check(pieces: &[Piece], queries: &[Vec<f32>], wanted: Wanted) {
    let dimension = queries[0].len();
    let rows: Vec<_> = pieces.iter().map(Piece::rows).collect();
    let slices: Vec<_> = queries.iter().map(Vec::as_slice).collect();
    let expected: Vec<_> = queries.iter().map(|query| all_scored(pieces, query, wanted)).collect();
    for isa in Isa::available() {
        let found = search_with(isa, &rows, &slices, dimension, wanted);
        for (query, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{isa:?}, query {query}");
            let bits =
                |found: &[Found]| found.iter().map(|f| f.score.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(found), bits(expected), "{isa:?}, query {query}");
        }
    }
}

fn nearest(k: usize) -> Wanted {
    Wanted { k, min_score: f32::NEG_INFINITY }
}

#[test]
fn finds_what_scoring_all_finds() {
    let mut random = Random(1);
    let vectors: Vec<_> = (0..5000).map(|_| random.unit(96)).collect();
    let queries: Vec<_> = (0..13).map(|_| random.unit(96)).collect();
    let piece = Piece::new((0..5000).collect(), &vectors, None);
    check(&[piece], &queries, nearest(10));
}

#[test]
fn ten_thousand_near_duplicates_are_told_apart() {
    let mut random = Random(2);
    let centre = random.unit(64);
    let vectors: Vec<_> = (0..10_000)
        .map(|_| centre.iter().map(|value| value + 2e-4 * random.value()).collect::<Vec<_>>())
        .collect();
    let mut queries = vec![centre];
    queries.extend((0..3).map(|_| random.unit(64)));
    // Numbers out of order, so that ties by id are not ties by place.
    let ids = (0..10_000).map(|place| (place * 7919) % 10_007).collect();
    let piece = Piece::new(ids, &vectors, None);
    check(std::slice::from_ref(&piece), &queries, nearest(25));
    check(&[piece], &queries, nearest(9_999));
}

#[test]
fn equal_vectors_come_by_id() {
    let mut random = Random(3);
    let one = random.unit(40);
    let ids: Vec<i64> = (0..20_000).rev().collect();
    let piece = Piece::new(ids, &vec![one.clone(); 20_000], None);
    for isa in Isa::available() {
        let found = search_with(isa, &[piece.rows()], &[&one], 40, nearest(5));
        assert_eq!(found[0].iter().map(|f| f.id).collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{isa:?}");
    }
}

#[test]
fn what_does_not_count_is_not_found_and_shortens_nothing() {
    let mut random = Random(4);
    let vectors: Vec<_> = (0..1000).map(|_| random.unit(32)).collect();
    let live = (0..16).map(|block| if block % 3 == 0 { random.next() } else { 0 }).collect();
    let piece = Piece::new((0..1000).collect(), &vectors, Some(live));
    let queries = [random.unit(32)];
    check(std::slice::from_ref(&piece), &queries, nearest(100));
    let found = search(&[piece.rows()], &[&queries[0]], 32, nearest(100));
    assert_eq!(found[0].len(), 100);
}

#[test]
fn a_least_score_is_kept() {
    let mut random = Random(5);
    let vectors: Vec<_> = (0..3000).map(|_| random.unit(16)).collect();
    let piece = Piece::new((0..3000).collect(), &vectors, None);
    let queries = [random.unit(16), random.unit(16)];
    check(std::slice::from_ref(&piece), &queries, Wanted { k: 3000, min_score: 0.3 });
    check(&[piece], &queries, Wanted { k: 10, min_score: 2.0 });
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let piece = Piece::new(Vec::new(), &[], None);
    let query = [1.0_f32, 0.0];
    assert_eq!(search(&[], &[&query], 2, nearest(10)), [[]]);
    assert_eq!(search(&[piece.rows()], &[&query[..1]], 1, nearest(10)), [[]]);
    let piece = Piece::new(vec![7], &[vec![1.0, 0.0]], None);
    assert_eq!(search(&[piece.rows()], &[&query], 2, nearest(0)), [[]]);
    assert_eq!(search(&[piece.rows()], &[&query], 2, nearest(3))[0].len(), 1);
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    for value in [f16::NAN, f16::INFINITY] {
        assert!(quantise(&[0, value.to_bits()], 2).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn is_exact_for_any_data(
        seed: u64,
        dimension in 1_usize..140,
        counts in prop::collection::vec(0_usize..400, 1..4),
        queries in 1_usize..9,
        k in 1_usize..40,
        spread in prop::sample::select(vec![0.0_f32, 1e-6, 1e-3, 1.0, 300.0]),
        masked: bool,
    ) {
        let mut random = Random(seed);
        let centre = random.unit(dimension);
        let mut pieces = Vec::new();
        let mut id = 0;
        for count in counts {
            let vectors: Vec<Vec<f32>> = (0..count)
                .map(|_| centre.iter().map(|value| value + spread * random.value()).collect())
                .collect();
            let ids = (0..count as i64).map(|place| id + (place ^ 5)).collect();
            id += count as i64 + 8;
            let live = masked.then(|| (0..count.div_ceil(BLOCK)).map(|_| random.next()).collect());
            if count > 0 {
                pieces.push(Piece::new(ids, &vectors, live));
            }
        }
        let queries: Vec<_> = (0..queries).map(|_| random.unit(dimension)).collect();
        check(&pieces, &queries, nearest(k));
    }
}
