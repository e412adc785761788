//! What went wrong between this client and the server, and what it means for the caller.

use std::error::Error as StdError;
use std::time::Duration;

use deadpool_postgres::{HookError, PoolError};
use sbir_gallery::Error;
use tokio_postgres::error::SqlState;

/// The most characters of a server's words that are repeated.
const MAX_WORDS: usize = 300;

/// What to do where the server does not know who asks.
const PASSWORD: &str = "set PGPASSWORD or PGPASSFILE, and the user in the address";

/// What can go wrong within a call.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Already in the caller's terms.
    Store(Error),
    /// There was no connection to be had.
    NoConnection(String),
    /// The server's, or the connection's.
    Server(tokio_postgres::Error),
    /// The answer is not what it should be.
    Answer(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                if error.as_db_error().is_some() || is_tls(&error) || is_config(&error) {
                    Self::Server(error)
                } else {
                    Self::NoConnection(words(&error))
                }
            }
            error => Self::NoConnection(words(&error)),
        }
    }
}

impl Fault {
    /// Whether it may be otherwise in a moment. `sent_once`: only where nothing can have been done.
    pub(crate) fn passes(&self, sent_once: bool) -> bool {
        let error = match self {
            Self::Store(_) | Self::Answer(_) => return false,
            Self::NoConnection(_) => return true,
            Self::Server(error) => error,
        };
        let Some(code) = error.code() else {
            return !sent_once && is_lost(error) && !is_tls(error);
        };
        let undone = [
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
            // A root went while photos of it were written.
            &SqlState::FOREIGN_KEY_VIOLATION,
        ];
        // The table's type changed under a prepared statement: another connection prepares it anew.
        let stale =
            *code == SqlState::FEATURE_NOT_SUPPORTED && words(error).contains("cached plan");
        let ended = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN];
        stale
            || undone.contains(&code)
            || !sent_once && (ended.contains(&code) || code.code().starts_with("08"))
    }

    /// The error that the caller gets.
    pub(crate) fn meaning(self, gallery: &str, after: Duration) -> Error {
        let gallery = gallery.to_owned();
        let error = match self {
            Self::Store(error) => return error,
            Self::NoConnection(problem) => return Error::Unreachable { gallery, problem },
            Self::Answer(problem) => return Error::BadAnswer { gallery, problem },
            Self::Server(error) => error,
        };
        let problem = words(&error);
        let Some(code) = error.code() else {
            return if is_config(&error) {
                // The server asks for a password, and there is none.
                Error::Refused { gallery, problem: format!("{problem}; {PASSWORD}") }
            } else if is_tls(&error) {
                let remedy = "PGSSLROOTCERT names the certificate to trust; sslmode=disable does without TLS";
                Error::Refused { gallery, problem: format!("{problem}; {remedy}") }
            } else if is_lost(&error) {
                Error::Unreachable { gallery, problem }
            } else {
                Error::BadAnswer { gallery, problem }
            };
        };
        let remedy = match code.code() {
            // Statements that take too long are cancelled by the server.
            "57014" => return Error::TimedOut { gallery, after },
            "28P01" | "28000" => PASSWORD,
            "3D000" => "make the database first: createdb",
            "42501" => "the database's owner must grant it",
            "42P01" => "is the gallery being removed?",
            "53100" => {
                "make room on the server's disk and run it again: what was acknowledged is kept"
            }
            "53300" => "raise max_connections on the server, or use a pool of fewer",
            "57P01" | "57P02" | "57P03" => return Error::Unreachable { gallery, problem },
            class if class.starts_with("08") => return Error::Unreachable { gallery, problem },
            _ => return Error::Refused { gallery, problem },
        };
        Error::Refused { gallery, problem: format!("{problem}; {remedy}") }
    }
}

/// Whether the connection is gone, rather than the answer wrong.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || causes(error).any(|cause| cause.downcast_ref::<std::io::Error>().is_some())
}

fn is_config(error: &tokio_postgres::Error) -> bool {
    error.to_string().starts_with("invalid configuration")
}

/// Whether the two ends do not agree on TLS: what is wrong with a certificate comes as invalid data.
fn is_tls(error: &tokio_postgres::Error) -> bool {
    let disagreed = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::InvalidData;
    error.to_string().starts_with("error performing TLS handshake")
        && causes(error).filter_map(|cause| cause.downcast_ref()).all(disagreed)
}

/// An error and what caused it, and so on.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// An error with its causes as one short line.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error) {
        let text = match cause.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(error) => error.message().to_owned(),
            None => cause.to_string(),
        };
        if text != "db error" && !line.contains(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
    }
    one_line(&line)
}

/// A server's words as one short line.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(MAX_WORDS) {
        if character.is_control() { line.push(' ') } else { line.push(character) }
    }
    line
}
