//! Paths as the text and the keys that a server keeps.

use std::path::{Component, Path};

use sbir_files::names::{name_bytes, to_hex};
use sbir_gallery::{Error, PhotoId, RelPath, Result};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::fault::words;

/// The namespace of photos' ids, a random one that stays.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f1c_93a4_0d2b_4e6f_9c38_b7e4_12d6_a05e);
/// What places in object stores begin with.
const REMOTE: &[u8] = b"s3://";

/// Bytes as text: what is UTF-8 stays, but a backslash is two, and any other byte is `\x` and two digits. Equal texts
/// come from equal bytes only.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes of an escaped text; none where [`escape`] does not write such a text.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
                after
            }
            (b'\\', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    (escape(&bytes) == text).then_some(bytes)
}

/// A path's bytes with one `/` between names and none behind: equal for paths that are equal component by component.
pub(crate) fn canonical(path: &Path) -> Result<Vec<u8>> {
    let bad = || Error::BadPath { path: words(&path.display().to_string()) };
    let mut bytes = Vec::new();
    for component in path.components() {
        let name = name_bytes(component.as_os_str()).ok_or_else(bad)?;
        match component {
            Component::RootDir => bytes.push(b'/'),
            _ if bytes.is_empty() && name == &REMOTE[..3] => bytes.extend_from_slice(REMOTE),
            _ => {
                if !bytes.is_empty() && !bytes.ends_with(b"/") {
                    bytes.push(b'/');
                }
                bytes.extend_from_slice(name);
            }
        }
    }
    Ok(bytes)
}

/// The places above a canonical path and the path itself, each canonical.
fn places(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start =
        if path.starts_with(REMOTE) { REMOTE.len() } else { usize::from(path.starts_with(b"/")) };
    let top = (start > 0).then(|| &path[..start]);
    let ends = (start..path.len()).filter(move |at| *at > start && path[*at] == b'/');
    let whole = (path.len() > start).then_some(path);
    top.into_iter().chain(ends.map(|end| &path[..end])).chain(whole)
}

/// The id of a photo: the same for everyone who writes it.
pub(crate) fn photo_id(root: &[u8], path: &[u8]) -> PhotoId {
    let mut name = (root.len() as u64).to_le_bytes().to_vec();
    name.extend_from_slice(root);
    name.extend_from_slice(path);
    PhotoId(Uuid::new_v5(&NAMESPACE, &name).as_u128())
}

/// What a place is called where photos list the places that they lie below: 32 hexadecimal digits, however long it is.
pub(crate) fn place_key(place: &[u8]) -> String {
    to_hex(&Sha256::digest(place)[..16])
}

/// The keys of all places that a photo lies below.
pub(crate) fn keys_above(root: &[u8], path: &RelPath) -> Vec<String> {
    let mut keys: Vec<_> = places(root).map(place_key).collect();
    let mut place = root.to_vec();
    let mut names = path.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_some() {
            if !place.ends_with(b"/") {
                place.push(b'/');
            }
            place.extend_from_slice(name);
            keys.push(place_key(&place));
        }
    }
    keys
}

/// The ids that a photo which is itself at this canonical place can have: one for every root it may be of.
pub(crate) fn ids_at(place: &[u8]) -> Vec<PhotoId> {
    let roots = places(place).filter(|root| root.len() < place.len());
    let id = |root: &[u8]| {
        let below = &place[root.len()..];
        photo_id(root, below.strip_prefix(b"/").unwrap_or(below))
    };
    roots.map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_reads_as_it_was() {
        for bytes in [
            &b"a/b"[..],
            b"",
            b"\\",
            b"\\x41",
            b"\\\\x41",
            b"\xff",
            b"a\xc3",
            b"\xf0\x9f\xaa",
            b"a\n\x01",
            "写真".as_bytes(),
        ] {
            let text = escape(bytes);
            assert_eq!(unescape(&text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(escape(b"a\\\xff"), "a\\\\\\xff");
        for text in ["\\", "\\x4", "\\x41", "\\xFF", "\\y", "\\x\u{e4}\u{e4}", "\\xc3\\xa4"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_equal_component_by_component() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b"),
            ("/a/./b", "/a/b"),
            ("s3://bucket/a/", "s3://bucket/a"),
            ("s3://bucket", "s3://bucket"),
            ("/s3:/a", "/s3:/a"),
        ] {
            assert_eq!(canonical(Path::new(path)).unwrap(), expected.as_bytes(), "{path}");
        }
        let all = |path: &str| -> Vec<String> {
            places(path.as_bytes()).map(|p| String::from_utf8(p.to_vec()).unwrap()).collect()
        };
        assert_eq!(all("/"), ["/"]);
        assert_eq!(all("/a/b"), ["/", "/a", "/a/b"]);
        assert_eq!(all("s3://b/c"), ["s3://", "s3://b", "s3://b/c"]);
    }

    #[test]
    fn places_above_are_those_that_a_path_starts_with() {
        let path = RelPath::new(b"c/d.jpg".to_vec()).unwrap();
        let keys = keys_above(b"/a/b", &path);
        let expected = ["/", "/a", "/a/b", "/a/b/c"].map(|place| place_key(place.as_bytes()));
        assert_eq!(keys, expected);
        assert_eq!(keys_above(b"/", &path), ["/", "/c"].map(|place| place_key(place.as_bytes())));
        let id = photo_id(b"/a/b", b"c/d.jpg");
        assert!(ids_at(b"/a/b/c/d.jpg").contains(&id));
        assert!(!ids_at(b"/a/b/c").contains(&id));
        assert!(ids_at(b"/c/d.jpg").contains(&photo_id(b"/", b"c/d.jpg")));
        assert!(ids_at(b"s3://b/c").contains(&photo_id(b"s3://b", b"c")));
    }

    #[test]
    fn ids_tell_roots_from_paths() {
        let ids = [
            photo_id(b"/a", b"b/c"),
            photo_id(b"/a/b", b"c"),
            photo_id(b"/a/", b"b/c"),
            photo_id(b"/ab", b"/c"),
        ];
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(id.0 >> 76 & 15, 5, "a UUID of version 5");
            assert!(!ids[..place].contains(id));
        }
        // They are in galleries: they stay.
        assert_eq!(ids[0].to_string(), "8cfa20bf-2f18-50f8-83e3-eb2cdb8ea040");
    }
}
