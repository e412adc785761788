//! InfoNCE and its gradient at the embeddings, on the host.

use rayon::prelude::*;

use super::LossOptions;

/// Products that a dot product keeps apart, so that the compiler can use vector registers.
const LANES: usize = 16;

/// A batch's loss, and its gradient at the embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// The loss.
    pub loss: f32,
    /// `[pairs, width]`, row-major.
    pub at_sketches: Vec<f32>,
    /// `[pairs, width]`, row-major.
    pub at_photos: Vec<f32>,
}

/// What [`super::info_nce`] computes, with its gradient, without a graph. The same to the bit for any number of threads.
///
/// # Shapes
/// - `sketches`, `photos`: `[pairs, width]`, rows of unit length, row `i` of both being pair `i`
/// - `keys`: one per pair; equal keys are never each other's negatives
///
/// # Panics
/// Where the lengths do not fit each other.
pub fn contrast(sketches: &[f32], photos: &[f32], keys: &[u64], options: &LossOptions) -> Contrast {
    let pairs = keys.len();
    if pairs == 0 {
        return Contrast { loss: 0.0, at_sketches: Vec::new(), at_photos: Vec::new() };
    }
    let width = sketches.len() / pairs;
    assert_eq!(sketches.len(), pairs * width, "whole rows");
    assert_eq!(photos.len(), sketches.len(), "as many photos as sketches");
    let temperature = options.temperature as f32;
    let mut logits = vec![0.0; pairs * pairs];
    logits.par_chunks_mut(pairs).zip(sketches.par_chunks(width)).for_each(|(row, sketch)| {
        for (logit, photo) in row.iter_mut().zip(photos.chunks(width)) {
            *logit = dot(sketch, photo) / temperature;
        }
    });
    let (mut loss, mut at_logits) = cross_entropies(&logits, keys, options.label_smoothing);
    if options.both_ways {
        let (back, at_back) =
            cross_entropies(&transposed(&logits, pairs), keys, options.label_smoothing);
        loss = (loss + back) / 2.0;
        for (at, back) in at_logits.iter_mut().zip(transposed(&at_back, pairs)) {
            *at = (*at + back) / 2.0;
        }
    }
    Contrast {
        loss: loss as f32,
        at_sketches: product(&at_logits, photos, width, temperature),
        at_photos: product(&transposed(&at_logits, pairs), sketches, width, temperature),
    }
}

/// Mean of the rows' cross-entropies with their targets, and its gradient at the logits.
///
/// # Shapes
/// - `logits`, output: `[pairs, pairs]`; the target of row `i` is column `i`
fn cross_entropies(logits: &[f32], keys: &[u64], smoothing: f64) -> (f64, Vec<f32>) {
    let pairs = keys.len();
    let mut at_logits = vec![0.0; logits.len()];
    let losses: Vec<f64> = logits
        .par_chunks(pairs)
        .zip(at_logits.par_chunks_mut(pairs))
        .enumerate()
        .map(|(own, (row, at))| {
            let counts = |column: usize| column == own || keys[column] != keys[own];
            let rivals = || (0..pairs).filter(|&column| counts(column));
            let highest = rivals().map(|column| row[column]).fold(f32::NEG_INFINITY, f32::max);
            let highest = f64::from(highest);
            let sum: f64 = rivals().map(|column| (f64::from(row[column]) - highest).exp()).sum();
            let level = highest + sum.ln();
            let share = smoothing / rivals().count() as f64;
            let mut loss = 0.0;
            for column in rivals() {
                let surprise = level - f64::from(row[column]);
                let target = share + if column == own { 1.0 - smoothing } else { 0.0 };
                if target > 0.0 {
                    loss += target * surprise;
                }
                at[column] = (((-surprise).exp() - target) / pairs as f64) as f32;
            }
            loss
        })
        .collect();
    (losses.iter().sum::<f64>() / pairs as f64, at_logits)
}

/// `left · right / temperature`.
///
/// # Shapes
/// - `left`: `[pairs, pairs]`, `right`: `[pairs, width]`, output: `[pairs, width]`
fn product(left: &[f32], right: &[f32], width: usize, temperature: f32) -> Vec<f32> {
    let pairs = right.len() / width;
    let mut output = vec![0.0; right.len()];
    output.par_chunks_mut(width).zip(left.par_chunks(pairs)).for_each(|(output, factors)| {
        for (factor, row) in factors.iter().zip(right.chunks(width)) {
            let factor = factor / temperature;
            output.iter_mut().zip(row).for_each(|(output, value)| *output += factor * value);
        }
    });
    output
}

fn transposed(square: &[f32], side: usize) -> Vec<f32> {
    let columns = (0..side).map(|column| square[column..].iter().step_by(side));
    columns.flatten().copied().collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (heads, others) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = heads.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in heads.zip(others) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use burn_tensor::{Device, Tensor, TensorData};
    use sbir_encoder::{random, to_host};

    use super::super::{info_nce, tests::twin};
    use super::*;

    fn unit_rows(seed: u64, pairs: usize, width: usize) -> Vec<f32> {
        let draws = random::normals(seed, &[], pairs * width);
        let rows = draws.chunks(width).flat_map(|row| {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(move |x| (x / length) as f32)
        });
        rows.collect()
    }

    fn every_form() -> impl Iterator<Item = LossOptions> {
        [(0.05, 0.0, false), (0.05, 0.1, false), (0.2, 0.0, true), (0.05, 0.3, true)]
            .into_iter()
            .map(|(temperature, label_smoothing, both_ways)| LossOptions {
                temperature,
                label_smoothing,
                both_ways,
            })
    }

    /// Keys that are all apart, partly the same, and all the same.
    const KEYS: [[u64; 7]; 3] = [[0, 1, 2, 3, 4, 5, 6], [5, 5, 2, 3, 2, 5, 9], [1; 7]];

    #[test]
    fn loss_and_gradients_are_those_of_the_graph() {
        let (pairs, width) = (7, 37);
        let (sketches, photos) = (unit_rows(1, pairs, width), unit_rows(2, pairs, width));
        for keys in KEYS {
            for options in every_form() {
                let leaf = |values: &[f32]| {
                    let data = TensorData::new(values.to_vec(), [pairs, width]);
                    Tensor::<2>::from_data(data, &Device::flex()).autodiff().require_grad()
                };
                let leaves = [leaf(&sketches), leaf(&photos)];
                let loss = info_nce(leaves[0].clone(), leaves[1].clone(), &keys, &options);
                let mut graph = loss.backward();
                let found = contrast(&sketches, &photos, &keys, &options);
                let expected = to_host(&loss)[0];
                assert!((found.loss - expected).abs() <= 1e-5 * expected.max(1.0), "{options:?}");
                for (leaf, found) in leaves.iter().zip([&found.at_sketches, &found.at_photos]) {
                    let expected = to_host(&leaf.grad_remove(&mut graph).unwrap());
                    let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                    for (a, b) in found.iter().zip(&expected) {
                        assert!(
                            (a - b).abs() <= 1e-5 * largest + 1e-7,
                            "{keys:?} {options:?}: {a} {b}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences_of_the_definition() {
        let pairs = 7;
        let (sketches, photos) = (unit_rows(3, pairs, 2), unit_rows(4, pairs, 2));
        let step = 1.0 / 1024.0;
        for keys in KEYS {
            for options in every_form() {
                let value = |sketches: &[f32], photos: &[f32]| {
                    let LossOptions { temperature, label_smoothing, both_ways } = options;
                    let forth = twin(sketches, photos, &keys, temperature, label_smoothing);
                    let back = twin(photos, sketches, &keys, temperature, label_smoothing);
                    if both_ways { (forth + back) / 2.0 } else { forth }
                };
                let found = contrast(&sketches, &photos, &keys, &options);
                let loss = value(&sketches, &photos);
                assert!((f64::from(found.loss) - loss).abs() <= 1e-5 * loss.max(1.0));
                for place in 0..2 * pairs {
                    let moved = |values: &[f32], by: f32| {
                        let mut values = values.to_vec();
                        values[place] += by;
                        values
                    };
                    let slope = |up: f64, down: f64| (up - down) / (2.0 * f64::from(step));
                    let at_sketch = slope(
                        value(&moved(&sketches, step), &photos),
                        value(&moved(&sketches, -step), &photos),
                    );
                    let at_photo = slope(
                        value(&sketches, &moved(&photos, step)),
                        value(&sketches, &moved(&photos, -step)),
                    );
                    let pairs =
                        [(found.at_sketches[place], at_sketch), (found.at_photos[place], at_photo)];
                    for (found, expected) in pairs {
                        let off = (f64::from(found) - expected).abs();
                        assert!(off <= 2e-3 * expected.abs().max(0.1), "{found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_lost_by_nothing_and_nan_stays_nan() {
        let options = LossOptions::default();
        assert_eq!(contrast(&[], &[], &[], &options).loss, 0.0);
        let alone = contrast(&[0.6, 0.8], &[1.0, 0.0], &[3], &options);
        assert_eq!(
            alone,
            Contrast { loss: 0.0, at_sketches: vec![0.0; 2], at_photos: vec![0.0; 2] }
        );
        assert!(contrast(&[f32::NAN, 0.0, 1.0, 0.0], &[1.0; 4], &[1, 2], &options).loss.is_nan());
    }
}
