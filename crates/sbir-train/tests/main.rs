//! Behaviour of the trainer, and its numbers against PyTorch's.

#![allow(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod parity;
mod steps;
