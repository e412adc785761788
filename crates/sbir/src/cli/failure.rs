//! How a command can end badly, and what is said then.

use std::io::ErrorKind;
use std::process::ExitCode;

use super::output;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense: exit code 2.
    Usage(String),
    /// Something went wrong: exit code 1.
    Failed(anyhow::Error),
    /// Ctrl-C: exit code 130. What is left to say.
    Interrupted(String),
}

impl Failure {
    /// What happened, in one line.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Usage(message) | Self::Interrupted(message) => one_line(message),
            Self::Failed(error) => one_line(&chain(error)),
        }
    }

    /// Says what happened in one line and gives the exit code. A reader that closed the pipe early,
    /// like `head`, is no failure.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                output::note(&format!("error: {}", one_line(&message)));
                ExitCode::from(2)
            }
            Self::Failed(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Self::Failed(error) => {
                output::note(&format!("error: {}", one_line(&chain(&error))));
                ExitCode::FAILURE
            }
            Self::Interrupted(message) => {
                output::note(&one_line(&message));
                ExitCode::from(130)
            }
        }
    }
}

/// The messages of an error and its causes; a cause that its parent already told is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if text.is_empty() {
            text = message;
        } else if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_without_repetition() {
        let inner = anyhow::anyhow!("no such file\n(os error 2)");
        let error = inner.context("cannot read x: no such file\n(os error 2)").context("outer");
        assert_eq!(one_line(&chain(&error)), "outer: cannot read x: no such file; (os error 2)");
    }

    #[test]
    fn a_closed_pipe_is_found_below_other_errors() {
        let pipe = std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::from(pipe).context("writing")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("else")));
    }
}
