//! What a training run is told, kept beside its results.

use std::path::PathBuf;

use sbir_data::{Alpha, Augmentation, CACHE_BYTES, DatasetKind, HoldOut, Sampling, SketchKind};
use sbir_encoder::{DeviceChoice, EncoderConfig, PrecisionChoice, Preprocessing};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::loss::LossOptions;
use crate::optimizer::AdamConfig;
use crate::schedule::Schedule;

/// Where a run's first weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// torchvision's ImageNet weights, fetched on first use.
    Imagenet,
    /// Drawn from the seed as torchvision draws them.
    Random {
        /// Start value of every layer scale.
        layer_scale: f32,
    },
    /// A checkpoint in any readable form.
    Path(PathBuf),
}

/// Everything that decides a run's numbers, and where they go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Folders of the datasets, in the order given.
    pub data: Vec<PathBuf>,
    /// Dataset kind where detection was overridden.
    pub dataset: Option<DatasetKind>,
    /// Split by unseen users.
    pub val_unseen: bool,
    /// Which form of the sketches.
    pub sketches: SketchKind,
    /// Which photos are held out where the data has no split.
    #[serde(default)]
    pub holdout: HoldOut,
    /// What is done with transparency, palettes and 1-bit pictures.
    pub alpha: Alpha,
    /// Architecture.
    pub encoder: EncoderConfig,
    /// First weights.
    pub init: Init,
    /// Input size and normalisation.
    pub preprocessing: Preprocessing,
    /// Passes over the training pairs.
    pub epochs: u64,
    /// Pairs in a batch.
    pub batch_size: usize,
    /// Pairs of which everything that a backward pass needs is kept at once.
    pub micro_batch: usize,
    /// Bytes for what the CPU's kernels keep from the forward to the backward pass; `None` for a share of what is
    /// free. Changes no number.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Temperature of InfoNCE.
    pub temperature: f64,
    /// Share of the target spread over all photos of the batch.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Whether photos look for their sketches too.
    #[serde(default)]
    pub both_ways: bool,
    /// Adam's settings.
    pub adam: AdamConfig,
    /// How the learning rate goes.
    #[serde(default)]
    pub schedule: Schedule,
    /// How training pictures are changed.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Which pairs meet in a batch.
    #[serde(default)]
    pub sampling: Sampling,
    /// Memory for decoded pictures between epochs, in bytes.
    #[serde(default = "cache_bytes")]
    pub cache_bytes: usize,
    /// Probability of dropping the last block's branch.
    pub stochastic_depth: f64,
    /// LayerNorm's epsilon.
    pub norm_epsilon: f64,
    /// Seed of the order, of stochastic depth and of random weights.
    pub seed: u64,
    /// Device asked for.
    pub device: DeviceChoice,
    /// What products are made in, never [`PrecisionChoice::Auto`]; weights and moments are f32.
    #[serde(default = "f32_precision")]
    pub precision: PrecisionChoice,
    /// Seconds between checkpoints within an epoch; 0 writes one after every step.
    pub checkpoint_seconds: f64,
    /// Version of this program that began the run.
    pub version: String,
}

fn cache_bytes() -> usize {
    CACHE_BYTES
}

/// What runs were computed in before there was a choice.
fn f32_precision() -> PrecisionChoice {
    PrecisionChoice::F32
}

impl TrainConfig {
    /// The loss.
    pub fn loss(&self) -> LossOptions {
        LossOptions {
            temperature: self.temperature,
            label_smoothing: self.label_smoothing,
            both_ways: self.both_ways,
        }
    }

    /// Checks the values that a user can get wrong.
    ///
    /// # Errors
    /// [`Error::Config`] naming the option and what it takes.
    pub fn validate(&self) -> Result<(), Error> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let checks = [
            (self.epochs >= 1, "--epochs", "at least 1"),
            ((1..=65_536).contains(&self.batch_size), "--batch-size", "from 1 to 65,536"),
            (self.micro_batch >= 1, "--micro-batch", "at least 1"),
            (self.memory != Some(0), "--memory", "at least 1 byte"),
            (positive(self.temperature), "--temp", "a number above 0"),
            ((0.0..1.0).contains(&self.label_smoothing), "--label-smoothing", "from 0 to below 1"),
            (positive(self.adam.learning_rate), "--lr", "a number above 0"),
            (
                (0.0..1.0).contains(&self.stochastic_depth),
                "--stochastic-depth",
                "from 0 to below 1",
            ),
            (positive(self.adam.epsilon), "--adam-eps", "a number above 0"),
            (positive(self.norm_epsilon), "--norm-eps", "a number above 0"),
            (
                self.checkpoint_seconds.is_finite() && self.checkpoint_seconds >= 0.0,
                "--checkpoint-seconds",
                "0 or more",
            ),
        ];
        match checks.into_iter().find(|(fine, ..)| !fine) {
            Some((_, option, takes)) => Err(Error::Config { option, takes }),
            None => Ok(()),
        }
    }
}
