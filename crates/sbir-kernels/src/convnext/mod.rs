//! ConvNeXt on the CPU: embeddings, and gradients of all weights from gradients at the embeddings.
//!
//! Activations are NHWC in panels of channels as wide as two vectors, so that a row of a panel serves products as right
//! operand (two vectors) and as left operand (value by value) alike. A block is computed span by span of its rows, each in
//! one go from the depthwise convolution to the residual, so that what lies between stays in a cache; threads share the
//! spans. What a value is does not depend on the cut, so results are the same to the bit for any number of threads.

#![allow(
    clippy::needless_range_loop,
    reason = "places in a tile are places in the buffers beside it too"
)]

mod backward;
mod depthwise;
mod forward;
mod head;
mod network;
mod norm;
mod patch;
mod rows;
mod spec;
mod tape;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;

pub use crate::Precision;
pub use spec::{ConvNextSpec, MIN_SIDE};
pub use tape::Tape;

use crate::panels::buffer::Plain;
use crate::panels::kind::{Make, Products};
use crate::panels::lanes::Lanes;
use crate::simd::Simd;
use network::{Core, Recording};

/// A network ready to compute: its weights are packed once.
#[derive(Debug)]
pub struct ConvNextNet {
    spec: ConvNextSpec,
    core: Box<dyn Network>,
}

/// A network for some instructions.
trait Network: Send + Sync + fmt::Debug {
    fn update(&mut self, parameters: &[&[f32]]);
    fn embed(&self, pixels: &[f32], size: [usize; 3]) -> Vec<f32>;
    fn tape_bytes(&self, size: [usize; 3]) -> [u64; 2];
    fn record(
        &self,
        pixels: &[f32],
        size: [usize; 3],
        recording: &Recording<'_>,
    ) -> (Vec<f32>, Tape);
    fn pull(&self, parameters: &[&[f32]], tape: Tape, at: &[f32], gradients: &mut [Vec<f32>]);
}

impl<L: Lanes> Network for Core<L>
where
    L::Operand: Plain,
{
    fn update(&mut self, parameters: &[&[f32]]) {
        self.set(parameters);
    }

    fn embed(&self, pixels: &[f32], size: [usize; 3]) -> Vec<f32> {
        Core::embed(self, pixels, size)
    }

    fn tape_bytes(&self, size: [usize; 3]) -> [u64; 2] {
        Core::tape_bytes(self, size)
    }

    fn record(
        &self,
        pixels: &[f32],
        size: [usize; 3],
        recording: &Recording<'_>,
    ) -> (Vec<f32>, Tape) {
        let (heads, mut tape) = self.forward(pixels, size, Some(recording));
        let embeddings = heads.iter().flat_map(|head| head.embedding.iter().copied()).collect();
        tape.heads = heads;
        (embeddings, tape)
    }

    fn pull(&self, parameters: &[&[f32]], tape: Tape, at: &[f32], gradients: &mut [Vec<f32>]) {
        Core::pull(self, parameters, tape, at, gradients);
    }
}

impl ConvNextNet {
    /// A network from its parameters, in the order of [`ConvNextSpec::parameter_lengths`], each as PyTorch stores it.
    ///
    /// # Panics
    /// Where a length does not fit `spec`, this processor lacks `simd`, or bf16 is asked of a path that has none.
    pub fn new(
        spec: ConvNextSpec,
        precision: Precision,
        simd: Simd,
        parameters: &[&[f32]],
    ) -> Self {
        Self::with(spec, Products::new(precision, simd), parameters)
    }

    fn with(spec: ConvNextSpec, products: Products, parameters: &[&[f32]]) -> Self {
        struct New<'a>(&'a ConvNextSpec, &'a [&'a [f32]]);
        impl Make for New<'_> {
            type Output = Box<dyn Network>;

            fn make<L: Lanes<Operand: Plain>>(self) -> Box<dyn Network> {
                Box::new(Core::<L>::new(self.0.clone(), self.1))
            }
        }
        let core = products.make(New(&spec, parameters));
        Self { spec, core }
    }

    /// Packs other parameters of the same shapes, into the memory that is there.
    ///
    /// # Panics
    /// Where a length does not fit.
    pub fn update(&mut self, parameters: &[&[f32]]) {
        self.core.update(parameters);
    }

    /// The architecture.
    pub fn spec(&self) -> &ConvNextSpec {
        &self.spec
    }

    fn check(&self, pixels: &[f32], [count, height, width]: [usize; 3]) {
        assert!(height.min(width) >= MIN_SIDE, "pictures of at least {MIN_SIDE} pixels");
        assert_eq!(pixels.len(), count * 3 * height * width, "length of the pixels");
    }

    /// Embeds pictures: rows of unit length, bit-equal for any number of threads.
    ///
    /// # Shapes
    /// - `pixels`: `[count, 3, height, width]`, normalised, each side at least [`MIN_SIDE`]
    /// - `size`: `[count, height, width]`
    /// - output: `[count, width]`
    ///
    /// # Panics
    /// Where `pixels` is not of that shape.
    pub fn embed(&self, pixels: &[f32], size: [usize; 3]) -> Vec<f32> {
        self.check(pixels, size);
        self.core.embed(pixels, size)
    }

    /// Bytes that a tape of pictures takes: the least, and with every product kept.
    ///
    /// # Shapes
    /// - `size`: `[count, height, width]`
    pub fn tape_bytes(&self, size: [usize; 3]) -> [u64; 2] {
        self.core.tape_bytes(size)
    }

    /// Embeds pictures and keeps what the backward pass needs: every block's input, and its products as far as `memory`
    /// bytes allow; the others are computed again.
    ///
    /// # Shapes
    /// - `pixels`, `size` and output as for [`Self::embed`]
    /// - `scales`: per block in network order, what each picture's branch is multiplied with (stochastic depth),
    ///   `[count]`; `None`, or no entry, where it is 1 for all. A branch times 0 is not computed.
    ///
    /// # Panics
    /// Where a shape does not fit.
    pub fn record(
        &self,
        pixels: &[f32],
        size: [usize; 3],
        scales: &[Option<Vec<f32>>],
        memory: u64,
    ) -> (Vec<f32>, Tape) {
        self.check(pixels, size);
        assert!(scales.iter().flatten().all(|scales| scales.len() == size[0]), "a scale a picture");
        self.core.record(pixels, size, &Recording { scales, memory })
    }

    /// Adds the gradient of a loss with respect to every parameter, from its gradient at the embeddings.
    ///
    /// # Shapes
    /// - `parameters`: those that the network was made of or updated with
    /// - `at_embeddings`: `[count, width]`
    /// - `gradients`: as the parameters
    ///
    /// # Panics
    /// Where a shape does not fit.
    pub fn pull(
        &self,
        parameters: &[&[f32]],
        tape: Tape,
        at_embeddings: &[f32],
        gradients: &mut [Vec<f32>],
    ) {
        assert_eq!(
            at_embeddings.len(),
            tape.size[0] * self.spec.width(),
            "gradient at the embeddings"
        );
        self.core.pull(parameters, tape, at_embeddings, gradients);
    }
}
