//! One training step: loss and gradients of a batch, whole or in micro-batches.
//!
//! InfoNCE sees all photos of the batch at once, so plain accumulation over micro-batches would
//! change the loss. Gradient caching (Gao et al., "Scaling deep contrastive learning batch size
//! under memory limited setup", 2021) does not: embed everything and keep nothing, take the loss's
//! gradient at the embeddings, then embed again micro-batch by micro-batch and pull that gradient
//! through. It is exact here, since no layer looks across the batch and stochastic depth draws the
//! same mask both times.

mod graph;
mod kernels;

use std::ops::Range;

use sbir_encoder::{Encoder, EncoderConfig, Net};

use crate::gradients::Gradients;
use crate::loss::LossOptions;

/// What a step needs beside the batch.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// The loss.
    pub loss: LossOptions,
    /// Pairs of which everything that a backward pass needs is kept at once; the whole batch where it is no larger.
    pub micro_batch: usize,
    /// Bytes that the CPU's kernels may keep from the forward to the backward pass; what does not fit is computed
    /// again.
    pub memory: u64,
    /// Probability of dropping the last block's branch; 0 for none.
    pub stochastic_depth: f64,
    /// Seed of the run.
    pub seed: u64,
}

/// A batch on the host.
#[derive(Clone, Debug)]
pub struct HostBatch {
    /// `[pairs, 3, side, side]`, row-major.
    pub sketches: Vec<f32>,
    /// `[pairs, 3, side, side]`, row-major.
    pub photos: Vec<f32>,
    /// One key per pair: equal keys are never each other's negatives.
    pub keys: Vec<u64>,
    /// Height and width of the images.
    pub side: usize,
}

impl HostBatch {
    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.keys.len()
    }

    /// Some of one tower's images: tower 0 holds the sketches, tower 1 the photos.
    ///
    /// # Shapes
    /// - output: `[range.len(), 3, side, side]`
    fn images(&self, tower: u64, range: &Range<usize>) -> &[f32] {
        let source = if tower == 0 { &self.sketches } else { &self.photos };
        let image = 3 * self.side * self.side;
        &source[range.start * image..range.end * image]
    }

    /// Ranges of pairs of at most `micro_batch`.
    fn chunks(&self, micro_batch: usize) -> Vec<Range<usize>> {
        let pairs = self.pairs();
        let starts = (0..pairs).step_by(micro_batch);
        starts.map(|start| start..(start + micro_batch).min(pairs)).collect()
    }
}

/// Loss of `batch`; adds its gradient with respect to every parameter to `gradients`.
///
/// `step` is the number of optimiser steps taken before this one; stochastic depth draws from it.
///
/// # Panics
/// Where `gradients` are those of another model.
pub fn loss_and_gradients(
    encoder: &Encoder,
    batch: &HostBatch,
    step: u64,
    options: &StepOptions,
    gradients: &mut Gradients,
) -> f32 {
    match (encoder.config(), encoder.net(), gradients) {
        (EncoderConfig::ConvNext(config), Some(Net::ConvNext(net)), Gradients::Host(gradients)) => {
            let parameters = encoder.parameters().slices().expect("where the kernels compute");
            kernels::convnext(config, &parameters, net, batch, step, options, gradients)
        }
        (_, Some(Net::Lite(net)), Gradients::Host(gradients)) => {
            kernels::lite(encoder, net, batch, options, gradients)
        }
        (_, _, gradients) => graph::run(encoder, batch, step, options, gradients),
    }
}
