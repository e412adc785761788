//! EfficientNet-Lite with an embedding head on the CPU: embeddings, and gradients of all weights from
//! gradients at the embeddings.
//!
//! Activations are NHWC. BatchNorm is folded into weight and bias by the caller. Pictures are worked on in
//! chunks of a fixed size, one thread to a chunk, and sums over chunks have a fixed order, so results are the same
//! to the bit for any number of threads.

mod backward;
mod depthwise;
mod forward;
mod infer;
mod plan;

use std::sync::Arc;

use rayon::prelude::*;

pub use plan::{BlockSpec, ConvKind, ConvSpec, LiteSpec};

use forward::Tape;
use infer::{Engine, Infer};

use crate::Precision;
use crate::panels::buffer::Plain;
use crate::panels::kind::{Make, Products};
use crate::panels::lanes::Lanes;
use crate::simd::Simd;

/// Pictures of a chunk: enough rows for the last products to be worth their packing, few enough for a
/// chunk's planes to stay in a shared cache.
const CHUNK: usize = 4;
/// Sums of gradients that are kept apart and added in order at the end: the most threads that a backward pass
/// keeps busy.
const SUMS: usize = 16;

/// Weight and bias of every convolution, and the projection; or their gradients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiteWeights {
    /// Per convolution, in the order of [`LiteSpec::convolutions`]: weight in the layout of its [`ConvKind`], and bias.
    pub convolutions: Vec<(Vec<f32>, Vec<f32>)>,
    /// `[width, regions * features]`.
    pub projection: Vec<f32>,
}

impl LiteWeights {
    /// All zero, in the sizes of `spec`.
    pub fn zeros(spec: &LiteSpec) -> Self {
        let convolutions = spec
            .convolutions()
            .iter()
            .map(|conv| (vec![0.0; conv.weight_len()], vec![0.0; conv.channels_out]))
            .collect();
        let projection = vec![0.0; spec.width * spec.regions() * spec.features];
        Self { convolutions, projection }
    }

    fn add(&mut self, other: &Self) {
        let sum = |into: &mut [f32], from: &[f32]| {
            into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
        };
        for ((weight, bias), (w, b)) in self.convolutions.iter_mut().zip(&other.convolutions) {
            sum(weight, w);
            sum(bias, b);
        }
        sum(&mut self.projection, &other.projection);
    }
}

fn engine(spec: &LiteSpec, weights: &LiteWeights, products: Products) -> Arc<dyn Infer> {
    struct New<'a>(&'a LiteSpec, &'a LiteWeights);
    impl Make for New<'_> {
        type Output = Arc<dyn Infer>;

        fn make<L: Lanes<Operand: Plain>>(self) -> Arc<dyn Infer> {
            Arc::new(Engine::<L>::new(self.0, self.1))
        }
    }
    products.make(New(spec, weights))
}

/// A network ready to compute.
#[derive(Clone, Debug)]
pub struct LiteNet {
    spec: LiteSpec,
    convolutions: Vec<ConvSpec>,
    weights: LiteWeights,
    engine: Arc<dyn Infer>,
}

impl LiteNet {
    /// A network of `spec` with `weights`.
    ///
    /// # Panics
    /// Where a size does not fit `spec`, or `spec` is none that these kernels compute: channels inside a
    /// block come in multiples of 16, kernels are 3 or 5, strides 1 or 2.
    pub fn new(spec: LiteSpec, weights: LiteWeights) -> Self {
        Self::with_path(spec, weights, Precision::F32, Simd::best())
    }

    /// The same, for a precision and instructions. Gradients are computed in f32 by instructions chosen at run time.
    ///
    /// # Panics
    /// As [`Self::new`], and where this processor lacks `simd`, or `simd` has no products of `precision`.
    pub fn with_path(
        spec: LiteSpec,
        weights: LiteWeights,
        precision: Precision,
        simd: Simd,
    ) -> Self {
        spec.check();
        let convolutions = spec.convolutions();
        assert_eq!(weights.convolutions.len(), convolutions.len(), "convolutions");
        for (conv, (weight, bias)) in convolutions.iter().zip(&weights.convolutions) {
            assert_eq!(weight.len(), conv.weight_len(), "length of a weight");
            assert_eq!(bias.len(), conv.channels_out, "length of a bias");
        }
        let projection = spec.width * spec.regions() * spec.features;
        assert_eq!(weights.projection.len(), projection, "length of the projection");
        let engine = engine(&spec, &weights, Products::new(precision, simd));
        Self { spec, convolutions, weights, engine }
    }

    /// The architecture.
    pub fn spec(&self) -> &LiteSpec {
        &self.spec
    }

    /// Embeds pictures: rows of unit length.
    ///
    /// # Shapes
    /// - `pixels`: `[count, 3, side, side]`, normalised
    /// - output: `[count, width]`
    ///
    /// # Panics
    /// Where `pixels` is no whole number of pictures, or `side` is 0.
    pub fn embed(&self, pixels: &[f32], side: usize) -> Vec<f32> {
        let picture = 3 * side * side;
        assert!(side > 0 && pixels.len().is_multiple_of(picture), "whole pictures");
        self.engine.embed(pixels, side)
    }

    /// Gradient of a loss with respect to every weight, from its gradient at the embeddings, which are
    /// computed anew.
    ///
    /// # Shapes
    /// - `pixels`: `[count, 3, side, side]`, normalised
    /// - `at_embeddings`: `[count, width]`
    ///
    /// # Panics
    /// Where the lengths do not fit each other, or `side` is 0.
    pub fn gradients(&self, pixels: &[f32], side: usize, at_embeddings: &[f32]) -> LiteWeights {
        let picture = 3 * side * side;
        assert!(side > 0 && pixels.len().is_multiple_of(picture), "whole pictures");
        let count = pixels.len() / picture;
        assert_eq!(at_embeddings.len(), count * self.spec.width, "gradients at the embeddings");
        // A function of the number of pictures alone, so that the order of all sums is.
        let share = count.div_ceil(CHUNK).div_ceil(SUMS).max(1) * CHUNK;
        let sums: Vec<LiteWeights> = pixels
            .par_chunks(share * picture)
            .zip(at_embeddings.par_chunks(share * self.spec.width))
            .map(|(pixels, at_embeddings)| {
                let mut sum = LiteWeights::zeros(&self.spec);
                let mut tape = Tape::default();
                let chunks = pixels.chunks(CHUNK * picture);
                for (pixels, at) in chunks.zip(at_embeddings.chunks(CHUNK * self.spec.width)) {
                    forward::run(self, pixels, side, &mut tape);
                    backward::pull(self, &tape, at, &mut sum);
                }
                sum
            })
            .collect();
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| LiteWeights::zeros(&self.spec));
        for sum in sums {
            total.add(&sum);
        }
        total
    }
}

#[cfg(test)]
mod tests;
