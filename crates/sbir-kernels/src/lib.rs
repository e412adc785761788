//! Operations that decide the speed, each with a plain Rust twin that its tests compare it to.
//!
//! All unsafe code of the workspace is in this crate. Nothing here knows tensors of a framework: values
//! are slices, shapes are numbers.
#![allow(unsafe_code)]

pub mod convnext;
pub mod jpeg;
pub mod lite;
pub mod map;
mod panels;
mod product;
pub mod scan;
pub mod simd;

pub use panels::kind::Precision;
