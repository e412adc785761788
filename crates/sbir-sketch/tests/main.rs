//! Behaviour of the crate through its public interface.

mod data;
mod files;
mod golden;
mod properties;
