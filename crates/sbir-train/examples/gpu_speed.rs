//! Our half of benchsuite/gpu.sh.
//!
//! ```text
//! gpu_speed operations [--device vulkan:0] [--batch 120] [--side 224] [--seconds 1]
//! gpu_speed step [--device vulkan:0] [--batch 60] [--side 224] [--seconds 10] [--micro-batch PAIRS]
//!                [--encoder convnext_small] [--kernels own|burn] [--run N]
//! ```
//!
//! `operations` times what there are kernels of our own for beside Burn's, at the planes of ConvNeXt-Small's four stages: a row an operation
//! and stage, milliseconds forwards, and forwards and backwards.
//!
//! ```text
//! operation,stage,batch_size,side,channels,kernels,forward_ms,both_ms
//! ```
//!
//! `step` times whole training steps, Adam included, of a batch of `--batch` pairs, in rows like those of the example `encoder_speed`. A step
//! takes its pictures from the host, as training does.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;
use std::time::Instant;

use burn_tensor::{Device, Tensor, TensorData, module, ops::ConvOptions};
use sbir_encoder::{DeviceChoice, Encoder, EncoderConfig, Preprocessing, random, select, to_host};
use sbir_train::{
    Adam, AdamConfig, Gradients, HostBatch, LossOptions, StepOptions, loss_and_gradients,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Options by name, without their dashes.
struct Options(BTreeMap<String, String>);

impl Options {
    fn get<T: FromStr>(&self, name: &str, or: &str) -> Outcome<T> {
        let text = self.0.get(name).map_or(or, String::as_str);
        text.parse().map_err(|_| format!("--{name} {text}: not understood").into())
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().ok_or("operations or step")?;
    let mut options = BTreeMap::new();
    while let Some(name) = arguments.next() {
        let name = name.strip_prefix("--").ok_or_else(|| format!("{name}: no option"))?;
        options.insert(name.to_owned(), arguments.next().ok_or("an option takes a value")?);
    }
    let options = Options(options);
    let choice: DeviceChoice = options.get("device", "vulkan:0")?;
    let device = select(choice, &[])?.device;
    match task.as_str() {
        "operations" => operations(&device, &options),
        "step" => step(choice, &device, &options),
        other => Err(format!("{other}: operations or step").into()),
    }
}

/// Values of about unit size.
fn values<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    // A long list of draws takes long and its values do not matter: a short one is repeated.
    let count: usize = shape.iter().product();
    let draws = random::normals(seed, &[0], count.min(4099));
    let repeated = draws.iter().cycle().take(count).map(|draw| *draw as f32).collect();
    Tensor::from_data(TensorData::new::<f32, _>(repeated, shape), device)
}

/// Milliseconds of a call, the median of those within `seconds` after a warm-up.
fn time(seconds: f64, mut work: impl FnMut()) -> f64 {
    work();
    work();
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        let called = Instant::now();
        work();
        times.push(1e3 * called.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A row: the operation forwards, and forwards and backwards.
fn measure<const W: usize>(
    device: &Device,
    (x, weight): ([usize; 4], [usize; W]),
    seconds: f64,
    operation: impl Fn(&Tensor<4>, &Tensor<W>, &Tensor<1>) -> Tensor<4>,
) -> [f64; 2] {
    let plain = (values(1, x, device), values(2, weight, device), values(3, [x[3]], device));
    let wait = || device.sync().expect("the device works");
    let forward = time(seconds, || {
        operation(&plain.0, &plain.1, &plain.2);
        wait();
    });
    let both = time(seconds, || {
        let x = plain.0.clone().autodiff().require_grad();
        let weight = plain.1.clone().autodiff().require_grad();
        let bias = plain.2.clone().autodiff().require_grad();
        let found = operation(&x, &weight, &bias).sum().backward();
        assert!(x.grad(&found).is_some() && weight.grad(&found).is_some());
        wait();
    });
    [forward, both]
}

fn operations(device: &Device, options: &Options) -> Outcome<()> {
    let batch: usize = options.get("batch", "120")?;
    let side: usize = options.get("side", "224")?;
    let seconds: f64 = options.get("seconds", "1")?;
    println!("operation,stage,batch_size,side,channels,kernels,forward_ms,both_ms");
    for (stage, channels) in [96, 192, 384, 768].into_iter().enumerate() {
        let side = side >> (2 + stage);
        let x = [batch, side, side, channels];
        let row = |operation: &str, kernels: &str, [forward, both]: [f64; 2]| {
            println!(
                "{operation},{stage},{batch},{side},{channels},{kernels},{forward:.3},{both:.3}"
            );
        };
        let found = measure(device, (x, [channels]), seconds, |x, weight, bias| {
            module::layer_norm(x.clone(), weight.clone(), Some(bias.clone()), 1e-6)
        });
        row("layer_norm", "burn", found);
        let found = measure(device, (x, [channels]), seconds, |x, weight, bias| {
            sbir_kernels::gpu::layer_norm(x, weight, bias, 1e-6).expect("a GPU")
        });
        row("layer_norm", "own", found);
        let weight = [channels, 1, 7, 7];
        let found = measure(device, (x, weight), seconds, |x, weight, bias| {
            let options = ConvOptions::new([1, 1], [3, 3], [1, 1], channels);
            let x = x.clone().permute([0, 3, 1, 2]);
            let y = module::conv2d(x, weight.clone(), Some(bias.clone()), options);
            y.permute([0, 2, 3, 1])
        });
        row("depthwise", "burn", found);
        let found = measure(device, (x, weight), seconds, |x, weight, bias| {
            sbir_kernels::gpu::depthwise(x, weight, bias).expect("a GPU")
        });
        row("depthwise", "own", found);
    }
    Ok(())
}

fn step(choice: DeviceChoice, device: &Device, options: &Options) -> Outcome<()> {
    let pairs: usize = options.get("batch", "60")?;
    let side: usize = options.get("side", "224")?;
    let config: EncoderConfig = options.get("encoder", "convnext_small")?;
    let kernels: String = options.get("kernels", "own")?;
    let name = config.to_string();
    let mut encoder = Encoder::random(config, Preprocessing::origin(side)?, 42, 1e-6, device);
    if kernels == "burn" {
        encoder = encoder.without_kernels();
    }
    let step_options = StepOptions {
        loss: LossOptions::default(),
        micro_batch: options.get("micro-batch", &pairs.to_string())?,
        memory: 4 << 30,
        stochastic_depth: 0.4,
        seed: 42,
    };
    let pictures = |seed| to_host(&values(seed, [pairs, 3, side, side], &Device::flex()));
    let batch = HostBatch {
        sketches: pictures(1),
        photos: pictures(2),
        keys: (0..pairs as u64).collect(),
        side,
    };
    let mut adam = Adam::new(AdamConfig::default(), encoder.parameters());
    let mut gradients = Gradients::zeros(encoder.parameters());
    let mut steps = 0;
    let each = time(options.get("seconds", "10")?, || {
        let loss = loss_and_gradients(&encoder, &batch, steps, &step_options, &mut gradients);
        assert!(loss.is_finite(), "the loss is {loss}");
        encoder.update(|parameters| adam.step(parameters, &mut gradients, 1.0));
        steps += 1;
    });
    println!(
        "train,{name},sbir,{},f32,nhwc,{choice} {kernels},{pairs},-,{},{:.3},",
        env!("CARGO_PKG_VERSION"),
        options.get::<u32>("run", "1")?,
        1e3 * pairs as f64 / each,
    );
    Ok(())
}
