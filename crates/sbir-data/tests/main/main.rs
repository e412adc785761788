//! Behaviour of the whole crate, on generated folders and, where they are at hand, on real data.

mod bad_images;
mod batches;
mod folders;
mod fscoco;
mod parity;
mod pictures;
mod real;
mod zz_speed;
