//! ConvNeXt on the CPU: embeddings, and gradients of all weights from gradients at the embeddings.

/// Which ConvNeXt.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvNextSpec {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of each of the four stages.
    pub dims: [usize; 4],
    /// Width of the projection after the pooled features' LayerNorm; `None` for neither.
    pub projection: Option<usize>,
    /// LayerNorm's epsilon.
    pub norm_epsilon: f32,
}

/// The values that products are made of. Sums, and everything else, are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
}

/// A network ready to compute: its weights are packed once.
#[derive(Debug)]
pub struct ConvNextNet {
    spec: ConvNextSpec,
}

/// What a backward pass needs.
#[derive(Debug)]
pub struct Tape {}

impl ConvNextNet {
    /// A network from its parameters, in the order in which a forward pass uses them, each as PyTorch stores it.
    ///
    /// # Panics
    /// Where a length does not fit `spec`.
    pub fn new(spec: ConvNextSpec, precision: Precision, simd: crate::simd::Simd, parameters: &[&[f32]]) -> Self {
        let _ = (precision, simd, parameters);
        Self { spec }
    }

    /// The architecture.
    pub fn spec(&self) -> &ConvNextSpec {
        &self.spec
    }

    /// Embeds pictures: rows of unit length, bit-equal for any number of threads.
    ///
    /// # Shapes
    /// - `pixels`: `[count, 3, height, width]`, normalised, each side at least 32
    /// - `size`: `[count, height, width]`
    /// - output: `[count, width]`
    pub fn embed(&self, pixels: &[f32], size: [usize; 3]) -> Vec<f32> {
        let _ = (pixels, size);
        todo!()
    }

    /// Bytes that a tape of pictures takes: the least, and with every product kept.
    pub fn tape_bytes(&self, size: [usize; 3]) -> [u64; 2] {
        let _ = size;
        todo!()
    }

    /// Embeds pictures and keeps what the backward pass needs: in each block its input, and its products as far as `memory` bytes allow.
    ///
    /// # Shapes
    /// - `scales`: per block in network order, what each picture's branch is multiplied with (stochastic depth), `[count]`;
    ///   `None` where it is 1 for all. A branch times 0 is not computed.
    pub fn record(&self, pixels: &[f32], size: [usize; 3], scales: &[Option<Vec<f32>>], memory: u64) -> (Vec<f32>, Tape) {
        let _ = (pixels, size, scales, memory);
        todo!()
    }

    /// Adds the gradient of a loss with respect to every parameter, from its gradient at the embeddings.
    ///
    /// # Shapes
    /// - `at_embeddings`: `[count, width]`
    /// - `gradients`: as the parameters
    pub fn pull(&self, tape: Tape, at_embeddings: &[f32], gradients: &mut [Vec<f32>]) {
        let _ = (tape, at_embeddings, gradients);
        todo!()
    }
}
