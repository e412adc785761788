//! Paths below a root as the bytes that the file system has.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use sbir_files::names::{bytes_to_path, escaped, name_bytes};

use crate::error::{Error, Result};

/// A path below a root: names joined by `/`, as bytes, in which anything but a zero byte may occur (no UTF-8 needed).
/// It never leaves its root: no `..`, not absolute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// Takes a path from bytes.
    ///
    /// # Errors
    /// If it is empty, absolute, or has a `.`, a `..`, an empty name or a zero byte in it.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let sound = !bytes.is_empty()
            && !bytes.contains(&0)
            && bytes.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
        if sound { Ok(Self(bytes)) } else { Err(Error::BadPath { path: escaped(&bytes) }) }
    }

    /// Takes a relative path.
    ///
    /// # Errors
    /// As [`Self::new`]; where paths are no bytes, also if it is not Unicode.
    pub fn from_path(path: &Path) -> Result<Self> {
        let bad = || Error::BadPath { path: path.display().to_string() };
        let mut bytes = Vec::new();
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(bad()) };
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name_bytes(name).ok_or_else(bad)?);
        }
        Self::new(bytes)
    }

    /// The bytes, with `/` between names.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for the file system.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        bytes_to_path(&self.0)
    }

    /// The last name's bytes.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or(&self.0)
    }

    /// Whether the path lies below `folder`, or is it. An empty folder is the root.
    #[must_use]
    pub fn is_under(&self, folder: &[u8]) -> bool {
        folder.is_empty()
            || self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl TryFrom<Vec<u8>> for RelPath {
    type Error = Error;

    fn try_from(bytes: Vec<u8>) -> Result<Self> {
        Self::new(bytes)
    }
}

impl From<RelPath> for Vec<u8> {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

/// One line for people: control characters and bytes that are no UTF-8 are escaped.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", escaped(&self.0))
    }
}

/// The bytes that a root's absolute path is stored as.
pub(crate) fn path_to_bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = name_bytes(path.as_os_str());
    bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::BadPath { path: path.display().to_string() })
}
