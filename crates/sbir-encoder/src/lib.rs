//! Encoder families, weights in and out, device choice.
//!
//! An [`Encoder`] is an [`EncoderConfig`], its [`Parameters`], and a [`Preprocessing`]. The CPU computes it by
//! kernels of our own ([`Net`]), other devices by Burn's operations ([`forward`]); the device is chosen once
//! ([`select`]) and passed on explicitly everywhere.

mod architecture;
mod convnext;
mod device;
mod encoder;
mod error;
mod lite;
mod net;
mod parameters;
mod precision;
pub mod random;
mod values;
pub mod weights;

pub use architecture::{EncoderConfig, forward};
pub use burn_tensor::Device;
pub use convnext::{ConvNextConfig, Head, MIN_SIDE, NORM_EPSILON, Pass, StochasticDepth};
pub use device::{Adapter, DeviceChoice, Selected, adapters, compiled, configure, select};
pub use encoder::{Card, Encoder, Interpolation, Loaded, Preprocessing};
pub use error::Error;
pub use lite::LiteConfig;
pub use net::Net;
pub use parameters::{Parameter, Parameters};
pub use precision::{PrecisionChoice, Work};
pub use sbir_kernels::Precision;
pub use sbir_kernels::convnext::{ConvNextNet, Tape};
pub use sbir_kernels::simd::{Simd, SimdError};
pub use values::{Values, to_host};
