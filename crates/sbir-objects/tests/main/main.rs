//! Behaviour of the whole crate.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod faults;
mod folders;
mod objects;
mod support;
