//! Operations that decide the speed, each with a plain Rust twin that its tests compare it to.
//!
//! All unsafe code of the workspace is in this crate.
#![allow(unsafe_code)]

pub mod map;
pub mod scan;
