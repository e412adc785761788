//! A step through the CPU's kernels: no graph, no tensors.

use std::ops::Range;

use sbir_encoder::{ConvNextConfig, ConvNextNet, Encoder, StochasticDepth, Tape};
use sbir_kernels::lite::LiteNet;

use super::{HostBatch, StepOptions};
use crate::loss::{Contrast, contrast};

/// Both towers of a range of pairs are one batch of pictures, the sketches first.
pub(super) fn convnext(
    config: &ConvNextConfig,
    parameters: &[&[f32]],
    net: &ConvNextNet,
    batch: &HostBatch,
    step: u64,
    options: &StepOptions,
    gradients: &mut [Vec<f32>],
) -> f32 {
    let record = |range: &Range<usize>, memory: u64| -> (Vec<f32>, Tape) {
        let pixels = [batch.images(0, range), batch.images(1, range)].concat();
        let size = [2 * range.len(), batch.side, batch.side];
        net.record(&pixels, size, &scales(config, range, step, options), memory)
    };
    let pairs = batch.pairs();
    if pairs <= options.micro_batch {
        let (embeddings, tape) = record(&(0..pairs), options.memory);
        let (sketches, photos) = embeddings.split_at(embeddings.len() / 2);
        let Contrast { loss, at_sketches, at_photos } =
            contrast(sketches, photos, &batch.keys, &options.loss);
        net.pull(parameters, tape, &[at_sketches, at_photos].concat(), gradients);
        return loss;
    }

    let chunks = batch.chunks(options.micro_batch);
    let (mut sketches, mut photos) = (Vec::new(), Vec::new());
    for chunk in &chunks {
        // With the same masks as below, which is why this is not `embed`.
        let (embeddings, _) = record(chunk, 0);
        let (of_sketches, of_photos) = embeddings.split_at(embeddings.len() / 2);
        sketches.extend_from_slice(of_sketches);
        photos.extend_from_slice(of_photos);
    }
    let Contrast { loss, at_sketches, at_photos } =
        contrast(&sketches, &photos, &batch.keys, &options.loss);
    let width = sketches.len() / pairs;
    for chunk in &chunks {
        let rows = chunk.start * width..chunk.end * width;
        let (_, tape) = record(chunk, options.memory);
        net.pull(
            parameters,
            tape,
            &[&at_sketches[rows.clone()], &at_photos[rows]].concat(),
            gradients,
        );
    }
    loss
}

/// Stochastic depth of both towers: per block, what each picture's branch is multiplied with.
fn scales(
    config: &ConvNextConfig,
    range: &Range<usize>,
    step: u64,
    options: &StepOptions,
) -> Vec<Option<Vec<f32>>> {
    let towers = [0, 1].map(|tower| StochasticDepth {
        probability: options.stochastic_depth,
        seed: options.seed,
        step,
        tower,
        first_sample: range.start as u64,
    });
    let blocks = config.blocks();
    (0..blocks)
        .map(|block| {
            let [sketches, photos] = towers.map(|drop| drop.scales(block, blocks, range.len()));
            Some([sketches?, photos?].concat())
        })
        .collect()
}

/// EfficientNet-Lite's kernels take few pictures at once by themselves, so micro-batches would save nothing.
pub(super) fn lite(
    encoder: &Encoder,
    net: &LiteNet,
    batch: &HostBatch,
    options: &StepOptions,
    gradients: &mut [Vec<f32>],
) -> f32 {
    let [sketches, photos] =
        [&batch.sketches, &batch.photos].map(|pixels| net.embed(pixels, batch.side));
    let Contrast { loss, at_sketches, at_photos } =
        contrast(&sketches, &photos, &batch.keys, &options.loss);
    for (pixels, at) in [(&batch.sketches, at_sketches), (&batch.photos, at_photos)] {
        encoder.unfold(&net.gradients(pixels, batch.side, &at), gradients);
    }
    loss
}
