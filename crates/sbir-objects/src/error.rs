//! What can go wrong between a name and its bytes.

use std::io;
use std::time::Duration;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message is one line that names the thing and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Names ===
    /// A place that cannot be one.
    #[error("{place}: {problem}; name a folder, or s3://BUCKET or s3://BUCKET/FOLDER")]
    BadPlace {
        /// As it was given.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A name that would lead out of its place, or that the store cannot have.
    #[error("{key}: not a name below a place")]
    BadKey {
        /// The name, as one printable line.
        key: String,
    },

    // === What is asked for ===
    /// There is nothing of that name.
    #[error("{name}: not found")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// There is no such bucket.
    #[error(
        "{name}: there is no bucket {bucket:?}; make it, or correct its name or AWS_ENDPOINT_URL"
    )]
    NoBucket {
        /// What was asked for.
        name: String,
        /// The bucket.
        bucket: String,
    },
    /// It has more bytes than the caller takes.
    #[error("{name}: {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// What was asked for.
        name: String,
        /// How many bytes it has.
        size: u64,
        /// How many are read at most.
        limit: u64,
    },
    /// It changed while it was read in parts.
    #[error("{name}: it changed while it was read; try again")]
    Changed {
        /// What was asked for.
        name: String,
    },

    // === Who asks ===
    /// No credentials are set, and the machine has none either.
    #[error(
        "{name}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles are not read: `aws configure export-credentials --format env` prints them), or AWS_SKIP_SIGNATURE=true for a public bucket"
    )]
    NoCredentials {
        /// What was asked for.
        name: String,
    },
    /// The store does not know the credentials.
    #[error(
        "{name}: the credentials are refused ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and the clock"
    )]
    BadCredentials {
        /// What was asked for.
        name: String,
        /// The store's word for it.
        code: String,
    },
    /// The credentials do not allow it.
    #[error(
        "{name}: access denied; give these credentials the right to list, read and write there"
    )]
    Denied {
        /// What was asked for.
        name: String,
    },
    /// The environment does not make sense.
    #[error("object storage: {problem}")]
    Config {
        /// What is wrong, with the remedy.
        problem: String,
    },

    // === The way there ===
    /// Nothing came in time.
    #[error("{name}: no answer within {} s; check the network and AWS_ENDPOINT_URL, or try again", after.as_secs_f32().ceil())]
    TimedOut {
        /// What was asked for.
        name: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server cannot be reached, or the connection broke, each time.
    #[error("{name}: {problem}; check the network and AWS_ENDPOINT_URL, or try again")]
    Unreachable {
        /// What was asked for.
        name: String,
        /// What happened last.
        problem: String,
    },
    /// The server answers that it cannot, each time.
    #[error("{name}: the server answers {status} {code}; try again later")]
    Server {
        /// What was asked for.
        name: String,
        /// The status of its last answer.
        status: u16,
        /// Its word for it, if it gave one.
        code: String,
    },

    /// The caller asked to stop.
    #[error("{name}: stopped")]
    Stopped {
        /// What was asked for.
        name: String,
    },

    // === Folders ===
    /// The system could not read or write; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] sbir_files::WriteError),
}

impl Error {
    /// Whether it says nothing of the file that was asked for, but that nothing can be had there now: the same for
    /// every other file.
    #[must_use]
    pub fn is_of_the_place(&self) -> bool {
        use io::ErrorKind;
        match self {
            Self::NoBucket { .. }
            | Self::NoCredentials { .. }
            | Self::BadCredentials { .. }
            | Self::Config { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::Server { .. }
            | Self::BadPlace { .. }
            | Self::Stopped { .. } => true,
            Self::Io(error) => {
                matches!(
                    error.kind(),
                    ErrorKind::StaleNetworkFileHandle
                        | ErrorKind::NotConnected
                        | ErrorKind::TimedOut
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::NetworkDown
                ) || too_many_open(error)
            }
            _ => false,
        }
    }

    /// Whether there is nothing of that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether access was denied, which may be for one file or for all.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Io(error) => error.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}

/// No more files can be opened, by this process or all together: EMFILE and ENFILE.
fn too_many_open(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let code = error.raw_os_error();
        [Errno::MFILE, Errno::NFILE].iter().any(|errno| Some(errno.raw_os_error()) == code)
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
