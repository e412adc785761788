//! Places in the S3 server that all tests of this binary share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sbir_objects::{Key, Options, Patience, Place};
use sbir_servers::S3;

pub(crate) fn options(at: SocketAddr) -> Options {
    let own = S3::environment(at).map(|(name, value)| (name.to_owned(), value));
    Options { environment: Some(own.into()), patience: hasty(), stop: None }
}

/// Waits shortly, so that tests do.
pub(crate) fn hasty() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        idle: Duration::from_secs(1),
        attempt: Duration::from_secs(5),
        deadline: Duration::from_secs(30),
        pause: Duration::from_millis(5),
        attempts: 12,
    }
}

/// A part of the bucket that no other test has.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("s3://{}/test {}", S3::BUCKET, NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn place(at: SocketAddr) -> Place {
    Place::open(prefix().as_ref(), &options(at)).unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn keys(place: &Place) -> Vec<String> {
    let entries = place.list().unwrap().map(|entry| entry.unwrap().key.to_string());
    let mut keys: Vec<_> = entries.collect();
    keys.sort();
    keys
}
