//! Why a server could not start or go on.

use std::io;
use std::net::SocketAddr;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message is one line with the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken, or not this machine's.
    #[error("{address}: cannot listen there, {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The token given is too easy to guess, or cannot stand in an address.
    #[error(
        "SBIR_TOKEN: a token has {minimum} to 200 letters, digits, `-` and `_`; give a longer one, or none for a random one"
    )]
    WeakToken {
        /// The fewest characters.
        minimum: usize,
    },
    /// A name in the list of hosts that no `Host` can be.
    #[error("`{name}` is no name of a host; give it as `name` or `name:port`")]
    BadHost {
        /// The name.
        name: String,
    },
    /// The system gave no random numbers for a token.
    #[error("no random numbers from the system for a token: {problem}; set SBIR_TOKEN")]
    Random {
        /// The system's words.
        problem: String,
    },
    /// The system could not do it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The gallery cannot be read.
    #[error(transparent)]
    Gallery(#[from] sbir_gallery::Error),
}
