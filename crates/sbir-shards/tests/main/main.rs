//! Behaviour of the whole crate.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod child;
mod damage;
mod manifest;
mod objects;
mod pieces;
mod support;
