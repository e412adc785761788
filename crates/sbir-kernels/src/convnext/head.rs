//! From the last feature map to embeddings: mean over the plane, LayerNorm and projection where there are any, unit length.
//! Plain Rust in f32: it is a few thousandths of the network.

use super::rows::Rows;
use crate::panels::lanes::Lanes;

/// `torch.nn.functional.normalize`'s epsilon.
const LENGTH_EPSILON: f32 = 1e-12;

/// LayerNorm and projection.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) norm: Vec<f32>,
    pub(super) norm_bias: Vec<f32>,
    /// `[width, channels]`.
    pub(super) projection: Vec<f32>,
}

/// What the head's backward pass needs of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadTape {
    /// `[channels]`, before LayerNorm.
    pub(super) pooled: Vec<f32>,
    /// `[width]`, of unit length.
    pub(super) embedding: Vec<f32>,
    /// Before normalisation.
    pub(super) length: f32,
}

fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = x.iter().sum::<f32>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

impl Head {
    /// Embeds the picture whose map, `[panels, pixels, PANEL]`, is given.
    pub(super) fn forward<L: Lanes>(&self, rows: &Rows<'_>, map: &[f32], epsilon: f32) -> HeadTape {
        let pixels = rows.plane.pixels();
        let mut pooled = vec![0.0; rows.panels::<L>() * L::PANEL];
        for (panel, sums) in
            map.chunks_exact(pixels * L::PANEL).zip(pooled.chunks_exact_mut(L::PANEL))
        {
            for pixel in panel.chunks_exact(L::PANEL) {
                sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
            }
            sums.iter_mut().for_each(|sum| *sum /= pixels as f32);
        }
        pooled.truncate(rows.channels);
        let mut embedding = if self.projection.is_empty() {
            pooled.clone()
        } else {
            let normalised = self.normalised(&pooled, epsilon);
            self.projection.chunks_exact(rows.channels).map(|row| dot(row, &normalised)).collect()
        };
        let length = dot(&embedding, &embedding).sqrt().max(LENGTH_EPSILON);
        embedding.iter_mut().for_each(|x| *x /= length);
        HeadTape { pooled, embedding, length }
    }

    fn normalised(&self, pooled: &[f32], epsilon: f32) -> Vec<f32> {
        let (mean, scale) = moments(pooled, epsilon);
        let affine = self.norm.iter().zip(&self.norm_bias);
        pooled.iter().zip(affine).map(|(x, (w, b))| (x - mean) * scale * w + b).collect()
    }

    /// Gradient at the pooled features from that at the embedding; adds to the head's own gradients: norm's weight
    /// and bias, projection.
    pub(super) fn pull(
        &self,
        tape: &HeadTape,
        at_embedding: &[f32],
        epsilon: f32,
        gradients: &mut [Vec<f32>],
    ) -> Vec<f32> {
        let HeadTape { pooled, embedding, length } = tape;
        // Beyond epsilon, normalisation takes away what lies along the embedding.
        let along = if *length > LENGTH_EPSILON { dot(embedding, at_embedding) } else { 0.0 };
        let at: Vec<f32> =
            at_embedding.iter().zip(embedding).map(|(g, e)| (g - along * e) / length).collect();
        if self.projection.is_empty() {
            return at;
        }
        let channels = pooled.len();
        let normalised = self.normalised(pooled, epsilon);
        let (mean, scale) = moments(pooled, epsilon);
        let mut at_normalised = vec![0.0; channels];
        let rows = self.projection.chunks_exact(channels);
        for ((g, row), gradient) in at.iter().zip(rows).zip(gradients[2].chunks_exact_mut(channels))
        {
            at_normalised.iter_mut().zip(row).for_each(|(sum, w)| *sum += g * w);
            gradient.iter_mut().zip(&normalised).for_each(|(sum, x)| *sum += g * x);
        }
        let standard: Vec<f32> = pooled.iter().map(|x| (x - mean) * scale).collect();
        for (i, g) in at_normalised.iter_mut().enumerate() {
            gradients[0][i] += *g * standard[i];
            gradients[1][i] += *g;
            *g *= self.norm[i];
        }
        let count = channels as f32;
        let average = at_normalised.iter().sum::<f32>() / count;
        let along = dot(&at_normalised, &standard) / count;
        at_normalised
            .iter()
            .zip(&standard)
            .map(|(g, x)| scale * (g - average - along * x))
            .collect()
    }
}
