//! Behaviour of the whole crate.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod child;
mod conformance;
mod damage;
mod elsewhere;
mod failures;
mod incremental;
mod names;
mod search;
mod store;
mod support;
mod transfer;
