//! What can go wrong between a name and its bytes.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use sbir_files::names::{escaped, name_bytes};

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How much an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The file that was asked for, as it is: asking again finds the same.
    File,
    /// What could not be had this time, which may be that file alone or any: asking again may go well.
    Unclear,
    /// The place: nothing can be had there now, whatever is asked for.
    Place,
}

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
    /// Whether it is one file's, or its whole place's.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match self {
            Self::NoBucket { .. }
            | Self::NoCredentials { .. }
            | Self::BadCredentials { .. }
            | Self::Config { .. }
            | Self::BadPlace { .. }
            | Self::Stopped { .. } => Extent::Place,
            Self::TimedOut { .. } | Self::Unreachable { .. } | Self::Changed { .. } => {
                Extent::Unclear
            }
            Self::Server { status, code, .. } if may_pass(*status, code) => Extent::Unclear,
            Self::Io(error) => extent_of(error),
            Self::Write(error) => extent_of(&error.source),
            Self::Server { .. }
            | Self::BadKey { .. }
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::Denied { .. } => Extent::File,
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

/// Whether a server that answers so may answer otherwise later: it is busy or broken, whatever it is asked for.
pub(crate) fn may_pass(status: u16, code: &str) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599) || matches!(code, "SlowDown" | "RequestTimeout")
}

/// An error of the system with the file's name before it. The error itself stays within, for its code.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
struct Named {
    name: String,
    source: io::Error,
}

/// Names the file in an error of the system.
pub(crate) fn named(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let bytes = name_bytes(path.as_os_str());
    let name = bytes.map_or_else(|| path.display().to_string(), escaped);
    move |source| {
        let kind = source.kind();
        Error::Io(io::Error::new(kind, Named { name: name.clone(), source }))
    }
}

/// The system's code; none of an error that was made here.
fn code_of(error: &io::Error) -> Option<i32> {
    let within = error.get_ref().and_then(|inner| inner.downcast_ref::<Named>());
    error.raw_os_error().or_else(|| within?.source.raw_os_error())
}

fn extent_of(error: &io::Error) -> Extent {
    let code = code_of(error);
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename => Extent::File,
        // No regular file.
        ErrorKind::InvalidInput if code.is_none() => Extent::File,
        ErrorKind::StaleNetworkFileHandle
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Extent::Place,
        _ => code.map_or(Extent::Unclear, extent_of_code),
    }
}

/// Of the codes that have no kind of their own.
#[cfg(unix)]
fn extent_of_code(code: i32) -> Extent {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(code) {
        // A link where none is followed; a socket.
        Errno::LOOP | Errno::NXIO => Extent::File,
        // No more files can be opened, by this process or all together.
        Errno::MFILE | Errno::NFILE => Extent::Place,
        _ => Extent::Unclear,
    }
}

#[cfg(not(unix))]
fn extent_of_code(_: i32) -> Extent {
    Extent::Unclear
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_code_of_an_error_is_kept_beside_the_name() {
        use rustix::io::Errno;
        for (errno, extent) in [
            (Errno::NOENT, Extent::File),
            (Errno::ACCESS, Extent::File),
            (Errno::LOOP, Extent::File),
            (Errno::NXIO, Extent::File),
            (Errno::NAMETOOLONG, Extent::File),
            (Errno::IO, Extent::Unclear),
            (Errno::INVAL, Extent::Unclear),
            (Errno::NOMEM, Extent::Unclear),
            (Errno::STALE, Extent::Place),
            (Errno::NOTCONN, Extent::Place),
            (Errno::TIMEDOUT, Extent::Place),
            (Errno::MFILE, Extent::Place),
            (Errno::NFILE, Extent::Place),
        ] {
            let error = named(Path::new("/a\nb"))(errno.into());
            assert_eq!(error.extent(), extent, "{error}");
            assert!(error.to_string().starts_with("/a\\nb: "), "{error}");
            assert_eq!(Error::Io(errno.into()).extent(), extent, "{errno}");
        }
        let own = io::Error::new(ErrorKind::InvalidInput, "not a regular file");
        assert_eq!(named(Path::new("/a"))(own).extent(), Extent::File);
    }

    #[test]
    fn what_a_server_refuses_is_one_file_and_what_it_cannot_do_may_be_all() {
        let server = |status, code: &str| {
            Error::Server { name: "x".into(), status, code: code.into() }.extent()
        };
        for status in [400, 409, 412, 416] {
            assert_eq!(server(status, ""), Extent::File, "{status}");
        }
        for status in [408, 425, 429, 500, 503] {
            assert_eq!(server(status, ""), Extent::Unclear, "{status}");
        }
        assert_eq!(server(400, "RequestTimeout"), Extent::Unclear);
    }
}
