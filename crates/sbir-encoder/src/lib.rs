//! Encoder families, weights in and out, device choice.
//!
//! An [`Encoder`] is an [`EncoderConfig`], its [`Parameters`], and a [`Preprocessing`]. Tensors are
//! Burn's; the device is chosen once ([`select`]) and passed on explicitly everywhere.

mod architecture;
mod convnext;
mod device;
mod encoder;
mod error;
mod lite;
mod parameters;
pub mod random;
pub mod weights;

pub use architecture::{EncoderConfig, forward};
pub use burn_tensor::Device;
pub use convnext::{ConvNextConfig, Head, MIN_SIDE, NORM_EPSILON, Pass, StochasticDepth};
pub use device::{Adapter, DeviceChoice, Selected, adapters, compiled, configure, select};
pub use encoder::{Card, Encoder, Interpolation, Loaded, Preprocessing};
pub use error::Error;
pub use lite::LiteConfig;
pub use parameters::{Parameter, Parameters, to_host};
pub use sbir_kernels::lite::LiteNet;
