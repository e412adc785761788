#![allow(clippy::unwrap_used)]

use std::path::Path;

use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use proptest::prelude::*;

use super::*;

/// Made by Pillow 13.0.0 from 117 × 90 pixels of waves at quality 90, with the sampling, restart markers and colours
/// that their names tell.
fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(path).unwrap()
}

/// The plain twin: the whole picture, and the mean of each box; boxes at the border may be smaller.
fn means(bytes: &[u8], factor: usize) -> Reduced {
    let whole = image::load_from_memory(bytes).unwrap();
    let channels = if matches!(whole, DynamicImage::ImageLuma8(_)) { 1 } else { 3 };
    let [width, height] = [whole.width(), whole.height()].map(|side| side as usize);
    let whole = whole.into_bytes();
    let [to_width, to_height] = [width, height].map(|side| side.div_ceil(factor));
    let mut pixels = Vec::new();
    for place in 0..to_width * to_height {
        let rows = place / to_width * factor..((place / to_width + 1) * factor).min(height);
        let columns = place % to_width * factor..((place % to_width + 1) * factor).min(width);
        let count = rows.len() * columns.len();
        for channel in 0..channels {
            let sum: usize = rows
                .clone()
                .flat_map(|row| columns.clone().map(move |column| row * width + column))
                .map(|pixel| usize::from(whole[pixel * channels + channel]))
                .sum();
            pixels.push(((sum + count / 2) / count) as u8);
        }
    }
    Reduced { width: to_width, height: to_height, channels, pixels }
}

fn compare(bytes: &[u8], factor: usize, mean: f64, what: &str) {
    let (found, expected) = (reduced(bytes, factor).unwrap(), means(bytes, factor));
    let shape = |of: &Reduced| [of.width, of.height, of.channels, of.pixels.len()];
    assert_eq!(shape(&found), shape(&expected), "{what}");
    // At the right and lower border a block holds what the encoder made up.
    let inside = |pixel: usize| {
        (pixel % found.width + 1) * factor <= 112 && (pixel / found.width + 1) * factor <= 80
    };
    let off: Vec<f64> = found
        .pixels
        .iter()
        .zip(&expected.pixels)
        .enumerate()
        .filter(|(place, _)| inside(place / found.channels))
        .map(|(_, (a, b))| f64::from(a.abs_diff(*b)))
        .collect();
    let average = off.iter().sum::<f64>() / off.len() as f64;
    assert!(average < mean, "{what}: off by {average} on average");
    let most = off.iter().copied().fold(0.0, f64::max);
    // A short transform is no box mean: single pixels at sharp edges differ, by up to 17 here.
    assert!(most <= 20.0, "{what}: {most}");
}

#[test]
fn pixels_are_means_of_the_whole_picture() {
    for (name, mean) in [
        ("444.jpg", 0.9),
        ("422.jpg", 0.9),
        ("420.jpg", 0.9),
        ("restart.jpg", 0.9),
        ("grey.jpg", 0.6),
    ] {
        for factor in [2, 4, 8] {
            compare(&golden(name), factor, mean, &format!("{name} by {factor}"));
        }
    }
}

#[test]
fn what_is_unknown_is_left_to_others() {
    for name in ["progressive.jpg", "cmyk.jpg", "rgb.jpg"] {
        assert_eq!(reduced(&golden(name), 8), None, "{name}");
    }
    for factor in [0, 1, 3, 16] {
        assert_eq!(reduced(&golden("444.jpg"), factor), None, "{factor}");
    }
    assert_eq!(reduced(b"", 8), None);
}

#[test]
fn a_part_of_a_file_is_none() {
    let bytes = golden("restart.jpg");
    // But for what follows the last block: the marker of the end.
    for end in 0..bytes.len() - 1 {
        assert_eq!(reduced(&bytes[..end], 8), None, "{end}");
    }
    // A restart marker out of order.
    let mut swapped = bytes.clone();
    let at = swapped.windows(2).position(|pair| pair == [0xFF, 0xD0]).unwrap();
    swapped[at + 1] = 0xD3;
    assert_eq!(reduced(&swapped, 8), None);
}

#[test]
fn long_codes_and_large_values_are_read() {
    // Noise at the best quality: nearly all codes are long.
    let mut state = 1_u32;
    let noise = image::RgbImage::from_fn(64, 48, |_, _| {
        image::Rgb([(); 3].map(|()| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    });
    let mut bytes = Vec::new();
    noise.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 100)).unwrap();
    for factor in [4, 8] {
        let (found, expected) = (reduced(&bytes, factor).unwrap(), means(&bytes, factor));
        let off = found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off.unwrap() < 24, "{factor}: {off:?}");
    }
}

proptest! {
    #[test]
    fn damaged_files_do_no_harm(
        file in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        factor in prop::sample::select(vec![2_usize, 4, 8]),
    ) {
        let names = ["444.jpg", "420.jpg", "restart.jpg", "grey.jpg", "422.jpg"];
        let mut bytes = golden(names[file]);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        // A size that was changed is for the caller to check.
        if let Some(at) = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0])
            && (bytes[at + 5] > 1 || bytes[at + 7] > 1) {
                return Ok(());
            }
        if let Some(found) = reduced(&bytes, factor) {
            prop_assert_eq!(found.pixels.len(), found.width * found.height * found.channels);
        }
    }

    #[test]
    fn anything_after_a_sound_head_does_no_harm(
        data in prop::collection::vec(any::<u8>(), 0..600),
        factor in prop::sample::select(vec![2_usize, 4, 8]),
    ) {
        let mut bytes = golden("420.jpg");
        let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
        bytes.truncate(scan);
        bytes.extend(data);
        bytes.extend([0xFF, 0xD9]);
        let _ = reduced(&bytes, factor);
    }
}
