//! Operations that decide the speed, each with a plain Rust twin that its tests compare it to.
//!
//! All unsafe code of the workspace is in this crate. Nothing here knows tensors of a framework: values
//! are slices, shapes are numbers; only what computes on GPUs (`gpu`, a feature) takes Burn's.
#![allow(unsafe_code)]

pub mod convnext;
#[cfg(all(feature = "gpu", not(feature = "fusion")))]
pub mod gpu;
pub mod jpeg;
pub mod lite;
pub mod map;
mod panels;
mod product;
pub mod scan;
pub mod simd;

pub use panels::kind::Precision;
