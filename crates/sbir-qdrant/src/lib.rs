//! The gallery on a [Qdrant](https://qdrant.tech) server or cluster: [`Qdrant`], a [`VectorStore`] behind
//! `qdrant://HOST[:PORT][,HOST[:PORT]…]/NAME`. `docs/scale.md` tells how to run one.
//!
//! A gallery's name is an alias; behind it lies one collection for each encoder, whose own data name the encoder. A
//! photo is a point: its id follows from root and path, its vector is kept as f16 on disk and as 8-bit codes in memory.
//! What is acknowledged, every replica has that is not known to be gone. An answer that lacks a shard is an error.
//!
//! [`VectorStore`]: sbir_gallery::VectorStore

mod address;
mod fault;
mod filter;
mod gallery;
mod nodes;
mod options;
mod point;
mod read;
mod runtime;
mod schema;
mod search;
mod settle;
mod store;
mod text;
mod write;

pub use options::{Key, Options, Tls};
pub use store::Qdrant;
