//! The binary as a user meets it.

#![allow(clippy::print_stderr, reason = "skipped tests say so")]
#![allow(clippy::unwrap_used, reason = "a failure is what a test is for")]

mod bad_input;
mod convert;
mod embed;
mod evaluate;
mod find;
mod help;
mod precision;
mod real_data;
mod reduced;
mod resume;
mod scale;
mod serve;
mod shards;
mod train;
mod util;
mod vulkan;
