//! The store on real servers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod access;
mod cluster;
mod conformance;
mod encoders;
mod foreign;
mod support;
