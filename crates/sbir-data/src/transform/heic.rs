//! HEIC pictures: HEVC in a HEIF container, as telephones store photos.

use std::path::Path;

use heifer::Options;

use super::decode::{Decoded, Layout};
use crate::error::{Error, Result, one_line};

/// The most pixels that are decoded, fewer than of other formats: the decoder holds a picture twice.
const MAX_PIXELS: u64 = 64_000_000;

/// Whether a file's first bytes (256 are enough) say that it is HEIF with HEVC in it.
#[must_use]
pub fn is_heic(bytes: &[u8]) -> bool {
    let Some(length) = bytes.first_chunk().map(|length| u32::from_be_bytes(*length) as usize)
    else {
        return false;
    };
    let Some(brands) = bytes.get(8..length.min(256).min(bytes.len())) else { return false };
    bytes[4..8] == *b"ftyp"
        && brands
            .chunks_exact(4)
            .any(|brand| matches!(brand, b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx"))
}

/// Decodes a file's main picture, turned as its container says: EXIF's orientation is not HEIF's, and not applied. Colours
/// become sRGB's.
pub(super) fn decode(name: &Path, bytes: &[u8]) -> Result<Decoded> {
    // Files are decoded beside each other.
    let options = Options { max_threads: 1, max_pixels: MAX_PIXELS };
    let image = match heifer::decode_srgb_rgba8(bytes, &options) {
        // Colours that have no place in sRGB (high dynamic range): as they are coded.
        Err(heifer::Error::Unsupported(_)) => heifer::decode_rgba8(bytes, &options),
        result => result,
    };
    let image = image.map_err(|error| Error::Decode {
        path: name.into(),
        problem: one_line(&error.to_string()),
    })?;
    super::decode::check_size(name, image.width, image.height)?;
    let mut decoded = Decoded {
        width: image.width as usize,
        height: image.height as usize,
        layout: Layout::Rgba,
        data: image.data,
        nearest: false,
        keyed: false,
    };
    if !image.has_alpha {
        decoded.ignore_alpha();
    }
    Ok(decoded)
}
