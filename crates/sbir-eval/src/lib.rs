//! Retrieval metrics, statistics and reports.
//!
//! Everything here works on plain slices and paths: embeddings come in as row-major `f32`, ranks as 1-based `usize`.
//!
//! - [`rank()`] ranks a gallery for every query, exactly, by squared Euclidean distance.
//! - [`Summary`] turns ranks into recall, intervals and mean ranks, and prints or serialises them.
//! - [`paired`] compares two rankings of the same queries.
//! - [`report`] writes `result.html`.
//! - [`npy`] writes and reads embeddings as NumPy files.
//! - [`atomic`] writes files that are either whole or not there.

mod error;
pub mod metrics;
pub mod npy;
pub mod paired;
mod rank;
pub mod report;
mod summary;

pub use error::Error;
pub use rank::{Ranking, rank};
pub use sbir_files as atomic;
pub use summary::{CUTOFFS, Summary};
