//! What went wrong with a call, and what is said of it.

use tonic::{Code, Status};

/// The most of a server's words that are repeated.
const MOST_WORDS: usize = 300;

/// What went wrong with a call.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There was no answer before the deadline.
    Late,
    /// The server said so.
    Said(Status),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Said(status)
    }
}

/// What a fault means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No server answered.
    Unreachable,
    /// None answered in time, or the nodes did not agree in time.
    Late,
    /// A part of the gallery cannot be reached by the node that answered.
    Incomplete,
    /// The key is missing or wrong.
    Key,
    /// There is no such collection.
    NotFound,
    /// The answer is larger than what is taken.
    TooLarge,
    /// There is one already.
    Exists,
    /// Anything else.
    Other,
}

impl Fault {
    /// What it means. The server's errors have a code, and within `Internal` only their words tell them apart, as
    /// Qdrant 1.16 writes them.
    pub(crate) fn meaning(&self) -> Meaning {
        let Self::Said(status) = self else { return Meaning::Late };
        let said = status.message();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Meaning::Key,
            Code::AlreadyExists => Meaning::Exists,
            Code::NotFound => Meaning::NotFound,
            Code::OutOfRange => Meaning::TooLarge,
            _ if says(&["already exists"]) => Meaning::Exists,
            Code::InvalidArgument => Meaning::Other,
            _ if says(&["consensus", "deactivat"]) => Meaning::Late,
            _ if says(&[
                "read operations failed",
                "no active replica",
                "replica",
                "shard",
                "via leader peer",
                // A node that cannot reach another passes its error on.
                "Tonic status error",
            ]) =>
            {
                Meaning::Incomplete
            }
            Code::DeadlineExceeded | Code::Cancelled => Meaning::Late,
            Code::Unavailable => Meaning::Unreachable,
            // What is there does not speak gRPC, or wants TLS.
            _ if says(&["h2 protocol error"]) => Meaning::Unreachable,
            _ if says(&["transport error", "Timeout", "timeout", "timed out"]) => Meaning::Late,
            _ => Meaning::Other,
        }
    }

    /// The server's words, as one short line.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Late => "no answer".into(),
            Self::Said(status) => {
                let mut said = status.message().to_owned();
                let mut cause = std::error::Error::source(status);
                while let Some(error) = cause {
                    said.push_str(": ");
                    said.push_str(&error.to_string());
                    cause = error.source();
                }
                if said.is_empty() {
                    said = status.code().description().to_owned();
                }
                words(&said)
            }
        }
    }
}

/// Words of others as one short line.
pub(crate) fn words(said: &str) -> String {
    let mut line = String::new();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for character in said.chars() {
        if line.len() >= MOST_WORDS {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_words_are_understood() {
        for (code, said, meaning) in [
            (
                Code::Internal,
                "Service internal error: 2 of 2 read operations failed:\n  Service internal error: Tonic",
                Meaning::Incomplete,
            ),
            (
                Code::Internal,
                "Service internal error: Failed to apply update with Medium ordering via leader peer 7: x",
                Meaning::Incomplete,
            ),
            (
                Code::Internal,
                "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 5 seconds",
                Meaning::Late,
            ),
            (Code::Unavailable, "tcp connect error", Meaning::Unreachable),
            (Code::Internal, "h2 protocol error: http2 error", Meaning::Unreachable),
            (Code::Unauthenticated, "Invalid API key or JWT", Meaning::Key),
            (Code::InvalidArgument, "Wrong input: Collection `a` already exists!", Meaning::Exists),
            (Code::InvalidArgument, "Wrong input: shard key not specified", Meaning::Other),
            (Code::NotFound, "Not found: Collection `a` doesn't exist!", Meaning::NotFound),
        ] {
            assert_eq!(Fault::Said(Status::new(code, said)).meaning(), meaning, "{said}");
        }
        assert_eq!(Fault::Late.meaning(), Meaning::Late);
    }

    #[test]
    fn words_are_one_short_line() {
        assert_eq!(words(" a\n\n b\tc\u{1b}[1m "), "a b c\\u{1b}[1m");
        assert!(words(&"ä".repeat(10_000)).len() < 310);
    }
}
