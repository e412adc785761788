//! What can go wrong with encoders and devices.

use std::path::PathBuf;

use sbir_kernels::simd::SimdError;

use crate::device::DeviceChoice;
use crate::weights;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such architecture.
    #[error(
        "unknown encoder {given:?}; choose convnext_atto, _femto, _pico, _nano, _tiny, _small, \
         _base, _large, _xlarge, convnext:DEPTHS:WIDTHS, e.g. convnext:2-2-6-2:40-80-160-320, \
         or efficientnet_lite0[:WIDTH][:quadrants]"
    )]
    Architecture {
        /// What was given.
        given: String,
    },
    /// No such kind of device.
    #[error("unknown device {given:?}; choose auto, cpu, vulkan[:N], cuda[:N] or metal")]
    UnknownDevice {
        /// What was given.
        given: String,
    },
    /// The build lacks this kind of device.
    #[error(
        "{choice} was not compiled in (this build has: {compiled}); build with its feature or choose --device cpu"
    )]
    DeviceNotCompiled {
        /// What was asked for.
        choice: DeviceChoice,
        /// What there is.
        compiled: String,
    },
    /// There is no such adapter.
    #[error(
        "{choice} was not found ({found} found); `sbir doctor` lists devices, --device cpu always works"
    )]
    DeviceNotFound {
        /// What was asked for.
        choice: DeviceChoice,
        /// How many of its kind there are.
        found: usize,
    },
    /// The adapter would not start.
    #[error("{choice} could not be started ({message}); --device cpu always works")]
    DeviceFailed {
        /// What was asked for.
        choice: DeviceChoice,
        /// What the driver said.
        message: String,
    },
    /// No such precision.
    #[error("unknown precision {given:?}; choose auto, f32 or bf16")]
    UnknownPrecision {
        /// What was given.
        given: String,
    },
    /// Products of bf16 values were asked for where there are none.
    #[error("--precision bf16: {problem}; choose --precision f32 or auto")]
    Precision {
        /// What is missing.
        problem: String,
    },
    /// The instructions that were asked for are not there.
    #[error(transparent)]
    Simd(#[from] SimdError),
    /// Pictures too small or too large for the network.
    #[error("images of {side} pixels cannot be embedded; choose --image-size from 32 to 2048")]
    ImageSize {
        /// Side asked for.
        side: usize,
    },
    /// Metadata of a checkpoint that this program wrote is unreadable.
    #[error("{path}: unreadable metadata ({problem}); convert the checkpoint to .pth to drop it", path = path.display())]
    Metadata {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Weights could not be read, written or fetched.
    #[error(transparent)]
    Weights(#[from] weights::Error),
}
