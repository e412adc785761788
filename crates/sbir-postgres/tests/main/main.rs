//! Galleries in a real PostgreSQL server.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod anew;
mod answers;
mod conformance;
mod environment;
mod failures;
mod index;
mod schema;
mod support;
mod tls;
