//! How much of a batch is kept from the forward to the backward pass.

use sbir_encoder::{Encoder, EncoderConfig, Net};

/// The most that is taken unasked: with weights, moments, decoded pictures and 60 pairs of ConvNeXt-Small at 224² a
/// run stays below 8 GB.
const MOST: u64 = 4 << 30;
/// The least, where hardly anything seems free.
const LEAST: u64 = 256 << 20;

/// Bytes for what the CPU's kernels keep from the forward to the backward pass: half of what is free, from 256 MiB to
/// 4 GiB.
pub fn default_memory() -> u64 {
    free().map_or(MOST, |free| (free / 2).clamp(LEAST, MOST))
}

/// Bytes that this process could take without swapping, as far as the system (Linux) tells.
fn free() -> Option<u64> {
    let available = available(&fs_err::read_to_string("/proc/meminfo").ok()?)?;
    let limit = fs_err::read_to_string("/sys/fs/cgroup/memory.max").ok();
    // Without a limit the file says "max".
    let limit = limit.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(available.min(limit))
}

/// `MemAvailable` of /proc/meminfo, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Pairs of `side`² pictures of a batch of `batch_size` of which everything that a backward pass needs is kept at
/// once.
///
/// On the CPU as many as fit `memory` with the least that has to be kept, in parts of equal size, and at most
/// `asked`. In a graph as many as asked for, or as take about 4 GB.
pub fn micro_batch(
    encoder: &Encoder,
    side: usize,
    batch_size: usize,
    asked: Option<usize>,
    memory: u64,
) -> usize {
    match encoder.net() {
        // The kernels take few pictures at once by themselves.
        Some(Net::Lite(_)) => batch_size,
        Some(Net::ConvNext(net)) => {
            let most = batch_size.min(asked.unwrap_or(usize::MAX)).max(1);
            let fits = |pairs: usize| net.tape_bytes([2 * pairs, side, side])[0] <= memory;
            even_part(batch_size, largest(most, fits))
        }
        None => asked.unwrap_or_else(|| graph_pairs(encoder.config(), side)),
    }
}

/// The largest number from 1 to `most` that `fits`, which holds for all smaller ones too; 1 where none does.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The size of the parts of `whole` when it is cut into as few as possible of at most `part`.
fn even_part(whole: usize, part: usize) -> usize {
    whole.div_ceil(whole.div_ceil(part).max(1)).max(1)
}

/// Pairs of `side`² pictures whose graph should take about 4 GB.
fn graph_pairs(encoder: &EncoderConfig, side: usize) -> usize {
    const LITE: usize = 32;
    let EncoderConfig::ConvNext(encoder) = encoder else { return LITE };
    /// Values that a block's graph holds for each value of its input, counted from the operations that keep
    /// their input. It errs on the safe side: ConvNeXt-Small at 224² with batches of 60 was seen to peak at 2.0 GB.
    const VALUES_PER_INPUT: usize = 26;
    const BUDGET: usize = 4 << 30;
    let mut values = 0;
    for (stage, (&depth, &width)) in encoder.depths.iter().zip(&encoder.dims).enumerate() {
        let plane = (side >> (stage + 2)).pow(2);
        values += plane * width * (depth * VALUES_PER_INPUT + 6);
    }
    let bytes_per_pair = 2 * 4 * values.max(1);
    (BUDGET / bytes_per_pair).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_fits_is_found() {
        for most in 1..20 {
            for limit in 0..22 {
                let expected = limit.clamp(1, most);
                assert_eq!(largest(most, |pairs| pairs <= limit), expected, "{most} {limit}");
            }
        }
    }

    #[test]
    fn parts_are_even_and_no_larger() {
        assert_eq!(even_part(60, 60), 60);
        assert_eq!(even_part(60, 40), 30);
        assert_eq!(even_part(60, 29), 20);
        assert_eq!(even_part(7, 3), 3);
        assert_eq!(even_part(1, 1), 1);
    }

    #[test]
    fn free_memory_is_read() {
        let text = "MemTotal:  24 kB\nMemFree:  1 kB\nMemAvailable:   21504 kB\nBuffers: 0 kB\n";
        assert_eq!(available(text), Some(21504 << 10));
        assert_eq!(available("MemTotal: 3 kB"), None);
        assert_eq!(available("MemAvailable: many kB"), None);
        assert!((LEAST..=MOST).contains(&default_memory()));
    }
}
