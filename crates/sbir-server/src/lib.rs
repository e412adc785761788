//! The HTTP interface of a gallery, and the page on which one draws and finds.
//!
//! [`serve`] blocks until it is asked to stop; [`Server`] is the same for programs that have a runtime. The server knows
//! the gallery as a [`VectorStore`](sbir_gallery::VectorStore) and the encoder as an [`Embedder`](sbir_gallery::Embedder), so that neither a store nor a
//! compute backend is fixed here. The page lies in `web/` and is part of the binary.
//!
//! Who may ask what is decided in one place, before any route (`access`): the `Host` must be one of the server's names,
//! the `Origin` its own, and beyond the loopback interface a token is needed. Work is let in through gates that answer
//! 503 rather than let a queue grow (`gate`), bodies are read only where there is room for them (`body`), and a client that
//! stands still is given up (`connection`). Nothing that is drawn or uploaded is stored.

mod access;
mod app;
mod body;
mod config;
mod connection;
mod error;
mod events;
mod gate;
mod indexer;
mod metrics;
mod page;
mod problem;
mod routes;
mod seats;
mod server;
mod state;
mod thumbnails;
mod token;

pub use app::Services;
pub use config::{Config, Limits};
pub use error::{Error, Result};
pub use routes::ROUTES;
pub use server::{Server, serve};
pub use state::{Folder, IndexPhase, IndexState, Skipped};
