//! Names of files below a place.

use std::fmt;
use std::path::PathBuf;

use sbir_files::names::{bytes_to_path, escaped};

use crate::error::{Error, Result};

/// The most bytes of a key, as of S3.
const MAX_KEY: usize = 1024;

/// The path of a file below a [`Place`](crate::Place): names joined by `/`, as bytes (local names need not be UTF-8).
///
/// It never leads out of its place: no `..`, not absolute, no empty name, no zero byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// Takes a key.
    ///
    /// # Errors
    /// If it is empty, absolute, or has a `.`, a `..`, an empty name or a zero byte in it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        let sound = !bytes.is_empty()
            && !bytes.contains(&0)
            && bytes.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
        if sound { Ok(Self(bytes)) } else { Err(Error::BadKey { key: escaped(&bytes) }) }
    }

    /// The bytes, with `/` between names.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last name.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or(&self.0)
    }

    /// The path for the file system.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        bytes_to_path(&self.0)
    }

    /// The name in an object store.
    pub(crate) fn object(&self, prefix: &str) -> Result<object_store::path::Path> {
        let bad = || Error::BadKey { key: self.to_string() };
        let key = std::str::from_utf8(&self.0).map_err(|_| bad())?;
        let whole = format!("{prefix}{key}");
        let path = object_store::path::Path::parse(&whole).map_err(|_| bad())?;
        if path.as_ref() == whole && whole.len() <= MAX_KEY { Ok(path) } else { Err(bad()) }
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// One line for people: control characters and bytes that are no UTF-8 are escaped.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", escaped(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_stay_below_their_place() {
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\0b"] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "...", "a b/%2e%2e/é", ".hidden/..x", "a\\..\\b", "line\nend"] {
            assert_eq!(Key::new(good).unwrap().as_bytes(), good.as_bytes());
        }
    }

    #[test]
    fn objects_are_named_to_the_letter_or_not_at_all() {
        let key = |text: &str| Key::new(text).unwrap();
        assert_eq!(key("a b/%2F.jpg").object("p q/").unwrap().as_ref(), "p q/a b/%2F.jpg");
        assert!(Key::new(b"\xff".to_vec()).unwrap().object("").is_err());
        assert!(key(&"x".repeat(1025)).object("").is_err());
    }

    proptest! {
        #[test]
        fn no_key_leads_out(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(key) = Key::new(bytes) {
                let path = std::path::Path::new("/root").join(key.to_path());
                prop_assert!(path.starts_with("/root") && path != std::path::Path::new("/root"));
                prop_assert!(path.components().all(|part| part != std::path::Component::ParentDir));
            }
        }
    }
}
