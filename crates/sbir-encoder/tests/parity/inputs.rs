//! The made-up pictures of scripts/parity/encoder.py, made again.

/// The first `count` outputs of SplitMix64 whose state starts at `seed`, as integers in [-2^19, 2^19).
fn signed20(seed: u64, count: usize) -> Vec<i64> {
    (1..=count as u64)
        .map(|index| {
            let mut z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 44) as i64 - (1 << 19)
        })
        .collect()
}

/// Which picture of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its coarse pattern is the same in all channels.
    Sketch,
    /// Its coarse pattern differs by channel.
    Photo,
}

/// One picture, `[3, height, width]`, with values in [-2, 2) that are exact in f32.
fn image(pair: u64, kind: Kind, height: usize, width: usize) -> Vec<f32> {
    let coarse = signed20(1000 + pair, 3 * 8 * 8);
    let fine = signed20(2_000_000 + 2 * pair + kind as u64, 3 * height * width);
    let mut pixels = Vec::with_capacity(fine.len());
    for channel in 0..3 {
        let pattern = if kind == Kind::Sketch { 0 } else { channel };
        for row in 0..height {
            for column in 0..width {
                let block = pattern * 64 + (row * 8 / height) * 8 + column * 8 / width;
                let noise = fine[(channel * height + row) * width + column];
                pixels.push((3 * coarse[block] + noise) as f32 / (1 << 20) as f32);
            }
        }
    }
    pixels
}

/// Pictures of pairs `first..first + count`, `[count, 3, height, width]`.
pub(crate) fn images(
    first: u64,
    count: usize,
    kind: Kind,
    height: usize,
    width: usize,
) -> Vec<f32> {
    (first..first + count as u64).flat_map(|pair| image(pair, kind, height, width)).collect()
}
