//! Behaviour of the whole crate.
#![allow(clippy::unwrap_used)]

mod map;
mod scan;
