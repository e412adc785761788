//! The depthwise 7×7 convolution: each channel by itself, stride 1, three zeros around.
//!
//! A thread computes [`TILE`] neighbours of one row, so that a value read serves up to seven products.

mod kernels;

use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::TensorMetadata;
use burn_backend::ops::FloatTensorOps;
use burn_cubecl::tensor::CubeTensor;
use burn_dispatch::backends::Cube;
use burn_tensor::Tensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{
    Graph, LANES, add_up, cut, empty_like, grid, pieces_cube, plain, reshape, rows, tracked,
};

/// Side of the kernel.
const SIDE: usize = 7;
/// Outputs of a thread: ConvNeXt's planes at 224 px are multiples of it wide.
const TILE: usize = 7;
/// Threads of a cube of the forward pass.
const UNITS: u32 = 128;

/// The convolution of channels-last pictures; `None` where CubeCL does not compute, which is for the caller to do then.
///
/// # Shapes
/// - `x`: `[batch_size, height, width, channels]`
/// - `weight`: `[channels, 1, 7, 7]`, as PyTorch has it
/// - `bias`: `[channels]`
/// - output: as `x`
pub fn depthwise(x: &Tensor<4>, weight: &Tensor<4>, bias: &Tensor<1>) -> Option<Tensor<4>> {
    assert_eq!(weight.dims(), [x.dims()[3], 1, SIDE, SIDE], "shape of the weight");
    assert_eq!(bias.dims(), [x.dims()[3]], "shape of the bias");
    if let (Some(x), Some(weight), Some(bias)) = (plain(x), plain(weight), plain(bias)) {
        let y = convolve(&rows(x), &taps_first(weight), Some(&rows(bias)));
        return Some(Tensor::from_primitive::<Cube>(y));
    }
    let (x, x_node) = tracked(x)?;
    let (weight, weight_node) = tracked(weight)?;
    let (bias, bias_node) = tracked(bias)?;
    let (x, weight) = (rows(x), taps_first(weight));
    let y = convolve(&x, &weight, Some(&rows(bias)));
    let nodes = [x_node, weight_node, bias_node];
    let y = match Depthwise.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(Kept { x, weight }, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    Some(Tensor::from_primitive::<Graph>(y))
}

#[derive(Debug)]
struct Depthwise;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Kept {
    x: CubeTensor,
    /// `[49, channels]`
    weight: CubeTensor,
}

impl Backward<Cube, 3> for Depthwise {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let at_y = rows(grads.consume::<Cube>(&ops.node));
        let [x, weight, bias] = ops.parents;
        let Kept { x: input, weight: taps } = ops.state;
        if weight.is_some() || bias.is_some() {
            let [at_weight, at_bias] = at_parameters(&input, &at_y);
            for (node, gradient) in [(weight, at_weight), (bias, at_bias)] {
                if let Some(node) = node {
                    grads.register::<Cube>(node.id, gradient);
                }
            }
        }
        if let Some(node) = x {
            // The same convolution with the kernel turned round.
            grads.register::<Cube>(node.id, convolve(&at_y, &taps, None));
        }
    }
}

/// `[channels, 1, 7, 7]` as `[49, channels]`.
fn taps_first(weight: CubeTensor) -> CubeTensor {
    let channels = weight.shape()[0];
    rows(Cube::float_swap_dims(reshape(weight, [channels, SIDE * SIDE]), 0, 1))
}

/// With a bias forwards; without one the kernel is turned round.
fn convolve(x: &CubeTensor, weight: &CubeTensor, bias: Option<&CubeTensor>) -> CubeTensor {
    let [batch, height, width, channels] = x.shape().dims();
    let y = empty_like(x, x.shape());
    let total = batch * height * width.div_ceil(TILE) * channels;
    kernels::depthwise_forward::launch(
        &x.client,
        grid(total.div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
        x.clone().into_tensor_arg(),
        weight.clone().into_tensor_arg(),
        bias.unwrap_or(weight).clone().into_tensor_arg(),
        y.clone().into_tensor_arg(),
        height as u32,
        width as u32,
        channels as u32,
        total as u32,
        TILE,
        bias.is_none(),
    );
    y
}

fn at_parameters(x: &CubeTensor, at_y: &CubeTensor) -> [CubeTensor; 2] {
    let [batch, height, width, channels] = x.shape().dims();
    let lines = batch * height;
    let (each, pieces) = cut(lines, (SIDE + 1) * channels);
    let at_weight = empty_like(x, [pieces, SIDE * SIDE * channels]);
    let at_bias = empty_like(x, [pieces, channels]);
    let wide = channels.div_ceil(LANES as usize);
    kernels::depthwise_parameters::launch(
        &x.client,
        CubeCount::Static(wide as u32, pieces.div_ceil(4) as u32, SIDE as u32 + 1),
        pieces_cube(),
        x.clone().into_tensor_arg(),
        at_y.clone().into_tensor_arg(),
        at_weight.clone().into_tensor_arg(),
        at_bias.clone().into_tensor_arg(),
        height as u32,
        width as u32,
        channels as u32,
        lines as u32,
        each as u32,
        pieces as u32,
        TILE,
    );
    let at_weight = reshape(add_up(at_weight), [SIDE * SIDE, channels]);
    let at_weight = rows(Cube::float_swap_dims(at_weight, 0, 1));
    [reshape(at_weight, [channels, 1, SIDE, SIDE]), reshape(add_up(at_bias), [channels])]
}
