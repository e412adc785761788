//! Files in folders and in object storage through one blocking interface.
//!
//! A [`Place`] is a local folder or `s3://bucket/prefix`. It lists, reads and writes what lies below it; every call
//! ends within a deadline, and is tried again, with growing and jittered pauses, where the server or the network may do
//! better next time. Credentials and endpoint come from the standard `AWS_*` environment variables, never from the
//! name of a place.
//!
//! ```no_run
//! # fn main() -> sbir_objects::Result<()> {
//! use sbir_objects::{Key, Options, Place};
//!
//! let place = Place::open("s3://photos/2024".as_ref(), &Options::default())?;
//! for entry in place.list()? {
//!     let entry = entry?;
//!     println!("{} {}", entry.key, entry.stat.size);
//! }
//! let photo = place.get(&Key::new("beach/1.jpg")?, 64 << 20)?;
//! println!("{} bytes", photo.bytes.len());
//! # Ok(())
//! # }
//! ```

mod error;
mod key;
mod local;
mod place;
mod remote;
mod walk;

pub use bytes::Bytes;
pub use error::{Error, Extent, Result};
pub use key::Key;
pub use place::{Entry, Listing, Object, Options, PassedOver, Patience, Place, Stat};
