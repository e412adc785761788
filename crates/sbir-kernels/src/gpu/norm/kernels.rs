//! LayerNorm's kernels.
#![allow(clippy::too_many_arguments, reason = "a kernel's buffers and sizes")]

use cubecl::prelude::*;

/// The sum of `value` over the lanes of a row, given to each.
#[cube]
fn row_sum(shared: &mut Shared<[f32]>, value: f32, #[comptime] lanes: usize) -> f32 {
    let first = UNIT_POS_Y as usize * lanes;
    sync_cube();
    shared[first + UNIT_POS_X as usize] = value;
    sync_cube();
    let mut sum = 0.0f32;
    #[unroll]
    for lane in 0..lanes {
        sum += shared[first + lane];
    }
    sum
}

#[cube(launch)]
pub(super) fn norm_forward(
    x: &Tensor<f32>,
    weight: &Tensor<f32>,
    bias: &Tensor<f32>,
    y: &mut Tensor<f32>,
    statistics: &mut Tensor<f32>,
    count: u32,
    channels: u32,
    epsilon: f32,
    #[comptime] lanes: usize,
    #[comptime] cube_rows: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(lanes * cube_rows));
    let count = count as usize;
    let channels = channels as usize;
    let row = CUBE_POS * cube_rows + UNIT_POS_Y as usize;
    let lane = UNIT_POS_X as usize;
    // Rows beyond the last take part, since all threads of a cube meet: as the last, without writing.
    let first = min(row, count - 1) * channels;

    let mut sum = 0.0f32;
    let mut channel = lane;
    while channel < channels {
        sum += x[first + channel];
        channel += lanes;
    }
    let mean = row_sum(&mut shared, sum, lanes) / channels as f32;

    let mut squares = 0.0f32;
    channel = lane;
    while channel < channels {
        let centred = x[first + channel] - mean;
        squares += centred * centred;
        channel += lanes;
    }
    let variance = row_sum(&mut shared, squares, lanes) / channels as f32;
    let inverse = 1.0f32 / f32::sqrt(variance + epsilon);

    if row < count {
        channel = lane;
        while channel < channels {
            let normalised = (x[first + channel] - mean) * inverse;
            y[first + channel] = normalised * weight[channel] + bias[channel];
            channel += lanes;
        }
        if lane == 0 {
            statistics[2 * row] = mean;
            statistics[2 * row + 1] = inverse;
        }
    }
}

#[cube(launch)]
pub(super) fn norm_backward(
    x: &Tensor<f32>,
    weight: &Tensor<f32>,
    statistics: &Tensor<f32>,
    at_y: &Tensor<f32>,
    at_x: &mut Tensor<f32>,
    count: u32,
    channels: u32,
    #[comptime] lanes: usize,
    #[comptime] cube_rows: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(lanes * cube_rows));
    let count = count as usize;
    let channels = channels as usize;
    let row = CUBE_POS * cube_rows + UNIT_POS_Y as usize;
    let lane = UNIT_POS_X as usize;
    let taken = min(row, count - 1);
    let first = taken * channels;
    let mean = statistics[2 * taken];
    let inverse = statistics[2 * taken + 1];

    let mut sum = 0.0f32;
    let mut along = 0.0f32;
    let mut channel = lane;
    while channel < channels {
        let scaled = at_y[first + channel] * weight[channel];
        sum += scaled;
        along += scaled * (x[first + channel] - mean);
        channel += lanes;
    }
    let sum = row_sum(&mut shared, sum, lanes) / channels as f32;
    let along = row_sum(&mut shared, along, lanes) * inverse * inverse / channels as f32;

    if row < count {
        channel = lane;
        while channel < channels {
            let scaled = at_y[first + channel] * weight[channel];
            at_x[first + channel] = (scaled - sum - (x[first + channel] - mean) * along) * inverse;
            channel += lanes;
        }
    }
}

/// A piece of the rows, for one channel a thread.
#[cube(launch)]
pub(super) fn norm_parameters(
    x: &Tensor<f32>,
    statistics: &Tensor<f32>,
    at_y: &Tensor<f32>,
    at_weight: &mut Tensor<f32>,
    at_bias: &mut Tensor<f32>,
    count: u32,
    channels: u32,
    each: u32,
    pieces: u32,
) {
    let channel = ABSOLUTE_POS_X as usize;
    let piece = ABSOLUTE_POS_Y as usize;
    let channels = channels as usize;
    if channel >= channels || piece >= pieces as usize {
        terminate!();
    }
    let first = piece * each as usize;
    let last = min(first + each as usize, count as usize);
    let mut weight = 0.0f32;
    let mut bias = 0.0f32;
    for row in first..last {
        let place = row * channels + channel;
        let gradient = at_y[place];
        weight += gradient * (x[place] - statistics[2 * row]) * statistics[2 * row + 1];
        bias += gradient;
    }
    at_weight[piece * channels + channel] = weight;
    at_bias[piece * channels + channel] = bias;
}
