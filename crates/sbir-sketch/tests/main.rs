//! Behaviour of the crate through its public interface.

#![allow(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod data;
mod files;
mod golden;
mod properties;
