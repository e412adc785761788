//! Starts real servers for tests and measurements. Each is installed by `scripts/servers.sh NAME`, pinned, runs as an
//! unprivileged user on loopback with free ports, and ends with the value that stands for it.

mod postgres;
mod process;
mod proxy;
pub mod qdrant;
mod s3;

pub use postgres::Postgres;
pub use process::{Process, free_ports, install, skipped, wait_for};
pub use proxy::{Fault, Proxy, Seen};
pub use s3::S3;
