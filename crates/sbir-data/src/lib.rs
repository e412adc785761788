//! Datasets, splits, decoding, transforms and the prefetching loader.
//!
//! From a folder to tensors: [`open`] finds the layout and gives a [`Dataset`] with its training and validation
//! [`PairSet`]s, a [`Transform`] makes normalised pictures of photos and sketches, [`epoch_plan`] says which pairs meet
//! in a batch, and [`TrainingPictures`] and [`image_batches`] bring the pictures in, changed by an [`Augmentation`] where
//! that is asked for, in order, ahead of time, on threads of their own.
//!
//! Everything random is a function of a seed ([`epoch_order`], [`hold_out`]); the number of threads changes nothing.

mod augment;
mod batch;
mod cache;
mod dataset;
mod error;
mod loader;
mod pairs;
mod sampling;
mod split;
mod transform;
mod upright;

pub use augment::{Alignment, AugmentRanges, Augmentation};
pub use batch::{
    Batch, CACHE_BYTES, ImageBatch, ImageBatches, TrainingBatches, TrainingPictures, image_batches,
    training_batches,
};
pub use dataset::{Dataset, DatasetKind, OpenOptions, SketchKind, open};
pub use error::{Error, Result};
pub use loader::Loader;
pub use pairs::{Pair, PairSet, Part, Photo, SketchSource, mix};
pub use sampling::{Draw, Sampling, SetWeights, epoch_plan};
pub use split::{HoldOut, SplitMix64, epoch_order, hold_out};
pub use transform::{
    Alpha, Filter, MAX_FILE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, Orientation, Transform, draw,
    drawing, is_heic, traced,
};
pub use upright::{Upright, thumbnail};
