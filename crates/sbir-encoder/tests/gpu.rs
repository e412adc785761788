//! The kernels for GPUs on SwiftShader, a software Vulkan driver that Debian's Chromium brings.
//!
//! Without libtest, since a driver has to be named before the first thread starts: the program runs itself with it.
#![allow(clippy::print_stdout, reason = "a test's report")]

use std::path::Path;
use std::process::{Command, ExitCode};

use burn_tensor::{Device, Tensor, TensorData, module, ops::ConvOptions};
use sbir_encoder::{ConvNextConfig, DeviceChoice, Encoder, Preprocessing, random, select, to_host};
use sbir_kernels::gpu;

const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";
const CHILD: &str = "SBIR_TEST_WITH_DRIVER";

type Test = fn(&Device);

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        let device = select(DeviceChoice::Vulkan(0), &[]).expect("the driver works").device;
        let tests: [(&str, Test); 5] = [
            ("layer_norm_is_burns", layer_norm_is_burns),
            ("depthwise_is_burns", depthwise_is_burns),
            ("gradients_are_finite_differences", gradients_are_finite_differences),
            ("other_devices_are_left_to_burn", other_devices_are_left_to_burn),
            ("the_network_is_the_cpus", the_network_is_the_cpus),
        ];
        for (name, test) in tests {
            test(&device);
            println!("test {name} ... ok");
        }
        return ExitCode::SUCCESS;
    }
    if !Path::new(SWIFTSHADER).exists() {
        println!("skipped: {SWIFTSHADER} is missing: install Debian's chromium");
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    let this = std::env::current_exe().expect("a running program has a path");
    let ended = Command::new(this).env(CHILD, "1").env("VK_DRIVER_FILES", SWIFTSHADER).status();
    ExitCode::from(u8::from(!ended.expect("it was just read").success()))
}

/// Values of about unit size, others for every `seed`.
fn values<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let draws = random::normals(seed, &[0], shape.iter().product());
    let draws: Vec<f32> = draws.into_iter().map(|draw| draw as f32).collect();
    Tensor::from_data(TensorData::new(draws, shape), device)
}

/// An output and the gradients at three inputs.
type Found = [Vec<f32>; 4];

/// `operation` of three inputs, and the gradients there of its output's product with fixed numbers.
fn run<const X: usize, const W: usize>(
    device: &Device,
    (x, weight, channels): ([usize; X], [usize; W], usize),
    operation: impl Fn(&Tensor<X>, &Tensor<W>, &Tensor<1>) -> Tensor<X>,
) -> Found {
    let graph = device.clone().autodiff();
    let x = (values(1, x, &graph) + 0.5).require_grad();
    let weight = values(2, weight, &graph).require_grad();
    let bias = values(3, [channels], &graph).require_grad();
    let y = operation(&x, &weight, &bias);
    let found = (y.clone() * values(4, y.dims(), &graph)).sum().backward();
    [
        to_host(&y),
        to_host(&x.grad(&found).expect("x takes part")),
        to_host(&weight.grad(&found).expect("the weight takes part")),
        to_host(&bias.grad(&found).expect("the bias takes part")),
    ]
}

fn assert_close(found: &Found, expected: &Found, what: &str) {
    for ((found, expected), part) in found.iter().zip(expected).zip(["y", "x", "weight", "bias"]) {
        assert_eq!(found.len(), expected.len(), "{what}, {part}");
        let size = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 2e-5 * size, "{what}, {part}: off by {off} of {size}");
    }
}

fn ours_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>) -> Tensor<D> {
    gpu::layer_norm(x, weight, bias, 1e-6).expect("CubeCL computes")
}

fn burns_depthwise(x: &Tensor<4>, weight: &Tensor<4>, bias: &Tensor<1>) -> Tensor<4> {
    let options = ConvOptions::new([1, 1], [3, 3], [1, 1], x.dims()[3]);
    let x = x.clone().permute([0, 3, 1, 2]);
    let y = module::conv2d(x, weight.clone(), Some(bias.clone()), options);
    y.permute([0, 2, 3, 1])
}

fn layer_norm_is_burns(device: &Device) {
    // One row, one channel, fewer and more channels than threads, rows that do not fill a cube, several rows a piece.
    for (rows, channels) in [(1, 1), (1, 40), (7, 5), (6, 96), (300, 1030), (3000, 40)] {
        let shape = ([rows, channels], [channels], channels);
        let found = run(device, shape, ours_norm);
        let expected = run(&Device::flex(), shape, |x, weight, bias| {
            module::layer_norm(x.clone(), weight.clone(), Some(bias.clone()), 1e-6)
        });
        assert_close(&found, &expected, &format!("{rows} rows of {channels}"));
    }
    // Without a graph too, and not contiguous.
    let device_x = values(1, [4, 3, 5], device).swap_dims(0, 1);
    let [weight, bias] = [2, 3].map(|seed| values(seed, [5], device));
    let found = to_host(&ours_norm(&device_x, &weight, &bias));
    let host_x = values(1, [4, 3, 5], &Device::flex()).swap_dims(0, 1);
    let [weight, bias] = [2, 3].map(|seed| values(seed, [5], &Device::flex()));
    let expected = to_host(&module::layer_norm(host_x, weight, Some(bias), 1e-6));
    let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-5, "off by {off}");
}

fn depthwise_is_burns(device: &Device) {
    let planes = [
        [1, 1, 1, 1],
        [2, 5, 9, 6],
        [1, 7, 7, 33],
        [3, 2, 20, 4],
        [2, 14, 14, 40],
        [3, 7, 7, 1536],
    ];
    for x in planes {
        let shape = (x, [x[3], 1, 7, 7], x[3]);
        let found = run(device, shape, |x, weight, bias| {
            gpu::depthwise(x, weight, bias).expect("CubeCL computes")
        });
        let expected = run(&Device::flex(), shape, burns_depthwise);
        assert_close(&found, &expected, &format!("{x:?}"));
    }
}

/// Along random directions, by central differences of the operation itself.
fn gradients_are_finite_differences(device: &Device) {
    fn check<const X: usize, const W: usize>(
        device: &Device,
        (x, weight, channels): ([usize; X], [usize; W], usize),
        operation: impl Fn(&Tensor<X>, &Tensor<W>, &Tensor<1>) -> Tensor<X>,
    ) {
        let [_, at_x, at_weight, at_bias] = run(device, (x, weight, channels), &operation);
        let step = 1e-2;
        let value = |part: usize, sign: f64| -> f64 {
            let moved = |place: usize| if place == part { sign * step } else { 0.0 };
            let x = values(1, x, device) + 0.5 + values(11, x, device) * moved(0);
            let weight = values(2, weight, device) + values(12, weight, device) * moved(1);
            let bias = values(3, [channels], device) + values(13, [channels], device) * moved(2);
            let y = operation(&x, &weight, &bias);
            let against = to_host(&values(4, y.dims(), device));
            to_host(&y).iter().zip(&against).map(|(y, r)| f64::from(*y) * f64::from(*r)).sum()
        };
        let directions = [
            to_host(&values(11, x, device)),
            to_host(&values(12, weight, device)),
            to_host(&values(13, [channels], device)),
        ];
        for (part, (gradient, direction)) in
            [at_x, at_weight, at_bias].iter().zip(&directions).enumerate()
        {
            let found: f64 =
                gradient.iter().zip(direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let expected = (value(part, 1.0) - value(part, -1.0)) / (2.0 * step);
            let scale = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!((found - expected).abs() <= 5e-3 * scale, "{part}: {found}, {expected}");
        }
    }
    check(device, ([9, 24], [24], 24), ours_norm);
    check(device, ([2, 6, 9, 5], [5, 1, 7, 7], 5), |x, weight, bias| {
        gpu::depthwise(x, weight, bias).expect("CubeCL computes")
    });
}

fn other_devices_are_left_to_burn(_: &Device) {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let [weight, bias] = [2, 3].map(|seed| values(seed, [5], &device));
        assert!(gpu::layer_norm(&values(1, [4, 5], &device), &weight, &bias, 1e-6).is_none());
        let x = values(1, [1, 4, 4, 5], &device);
        assert!(gpu::depthwise(&x, &values(2, [5, 1, 7, 7], &device), &bias).is_none());
    }
}

fn the_network_is_the_cpus(device: &Device) {
    let config = ConvNextConfig::new([1, 1, 2, 1], [8, 16, 24, 32]).expect("a valid shape");
    let preprocessing = Preprocessing::origin(64).expect("a valid size");
    let encoder = |device: &Device| Encoder::random(config.clone(), preprocessing, 7, 0.5, device);
    for size in [[2, 64, 64], [1, 33, 47]] {
        let count = size.iter().product::<usize>() * 3;
        let pixels: Vec<f32> =
            random::normals(9, &[1], count).into_iter().map(|draw| draw as f32).collect();
        let expected = encoder(&Device::flex()).embed(pixels.clone(), size);
        for found in [
            encoder(device).embed(pixels.clone(), size),
            encoder(device).without_kernels().embed(pixels.clone(), size),
        ] {
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-4, "{size:?}: off by {off}");
        }
    }
}
