//! The binary as a user meets it.

mod bad_input;
mod convert;
mod embed;
mod evaluate;
mod help;
mod real_data;
mod resume;
mod train;
mod util;
mod vulkan;
