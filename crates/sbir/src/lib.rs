//! Find photos by drawing them: train, evaluate and use sketch-based image retrieval.
//!
//! This crate re-exports the parts; the binary of the same name holds only flags and glue.
//!
//! - [`sketch`]: strokes, their file formats, and the renderer;
//! - [`data`]: datasets, splits, decoding, transforms, the loader;
//! - [`encoder`]: encoders, weights in and out, devices;
//! - [`eval`]: metrics, statistics, reports;
//! - [`train`]: losses, optimiser, checkpoints, the trainer;
//! - [`gallery`]: photos with their embeddings, and [`AnyStore`], which opens galleries of every kind by name.

mod files;
mod store;

pub use files::Files;
pub use sbir_data as data;
pub use sbir_encoder as encoder;
pub use sbir_eval as eval;
pub use sbir_gallery as gallery;
pub use sbir_sketch as sketch;
pub use sbir_train as train;
pub use store::{AnyStore, Creation, Staging};

/// The encoder that comes with the program, a safetensors file: an EfficientNet-Lite0 fine-tuned on sketch–photo pairs.
/// `models/README.md` is its model card, `models/LICENSE` the weights' own terms.
pub const BUNDLED_ENCODER: &[u8] = include_bytes!("../../../models/bundled.safetensors");
