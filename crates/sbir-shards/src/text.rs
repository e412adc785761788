//! Bytes as JSON has them: text where they are UTF-8, else hexadecimal digits.

use sbir_files::names::to_hex;
use serde::{Deserialize, Serialize};

/// Bytes in JSON, as one of two fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Text {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { path: Some(text.to_owned()), hex: None },
            Err(_) => Self { path: None, hex: Some(to_hex(bytes)) },
        }
    }

    /// The bytes; none if neither or both fields are there, or text was written as digits.
    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        match (self.path, self.hex) {
            (Some(text), None) => Some(text.into_bytes()),
            (None, Some(hex)) => from_hex(&hex).filter(|bytes| std::str::from_utf8(bytes).is_err()),
            _ => None,
        }
    }
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = serde_json::to_string(&Text::new(&bytes)).unwrap();
            let text: Text = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(text.into_bytes(), Some(bytes));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for json in [
            "{}",
            r#"{"path":"a","hex":"ff"}"#,
            r#"{"hex":"f"}"#,
            r#"{"hex":"FF"}"#,
            r#"{"hex":"61"}"#,
        ] {
            let text: Text = serde_json::from_str(json).unwrap();
            assert_eq!(text.into_bytes(), None, "{json}");
        }
    }
}
