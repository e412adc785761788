//! Times ConvNeXt-Small on random weights: `convnext_speed [f32|bf16] [batch] [side] [seconds]
//! [memory]`; with memory in GB, gradients too.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Instant;

use sbir_kernels::convnext::{ConvNextNet, ConvNextSpec, Precision};
use sbir_kernels::simd::Simd;

/// Processor time of all threads, where the system tells.
fn processor_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let spent = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    spent.sum::<f64>() * 1e-9
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| -> usize {
        given.get(place).map_or(default, |text| text.parse().expect("a number"))
    };
    let precision = match given.first().map(String::as_str) {
        Some("bf16") => Precision::Bf16,
        _ => Precision::F32,
    };
    let (batch, side, seconds) = (number(1, 16), number(2, 224), number(3, 10));
    let spec = ConvNextSpec {
        depths: [3, 3, 27, 3],
        dims: [96, 192, 384, 768],
        projection: None,
        norm_epsilon: 1e-6,
    };
    let mut seed = 1u32;
    let mut draw = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let parameters: Vec<Vec<f32>> = spec
        .parameter_lengths()
        .into_iter()
        .map(|length| (0..length).map(|_| 0.1 * draw()).collect())
        .collect();
    let slices: Vec<&[f32]> = parameters.iter().map(Vec::as_slice).collect();
    let simd = Simd::chosen().expect("a path");
    let start = Instant::now();
    let net = ConvNextNet::new(spec, precision, simd, &slices);
    println!("packed in {:.3} s", start.elapsed().as_secs_f64());
    let pixels: Vec<f32> = (0..batch * 3 * side * side).map(|_| 2.0 * draw()).collect();
    let size = [batch, side, side];
    let memory = given.get(4).map(|_| (number(4, 0) as u64) << 30);
    let mut gradients: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.0; p.len()]).collect();
    let mut recorded = 0.0;
    println!("tape: {:?} bytes", net.tape_bytes(size));
    let start = Instant::now();
    let mut best = f64::MAX;
    let mut processor = 0.0;
    let mut all = Vec::new();
    while start.elapsed().as_secs_f64() < seconds as f64 || all.len() < 3 {
        let begin = Instant::now();
        let before = processor_seconds();
        if let Some(memory) = memory {
            let (embeddings, tape) = net.record(&pixels, size, &[], memory);
            recorded += begin.elapsed().as_secs_f64();
            net.pull(&slices, tape, &embeddings, &mut gradients);
        } else {
            std::hint::black_box(net.embed(&pixels, size));
        }
        processor = processor_seconds() - before;
        let time = begin.elapsed().as_secs_f64();
        best = best.min(time);
        all.push(time);
    }
    let spent: f64 = all.iter().sum();
    all.sort_by(f64::total_cmp);
    println!("forward: {:.3} of the time", recorded / spent);
    let rate = |time: f64| batch as f64 / time;
    let threads = rayon::current_num_threads();
    println!(
        "{simd} {precision:?} batch {batch}, {threads} threads: median {:.2}, best {:.2} img/s; {:.2} by processor time of the last",
        rate(all[all.len() / 2]),
        rate(best),
        rate(processor / threads as f64)
    );
}
