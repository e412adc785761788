//! Behaviour of the whole crate, on generated folders and, where they are at hand, on real data.

// Helpers of tests fail as tests do, and say what was skipped or measured.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bad_images;
mod batches;
mod folders;
mod fscoco;
mod heic;
mod parity;
mod pictures;
mod real;
mod traced;
mod upright;
