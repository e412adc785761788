//! Upright pictures, reduced ones, and thumbnails.

use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use sbir_data::{Error, Upright, thumbnail};

/// Smooth, with colours that differ from corner to corner.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let wave = 40.0 * (x * 9.0).sin() * (y * 7.0).cos();
        image::Rgb([(200.0 * x + wave) as u8, (200.0 * y + wave) as u8, (120.0 + wave) as u8])
    })
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    if format == ImageFormat::Jpeg {
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap();
    } else {
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    }
    bytes
}

/// A JPEG with an EXIF orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = ((exif.len() + 2) as u16).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

fn decode(bytes: &[u8], short_side: Option<u32>) -> Upright {
    Upright::decode(Path::new("test"), bytes, short_side).unwrap()
}

/// The mean difference after both are brought to one small size.
fn difference(a: &Upright, b: &Upright) -> f64 {
    let (a, b) = (a.shrunk(40), b.shrunk(40));
    assert_eq!((a.width, a.height), (b.width, b.height));
    let sum: u64 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.pixels.len() as f64
}

#[test]
fn reduced_pictures_show_the_same() {
    let picture = picture(1001, 750);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let bytes = encoded(&picture, format);
        let full = decode(&bytes, None);
        assert_eq!(([full.width, full.height], full.full_size), ([1001, 750], [1001, 750]));
        for (short_side, at_most) in [(90, 190), (180, 380), (300, 620)] {
            let reduced = decode(&bytes, Some(short_side));
            let short = reduced.width.min(reduced.height);
            assert!((short_side..=at_most).contains(&short), "{format:?} {short_side}: {short}");
            assert_eq!(reduced.full_size, [1001, 750]);
            assert!(difference(&full, &reduced) < 1.0, "{format:?} {short_side}");
        }
        // Too small to reduce.
        assert_eq!(decode(&bytes, Some(400)).width, 1001);
        assert_eq!(decode(&bytes, Some(0)), full);
    }
}

#[test]
fn every_orientation_is_turned_upright_at_every_scale() {
    let jpeg = encoded(&picture(640, 400), ImageFormat::Jpeg);
    let stored = image::load_from_memory(&jpeg).unwrap();
    for orientation in 1..=8_u8 {
        let mut expected = stored.clone();
        expected.apply_orientation(image::metadata::Orientation::from_exif(orientation).unwrap());
        let (width, height) = (expected.width(), expected.height());
        let expected = Upright::new(width, height, expected.into_rgb8().into_raw()).unwrap();
        for short_side in [None, Some(50), Some(100), Some(200)] {
            let found = decode(&turned(&jpeg, orientation), short_side);
            assert_eq!(found.full_size, [width, height], "{orientation} {short_side:?}");
            assert!(difference(&expected, &found) < 1.0, "{orientation} {short_side:?}");
        }
    }
}

#[test]
fn transparency_shows_white_and_grey_is_repeated() {
    let mut clear = image::RgbaImage::new(6, 4);
    clear.put_pixel(0, 0, image::Rgba([10, 20, 30, 255]));
    let mut bytes = Vec::new();
    clear.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    let found = decode(&bytes, None);
    assert_eq!(found.pixels[..6], [10, 20, 30, 255, 255, 255]);
    let grey = image::GrayImage::from_fn(300, 200, |x, _| image::Luma([(x / 2) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let mut bytes = Vec::new();
        grey.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        for short_side in [None, Some(50)] {
            let found = decode(&bytes, short_side);
            assert!(found.pixels.as_chunks::<3>().0.iter().all(|p| p[0] == p[1] && p[1] == p[2]));
        }
    }
}

#[test]
fn thumbnails_are_small_jpegs() {
    for (width, height, expected) in [(1200, 300, [96, 24]), (50, 40, [50, 40]), (2000, 1, [96, 1])]
    {
        let bytes = encoded(&picture(width, height), ImageFormat::Png);
        let small = thumbnail(Path::new("test"), &bytes, 96).unwrap();
        assert_eq!(image::guess_format(&small).unwrap(), ImageFormat::Jpeg);
        let small = image::load_from_memory(&small).unwrap();
        assert_eq!([small.width(), small.height()], expected);
    }
}

#[test]
fn broken_jpegs_are_refused_at_every_scale() {
    let jpeg = encoded(&picture(640, 400), ImageFormat::Jpeg);
    for short_side in [None, Some(100)] {
        for length in [0, 3, 100, jpeg.len() / 2, jpeg.len() - 2] {
            assert!(Upright::decode(Path::new("test"), &jpeg[..length], short_side).is_err());
        }
        let mut lying = jpeg.clone();
        let frame =
            lying.windows(2).position(|w| w[0] == 0xFF && matches!(w[1], 0xC0..=0xC2)).unwrap();
        lying[frame + 5..frame + 9].fill(0xFF);
        let error = Upright::decode(Path::new("test"), &lying, short_side).unwrap_err();
        assert!(matches!(error, Error::ImageTooLarge { .. }), "{error}");
    }
    assert!(Upright::new(2, 2, vec![0; 11]).is_err());
    assert!(Upright::new(0, 2, Vec::new()).is_err());
}
