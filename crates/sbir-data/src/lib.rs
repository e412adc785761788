//! Datasets, splits, decoding, transforms and the prefetching loader.
//!
//! From a folder to tensors: [`open`] finds the layout and gives a [`Dataset`] with its training and validation
//! [`PairSet`]s, a [`Transform`] makes normalised pictures of photos and sketches, and [`training_batches`] and
//! [`image_batches`] bring them in, in order, ahead of time, on threads of their own.
//!
//! Everything random is a function of a seed ([`epoch_order`], [`hold_out`]); the number of threads changes nothing.

mod batch;
mod dataset;
mod error;
mod loader;
mod pairs;
mod split;
mod transform;
mod upright;

pub use batch::{
    Batch, ImageBatch, ImageBatches, TrainingBatches, image_batches, training_batches,
};
pub use dataset::{Dataset, DatasetKind, OpenOptions, SketchKind, open};
pub use error::{Error, Result};
pub use loader::Loader;
pub use pairs::{Pair, PairSet, Photo, SketchSource, mix};
pub use split::{SplitMix64, epoch_order, hold_out};
pub use transform::{
    Alpha, Filter, MAX_FILE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, Orientation, Transform,
};
pub use upright::{Upright, thumbnail};
