//! Behaviour tests of the encoder crate.

mod parity;
mod weights;
