//! Draws that are functions of their coordinates.

use crate::split::SplitMix64;

/// A sequence of draws.
pub(crate) struct Random(SplitMix64);

impl Random {
    /// The sequence at `coordinates`.
    pub(crate) fn new(seed: u64, coordinates: &[u64]) -> Self {
        let state = coordinates.iter().fold(SplitMix64::new(seed).next_u64(), |state, &at| {
            SplitMix64::new(state ^ SplitMix64::new(at).next_u64()).next_u64()
        });
        Self(SplitMix64::new(state))
    }

    /// Evenly from 0 (within) to 1 (without).
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// Evenly from `low` to `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Evenly from `-range` to `range`.
    pub(crate) fn signed(&mut self, range: f32) -> f32 {
        self.between(-range, range)
    }

    /// True with a probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.uniform() < probability
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }
}
