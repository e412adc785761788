//! The token that is asked for beyond the loopback interface.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::{Error, Result};

/// The fewest characters of a token that somebody chose.
const MINIMUM: usize = 16;

/// A token and the secret that a browser gets for it. Neither is ever printed by `Debug`.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
    session: String,
    tag: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Takes a token that somebody chose.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let sound = (MINIMUM..=200).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !sound {
            return Err(Error::WeakToken { minimum: MINIMUM });
        }
        Ok(Self::of(text.to_owned()))
    }

    /// Makes one of 256 random bits.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::Random { problem: error.to_string() })?;
        Ok(Self::of(hex(&bytes)))
    }

    fn of(text: String) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"sbir session\0");
        hash.update(text.as_bytes());
        let session = hex(&hash.finalize());
        let mut hash = Sha256::new();
        hash.update(b"sbir cookie\0");
        hash.update(text.as_bytes());
        let tag = hex(&hash.finalize()[..4]);
        Self { text, session, tag }
    }

    /// The token itself, for the one line that tells it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What the cookie holds. The same token gives the same session, so that browsers outlive a restart.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// A few letters that differ between tokens, and tell nothing of either secret.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    pub(crate) fn is_token(&self, shown: &[u8]) -> bool {
        same(self.text.as_bytes(), shown)
    }

    pub(crate) fn is_session(&self, shown: &[u8]) -> bool {
        same(self.session.as_bytes(), shown)
    }
}

/// Compares secrets in a time that tells nothing of where they differ, or of their lengths.
fn same(secret: &[u8], shown: &[u8]) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(shown)).into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_tokens_are_refused() {
        for text in [
            "",
            "short",
            "fifteen-letters",
            "with a space in it",
            "slash/slash/slash/slash",
            "ümlaute-und-mehr-davon",
        ] {
            assert!(matches!(Token::new(text), Err(Error::WeakToken { .. })), "{text}");
        }
        assert!(Token::new("sixteen-letters-").is_ok());
        assert!(Token::new(&"a".repeat(201)).is_err());
    }

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::random().unwrap();
        assert_eq!(token.text().len(), 64);
        assert!(token.is_token(token.text().as_bytes()));
        assert!(token.is_session(token.session().as_bytes()));
        assert!(!token.is_token(token.session().as_bytes()));
        assert!(!token.is_session(token.text().as_bytes()));
        assert!(!token.is_token(b""));
        assert!(!token.is_token(&token.text().as_bytes()[..63]));
        assert_ne!(token.text(), Token::random().unwrap().text());
        assert!(!format!("{token:?}").contains(&token.text()[..8]));
    }
}
