//! Random numbers that are functions of their place.
//!
//! Nothing here has a state that a checkpoint would have to keep: a number is drawn from a seed and
//! a list of coordinates (step, tower, block, sample), so a resumed run draws what the unbroken run
//! would have drawn, and micro-batches draw what the whole batch would have.

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 64 random bits at `coordinates`.
pub fn bits(seed: u64, coordinates: &[u64]) -> u64 {
    coordinates.iter().fold(mix(seed ^ 0x9E37_79B9_7F4A_7C15), |state, &coordinate| {
        mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_add(mix(coordinate)))
    })
}

/// A number in `[0, 1)` at `coordinates`, with 53 random bits.
pub fn uniform(seed: u64, coordinates: &[u64]) -> f64 {
    (bits(seed, coordinates) >> 11) as f64 / (1u64 << 53) as f64
}

/// `count` standard normal numbers at `coordinates` (Box and Muller, 1958).
pub fn normals(seed: u64, coordinates: &[u64], count: usize) -> Vec<f64> {
    let base = bits(seed, coordinates);
    (0..count as u64)
        .map(|index| {
            let pair = index / 2;
            let radius = (-2.0 * (1.0 - uniform(base, &[pair, 0])).ln()).sqrt();
            let angle = std::f64::consts::TAU * uniform(base, &[pair, 1]);
            radius * if index % 2 == 0 { angle.cos() } else { angle.sin() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_told_apart() {
        let mut seen = std::collections::HashSet::new();
        for a in 0..20 {
            for b in 0..20 {
                assert!(seen.insert(bits(7, &[a, b])), "{a} {b}");
            }
        }
        assert_ne!(bits(7, &[1, 2]), bits(7, &[2, 1]));
        assert_ne!(bits(7, &[1]), bits(7, &[1, 0]));
        assert_ne!(bits(7, &[1]), bits(8, &[1]));
    }

    #[test]
    fn moments_are_right() {
        // Bounds of more than four standard errors.
        let draws = normals(3, &[5], 400_000);
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.007, "{mean}");
        assert!((variance - 1.0).abs() < 0.01, "{variance}");
        let mean = (0..20_000).map(|i| uniform(1, &[i])).sum::<f64>() / 20_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
