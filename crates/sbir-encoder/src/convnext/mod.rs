//! ConvNeXt (Liu et al., "A ConvNet for the 2020s", CVPR 2022) as torchvision builds it.
//!
//! On the CPU [`sbir_kernels::convnext`] computes; elsewhere the graph here does, of Burn's operations and, on GPUs, of
//! kernels where Burn's are slow. On the CPU it is what the tests compare the kernels to. Activations are NHWC, so that LayerNorm and all products work
//! on the last axis.

mod config;
mod operations;

pub use config::{ConvNextConfig, Head};

use burn_tensor::{Device, Tensor, TensorData, activation};

use crate::parameters::Parameters;
use crate::random;

/// LayerNorm's epsilon in every published ConvNeXt.
pub const NORM_EPSILON: f64 = 1e-6;

/// Images below this side leave no pixel after the last stage.
pub const MIN_SIDE: usize = 32;

/// Stochastic depth (Huang et al., 2016) in its per-sample form: a residual branch is dropped for a
/// whole sample, and kept ones are scaled up.
///
/// The probability grows linearly from 0 at the first block to `probability` at the last. Whether a
/// sample's branch is dropped is a function of `(seed, step, tower, block, sample)` alone.
#[derive(Clone, Copy, Debug)]
pub struct StochasticDepth {
    /// Probability of dropping the last block's branch, in `[0, 1)`; 0.4 for `convnext_small`.
    pub probability: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser step, from 0.
    pub step: u64,
    /// 0 for sketches, 1 for photos: each tower draws apart.
    pub tower: u64,
    /// Place in the batch of the first sample given, for micro-batches.
    pub first_sample: u64,
}

impl StochasticDepth {
    /// What each sample's branch is multiplied with in block `block` of `blocks`: 0 or
    /// `1 / survival`. `None` where this block never drops.
    ///
    /// # Shapes
    /// - output: `[samples]`
    pub fn scales(&self, block: usize, blocks: usize, samples: usize) -> Option<Vec<f32>> {
        // torchvision: probability * block_id / (total - 1); one lone block never drops.
        let share = block as f64 / (blocks.max(2) - 1) as f64;
        let probability = self.probability * share;
        if probability <= 0.0 {
            return None;
        }
        let survival = 1.0 - probability;
        let scale = (0..samples as u64)
            .map(|sample| {
                let place = [self.step, self.tower, block as u64, self.first_sample + sample];
                if random::uniform(self.seed, &place) < survival {
                    (1.0 / survival) as f32
                } else {
                    0.0
                }
            })
            .collect();
        Some(scale)
    }
}

/// Walks the parameter list in its order, which is the network's.
struct Cursor<'a> {
    parameters: &'a Parameters,
    next: usize,
    pass: Pass<'a>,
}

impl Cursor<'_> {
    fn vector(&mut self) -> Tensor<1> {
        self.next += 1;
        self.parameters.tensor(self.next - 1)
    }

    fn shaped<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.next += 1;
        self.parameters.shaped(self.next - 1, shape)
    }

    /// LayerNorm over the last axis.
    fn norm<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.vector();
        let bias = self.vector();
        operations::layer_norm(x, weight, bias, self.pass.norm_epsilon, self.pass.kernels)
    }

    /// `x @ weightᵀ + bias` over the rows of `x`; weight and bias as PyTorch stores them.
    ///
    /// # Shapes
    /// - `x`: `[rows, channels_in]`
    /// - output: `[rows, channels_out]`
    fn linear(&mut self, x: Tensor<2>, channels_out: usize) -> Tensor<2> {
        let [_, channels_in] = x.dims();
        let weight: Tensor<2> = self.shaped([channels_out, channels_in]);
        let bias: Tensor<2> = self.shaped([1, channels_out]);
        x.matmul(weight.transpose()) + bias
    }

    /// A convolution whose stride is its kernel's side: a product over patches. What is left at the right and at the bottom is not
    /// looked at.
    ///
    /// # Shapes
    /// - `x`: `[batch_size, height, width, channels_in]`
    /// - output: `[batch_size, height / side, width / side, channels_out]`
    fn patch_product(&mut self, x: Tensor<4>, channels_out: usize, side: usize) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let (down, across) = (height / side, width / side);
        let x = if (down * side, across * side) == (height, width) {
            x
        } else {
            x.slice([0..batch, 0..down * side, 0..across * side, 0..channels])
        };
        let patch = side * side * channels;
        let patches = x
            .reshape([batch, down, side, across, side, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch * down * across, patch]);
        let weight: Tensor<4> = self.shaped([channels_out, channels, side, side]);
        let weight = weight.permute([0, 2, 3, 1]).reshape([channels_out, patch]);
        let bias: Tensor<2> = self.shaped([1, channels_out]);
        let y = patches.matmul(weight.transpose()) + bias;
        y.reshape([batch, down, across, channels_out])
    }
}

/// Options of one pass through the network.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Stochastic depth; `None` in inference.
    pub drop: Option<&'a StochasticDepth>,
    /// LayerNorm's epsilon: [`NORM_EPSILON`] everywhere but in tests that show it matters.
    pub norm_epsilon: f64,
    /// Whether kernels of our own compute on GPUs what Burn's operations do slowly.
    pub kernels: bool,
}

impl Default for Pass<'_> {
    fn default() -> Self {
        Self { drop: None, norm_epsilon: NORM_EPSILON, kernels: true }
    }
}

/// Embeds a batch: features, mean over the plane, head, L2 normalisation.
///
/// # Shapes
/// - `images`: `[batch_size, 3, height, width]`, each side at least [`MIN_SIDE`]
/// - output: `[batch_size, embedding_width]`, rows of unit length
pub(crate) fn forward(
    config: &ConvNextConfig,
    parameters: &Parameters,
    images: Tensor<4>,
    pass: Pass<'_>,
) -> Tensor<2> {
    let mut cursor = Cursor { parameters, next: 0, pass };
    let mut x = cursor.patch_product(images.permute([0, 2, 3, 1]), config.dims[0], 4);
    x = cursor.norm(x);
    let mut block = 0;
    for (stage, (&depth, &channels)) in config.depths.iter().zip(&config.dims).enumerate() {
        if stage > 0 {
            x = cursor.norm(x);
            x = cursor.patch_product(x, channels, 2);
        }
        for _ in 0..depth {
            let [batch, ..] = x.dims();
            let scales = pass.drop.and_then(|drop| drop.scales(block, config.blocks(), batch));
            x = residual_block(&mut cursor, x, scales);
            block += 1;
        }
    }
    let [batch, height, width, channels] = x.dims();
    let pooled =
        x.reshape([batch, height * width, channels]).mean_dim(1).reshape([batch, channels]);
    let embedding = match config.head {
        Head::Pool => pooled,
        Head::Projection { width } => {
            let normalised = cursor.norm(pooled);
            let weight: Tensor<2> = cursor.shaped([width, channels]);
            normalised.matmul(weight.transpose())
        }
    };
    debug_assert_eq!(cursor.next, parameters.len(), "every parameter takes part");
    l2_normalise(embedding)
}

/// Depthwise 7×7, LayerNorm, product, GELU (by erf), product, layer scale, residual.
fn residual_block(cursor: &mut Cursor<'_>, x: Tensor<4>, scales: Option<Vec<f32>>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let weight = cursor.shaped([channels, 1, 7, 7]);
    let bias = cursor.vector();
    let y = operations::depthwise(x.clone(), weight, bias, cursor.pass.kernels);
    let y = cursor.norm(y).reshape([batch * height * width, channels]);
    let y = activation::gelu(cursor.linear(y, 4 * channels));
    let y = cursor.linear(y, channels);
    let layer_scale: Tensor<2> = cursor.shaped([1, channels]);
    let mut y = (y * layer_scale).reshape([batch, height, width, channels]);
    if let Some(scales) = scales {
        let device = y.device();
        y = y * Tensor::from_data(TensorData::new(scales, [batch, 1, 1, 1]), &device);
    }
    x + y
}

/// Rows scaled to unit length, as `torch.nn.functional.normalize` does it (eps 1e-12).
fn l2_normalise(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    x / length
}

/// Random parameters as torchvision draws them: weights from a normal distribution with deviation
/// 0.02, biases 0, LayerNorm 1 and 0, layer scales as given (1e-6 there).
pub(crate) fn random_parameters(
    config: &ConvNextConfig,
    seed: u64,
    layer_scale: f32,
    device: &Device,
) -> Parameters {
    let values = config.parameter_shapes().into_iter().enumerate().map(|(index, (name, shape))| {
        let count = shape.iter().product();
        let is_norm = name.contains("norm.");
        let data = if name.ends_with("layer_scale") {
            vec![layer_scale; count]
        } else if name.ends_with("bias") {
            vec![0.0; count]
        } else if is_norm {
            vec![1.0; count]
        } else {
            let draws = random::normals(seed, &[index as u64], count);
            draws.into_iter().map(|draw| (0.02 * draw) as f32).collect()
        };
        (name, shape, data)
    });
    Parameters::from_values(values, device)
}
