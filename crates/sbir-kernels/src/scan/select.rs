//! Which vectors may be among the best, and which are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::{self, AtomicU32};

use super::{Found, Wanted};

/// The most vectors that wait to be scored.
const WAITING: usize = 8192;

/// A score as an integer of the same order, for atomic maxima.
pub(super) fn sortable(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

pub(super) fn from_sortable(sortable: u32) -> f32 {
    f32::from_bits(if sortable >> 31 == 1 { sortable & !(1 << 31) } else { !sortable })
}

/// Raises a shared threshold.
pub(super) fn raise(shared: &AtomicU32, threshold: f32) {
    shared.fetch_max(sortable(threshold), atomic::Ordering::Relaxed);
}

#[derive(Clone, Copy, PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What one stretch of vectors has for one query.
pub(super) struct Candidates {
    pub(super) piece: usize,
    /// What the k-th best score is known to reach.
    pub(super) threshold: f32,
    k: usize,
    /// The `k` largest lower bounds.
    lower: BinaryHeap<Reverse<Score>>,
    /// Vectors to score, with their upper bounds.
    waiting: Vec<(u32, f32)>,
    scored: Best,
}

impl Candidates {
    pub(super) fn new(piece: usize, wanted: Wanted) -> Self {
        Self {
            piece,
            threshold: wanted.min_score,
            k: wanted.k,
            lower: BinaryHeap::new(),
            waiting: Vec::new(),
            scored: Best::new(wanted),
        }
    }

    /// Notes a vector; says whether the threshold rose.
    pub(super) fn add(&mut self, row: u32, lower: f32, upper: f32) -> bool {
        if upper < self.threshold {
            return false;
        }
        self.waiting.push((row, upper));
        if self.lower.len() == self.k {
            match self.lower.peek() {
                Some(Reverse(least)) if lower > least.0 => self.lower.pop(),
                _ => return false,
            };
        }
        self.lower.push(Reverse(Score(lower)));
        if self.lower.len() == self.k
            && let Some(Reverse(least)) = self.lower.peek()
            && least.0 > self.threshold
        {
            self.threshold = least.0;
            return true;
        }
        false
    }

    /// Whether something must be done about those that wait.
    pub(super) fn is_full(&mut self) -> bool {
        if self.waiting.len() < WAITING {
            return false;
        }
        self.waiting.retain(|(_, upper)| *upper >= self.threshold);
        self.waiting.len() >= WAITING / 2
    }

    /// Scores those that wait and may still be among the best.
    pub(super) fn drain(&mut self, score: impl Fn(u32) -> Found) {
        for (row, upper) in self.waiting.drain(..) {
            if upper >= self.threshold {
                self.scored.add(score(row));
                if let Some(least) = self.scored.least() {
                    self.threshold = self.threshold.max(least);
                }
            }
        }
    }

    pub(super) fn into_scored(self) -> impl Iterator<Item = Found> {
        self.scored.heap.into_iter().map(|ranked| ranked.0)
    }
}

/// In a heap the worst comes first: the lowest score, among equals the highest id.
#[derive(Clone, Copy, PartialEq)]
struct Ranked(Found);

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        // −0 and 0 are one score.
        let equal = self.0.score == other.0.score;
        let scores = if equal { Ordering::Equal } else { other.0.score.total_cmp(&self.0.score) };
        scores.then(self.0.id.cmp(&other.0.id))
    }
}

/// The best of what is added.
pub(super) struct Best {
    wanted: Wanted,
    heap: BinaryHeap<Ranked>,
}

impl Best {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, heap: BinaryHeap::new() }
    }

    pub(super) fn add(&mut self, found: Found) {
        if found.score.is_nan() || found.score < self.wanted.min_score {
            return;
        }
        if self.heap.len() < self.wanted.k {
            self.heap.push(Ranked(found));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && Ranked(found) < *worst
        {
            *worst = Ranked(found);
        }
    }

    /// The k-th best score, once there are so many.
    fn least(&self) -> Option<f32> {
        if self.heap.len() < self.wanted.k {
            None
        } else {
            self.heap.peek().map(|worst| worst.0.score)
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}
