//! Pictures a second of EfficientNet-Lite0: `lite_speed SIDE BATCH THREADS SECONDS GRADIENTS`, the last 1 for gradients too.
//!
//! Where others use the machine, the least time and the lower quartile say more than the median.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Instant;

use sbir_kernels::lite::{LiteNet, LiteSpec, LiteWeights};

fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (side, batch, threads) = (next(224), next(16), next(2));
    let (seconds, gradients) = (next(2) as f64, next(1));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("one pool");
    let spec = LiteSpec::lite0(512, true);
    let mut weights = LiteWeights::zeros(&spec);
    for (weight, bias) in &mut weights.convolutions {
        for (place, value) in weight.iter_mut().enumerate() {
            *value = ((place * 7919) % 1000) as f32 / 5000.0 - 0.1;
        }
        bias.fill(0.1);
    }
    weights.projection.fill(0.01);
    let net = LiteNet::new(spec.clone(), weights);
    let pixels: Vec<f32> =
        (0..batch * 3 * side * side).map(|i| ((i * 31) % 255) as f32 / 128.0 - 1.0).collect();
    let at = vec![0.1; batch * spec.width];
    println!("task,side,batch,threads,least_ms,quartile_ms,median_ms,best_per_second");
    let rate = |name: &str, work: &dyn Fn()| {
        work();
        let begun = Instant::now();
        let mut times = Vec::new();
        while times.len() < 5 || begun.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            work();
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let [least, quartile, median] =
            [0, times.len() / 4, times.len() / 2].map(|at| 1e3 * times[at]);
        let best = 1e3 * batch as f64 / least;
        println!("{name},{side},{batch},{threads},{least:.3},{quartile:.3},{median:.3},{best:.1}");
    };
    rate("embed", &|| drop(std::hint::black_box(net.embed(&pixels, side))));
    if gradients > 0 {
        rate("gradients", &|| drop(std::hint::black_box(net.gradients(&pixels, side, &at))));
    }
}
