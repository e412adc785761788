//! Behaviour of the crate through its public interface.

mod atomic;
mod npy;
mod ranking;
mod report;
