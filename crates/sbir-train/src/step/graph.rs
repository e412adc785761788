//! A step through a graph of Burn's operations: on GPUs, and what the kernels are compared to.

use std::ops::Range;

use burn_tensor::{Device, Tensor, TensorData};
use sbir_encoder::{Encoder, Parameters, StochasticDepth, forward, to_host};

use super::{HostBatch, StepOptions};
use crate::gradients::Gradients;
use crate::loss::info_nce;

/// Every parameter is used by every forward pass, so a graph that lacks one is a programming error.
const TAKES_PART: &str = "every parameter takes part in the loss";

pub(super) fn run(
    encoder: &Encoder,
    batch: &HostBatch,
    step: u64,
    options: &StepOptions,
    gradients: &mut Gradients,
) -> f32 {
    let (config, parameters, device) = (encoder.config(), encoder.parameters(), encoder.device());
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
        let pass = encoder.pass(Some(&drop));
        let values = batch.images(tower, range).to_vec();
        let shape = [range.len(), 3, batch.side, batch.side];
        let images = Tensor::from_data(TensorData::new(values, shape), device);
        forward(config, parameters, images, pass)
    };
    let mut pull = |loss: &Tensor<1>| {
        let mut found = loss.backward();
        gradients.add(tracked.iter().map(|parameter| {
            let leaf = parameter.value.tensor(device);
            leaf.grad_remove(&mut found).expect(TAKES_PART)
        }));
    };
    let pairs = batch.pairs();
    if pairs <= options.micro_batch {
        let sketches = embed(&tracked, 0, &(0..pairs), &graph_device);
        let photos = embed(&tracked, 1, &(0..pairs), &graph_device);
        let loss = info_nce(sketches, photos, &batch.keys, &options.loss);
        pull(&loss);
        return to_host(&loss)[0];
    }

    let chunks = batch.chunks(options.micro_batch);
    let embed_all = |tower: u64| {
        let parts = chunks.iter().map(|chunk| embed(parameters, tower, chunk, device)).collect();
        Tensor::cat(parts, 0).autodiff().require_grad()
    };
    let (sketches, photos) = (embed_all(0), embed_all(1));
    let loss = info_nce(sketches.clone(), photos.clone(), &batch.keys, &options.loss);
    let mut at_embeddings = loss.backward();
    for (tower, embeddings) in [(0, sketches), (1, photos)] {
        let cached = embeddings.grad_remove(&mut at_embeddings).expect(TAKES_PART);
        for chunk in &chunks {
            let part = cached.clone().slice([chunk.clone()]).autodiff();
            let pulled = embed(&tracked, tower, chunk, &graph_device) * part;
            pull(&pulled.sum());
        }
    }
    to_host(&loss)[0]
}
