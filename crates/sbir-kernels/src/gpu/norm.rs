//! LayerNorm over the last axis.

mod kernels;

use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;
use burn_dispatch::backends::Cube;
use burn_tensor::Tensor;
use cubecl::prelude::{CubeCount, CubeDim};

use super::{
    Graph, LANES, add_up, cut, empty_like, grid, pieces_cube, plain, reshape, rows, tracked,
};

/// Rows that a cube takes, each with [`LANES`] threads.
const ROWS: u32 = 4;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axis; `None` where CubeCL does not compute, which is for the caller to
/// do then.
///
/// # Shapes
/// - `x`: `[…, channels]`
/// - `weight`, `bias`: `[channels]`
/// - output: as `x`
pub fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let epsilon = epsilon as f32;
    if let (Some(x), Some(weight), Some(bias)) = (plain(x), plain(weight), plain(bias)) {
        let y = forward(&rows(x), &rows(weight), &rows(bias), epsilon).0;
        return Some(Tensor::from_primitive::<Cube>(y));
    }
    let (x, x_node) = tracked(x)?;
    let (weight, weight_node) = tracked(weight)?;
    let (bias, bias_node) = tracked(bias)?;
    let (x, weight) = (rows(x), rows(weight));
    let (y, statistics) = forward(&x, &weight, &rows(bias), epsilon);
    let nodes = [x_node, weight_node, bias_node];
    let y = match LayerNorm.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(Kept { x, weight, statistics }, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    Some(Tensor::from_primitive::<Graph>(y))
}

#[derive(Debug)]
struct LayerNorm;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Kept {
    x: CubeTensor,
    weight: CubeTensor,
    /// Mean and inverse deviation of each row.
    statistics: CubeTensor,
}

impl Backward<Cube, 3> for LayerNorm {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let at_y = rows(grads.consume::<Cube>(&ops.node));
        let [x, weight, bias] = ops.parents;
        if weight.is_some() || bias.is_some() {
            let [at_weight, at_bias] = at_parameters(&ops.state, &at_y);
            for (node, gradient) in [(weight, at_weight), (bias, at_bias)] {
                if let Some(node) = node {
                    grads.register::<Cube>(node.id, gradient);
                }
            }
        }
        if let Some(node) = x {
            grads.register::<Cube>(node.id, at_x(&ops.state, &at_y));
        }
    }
}

/// Rows and channels.
fn plane(x: &CubeTensor) -> (usize, usize) {
    let shape = x.shape();
    let channels = shape.iter().last().copied().unwrap_or(1);
    (shape.num_elements() / channels.max(1), channels)
}

fn forward(
    x: &CubeTensor,
    weight: &CubeTensor,
    bias: &CubeTensor,
    epsilon: f32,
) -> (CubeTensor, CubeTensor) {
    let (count, channels) = plane(x);
    assert_eq!((weight.shape().num_elements(), bias.shape().num_elements()), (channels, channels));
    let y = empty_like(x, x.shape());
    let statistics = empty_like(x, [count, 2]);
    kernels::norm_forward::launch(
        &x.client,
        grid(count.div_ceil(ROWS as usize)),
        CubeDim::new_2d(LANES, ROWS),
        x.clone().into_tensor_arg(),
        weight.clone().into_tensor_arg(),
        bias.clone().into_tensor_arg(),
        y.clone().into_tensor_arg(),
        statistics.clone().into_tensor_arg(),
        count as u32,
        channels as u32,
        epsilon,
        LANES as usize,
        ROWS as usize,
    );
    (y, statistics)
}

fn at_x(kept: &Kept, at_y: &CubeTensor) -> CubeTensor {
    let (count, channels) = plane(&kept.x);
    let found = empty_like(&kept.x, kept.x.shape());
    kernels::norm_backward::launch(
        &found.client,
        grid(count.div_ceil(ROWS as usize)),
        CubeDim::new_2d(LANES, ROWS),
        kept.x.clone().into_tensor_arg(),
        kept.weight.clone().into_tensor_arg(),
        kept.statistics.clone().into_tensor_arg(),
        at_y.clone().into_tensor_arg(),
        found.clone().into_tensor_arg(),
        count as u32,
        channels as u32,
        LANES as usize,
        ROWS as usize,
    );
    found
}

fn at_parameters(kept: &Kept, at_y: &CubeTensor) -> [CubeTensor; 2] {
    let (count, channels) = plane(&kept.x);
    let (each, pieces) = cut(count, channels);
    let found = [(); 2].map(|()| empty_like(&kept.x, [pieces, channels]));
    let [at_weight, at_bias] = &found;
    let wide = channels.div_ceil(LANES as usize);
    kernels::norm_parameters::launch(
        &kept.x.client,
        CubeCount::Static(wide as u32, pieces.div_ceil(4) as u32, 1),
        pieces_cube(),
        kept.x.clone().into_tensor_arg(),
        kept.statistics.clone().into_tensor_arg(),
        at_y.clone().into_tensor_arg(),
        at_weight.clone().into_tensor_arg(),
        at_bias.clone().into_tensor_arg(),
        count as u32,
        channels as u32,
        each as u32,
        pieces as u32,
    );
    found.map(|pieces| reshape(add_up(pieces), [channels]))
}
