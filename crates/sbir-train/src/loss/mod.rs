//! Contrastive losses over a batch of sketch–photo pairs.

mod host;

pub use host::{Contrast, contrast};

use burn_tensor::{Device, Tensor, TensorData, activation};

/// Added to a logit that must not count as a negative; far below any cosine over a temperature, and
/// finite, so that zero times it stays zero.
const EXCLUDED: f32 = -1e30;

/// What the loss is made of. The default is the origin's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossOptions {
    /// Temperature of the softmax.
    pub temperature: f64,
    /// Share of the target that is spread over all photos that may count, the right one included (Szegedy et al.,
    /// "Rethinking the inception architecture", 2016).
    pub label_smoothing: f64,
    /// Whether photos look for their sketches too; the loss is then the mean of both ways.
    pub both_ways: bool,
}

impl Default for LossOptions {
    fn default() -> Self {
        Self { temperature: 0.05, label_smoothing: 0.0, both_ways: false }
    }
}

/// InfoNCE (van den Oord et al., 2018), by default one way, as the origin has it: each sketch is a query whose own
/// photo must win a softmax over the batch's photos; the mean of the cross-entropies.
///
/// # Shapes
/// - `sketches`, `photos`: `[pairs, width]`, rows of unit length, row `i` of both being pair `i`
/// - `keys`: one per pair; equal keys are never each other's negatives
/// - output: `[1]`
pub fn info_nce(
    sketches: Tensor<2>,
    photos: Tensor<2>,
    keys: &[u64],
    options: &LossOptions,
) -> Tensor<1> {
    let device = sketches.device();
    let pairs = keys.len();
    let mut logits = sketches.matmul(photos.transpose()) / options.temperature;
    if let Some(exclusions) = exclusions(keys, &device) {
        logits = logits + exclusions;
    }
    let targets = targets(keys, options.label_smoothing);
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [pairs, pairs]), &device);
    // Keys are equal both ways, so exclusions and targets are their own transposes.
    let one_way = |logits: Tensor<2>| {
        (activation::log_softmax(logits, 1) * targets.clone()).sum() / -(pairs as f64)
    };
    if options.both_ways {
        (one_way(logits.clone()) + one_way(logits.transpose())) / 2.0
    } else {
        one_way(logits)
    }
}

/// How much of each row's target lies where: `[pairs, pairs]`, rows of sum 1.
fn targets(keys: &[u64], smoothing: f64) -> Vec<f32> {
    let pairs = keys.len();
    let mut targets = vec![0.0; pairs * pairs];
    for (row, own) in keys.iter().enumerate() {
        let counts = |column: usize| column == row || keys[column] != *own;
        let share = smoothing / (0..pairs).filter(|&column| counts(column)).count() as f64;
        for column in (0..pairs).filter(|&column| counts(column)) {
            let rest = if column == row { 1.0 - smoothing } else { 0.0 };
            targets[row * pairs + column] = (rest + share) as f32;
        }
    }
    targets
}

/// What to add to the logits so that no photo with a query's own label (or the very same photo)
/// counts as its negative. `None` where every key is another one.
///
/// # Shapes
/// - `keys`: one per pair; equal keys are never each other's negatives
/// - output: `[pairs, pairs]`
fn exclusions(keys: &[u64], device: &Device) -> Option<Tensor<2>> {
    let pairs = keys.len();
    let mut any = false;
    let mut mask = vec![0.0f32; pairs * pairs];
    for (row, own) in keys.iter().enumerate() {
        for (column, other) in keys.iter().enumerate() {
            if row != column && own == other {
                mask[row * pairs + column] = EXCLUDED;
                any = true;
            }
        }
    }
    any.then(|| Tensor::from_data(TensorData::new(mask, [pairs, pairs]), device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sbir_encoder::to_host;

    fn unit_rows(values: &[[f32; 2]]) -> Tensor<2> {
        let rows: Vec<f32> = values
            .iter()
            .flat_map(|[x, y]| {
                let length = x.hypot(*y);
                [x / length, y / length]
            })
            .collect();
        Tensor::from_data(TensorData::new(rows, [values.len(), 2]), &Device::flex())
    }

    /// The definition, in double precision.
    pub(super) fn twin(
        from: &[f32],
        to: &[f32],
        keys: &[u64],
        temperature: f64,
        smoothing: f64,
    ) -> f64 {
        let count = keys.len();
        let logit = |i: usize, j: usize| -> f64 {
            let product = |d| f64::from(from[2 * i + d]) * f64::from(to[2 * j + d]);
            (0..2).map(product).sum::<f64>() / temperature
        };
        let mut total = 0.0;
        for i in 0..count {
            let rivals: Vec<usize> = (0..count).filter(|&j| i == j || keys[i] != keys[j]).collect();
            let sum: f64 = rivals.iter().map(|&j| logit(i, j).exp()).sum();
            let surprise = |j: usize| sum.ln() - logit(i, j);
            total += (1.0 - smoothing) * surprise(i);
            total +=
                smoothing * rivals.iter().map(|&j| surprise(j)).sum::<f64>() / rivals.len() as f64;
        }
        total / count as f64
    }

    #[test]
    fn matches_its_definition_in_every_form() {
        let sketches = unit_rows(&[[1.0, 0.1], [0.2, 1.0], [-1.0, 0.3], [0.4, -0.9]]);
        let photos = unit_rows(&[[0.9, 0.3], [0.1, 0.8], [-0.7, 0.7], [0.6, -0.5]]);
        let (from, to) = (to_host(&sketches), to_host(&photos));
        for keys in [[0, 1, 2, 3], [5, 5, 2, 3], [1, 1, 1, 1]] {
            assert_eq!(exclusions(&keys, &Device::flex()).is_none(), keys == [0, 1, 2, 3]);
            for label_smoothing in [0.0, 0.1] {
                for both_ways in [false, true] {
                    let options = LossOptions { temperature: 0.05, label_smoothing, both_ways };
                    let loss = info_nce(sketches.clone(), photos.clone(), &keys, &options);
                    let forth = twin(&from, &to, &keys, 0.05, label_smoothing);
                    let back = twin(&to, &from, &keys, 0.05, label_smoothing);
                    let expected = if both_ways { (forth + back) / 2.0 } else { forth };
                    let loss = to_host(&loss)[0];
                    let off = (f64::from(loss) - expected).abs();
                    assert!(off < 1e-5 * expected.max(1.0), "{keys:?}: {loss} {expected}");
                }
            }
        }
    }

    #[test]
    fn is_one_way_by_default() {
        let sketches = unit_rows(&[[1.0, 0.1], [0.2, 1.0]]);
        let photos = unit_rows(&[[0.9, 0.3], [1.0, 0.0]]);
        let loss = |from: &Tensor<2>, to: &Tensor<2>| {
            to_host(&info_nce(from.clone(), to.clone(), &[0, 1], &LossOptions::default()))[0]
        };
        let (forth, back) = (loss(&sketches, &photos), loss(&photos, &sketches));
        assert!((forth - back).abs() > 0.1, "{forth} {back}");
    }
}
