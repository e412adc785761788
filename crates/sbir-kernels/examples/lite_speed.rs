//! Pictures a second of EfficientNet-Lite0: `lite_speed SIDE BATCH THREADS`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Instant;

use sbir_kernels::lite::{LiteNet, LiteSpec, LiteWeights};

fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (side, batch, threads) = (next(224), next(16), next(2));
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
    let rate = |name: &str, work: &dyn Fn()| {
        work();
        let mut rates: Vec<f64> = (0..5)
            .map(|_| {
                let start = Instant::now();
                work();
                batch as f64 / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!("{name},{side},{batch},{threads},{:.1}", rates[2]);
    };
    rate("embed", &|| drop(std::hint::black_box(net.embed(&pixels, side))));
    rate("gradients", &|| drop(std::hint::black_box(net.gradients(&pixels, side, &at))));
}
