//! The machine's arithmetic limit: rates of register-only multiply-add loops, to state others' rates as a share
//! of: `peak [SECONDS a window] [WINDOWS]`.
//!
//! Prints rows `precision,instruction,threads,window,gflops`, a multiply-add counted as two operations. The
//! accumulators are independent and nothing is loaded or stored, so a row is bounded by the multiply-add units and
//! the clock alone. A row of bf16 is left out where there is no such instruction; `f16` stands beside it where there is
//! one, since some processors run bf16 products at the rate of f32.

#![allow(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Rounds between two looks at the clock.
const ROUNDS: usize = 20_000;

/// One loop: `run` does `ROUNDS * operations` operations.
struct Kernel {
    precision: &'static str,
    instruction: &'static str,
    operations: usize,
    run: fn(),
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(0.3, |text| text.parse().expect("seconds"));
    let windows = arguments.next().map_or(5, |text| text.parse().expect("a number of windows"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("precision,instruction,threads,window,gflops");
    for window in 0..windows {
        for kernel in kernels() {
            for threads in [1, 2].into_iter().filter(|threads| *threads <= cores) {
                let gflops = rate(&kernel, threads, Duration::from_secs_f64(seconds));
                let Kernel { precision, instruction, .. } = kernel;
                println!("{precision},{instruction},{threads},{window},{gflops:.1}");
            }
        }
    }
}

/// Billions of operations a second of all threads together.
fn rate(kernel: &Kernel, threads: usize, window: Duration) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || {
        (kernel.run)();
        barrier.wait();
        let start = Instant::now();
        let mut done = 0_u64;
        while start.elapsed() < window {
            (kernel.run)();
            done += (ROUNDS * kernel.operations) as u64;
        }
        done as f64 / start.elapsed().as_secs_f64()
    };
    let total: f64 = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).sum()
    });
    total / 1e9
}

#[cfg(target_arch = "x86_64")]
fn kernels() -> Vec<Kernel> {
    let mut list = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        list.push(Kernel {
            precision: "f32",
            instruction: "vfmadd zmm",
            operations: x86::MANY * 16 * 2,
            // SAFETY: AVX-512F was found.
            run: || unsafe { x86::avx512() },
        });
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        list.push(Kernel {
            precision: "f32",
            instruction: "vfmadd ymm",
            operations: x86::FEW * 8 * 2,
            // SAFETY: AVX2 and FMA were found.
            run: || unsafe { x86::avx2() },
        });
    } else {
        list.push(PORTABLE);
    }
    if is_x86_feature_detected!("avx512bf16") {
        list.push(Kernel {
            precision: "bf16",
            instruction: "vdpbf16ps zmm",
            operations: x86::MANY * 32 * 2,
            // SAFETY: AVX-512 BF16 was found.
            run: || unsafe { x86::avx512_bf16() },
        });
    }
    if is_x86_feature_detected!("avx512fp16") {
        list.push(Kernel {
            precision: "f16",
            instruction: "vfmadd ph zmm",
            operations: x86::MANY * 32 * 2,
            // SAFETY: AVX-512 FP16 was found.
            run: || unsafe { x86::avx512_fp16() },
        });
    }
    list
}

#[cfg(not(target_arch = "x86_64"))]
fn kernels() -> Vec<Kernel> {
    vec![PORTABLE]
}

/// What a compiler makes of plain Rust, a floor rather than a limit.
const PORTABLE: Kernel =
    Kernel { precision: "f32", instruction: "portable", operations: 64 * 2, run: portable };

fn portable() {
    let (factor, addend) = (black_box(0.999_f32), black_box(0.001_f32));
    let mut sums = [0.0_f32; 64];
    for _ in 0..ROUNDS {
        sums.iter_mut().for_each(|sum| *sum = *sum * factor + addend);
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::ROUNDS;

    /// Accumulators where there are 32 registers, and where there are 16.
    pub(super) const MANY: usize = 28;
    pub(super) const FEW: usize = 14;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512() {
        let factor = _mm512_set1_ps(black_box(0.999));
        let addend = _mm512_set1_ps(black_box(0.001));
        let mut sums = [addend; MANY];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, addend);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2() {
        let factor = _mm256_set1_ps(black_box(0.999));
        let addend = _mm256_set1_ps(black_box(0.001));
        let mut sums = [addend; FEW];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, addend);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn avx512_bf16() {
        let wide = |value| _mm512_set1_ps(black_box(value));
        let factor = _mm512_cvtne2ps_pbh(wide(1.0), wide(1.0));
        let step = _mm512_cvtne2ps_pbh(wide(0.001), wide(0.001));
        let mut sums = [wide(0.001); MANY];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, factor, step);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512fp16")]
    pub(super) fn avx512_fp16() {
        // Halves of 0.5, as integers: the type of half floats is not stable, its instructions are reached by name.
        let half = _mm512_set1_epi16(black_box(0x3800));
        let mut sums = [half; MANY];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                // SAFETY: reads and writes registers only; AVX-512 FP16 is enabled.
                unsafe {
                    asm!("vfmadd213ph {0}, {1}, {1}", inout(zmm_reg) *sum, in(zmm_reg) half,
                         options(pure, nomem, nostack, preserves_flags));
                }
            }
        }
        black_box(sums);
    }
}
