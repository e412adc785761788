//! Our half of benchsuite/encoder.sh: one configuration a process.
//!
//! ```text
//! encoder_speed embed --weights FILE --inputs FILE.f32 [--precision f32] [--batch 16] [--threads 2] [--seconds 4]
//!                     [--network NAME] [--run N] [--side PIXELS] [--out FILE.f32]
//! encoder_speed train the same, with [--stochastic-depth 0.4] [--memory BYTES]; a batch is of pairs
//! ```
//!
//! Inputs are 32-bit floats `[count, 3, side, side]`, little-endian, without a header; a larger batch takes them again
//! from the first. `--side` is by default as the weights say, else 224. The work is repeated for `--seconds` after a
//! warm-up, at least three times; then one row is printed:
//!
//! ```text
//! task,network,tool,version,precision,layout,mode,batch,threads,run,per_second,peak_mib
//! ```
//!
//! `per_second` counts images, or pairs where the task is train. `SBIR_SIMD` is the row's mode, `best` where it is not
//! set. `--out` takes the embeddings, `[batch, width]`, like the inputs. On standard error stand the shares of a training
//! step that are not the encoder's.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sbir_encoder::{Encoder, PrecisionChoice, Selected, Work};
use sbir_train::{
    Adam, AdamConfig, Gradients, HostBatch, LossOptions, StepOptions, contrast, default_memory,
    loss_and_gradients, micro_batch,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Options by name, without their dashes.
struct Options(BTreeMap<String, String>);

impl Options {
    fn text(&self, name: &str) -> Outcome<&str> {
        Ok(self.0.get(name).ok_or_else(|| format!("--{name} is missing"))?)
    }

    fn number<T: FromStr>(&self, name: &str, or: T) -> Outcome<T> {
        match self.0.get(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} {text}: a number").into()),
            None => Ok(or),
        }
    }
}

/// Pictures to compute with.
struct Inputs {
    values: Vec<f32>,
    side: usize,
}

impl Inputs {
    fn read(path: &Path, side: usize) -> Outcome<Self> {
        let bytes = fs_err::read(path)?;
        let (values, rest) = bytes.as_chunks::<4>();
        let picture = 3 * side * side;
        if !rest.is_empty() || values.is_empty() || !values.len().is_multiple_of(picture) {
            return Err(format!("{}: no pictures of {side}²", path.display()).into());
        }
        Ok(Self { values: values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), side })
    }

    fn count(&self) -> usize {
        self.values.len() / (3 * self.side * self.side)
    }

    fn batch(&self, first: usize, count: usize) -> Vec<f32> {
        let picture = 3 * self.side * self.side;
        let places = (first..first + count).map(|place| place % self.count() * picture);
        places.flat_map(|start| &self.values[start..start + picture]).copied().collect()
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().ok_or("embed or train")?;
    let mut options = BTreeMap::new();
    while let Some(name) = arguments.next() {
        let name = name.strip_prefix("--").ok_or_else(|| format!("{name}: no option"))?;
        options.insert(name.to_owned(), arguments.next().ok_or("an option takes a value")?);
    }
    let options = Options(options);
    let threads = options.number("threads", 2)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let device = Selected::cpu("the benchmark's");
    let precision: PrecisionChoice = options.number("precision", PrecisionChoice::F32)?;
    let encoder = Encoder::load(Path::new(options.text("weights")?), &device.device)?.encoder;
    let work = if task == "train" { Work::Train } else { Work::Embed };
    let precision = precision.resolve(work, encoder.config(), &device)?;
    let encoder = encoder.with_precision(precision);
    let side = options.number("side", encoder.preprocessing().image_size)?;
    let inputs = Inputs::read(Path::new(options.text("inputs")?), side)?;
    let seconds = options.number("seconds", 4.0)?;
    let batch = options.number("batch", 16)?;
    let rate = match task.as_str() {
        "embed" => {
            let size = [batch, inputs.side, inputs.side];
            let pixels = inputs.batch(0, batch);
            if let Some(path) = options.0.get("out") {
                let embeddings = encoder.embed(pixels.clone(), size);
                let bytes = embeddings.iter().flat_map(|value| value.to_le_bytes());
                fs_err::write(path, bytes.collect::<Vec<u8>>())?;
            }
            // `embed` takes its pixels; handing it a copy costs what a loader's batch costs.
            repeat(seconds, || drop(encoder.embed(pixels.clone(), size)))
        }
        "train" => train(encoder, &inputs, batch, seconds, &options)?,
        other => return Err(format!("{other}: embed or train").into()),
    };
    println!(
        "{task},{},sbir,{},{},nhwc,{},{batch},{threads},{},{:.3},{}",
        options.0.get("network").map_or("convnext_small", String::as_str),
        env!("CARGO_PKG_VERSION"),
        PrecisionChoice::from(precision),
        std::env::var("SBIR_SIMD").unwrap_or_else(|_| "best".to_owned()),
        options.number("run", 1)?,
        rate * batch as f64,
        peak_mib().unwrap_or_default(),
    );
    Ok(())
}

/// Steps a second.
fn train(
    mut encoder: Encoder,
    inputs: &Inputs,
    pairs: usize,
    seconds: f64,
    options: &Options,
) -> Outcome<f64> {
    let memory = options.number("memory", default_memory())?;
    let step_options = StepOptions {
        loss: LossOptions::default(),
        micro_batch: micro_batch(&encoder, inputs.side, pairs, None, memory),
        memory,
        stochastic_depth: options.number("stochastic-depth", 0.4)?,
        seed: 42,
    };
    let batch = HostBatch {
        sketches: inputs.batch(0, pairs),
        photos: inputs.batch(pairs, pairs),
        keys: (0..pairs as u64).collect(),
        side: inputs.side,
    };
    let mut adam = Adam::new(AdamConfig::default(), encoder.parameters());
    let mut gradients = Gradients::zeros(encoder.parameters());
    let (mut steps, mut adam_time, mut update_time) = (0, Duration::ZERO, Duration::ZERO);
    let started = Instant::now();
    let rate = repeat(seconds, || {
        let loss = loss_and_gradients(&encoder, &batch, steps, &step_options, &mut gradients);
        assert!(loss.is_finite(), "the loss is {loss}");
        let begun = Instant::now();
        encoder.update(|parameters| {
            adam.step(parameters, &mut gradients, 1.0);
            adam_time += begun.elapsed();
        });
        update_time += begun.elapsed();
        steps += 1;
    });
    let share = |time: Duration| 100.0 * time.as_secs_f64() / started.elapsed().as_secs_f64();
    let vectors = encoder.embed(inputs.batch(0, 1), [1, inputs.side, inputs.side]);
    let rows = vectors.repeat(pairs);
    let begun = Instant::now();
    contrast(&rows, &rows, &batch.keys, &step_options.loss);
    let loss_share = 100.0 * begun.elapsed().as_secs_f64() * rate;
    eprintln!(
        "{steps} steps, micro-batch {}: Adam {:.2} %, packing {:.2} %, InfoNCE {loss_share:.2} %",
        step_options.micro_batch,
        share(adam_time),
        share(update_time - adam_time),
    );
    Ok(rate)
}

/// Calls of `work` a second, after a warm-up; on standard error how long the fastest took, and the first quarter at the most, which
/// say more than the mean where others use the machine.
fn repeat(seconds: f64, mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..2 {
        work();
    }
    while begun.elapsed().as_secs_f64() < seconds.min(1.0) {
        work();
    }
    let (mut times, begun) = (Vec::new(), Instant::now());
    loop {
        let called = Instant::now();
        work();
        times.push(1e3 * called.elapsed().as_secs_f64());
        let elapsed = begun.elapsed().as_secs_f64();
        if times.len() >= 3 && elapsed >= seconds {
            times.sort_by(f64::total_cmp);
            eprintln!("least {:.3} ms, quarter {:.3} ms", times[0], times[times.len() / 4]);
            return times.len() as f64 / elapsed;
        }
    }
}

/// The most memory that this process has held, in MiB, as far as the system (Linux) tells.
fn peak_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes >> 10)
}
