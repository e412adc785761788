//! One training step: loss and gradients of a batch, whole or in micro-batches.
//!
//! InfoNCE sees all photos of the batch at once, so plain accumulation over micro-batches would
//! change the loss. Gradient caching (Gao et al., "Scaling deep contrastive learning batch size
//! under memory limited setup", 2021) does not: embed everything without a graph, take the loss's
//! gradient at the embeddings, then embed again micro-batch by micro-batch with a graph and pull
//! that gradient through. It is exact here, since no layer looks across the batch and stochastic
//! depth draws the same mask both times.

use std::ops::Range;

use burn_tensor::{Device, Tensor, TensorData};
use sbir_encoder::{Encoder, LiteNet, Parameters, Pass, StochasticDepth, forward, to_host};

use crate::loss::{LossOptions, info_nce};

/// Every parameter is used by every forward pass, so a graph that lacks one is a programming error.
const TAKES_PART: &str = "every parameter takes part in the loss";

/// What a step needs beside the batch.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// The loss.
    pub loss: LossOptions,
    /// Pairs that are in a graph at once; the whole batch where it is no larger than this.
    pub micro_batch: usize,
    /// Probability of dropping the last block's branch; 0 for none.
    pub stochastic_depth: f64,
    /// Seed of the run.
    pub seed: u64,
    /// LayerNorm's epsilon, [`sbir_encoder::NORM_EPSILON`].
    pub norm_epsilon: f64,
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
    fn images(&self, tower: u64, range: &Range<usize>, device: &Device) -> Tensor<4> {
        let source = if tower == 0 { &self.sketches } else { &self.photos };
        let image = 3 * self.side * self.side;
        let values = source[range.start * image..range.end * image].to_vec();
        let shape = [range.len(), 3, self.side, self.side];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// Loss of `batch` and its gradient with respect to every parameter, in the parameters' order.
///
/// `step` is the number of optimiser steps taken before this one; stochastic depth draws from it.
pub fn loss_and_gradients(
    encoder: &Encoder,
    batch: &HostBatch,
    step: u64,
    options: &StepOptions,
) -> (f32, Vec<Tensor<1>>) {
    let (config, parameters, device) = (encoder.config(), encoder.parameters(), encoder.device());
    if let Some(net) = encoder.net() {
        return with_kernels(encoder, net, batch, options);
    }
    let tracked = parameters.tracked();
    let graph_device = device.clone().autodiff();
    let embed = |parameters: &Parameters, tower: u64, range: &Range<usize>, device: &Device| {
        let drop = StochasticDepth {
            probability: options.stochastic_depth,
            seed: options.seed,
            step,
            tower,
            first_sample: range.start as u64,
        };
        let pass = Pass { drop: Some(&drop), norm_epsilon: options.norm_epsilon };
        forward(config, parameters, batch.images(tower, range, device), pass)
    };
    let pairs = batch.pairs();
    if pairs <= options.micro_batch {
        let sketches = embed(&tracked, 0, &(0..pairs), &graph_device);
        let photos = embed(&tracked, 1, &(0..pairs), &graph_device);
        let loss = info_nce(sketches, photos, &batch.keys, &options.loss);
        let mut gradients = loss.backward();
        let value = to_host(&loss)[0];
        let collected = tracked
            .iter()
            .map(|parameter| parameter.value.grad_remove(&mut gradients).expect(TAKES_PART))
            .collect();
        return (value, collected);
    }

    let chunks: Vec<Range<usize>> = (0..pairs)
        .step_by(options.micro_batch)
        .map(|start| start..(start + options.micro_batch).min(pairs))
        .collect();
    let embed_all = |tower: u64| {
        let parts = chunks.iter().map(|chunk| embed(parameters, tower, chunk, device)).collect();
        Tensor::cat(parts, 0).autodiff().require_grad()
    };
    let (sketches, photos) = (embed_all(0), embed_all(1));
    let loss = info_nce(sketches.clone(), photos.clone(), &batch.keys, &options.loss);
    let mut at_embeddings = loss.backward();
    let value = to_host(&loss)[0];
    let mut total: Option<Vec<Tensor<1>>> = None;
    for (tower, embeddings) in [(0, sketches), (1, photos)] {
        let cached = embeddings.grad_remove(&mut at_embeddings).expect(TAKES_PART);
        for chunk in &chunks {
            let part = cached.clone().slice([chunk.clone()]).autodiff();
            let pulled = embed(&tracked, tower, chunk, &graph_device) * part;
            let mut gradients = pulled.sum().backward();
            let new = tracked
                .iter()
                .map(|parameter| parameter.value.grad_remove(&mut gradients).expect(TAKES_PART));
            total = Some(match total {
                Some(sums) => sums.into_iter().zip(new).map(|(sum, new)| sum + new).collect(),
                None => new.collect(),
            });
        }
    }
    (value, total.expect("a batch has at least one pair"))
}

/// The same through kernels of our own, which keep no graph: whatever the batch, a few pictures are
/// in memory at once.
fn with_kernels(
    encoder: &Encoder,
    net: &LiteNet,
    batch: &HostBatch,
    options: &StepOptions,
) -> (f32, Vec<Tensor<1>>) {
    let device = encoder.device();
    let towers = [&batch.sketches, &batch.photos];
    let embeddings = towers.map(|pixels| {
        let values = net.embed(pixels, batch.side);
        let shape = [batch.pairs(), encoder.width()];
        Tensor::<2>::from_data(TensorData::new(values, shape), device).autodiff().require_grad()
    });
    let [sketches, photos] = &embeddings;
    let loss = info_nce(sketches.clone(), photos.clone(), &batch.keys, &options.loss);
    let mut at_embeddings = loss.backward();
    let value = to_host(&loss)[0];
    let mut total: Option<Vec<Tensor<1>>> = None;
    for (pixels, embeddings) in towers.into_iter().zip(&embeddings) {
        let at = to_host(&embeddings.grad_remove(&mut at_embeddings).expect(TAKES_PART));
        let new = encoder.unfold(net.gradients(pixels, batch.side, &at));
        total = Some(match total {
            Some(sums) => sums.into_iter().zip(new).map(|(sum, new)| sum + new).collect(),
            None => new,
        });
    }
    (value, total.expect("two towers"))
}
