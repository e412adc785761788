//! The server over real sockets.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, missing_docs, unreachable_pub)]

#[path = "../support/cheap.rs"]
mod cheap;

mod access;
mod failures;
mod gallery;
mod limits;
mod live;
mod openapi;
mod overload;
mod photos;
mod search;
mod statuses;
mod stuck;
mod support;
