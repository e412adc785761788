//! The scan in plain Rust.

use super::quantise::{Bound, OFFSET, QueryCodes};
use super::{BLOCK, GROUP};

pub(super) fn block_sums(codes: &[u8], group: &QueryCodes, sums: &mut [[i32; BLOCK]; GROUP]) {
    for (place, sums) in sums.iter_mut().enumerate().take(group.count) {
        sums.fill(0);
        for (codes, words) in
            codes.as_chunks::<{ BLOCK * 4 }>().0.iter().zip(group.words.chunks_exact(group.count))
        {
            let query = words[place].to_le_bytes().map(|byte| i32::from(byte as i8));
            for (sum, codes) in sums.iter_mut().zip(codes.as_chunks::<4>().0) {
                // At most 4 · 128 · 127 a step: MAX_DIMENSION keeps the sum far from its limit.
                let mut step = 0_i32;
                for (code, query) in codes.iter().zip(query) {
                    step = step.wrapping_add((i32::from(*code) - OFFSET).wrapping_mul(query));
                }
                *sum = sum.wrapping_add(step);
            }
        }
    }
}

pub(super) fn reaching(
    sums: &[i32; BLOCK],
    scales: &[f32; BLOCK],
    errors: &[f32; BLOCK],
    bound: &Bound,
    threshold: f32,
) -> u64 {
    let mut mask = 0;
    for lane in 0..BLOCK {
        let (middle, radius) = bound.interval(sums[lane], scales[lane], errors[lane]);
        mask |= u64::from(middle + radius >= threshold) << lane;
    }
    mask
}
