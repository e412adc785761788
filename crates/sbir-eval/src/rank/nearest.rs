//! The k nearest photos of a stream.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the `k` nearest of the photos seen, of equally near ones those seen first.
pub(super) struct Nearest {
    k: usize,
    /// The farthest on top.
    heap: BinaryHeap<Candidate>,
    /// Distance from which on a photo has no chance.
    limit: f64,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        let limit = if k == 0 { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { k, heap: BinaryHeap::with_capacity(k), limit }
    }

    /// Photos must come in the order of their indices; distances are finite.
    pub(super) fn see(&mut self, photo: usize, distance: f64) {
        if distance >= self.limit {
            return;
        }
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push(Candidate { distance, photo });
        if self.heap.len() == self.k {
            self.limit = self.heap.peek().map_or(f64::INFINITY, |farthest| farthest.distance);
        }
    }

    /// Nearest first, ties by index.
    pub(super) fn into_sorted(self) -> Vec<usize> {
        self.heap.into_sorted_vec().into_iter().map(|candidate| candidate.photo).collect()
    }
}

struct Candidate {
    distance: f64,
    photo: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.photo.cmp(&other.photo))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
