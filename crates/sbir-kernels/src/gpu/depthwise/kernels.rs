//! The depthwise convolution's kernels.
#![allow(clippy::too_many_arguments, reason = "a kernel's buffers and sizes")]

use cubecl::prelude::*;

/// Values of one row and channel from three before `start` on, zeros outside the picture.
#[cube]
fn window(
    x: &Tensor<f32>,
    line: usize,
    start: usize,
    width: usize,
    channels: usize,
    #[comptime] tile: usize,
) -> Array<f32> {
    let mut values = Array::<f32>::new(comptime!(tile + 6));
    #[unroll]
    for place in 0..comptime!(tile + 6) {
        let column = start + place;
        let mut value = 0.0f32;
        if column >= 3 && column < width + 3 {
            value = x[line + (column - 3) * channels];
        }
        values[place] = value;
    }
    values
}

#[cube(launch)]
pub(super) fn depthwise_forward(
    x: &Tensor<f32>,
    weight: &Tensor<f32>,
    bias: &Tensor<f32>,
    y: &mut Tensor<f32>,
    height: u32,
    width: u32,
    channels: u32,
    total: u32,
    #[comptime] tile: usize,
    #[comptime] turned: bool,
) {
    if ABSOLUTE_POS >= total as usize {
        terminate!();
    }
    let height = height as usize;
    let width = width as usize;
    let channels = channels as usize;
    let tiles = (width + comptime!(tile - 1)) / tile;
    let channel = ABSOLUTE_POS % channels;
    let rest = ABSOLUTE_POS / channels;
    let start = (rest % tiles) * tile;
    // Lines of all pictures in a row.
    let line = rest / tiles;
    let row = line % height;

    let mut sums = Array::<f32>::new(tile);
    #[unroll]
    for place in 0..tile {
        let mut value = 0.0f32;
        if comptime!(!turned) {
            value = bias[channel];
        }
        sums[place] = value;
    }
    for ky in 0..7usize {
        if row + ky >= 3 && row + ky < height + 3 {
            let from = (line + ky - 3) * width * channels + channel;
            let values = window(x, from, start, width, channels, tile);
            #[unroll]
            for kx in 0..7usize {
                let mut tap = ky * 7 + kx;
                if comptime!(turned) {
                    tap = 48 - tap;
                }
                let factor = weight[tap * channels + channel];
                #[unroll]
                for place in 0..tile {
                    sums[place] += factor * values[place + kx];
                }
            }
        }
    }
    let to = line * width * channels + channel;
    #[unroll]
    for place in 0..tile {
        if start + place < width {
            y[to + (start + place) * channels] = sums[place];
        }
    }
}

/// A piece of the lines, for one channel and one row of the kernel a thread; the eighth row is the bias.
#[cube(launch)]
pub(super) fn depthwise_parameters(
    x: &Tensor<f32>,
    at_y: &Tensor<f32>,
    at_weight: &mut Tensor<f32>,
    at_bias: &mut Tensor<f32>,
    height: u32,
    width: u32,
    channels: u32,
    lines: u32,
    each: u32,
    pieces: u32,
    #[comptime] tile: usize,
) {
    let channel = ABSOLUTE_POS_X as usize;
    let piece = ABSOLUTE_POS_Y as usize;
    let ky = CUBE_POS_Z as usize;
    let height = height as usize;
    let width = width as usize;
    let channels = channels as usize;
    if channel >= channels || piece >= pieces as usize {
        terminate!();
    }
    let first = piece * each as usize;
    let last = min(first + each as usize, lines as usize);
    if ky == 7 {
        let mut sum = 0.0f32;
        for place in first * width..last * width {
            sum += at_y[place * channels + channel];
        }
        at_bias[piece * channels + channel] = sum;
    } else {
        let mut sums = Array::<f32>::new(7usize);
        #[unroll]
        for kx in 0..7usize {
            sums[kx] = 0.0f32;
        }
        for line in first..last {
            let row = line % height;
            if row + ky >= 3 && row + ky < height + 3 {
                let from = (line + ky - 3) * width * channels + channel;
                let at = line * width * channels + channel;
                let mut start = 0usize;
                while start < width {
                    let values = window(x, from, start, width, channels, tile);
                    #[unroll]
                    for place in 0..tile {
                        let mut gradient = 0.0f32;
                        if start + place < width {
                            gradient = at_y[at + (start + place) * channels];
                        }
                        #[unroll]
                        for kx in 0..7usize {
                            sums[kx] += gradient * values[place + kx];
                        }
                    }
                    start += tile;
                }
            }
        }
        #[unroll]
        for kx in 0..7usize {
            at_weight[(piece * 49 + ky * 7 + kx) * channels + channel] = sums[kx];
        }
    }
}
