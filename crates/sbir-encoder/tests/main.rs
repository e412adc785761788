//! Behaviour tests of the encoder crate.

#![allow(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod fingerprint;
mod parity;
mod weights;
