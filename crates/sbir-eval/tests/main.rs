//! Behaviour of the crate through its public interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

mod atomic;
mod npy;
mod ranking;
mod report;
