//! Hostile and broken image files: each an error in one line that names the file, soon and without the memory asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use image::ImageFormat;
use proptest::prelude::*;
use sbir_data::{Error, Transform};

use crate::pictures::{encoded, gradient, jpeg, png};

/// The error of a file with this content.
fn refused(name: &str, bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs_err::write(&path, bytes).unwrap();
    let start = Instant::now();
    let error = Transform::origin(32).load_image(&path).unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(500), "{name}: {:?}", start.elapsed());
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    error
}

/// A PNG's signature and header, and the start of its data.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = !0_u32;
    for byte in &chunk {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend((!crc).to_be_bytes());
    bytes.extend(b"\0\0\0\x10IDAT\x78\x9c");
    bytes
}

#[test]
fn empty_and_foreign_files() {
    assert!(matches!(refused("empty.jpg", b""), Error::EmptyFile { .. }));
    assert!(matches!(refused("text.jpg", b"this is text\n"), Error::NotAnImage { .. }));
    assert!(matches!(refused("page.png", b"<!DOCTYPE html>"), Error::NotAnImage { .. }));
    assert!(matches!(refused("zeros.png", &[0; 4096]), Error::NotAnImage { .. }));
}

#[test]
fn truncated_files() {
    let image = gradient(64, 48, 3);
    let whole = jpeg(64, 48, 3);
    for cut in [1, 2, 40, whole.len() / 2, whole.len() - 4] {
        let error = refused("cut.jpg", &whole[..whole.len() - cut]);
        assert!(matches!(error, Error::Truncated { .. }), "{cut}: {error}");
    }
    let whole = png(64, 48, 3);
    for cut in [whole.len() / 2, whole.len() - 10, whole.len() - 40] {
        let error = refused("cut.png", &whole[..whole.len() - cut]);
        assert!(matches!(error, Error::Truncated { .. } | Error::Decode { .. }), "{cut}: {error}");
    }
    for format in [ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
        let whole = encoded(&image, format);
        refused("cut", &whole[..whole.len() / 2]);
    }
}

#[test]
fn image_bombs() {
    for (width, height) in [(16_385, 1), (1, 100_000), (u32::MAX >> 1, 3), (16_000, 16_000), (0, 9)]
    {
        let error = refused("bomb.png", &png_header(width, height));
        assert!(matches!(error, Error::ImageTooLarge { .. }), "{width}x{height}: {error}");
    }
    // The size in a JPEG's frame header: 65,500 by 65,500.
    let mut bytes = jpeg(16, 16, 0);
    let frame = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    let error = refused("bomb.jpg", &bytes);
    assert!(matches!(error, Error::ImageTooLarge { .. }), "{error}");
    // GIF and BMP sizes.
    let mut bytes = encoded(&gradient(16, 16, 0), ImageFormat::Gif);
    bytes[6..10].copy_from_slice(&[0xFF; 4]);
    refused("bomb.gif", &bytes);
    let mut bytes = encoded(&gradient(16, 16, 0), ImageFormat::Bmp);
    bytes[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    refused("bomb.bmp", &bytes);
}

#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let transform = Transform::origin(32);
    let error = transform.load_image(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    let error = transform.load_image(&folder.path().join("none.jpg")).unwrap_err();
    assert!(matches!(error, Error::Io(_)) && error.to_string().contains("none.jpg"), "{error}");
    let sparse = folder.path().join("huge.jpg");
    fs_err::File::create(&sparse).unwrap().set_len(sbir_data::MAX_FILE_BYTES + 1).unwrap();
    let error = transform.load_image(&sparse).unwrap_err();
    assert!(matches!(error, Error::FileTooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bytes changed in a good file give a picture or an error, never a panic.
    #[test]
    fn changed_files_give_a_picture_or_an_error(
        format in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let formats = [
            ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff,
            ImageFormat::WebP,
        ];
        let mut bytes = encoded(&gradient(24, 16, 9), formats[format]);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if !whole {
            bytes.truncate(end.index(bytes.len()));
        }
        match Transform::origin(8).load_bytes(Path::new("changed"), &bytes) {
            Ok(values) => prop_assert!(values.iter().all(|value| value.is_finite())),
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
    }
}
