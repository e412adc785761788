//! Names of files as bytes, of which no more is asked than the file system does: they need not be UTF-8.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Bytes as one printable line: control characters and bytes that are no UTF-8 are escaped.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        for byte in chunk.invalid() {
            line.push_str(&format!("\\x{byte:02x}"));
        }
    }
    line
}

/// A name's bytes; none where names are no bytes and this one is not Unicode.
#[cfg(unix)]
#[must_use]
pub fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(name.as_bytes())
}

/// A name's bytes; none where names are no bytes and this one is not Unicode.
#[cfg(not(unix))]
#[must_use]
pub fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().map(str::as_bytes)
}

/// The path that bytes stand for.
#[cfg(unix)]
#[must_use]
pub fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(bytes).into()
}

/// The path that bytes stand for.
#[cfg(not(unix))]
#[must_use]
pub fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Bytes as hexadecimal digits, in lower case.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_printable_line() {
        assert_eq!(escaped("a é\n\u{1b}".as_bytes()), "a é\\n\\u{1b}");
        assert_eq!(escaped(b"a\xff/b"), "a\\xff/b");
        assert_eq!(to_hex(&[0, 10, 255]), "000aff");
        let path = bytes_to_path(b"a/b.jpg");
        assert_eq!(name_bytes(path.as_os_str()), Some(&b"a/b.jpg"[..]));
    }
}
