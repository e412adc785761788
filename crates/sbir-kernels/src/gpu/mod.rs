//! Operations for GPUs that Burn has, but slowly: LayerNorm in one kernel instead of nine, and the depthwise 7×7 convolution, whose
//! gradient at the weights Burn computes with one thread per weight.
//!
//! CubeCL kernels in f32 over channels-last tensors, for every device of its, with backward passes that keep what went in and little else. Written for
//! many threads: neighbours read neighbouring channels, sums over pictures are cut into pieces that are added up afterwards, always in the
//! same order.

mod depthwise;
mod norm;

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::ops::NodeGuard;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_dispatch::backends::Cube;
use burn_std::{DType, Shape};
use burn_tensor::Tensor;
use cubecl::prelude::{CubeCount, CubeDim};

pub use depthwise::depthwise;
pub use norm::layer_norm;

/// Tensors with a graph, as [`burn_tensor::Device::autodiff`] makes them.
type Graph = Autodiff<Cube, NoCheckpointing>;

/// Work that is cut into pieces is cut into at least so many threads, where there is enough of it.
const THREADS: usize = 1 << 16;
/// Threads along the channels in kernels that add up over pictures.
const LANES: u32 = 32;
/// Most cubes along one axis; Vulkan promises 65,535.
const MOST_CUBES: usize = 1 << 15;

/// The tensor as CubeCL has it: contiguous, f32.
fn rows(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype, DType::F32, "the kernels compute in f32");
    into_contiguous(tensor)
}

fn empty_like(tensor: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (tensor.client.clone(), tensor.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

/// Cubes for `count` of them in all; the kernel leaves out those beyond.
fn grid(count: usize) -> CubeCount {
    let wide = count.clamp(1, MOST_CUBES);
    CubeCount::Static(wide as u32, count.div_ceil(wide).max(1) as u32, 1)
}

/// A cube of [`LANES`] channels by 4 pieces.
fn pieces_cube() -> CubeDim {
    CubeDim::new_2d(LANES, 4)
}

/// How many of `rows` a thread adds up, and how many pieces that makes, where `wide` threads work at each.
fn cut(rows: usize, wide: usize) -> (usize, usize) {
    let pieces = THREADS.div_ceil(wide).clamp(1, rows.max(1));
    let each = rows.div_ceil(pieces).max(1);
    (each, rows.div_ceil(each).max(1))
}

/// Sums over the first axis.
///
/// # Shapes
/// - `pieces`: `[pieces, width]`
/// - output: `[1, width]`
fn add_up(pieces: CubeTensor) -> CubeTensor {
    use burn_backend::ops::FloatTensorOps;
    Cube::float_sum_dim(pieces, 0)
}

fn reshape(tensor: CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    use burn_backend::ops::FloatTensorOps;
    Cube::float_reshape(tensor, shape.into())
}

/// `None` where CubeCL does not compute.
fn plain<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    tensor.clone().try_into_primitive::<Cube>().ok()
}

/// The tensor and its place in the graph; `None` without a graph, or where CubeCL does not compute.
fn tracked<const D: usize>(tensor: &Tensor<D>) -> Option<(CubeTensor, NodeGuard)> {
    Some(tensor.clone().try_into_primitive::<Graph>().ok()?.into_parts())
}
