//! The nearest vectors to a query by inner product, exactly: a scan of 8-bit codes that decides which few of the stored
//! 16-bit vectors are scored.
//!
//! A stored vector x (f16) has a code c (int8) and a scale s with x = s·c + e, a query q likewise q = t·p + f. Then
//! ⟨q, x⟩ = t·s·⟨p, c⟩ + ⟨f, s·c⟩ + ⟨q, e⟩, and by Cauchy and Schwarz the last two terms are at most ‖f‖·‖s·c‖ + ‖q‖·‖e‖.
//! The norms of what rounding took away are *measured*, not assumed, so this is a bound for any data. Every vector whose
//! score can, within the bound, reach the k-th best is scored in f32; the result is the one of scoring them all.
//!
//! Codes lie in blocks of [`BLOCK`] vectors, four values of each vector side by side: the four products that one lane of
//! an instruction adds up (VPDPBUSD; VNNI) belong to one vector, a register holds sixteen vectors, and nothing is added
//! across lanes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod exact;
mod isa;
mod portable;
mod quantise;
mod select;

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

pub use exact::score;
pub use isa::Isa;
pub use quantise::{Codes, code_bytes, quantise};

use exact::PaddedQuery;
use quantise::QueryCodes;
use select::{Best, Candidates, raise};

/// The number of vectors of a block of codes.
pub const BLOCK: usize = 64;
/// The largest dimension: sums of products of codes stay below 2³¹.
pub const MAX_DIMENSION: usize = 16_384;
/// How many queries are scored against a block at once: their sums and a step of the codes fill the registers.
const GROUP: usize = 6;

/// Vectors that are searched, and what was derived of them by [`quantise`].
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The number of each vector, `[rows]`.
    pub ids: &'a [i64],
    /// The vectors as bits of f16, `[rows, dimension]`.
    pub halves: &'a [u16],
    /// Their codes, [`code_bytes`] of them.
    pub codes: &'a [u8],
    /// The scale of each code, `[blocks * BLOCK]`.
    pub scales: &'a [f32],
    /// The norm of what each code lacks, `[blocks * BLOCK]`.
    pub errors: &'a [f32],
    /// At least the norm of every code's vector.
    pub norm: f32,
    /// Which vectors count, a bit each from the lowest, `[blocks]`; all where there is none.
    pub live: Option<&'a [u64]>,
}

impl Rows<'_> {
    fn blocks(&self) -> usize {
        self.ids.len().div_ceil(BLOCK)
    }

    /// The vectors of a block that are there and count.
    fn mask(&self, block: usize) -> u64 {
        let rows = (self.ids.len() - block * BLOCK).min(BLOCK);
        let there = u64::MAX >> (BLOCK - rows);
        there & self.live.map_or(u64::MAX, |live| live[block])
    }

    fn check(&self, dimension: usize) {
        let rows = self.ids.len();
        assert!(rows <= u32::MAX as usize, "at most 2^32 vectors in one piece");
        assert_eq!(self.halves.len(), rows * dimension, "the vectors do not fit the ids");
        assert_eq!(self.codes.len(), code_bytes(rows, dimension), "the codes do not fit the ids");
        assert_eq!(self.scales.len(), self.blocks() * BLOCK, "the scales do not fit the ids");
        assert_eq!(self.errors.len(), self.blocks() * BLOCK, "the errors do not fit the ids");
        if let Some(live) = self.live {
            assert_eq!(live.len(), self.blocks(), "the bits do not fit the ids");
        }
    }
}

/// A vector that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its number.
    pub id: i64,
    /// Its inner product with the query, as [`score`] gives it.
    pub score: f32,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// The most vectors of each query.
    pub k: usize,
    /// The least score.
    pub min_score: f32,
}

/// The `k` nearest vectors to each query, best first, ties by id: what scoring every vector with [`score`] gives.
///
/// Runs on the threads of the current rayon pool.
///
/// # Shapes
/// - `queries`: `[count, dimension]`, finite
///
/// # Panics
/// If sizes do not fit each other, or the dimension is 0 or more than [`MAX_DIMENSION`].
#[must_use]
pub fn search(
    pieces: &[Rows<'_>],
    queries: &[&[f32]],
    dimension: usize,
    wanted: Wanted,
) -> Vec<Vec<Found>> {
    search_with(Isa::best(), pieces, queries, dimension, wanted)
}

/// [`search`] with a given set of instructions, for tests and measurements.
///
/// # Panics
/// As [`search`]; or if the processor does not have the instructions.
#[must_use]
pub fn search_with(
    isa: Isa,
    pieces: &[Rows<'_>],
    queries: &[&[f32]],
    dimension: usize,
    wanted: Wanted,
) -> Vec<Vec<Found>> {
    assert!(isa.is_available(), "{isa:?} is not available here");
    assert!((1..=MAX_DIMENSION).contains(&dimension), "dimension {dimension} is out of range");
    pieces.iter().for_each(|rows| rows.check(dimension));
    assert!(queries.iter().all(|query| query.len() == dimension), "a query of another dimension");
    if wanted.k == 0 || queries.is_empty() {
        return vec![Vec::new(); queries.len()];
    }
    let padded: Vec<_> = queries.iter().map(|query| PaddedQuery::new(query)).collect();
    let groups: Vec<_> = queries.chunks(GROUP).map(QueryCodes::new).collect();
    let scan = Scan {
        isa,
        pieces,
        padded: &padded,
        groups: &groups,
        wanted,
        shared: queries
            .iter()
            .map(|_| AtomicU32::new(select::sortable(wanted.min_score)))
            .collect(),
    };
    let states: Vec<_> = scan.tasks().into_par_iter().map(|task| scan.run(task)).collect();
    let mut per_query: Vec<Vec<Candidates>> = queries.iter().map(|_| Vec::new()).collect();
    for state in states {
        for (candidates, list) in state.into_iter().zip(&mut per_query) {
            list.push(candidates);
        }
    }
    per_query
        .into_par_iter()
        .enumerate()
        .map(|(query, candidates)| scan.finish(query, candidates))
        .collect()
}

/// A stretch of blocks of one piece.
#[derive(Clone, Copy)]
struct Task {
    piece: usize,
    first: usize,
    end: usize,
}

struct Scan<'a> {
    isa: Isa,
    pieces: &'a [Rows<'a>],
    padded: &'a [PaddedQuery],
    groups: &'a [QueryCodes],
    wanted: Wanted,
    /// For each query, a score that the k-th best is known to reach ([`select::sortable`]).
    shared: Vec<AtomicU32>,
}

impl Scan<'_> {
    fn tasks(&self) -> Vec<Task> {
        let blocks: usize = self.pieces.iter().map(Rows::blocks).sum();
        // Enough for threads that run at different speeds; few enough that starting afresh costs nothing.
        let stretch = blocks.div_ceil(8 * rayon::current_num_threads()).max(16);
        let mut tasks = Vec::new();
        for (piece, rows) in self.pieces.iter().enumerate() {
            for first in (0..rows.blocks()).step_by(stretch) {
                tasks.push(Task { piece, first, end: (first + stretch).min(rows.blocks()) });
            }
        }
        tasks
    }

    fn run(&self, task: Task) -> Vec<Candidates> {
        let rows = &self.pieces[task.piece];
        let mut states: Vec<_> =
            self.padded.iter().map(|_| Candidates::new(task.piece, self.wanted)).collect();
        let mut sums = [[0_i32; BLOCK]; GROUP];
        for block in task.first..task.end {
            let live = rows.mask(block);
            if live == 0 {
                continue;
            }
            for (group_index, group) in self.groups.iter().enumerate() {
                let first_query = group_index * GROUP;
                let length = group.steps * BLOCK * 4;
                let codes = &rows.codes[block * length..(block + 1) * length];
                self.isa.block_sums(codes, group, &mut sums);
                let stretch = block * BLOCK..(block + 1) * BLOCK;
                let (Some(scales), Some(errors)) = (
                    rows.scales[stretch.clone()].first_chunk::<BLOCK>(),
                    rows.errors[stretch].first_chunk::<BLOCK>(),
                ) else {
                    continue;
                };
                for (place, sums) in sums.iter().enumerate().take(group.count) {
                    let query = first_query + place;
                    let state = &mut states[query];
                    let shared = &self.shared[query];
                    state.threshold =
                        state.threshold.max(select::from_sortable(shared.load(Ordering::Relaxed)));
                    let bound = group.bounds[place].of(rows.norm);
                    let mut hits =
                        live & self.isa.reaching(sums, scales, errors, &bound, state.threshold);
                    while hits != 0 {
                        let lane = hits.trailing_zeros() as usize;
                        hits &= hits - 1;
                        let (middle, radius) =
                            bound.interval(sums[lane], scales[lane], errors[lane]);
                        let row = (block * BLOCK + lane) as u32;
                        if state.add(row, middle - radius, middle + radius) {
                            raise(shared, state.threshold);
                        }
                        if state.is_full() {
                            self.score_pending(query, state);
                            raise(shared, state.threshold);
                        }
                    }
                }
            }
        }
        states
    }

    /// Scores what waits, of which there may be much among near-duplicates, so that it does not grow without end.
    fn score_pending(&self, query: usize, state: &mut Candidates) {
        let rows = &self.pieces[state.piece];
        let padded = &self.padded[query];
        let dimension = padded.dimension;
        state.drain(|row| {
            let row = row as usize;
            let halves = &rows.halves[row * dimension..(row + 1) * dimension];
            Found { id: rows.ids[row], score: self.isa.score(padded, halves) }
        });
    }

    fn finish(&self, query: usize, mut candidates: Vec<Candidates>) -> Vec<Found> {
        let reached = select::from_sortable(self.shared[query].load(Ordering::Relaxed));
        candidates.par_iter_mut().for_each(|state| {
            state.threshold = state.threshold.max(reached);
            self.score_pending(query, state);
        });
        let mut best = Best::new(self.wanted);
        for found in candidates.into_iter().flat_map(Candidates::into_scored) {
            best.add(found);
        }
        best.into_sorted()
    }
}
