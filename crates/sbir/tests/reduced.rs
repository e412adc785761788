//! What index and serve see of large photos beside what the whole photos are: a JPEG is decoded at a fraction of its scale
//! while its short side stays twice the encoder's input.

use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use sbir::BUNDLED_ENCODER;
use sbir::data::{Filter, Transform, Upright};
use sbir::encoder::{Device, Encoder, Interpolation};

use crate::real_data::data;

/// Real photos, evenly from the folder.
fn photos(folder: &Path, count: usize) -> Vec<RgbImage> {
    let mut paths: Vec<PathBuf> =
        fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let step = paths.len() / count;
    paths
        .iter()
        .step_by(step)
        .take(count)
        .map(|path| image::open(path).unwrap().into_rgb8())
        .collect()
}

/// One photo enlarged, with the grain of a sensor, since an enlargement has no detail.
fn enlarged(photo: &RgbImage, width: u32, height: u32) -> RgbImage {
    let mut large = imageops::resize(photo, width, height, FilterType::CatmullRom);
    let mut state = 1_u32;
    for Rgb(pixel) in large.pixels_mut() {
        for value in pixel {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = value.saturating_add_signed(((state >> 28) as i8) - 8);
        }
    }
    large
}

/// Photos beside and below each other, each as sharp as it is.
fn mosaic(photos: &[RgbImage], width: u32, height: u32) -> RgbImage {
    let tiles: Vec<_> = photos
        .iter()
        .map(|photo| imageops::resize(photo, 400, 300, FilterType::Triangle))
        .collect();
    RgbImage::from_fn(width, height, |x, y| {
        let tile = (y / 300 * 7 + x / 400) as usize % tiles.len();
        *tiles[tile].get_pixel(x % 400, y % 300)
    })
}

#[test]
fn reduced_photos_embed_as_whole_ones_do() {
    let Some(folder) = data("photos1000") else { return };
    let photos = photos(&folder, 12);
    let encoder =
        Encoder::load_static("bundled", BUNDLED_ENCODER, &Device::flex()).unwrap().encoder;
    let preprocessing = encoder.preprocessing();
    assert_eq!(preprocessing.interpolation, Interpolation::Bilinear);
    let transform = Transform {
        mean: preprocessing.mean,
        std: preprocessing.std,
        resize: Filter::Bilinear,
        ..Transform::origin(preprocessing.image_size)
    };
    let short = 2 * preprocessing.image_size as u32;
    let embed = |bytes: &[u8], short_side: Option<u32>| {
        let seen = Upright::decode(Path::new("large.jpg"), bytes, short_side).unwrap();
        let [width, height] = [seen.width as usize, seen.height as usize];
        let pixels = transform.from_rgb8(width, height, &seen.pixels).unwrap();
        (seen.width, encoder.embed(pixels, [1, transform.side, transform.side]))
    };
    // An eighth, a quarter and a half, just above where each begins, and far above.
    for (factor, height) in [(8, 8 * short), (8, 3000), (4, 4 * short), (4, 2000), (2, 2 * short)] {
        let width = height * 4 / 3 / 16 * 16;
        for (place, photo) in photos.iter().enumerate().skip(height as usize % 3).step_by(3) {
            let large = if place % 2 == 0 {
                enlarged(photo, width, height)
            } else {
                mosaic(&photos[place..], width, height)
            };
            let mut bytes = Vec::new();
            large.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90)).unwrap();
            let (whole_width, whole) = embed(&bytes, None);
            let (seen_width, seen) = embed(&bytes, Some(short));
            assert_eq!([whole_width, seen_width], [width, width.div_ceil(factor)]);
            let cosine: f32 = whole.iter().zip(&seen).map(|(a, b)| a * b).sum();
            eprintln!("1/{factor} of {height} rows, photo {place}: cosine {cosine:.5}");
            assert!(cosine >= 0.999, "1/{factor} of {height} rows, photo {place}: {cosine}");
        }
    }
}
