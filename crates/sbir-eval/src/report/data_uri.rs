//! Pictures as `data:` addresses.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;

/// Largest file that is embedded as it is: thousands of larger ones would make a page that no browser opens.
const MOST_BYTES: u64 = 32 << 20;

/// A base64 `data:` address. With a media type that [`check_mime`] accepts it consists of letters, digits and `:/;,+=.-`
/// only, so it needs no escaping in HTML attributes or in CSS.
pub(super) fn encode(mime: &str, bytes: &[u8]) -> String {
    let mut uri = format!("data:{mime};base64,");
    STANDARD.encode_string(bytes, &mut uri);
    uri
}

/// Accepts `image/` and a plain subtype.
pub(super) fn check_mime(mime: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    match mime.strip_prefix("image/") {
        Some(subtype) if !subtype.is_empty() && subtype.bytes().all(plain) => Ok(()),
        _ => Err(format!("{mime:?} is not the media type of an image, such as image/jpeg")),
    }
}

/// Reads a picture file into a `data:` address.
pub(super) fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        format!("{shown} cannot be read ({}); check the path", super::text::one_line(&error))
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{shown} is larger than 32 MiB; embed a smaller version of it"));
    }
    match mime_of(&bytes) {
        Some(mime) => Ok(encode(mime, &bytes)),
        None => {
            Err(format!("{shown} is in no format that browsers show; convert it to JPEG or PNG"))
        }
    }
}

/// The media type, by the file's first bytes: names lie.
fn mime_of(bytes: &[u8]) -> Option<&'static str> {
    let is_svg = || {
        let start = &bytes[..bytes.len().min(1024)];
        start.trim_ascii_start().starts_with(b"<") && start.windows(4).any(|four| four == b"<svg")
    };
    Some(match bytes {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => "image/avif",
        [b'B', b'M', ..] => "image/bmp",
        _ if is_svg() => "image/svg+xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        assert_eq!(encode("image/png", b"light w"), "data:image/png;base64,bGlnaHQgdw==");
    }

    #[test]
    fn media_types_cannot_break_out() {
        assert!(check_mime("image/svg+xml").is_ok());
        for mime in ["", "image/", "text/html", "image/a;b", "image/a)b", "image/a\"b", "image/a b"]
        {
            assert!(check_mime(mime).is_err(), "{mime}");
        }
    }

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(mime_of(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(mime_of(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(mime_of(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(mime_of(b"<?xml version='1.0'?>\n<svg/>"), Some("image/svg+xml"));
        assert_eq!(mime_of(b"<html></html>"), None);
        assert_eq!(mime_of(b""), None);
    }
}
