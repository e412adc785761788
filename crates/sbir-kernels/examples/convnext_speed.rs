//! Times ConvNeXt-Small on random weights: `convnext_speed [f32|bf16] [batch] [side] [seconds]`.

use std::time::Instant;

use sbir_kernels::convnext::{ConvNextNet, ConvNextSpec, Precision};
use sbir_kernels::simd::Simd;

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
    let start = Instant::now();
    let mut best = f64::MAX;
    let mut all = Vec::new();
    while start.elapsed().as_secs_f64() < seconds as f64 {
        let begin = Instant::now();
        std::hint::black_box(net.embed(&pixels, size));
        let time = begin.elapsed().as_secs_f64();
        best = best.min(time);
        all.push(time);
    }
    all.sort_by(f64::total_cmp);
    let rate = |time: f64| batch as f64 / time;
    let threads = rayon::current_num_threads();
    println!(
        "{simd} {precision:?} batch {batch}, {threads} threads: median {:.2}, best {:.2} img/s",
        rate(all[all.len() / 2]),
        rate(best)
    );
}
