//! Embeds or trains for a while and says how fast: the half of `benchsuite/encoder.sh` that measures this project.
//!
//! ```text
//! encoder_speed embed|train --network NAME --weights FILE --inputs FILE.f32 --precision f32|bf16 --batch N
//!     --threads T --seconds S --run R [--out FILE.f32]
//! ```
//!
//! Everything goes through what the program itself calls: `Encoder::embed`, `loss_and_gradients` and `Adam`. Rates are
//! images a second, and pairs a second where it trains. Inputs are 32-bit floats `[any, 3, side, side]`.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use sbir_encoder::{Device, Encoder, NORM_EPSILON};
use sbir_train::{
    Adam, AdamConfig, HostBatch, LossOptions, StepOptions, default_micro_batch, loss_and_gradients,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let task = words.next().ok_or("embed or train?")?;
    let mut options = HashMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.insert(name, value);
    }
    let option = |name: &str| options.get(name).ok_or(format!("{name} is missing"));
    let (batch, threads): (usize, usize) =
        (option("--batch")?.parse()?, option("--threads")?.parse()?);
    let seconds: f64 = option("--seconds")?.parse()?;
    let precision = option("--precision")?;
    if precision != "f32" {
        return Err(format!("precision {precision} is not there yet").into());
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let network = option("--network")?;
    let side = if network == "lite0" { 176 } else { 224 };
    let image = 3 * side * side;
    let bytes = fs_err::read(option("--inputs")?)?;
    let pixels: Vec<f32> = bytes.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
    // More than there are begin again from the first.
    let pictures = |first: usize, count: usize| -> Vec<f32> {
        pixels.iter().cycle().skip(first * image).take(count * image).copied().collect()
    };
    let encoder = Encoder::load(Path::new(option("--weights")?), &Device::flex())?.encoder;
    let rate = match task.as_str() {
        "embed" => {
            let pixels = pictures(0, batch);
            let embed = || encoder.embed(pixels.clone(), [batch, side, side]);
            if let Some(out) = options.get("--out") {
                let bytes: Vec<u8> = embed().into_iter().flat_map(f32::to_le_bytes).collect();
                fs_err::write(out, bytes)?;
            }
            repeat(seconds, || drop(embed()))
        }
        "train" => train(encoder, pictures(0, batch), pictures(batch, batch), side, seconds)?,
        other => return Err(format!("{other}: embed or train?").into()),
    };
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let peak: f64 = peak.map_or(Ok(0.0), str::parse)?;
    println!(
        "{task},{network},sbir,{},{precision},nhwc,best,{batch},{threads},{},{:.3},{:.0}",
        env!("CARGO_PKG_VERSION"),
        option("--run")?,
        rate * batch as f64,
        peak / 1024.0,
    );
    Ok(())
}

fn train(
    mut encoder: Encoder,
    sketches: Vec<f32>,
    photos: Vec<f32>,
    side: usize,
    seconds: f64,
) -> Result<f64, Box<dyn Error>> {
    let pairs = sketches.len() / (3 * side * side);
    let keys = (0..pairs as u64).collect();
    let batch = HostBatch { sketches, photos, keys, side };
    let options = StepOptions {
        loss: LossOptions::default(),
        micro_batch: default_micro_batch(encoder.config(), side),
        stochastic_depth: 0.4,
        seed: 42,
        norm_epsilon: NORM_EPSILON,
    };
    let mut adam = Adam::new(AdamConfig::default(), encoder.parameters());
    let mut finite = true;
    let rate = repeat(seconds, || {
        let (loss, gradients) = loss_and_gradients(&encoder, &batch, adam.steps(), &options);
        finite &= loss.is_finite();
        encoder = encoder.with_parameters(adam.step(encoder.parameters(), gradients));
    });
    if finite { Ok(rate) } else { Err("the loss is not finite".into()) }
}

/// Calls of `work` a second, after a warm-up: for `seconds`, at least three.
fn repeat(seconds: f64, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    work();
    while start.elapsed().as_secs_f64() < seconds.min(1.0) {
        work();
    }
    let start = Instant::now();
    for count in 1_u32.. {
        work();
        let elapsed = start.elapsed().as_secs_f64();
        if count >= 3 && elapsed >= seconds {
            return f64::from(count) / elapsed;
        }
    }
    unreachable!("the loop ends by time")
}
