//! Contrastive losses over a batch of sketch–photo pairs.

use burn_tensor::{Device, Tensor, TensorData, activation};

/// Added to a logit that must not count as a negative; far below any cosine over a temperature, and
/// finite, so that zero times it stays zero.
const EXCLUDED: f32 = -1e30;

/// InfoNCE (van den Oord et al., 2018) one way, as the origin has it: each sketch is a query whose
/// own photo must win a softmax over the batch's photos; the mean of the cross-entropies.
///
/// # Shapes
/// - `sketches`, `photos`: `[pairs, width]`, rows of unit length, row `i` of both being pair `i`
/// - `exclusions`: `[pairs, pairs]`, see [`exclusions`]
/// - output: `[1]`
pub fn info_nce(
    sketches: Tensor<2>,
    photos: Tensor<2>,
    temperature: f64,
    exclusions: Option<Tensor<2>>,
) -> Tensor<1> {
    let [pairs, _] = sketches.dims();
    let device = sketches.device();
    let mut logits = sketches.matmul(photos.transpose()) / temperature;
    if let Some(exclusions) = exclusions {
        logits = logits + exclusions;
    }
    let log_probabilities = activation::log_softmax(logits, 1);
    let diagonal = Tensor::<2>::eye(pairs, &device);
    (log_probabilities * diagonal).sum() / -(pairs as f64)
}

/// What to add to the logits so that no photo with a query's own label (or the very same photo)
/// counts as its negative. `None` where every key is another one.
///
/// # Shapes
/// - `keys`: one per pair; equal keys are never each other's negatives
/// - output: `[pairs, pairs]`
pub fn exclusions(keys: &[u64], device: &Device) -> Option<Tensor<2>> {
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
    fn twin(sketches: &[f32], photos: &[f32], temperature: f64, keys: &[u64]) -> f64 {
        let count = keys.len();
        let cosine = |i: usize, j: usize| -> f64 {
            (0..2).map(|d| f64::from(sketches[2 * i + d]) * f64::from(photos[2 * j + d])).sum()
        };
        let mut total = 0.0;
        for i in 0..count {
            let sum: f64 = (0..count)
                .filter(|&j| i == j || keys[i] != keys[j])
                .map(|j| (cosine(i, j) / temperature).exp())
                .sum();
            total += sum.ln() - cosine(i, i) / temperature;
        }
        total / count as f64
    }

    #[test]
    fn matches_its_definition_with_and_without_exclusions() {
        let sketches = unit_rows(&[[1.0, 0.1], [0.2, 1.0], [-1.0, 0.3], [0.4, -0.9]]);
        let photos = unit_rows(&[[0.9, 0.3], [0.1, 0.8], [-0.7, 0.7], [0.6, -0.5]]);
        for keys in [[0, 1, 2, 3], [5, 5, 2, 3], [1, 1, 1, 1]] {
            let mask = exclusions(&keys, &Device::flex());
            assert_eq!(mask.is_none(), keys == [0, 1, 2, 3]);
            let loss = to_host(&info_nce(sketches.clone(), photos.clone(), 0.05, mask))[0];
            let expected = twin(&to_host(&sketches), &to_host(&photos), 0.05, &keys);
            assert!((f64::from(loss) - expected).abs() < 1e-5, "{keys:?}: {loss} {expected}");
        }
    }

    #[test]
    fn is_one_way() {
        let sketches = unit_rows(&[[1.0, 0.1], [0.2, 1.0]]);
        let photos = unit_rows(&[[0.9, 0.3], [1.0, 0.0]]);
        let forward = to_host(&info_nce(sketches.clone(), photos.clone(), 0.05, None))[0];
        let backward = to_host(&info_nce(photos, sketches, 0.05, None))[0];
        assert!((forward - backward).abs() > 0.1, "{forward} {backward}");
    }
}
