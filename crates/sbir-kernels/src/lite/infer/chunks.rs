//! Products' weights in chunks of one to three vectors of columns, and depthwise filters.
//!
//! EfficientNet's products are narrow: 16 to 112 columns come out of most. Chunks as wide as the columns are leave no more than part of
//! one vector unused.

use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::Lanes;

/// Vectors of the widest chunk.
pub(super) const WIDEST: usize = 3;

/// A chunk of columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// First vector.
    pub(super) first: usize,
    /// Vectors, 1 to [`WIDEST`].
    pub(super) vectors: usize,
}

/// A product's right operand and bias.
#[derive(Debug)]
pub(super) struct Pointwise<T> {
    /// Chunk by chunk `[depth / STEP, vectors * LANES, STEP]`, zeros beyond the columns and the depth.
    weights: Buffer<T>,
    /// `[vectors, LANES]`, zeros beyond the columns.
    bias: Buffer<f32>,
    chunks: Vec<Chunk>,
    /// Operands of a vector of columns.
    column: usize,
    /// Depth that counts.
    pub(super) depth: usize,
}

impl<T: Plain> Pointwise<T> {
    /// From `[out, in]`, in chunks of as many vectors.
    pub(super) fn new<L: Lanes<Operand = T>>(
        weight: &[f32],
        bias: &[f32],
        widths: fn(usize) -> Vec<usize>,
    ) -> Self {
        let depth = weight.len() / bias.len();
        let vectors = bias.len().div_ceil(L::LANES);
        let column = depth.next_multiple_of(L::STEP) * L::LANES;
        let mut first = 0;
        let chunks: Vec<Chunk> = widths(vectors)
            .into_iter()
            .map(|vectors| {
                first += vectors;
                Chunk { first: first - vectors, vectors }
            })
            .collect();
        assert!(first == vectors && chunks.iter().all(|chunk| chunk.vectors <= WIDEST));
        let mut weights = Buffer::zeroed(vectors * column);
        for chunk in &chunks {
            let width = chunk.vectors * L::LANES;
            let values = &mut weights[chunk.first * column..][..chunk.vectors * column];
            let columns = weight.chunks_exact(depth).skip(chunk.first * L::LANES).take(width);
            for (column, from) in columns.enumerate() {
                for (k, value) in from.iter().enumerate() {
                    let step = k / L::STEP * width * L::STEP;
                    values[step + column * L::STEP + k % L::STEP] = L::operand(*value);
                }
            }
        }
        let mut padded = Buffer::zeroed(vectors * L::LANES);
        padded[..bias.len()].copy_from_slice(bias);
        Self { weights, bias: padded, chunks, column, depth }
    }

    /// Chunks of the columns.
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Weights of a chunk.
    pub(super) fn weights(&self, chunk: Chunk) -> &[T] {
        &self.weights[chunk.first * self.column..][..chunk.vectors * self.column]
    }

    /// Weights, by `L`'s name of their type, and bias of a chunk.
    #[inline(always)]
    pub(super) fn of<L: Lanes>(&self, chunk: Chunk) -> (*const L::Operand, *const f32) {
        let bias = &self.bias[chunk.first * L::LANES..][..chunk.vectors * L::LANES];
        (self.weights(chunk).as_ptr().cast(), bias.as_ptr())
    }
}

/// For an expanding product, of which threads take chunks: threes where there are many, else pairs and what is left, so that the planes
/// stay in the first-level cache and the threads' shares are nearly equal.
pub(super) fn even(vectors: usize) -> Vec<usize> {
    if vectors >= 24 && vectors.is_multiple_of(3) {
        return vec![3; vectors / 3];
    }
    let mut widths = vec![2; vectors / 2];
    widths.extend((vectors % 2 == 1).then_some(1));
    widths
}

/// Pairs, with one three where the number is odd.
pub(super) fn pairs(vectors: usize) -> Vec<usize> {
    match vectors {
        1 => vec![1],
        _ if vectors.is_multiple_of(2) => vec![2; vectors / 2],
        _ => {
            let mut widths = vec![2; vectors / 2];
            widths[vectors / 4] = 3;
            widths
        }
    }
}

/// A depthwise convolution's weights: `[vectors, taps, LANES]` and `[vectors, LANES]`.
#[derive(Debug)]
pub(super) struct Taps {
    weights: Buffer<f32>,
    bias: Buffer<f32>,
    taps: usize,
}

impl Taps {
    /// From `[taps, channels]`.
    pub(super) fn new<L: Lanes>(weight: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        let taps = weight.len() / channels;
        let vectors = channels.div_ceil(L::LANES);
        let mut weights = Buffer::zeroed(vectors * taps * L::LANES);
        for (tap, row) in weight.chunks_exact(channels).enumerate() {
            for (channel, value) in row.iter().enumerate() {
                let (vector, lane) = (channel / L::LANES, channel % L::LANES);
                weights[(vector * taps + tap) * L::LANES + lane] = *value;
            }
        }
        let mut padded = Buffer::zeroed(vectors * L::LANES);
        padded[..channels].copy_from_slice(bias);
        Self { weights, bias: padded, taps }
    }

    /// Weights and bias of a chunk.
    pub(super) fn of<L: Lanes>(&self, chunk: Chunk) -> (&[f32], &[f32]) {
        let weights = self.taps * L::LANES;
        (
            &self.weights[chunk.first * weights..][..chunk.vectors * weights],
            &self.bias[chunk.first * L::LANES..][..chunk.vectors * L::LANES],
        )
    }
}
