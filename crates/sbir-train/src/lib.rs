//! Losses, optimiser, checkpoints and the trainer.
//!
//! A [`Trainer`] takes a [`TrainConfig`], pairs and an encoder's first weights; it reports through a
//! [`Monitor`] and leaves everything else in a run folder. [`evaluate`] ranks a set's photos for its
//! sketches, in training and on its own.

mod checkpoint;
mod config;
mod error;
mod evaluate;
mod gradients;
mod loss;
mod memory;
mod optimizer;
mod run;
mod schedule;
mod step;
mod trainer;

pub use checkpoint::Place;
pub use config::{Init, TrainConfig};
pub use error::Error;
pub use evaluate::{EmbeddedSet, Evaluation, Progress, embed_sources, evaluate};
pub use gradients::Gradients;
pub use loss::{Contrast, LossOptions, contrast, info_nce};
pub use memory::{default_memory, micro_batch};
pub use optimizer::{Adam, AdamConfig};
pub use run::RunDir;
pub use sbir_data::{AugmentRanges, Augmentation, Sampling, SetWeights};
pub use schedule::Schedule;
pub use step::{HostBatch, StepOptions, loss_and_gradients};
pub use trainer::{EpochEvent, Monitor, Outcome, StepEvent, Trainer};
