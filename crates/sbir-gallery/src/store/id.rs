//! Names of photos in their store.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A photo's id in its store: a number in the local gallery, never given twice; a UUID elsewhere.
///
/// It is written as a decimal number if it is less than 2⁶³, else as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhotoId(pub u128);

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub PhotoId);

/// Ids below are numbers.
const NUMBERS: u128 = 1 << 63;

impl PhotoId {
    /// The id of a row of a database.
    #[must_use]
    pub fn from_row(row: i64) -> Self {
        Self(u128::from(row.unsigned_abs()))
    }

    /// The row of a database, where it can be one.
    #[must_use]
    pub fn row(self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }
}

impl fmt::Display for PhotoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < NUMBERS {
            return self.0.fmt(f);
        }
        let hex = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

/// Text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a photo: neither a number nor a UUID")]
pub struct NoId;

impl FromStr for PhotoId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        if text.len() != 36 {
            let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let value = text.parse().ok().filter(|value| number && *value < NUMBERS);
            return value.map(Self).ok_or(NoId);
        }
        let dashes = [8, 13, 18, 23];
        let mut value = 0_u128;
        for (at, byte) in text.bytes().enumerate() {
            if dashes.contains(&at) {
                if byte != b'-' {
                    return Err(NoId);
                }
            } else {
                let digit = char::from(byte).to_digit(16).ok_or(NoId)?;
                value = value << 4 | u128::from(digit);
            }
        }
        Ok(Self(value))
    }
}

/// A number where it is one, as before there were others; else text.
impl Serialize for PhotoId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.row() {
            Some(row) => serializer.serialize_i64(row),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PhotoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) if u128::from(number) < NUMBERS => Ok(Self(number.into())),
            Form::Number(_) => Err(D::Error::custom(NoId)),
            Form::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_are_written() {
        for value in [0, 1, NUMBERS - 1, NUMBERS, 5 << 76 | 2 << 62, u128::MAX] {
            let id = PhotoId(value);
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<PhotoId>(&json).unwrap(), id, "{json}");
        }
        assert_eq!(PhotoId(7).to_string(), "7");
        assert_eq!(serde_json::to_string(&PhotoId(7)).unwrap(), "7");
    }

    #[test]
    fn other_text_is_no_id() {
        let uuid = "6ba7b810-9dad-51d1-80b4-00c04fd430c8";
        assert!(uuid.parse::<PhotoId>().is_ok());
        for text in
            ["", "-1", "+1", "1.0", "9223372036854775808", "x", &uuid.replace('-', "0"), &uuid[1..]]
        {
            assert_eq!(text.parse::<PhotoId>(), Err(NoId), "{text}");
        }
    }
}
