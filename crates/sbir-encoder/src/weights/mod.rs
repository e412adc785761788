//! Weights: reading, naming, writing and fetching checkpoints.
//!
//! A [`StateDict`] opens `.pth` and safetensors files and knows every name, shape and type before
//! any value is read. [`names::map`] recognises whose names they are and translates them to the
//! canonical ones, so that a file can be [checked](Mapping::check) against a model and its
//! [`Architecture`] told from keys and shapes alone. [`save_safetensors`] and [`save_pth`] write,
//! [`fetch::fetch`] gets ImageNet weights. Nothing here knows of tensors that compute.

mod architecture;
mod error;
pub mod fetch;
mod mapping;
pub mod names;
mod nearest;
mod pickle;
mod pth;
mod safetensors;
mod state_dict;
mod tensor;
mod torch;
mod write;
mod zip;

pub use architecture::Architecture;
pub use error::{Error, Mismatch};
pub use names::{Mapping, Scheme};
pub use pth::save_pth;
pub use state_dict::{Format, StateDict};
pub use tensor::{DType, TensorEntry};
pub use write::{Stored, TensorValues, save_safetensors};
