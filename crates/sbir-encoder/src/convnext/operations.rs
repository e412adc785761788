//! The operations that Burn computes slowly on GPUs: by kernels of our own there, by Burn's elsewhere.

use burn_tensor::Tensor;
use burn_tensor::module;
use burn_tensor::ops::ConvOptions;

/// LayerNorm over the last axis; `kernels` allows our own.
///
/// # Shapes
/// - `x`: `[…, channels]`
/// - `weight`, `bias`: `[channels]`
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    kernels: bool,
) -> Tensor<D> {
    #[cfg(all(feature = "vulkan", not(any(feature = "metal", feature = "cuda"))))]
    if kernels && let Some(y) = sbir_kernels::gpu::layer_norm(&x, &weight, &bias, epsilon) {
        return y;
    }
    let _ = kernels;
    module::layer_norm(x, weight, Some(bias), epsilon)
}

/// The depthwise 7×7 convolution; `kernels` allows our own.
///
/// # Shapes
/// - `x`: `[batch_size, height, width, channels]`
/// - `weight`: `[channels, 1, 7, 7]`
/// - `bias`: `[channels]`
pub(crate) fn depthwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernels: bool,
) -> Tensor<4> {
    #[cfg(all(feature = "vulkan", not(any(feature = "metal", feature = "cuda"))))]
    if kernels && let Some(y) = sbir_kernels::gpu::depthwise(&x, &weight, &bias) {
        return y;
    }
    let _ = kernels;
    let [_, _, _, channels] = x.dims();
    let options = ConvOptions::new([1, 1], [3, 3], [1, 1], channels);
    module::conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}
