//! Pictures made here: what their kinds become. Shared by the other tests.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::{DynamicImage, ImageFormat, RgbImage};
use sbir_data::{Alpha, Orientation, SketchSource, Transform};
use sbir_sketch::{Sketch, Stroke};

/// An image file in memory.
pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A picture with a gradient, coloured by `seed`.
pub(crate) fn gradient(width: u32, height: u32, seed: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(255 * x / width) as u8, (255 * y / height) as u8, seed])
    })
    .into()
}

/// A JPEG of such a picture.
pub(crate) fn jpeg(width: u32, height: u32, seed: u8) -> Vec<u8> {
    encoded(&gradient(width, height, seed), ImageFormat::Jpeg)
}

/// A PNG of such a picture.
pub(crate) fn png(width: u32, height: u32, seed: u8) -> Vec<u8> {
    encoded(&gradient(width, height, seed), ImageFormat::Png)
}

/// The transform of 8-bit values as they are, for comparisons by eye.
fn plain(side: usize) -> Transform {
    Transform { mean: [0.0; 3], std: [1.0 / 255.0; 3], ..Transform::origin(side) }
}

fn load(transform: &Transform, bytes: &[u8]) -> Vec<f32> {
    let values = transform.load_bytes(Path::new("test"), bytes).unwrap();
    assert_eq!(values.len(), transform.len());
    values.into_iter().map(f32::round).collect()
}

#[test]
fn content_tells_the_format_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    fs_err::write(&path, png(20, 10, 7)).unwrap();
    let transform = plain(8);
    let values = transform.load_image(&path).unwrap();
    assert!(values[2 * 64..].iter().all(|blue| blue.round() == 7.0));
    assert_eq!(values, transform.load_sketch(&SketchSource::Image(path)).unwrap());
}

#[test]
fn a_grey_photo_has_three_equal_channels() {
    let grey = gradient(30, 20, 0).to_luma8();
    let bytes = encoded(&grey.into(), ImageFormat::Jpeg);
    let values = load(&plain(8), &bytes);
    let (red, rest) = values.split_at(64);
    let (green, blue) = rest.split_at(64);
    assert!(red == green && green == blue && red[0] != red[63]);
}

#[test]
fn pixels_give_the_values_of_their_file() {
    let image = gradient(37, 23, 99);
    let transform = Transform::origin(16);
    let direct = transform.from_rgb8(37, 23, image.to_rgb8().as_raw()).unwrap();
    let from_file =
        transform.load_bytes(Path::new("a.png"), &encoded(&image, ImageFormat::Png)).unwrap();
    assert_eq!(direct, from_file);
    for (width, height, count) in [(37, 23, 36 * 23 * 3), (0, 5, 0), (usize::MAX, 2, 12)] {
        assert!(transform.from_rgb8(width, height, &vec![0; count]).is_err());
    }
}

#[test]
fn a_transparent_sketch_is_drawn_on_white_unless_pillow_is_wanted() {
    // Black lines on nothing, as drawing programs save them.
    let image = image::RgbaImage::from_fn(16, 16, |x, _| {
        image::Rgba([0, 0, 0, if x < 8 { 255 } else { 0 }])
    });
    let bytes = encoded(&image.into(), ImageFormat::Png);
    let paper = load(&plain(16), &bytes);
    assert_eq!((paper[0], paper[15]), (0.0, 255.0));
    let pillow = load(&Transform { alpha: Alpha::OriginPixels, ..plain(16) }, &bytes);
    assert!(pillow.iter().all(|value| *value == 0.0));
}

#[test]
fn a_bilevel_drawing_is_smoothed_unless_pillow_is_wanted() {
    // BSDS drawings are such; halving a checkerboard shows which.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bilevel.png");
    let greys = |alpha| {
        let values = Transform { alpha, ..plain(32) }.load_image(&golden).unwrap();
        values.iter().filter(|value| (1.0..254.0).contains(*value)).count()
    };
    assert!(greys(Alpha::OverWhite) > 0);
    assert_eq!(greys(Alpha::OriginPixels), 0);
}

#[test]
fn exif_turns_only_when_asked() {
    // Orientation 6 in a minimal APP1 segment: the stored picture is to be turned right by a quarter.
    let mut bytes = jpeg(40, 20, 0);
    let tiff = [
        b"II*\0".as_slice(),
        &8_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &0x0112_u16.to_le_bytes(),
        &3_u16.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &6_u32.to_le_bytes(),
        &0_u32.to_le_bytes(),
    ]
    .concat();
    let length = (2 + 6 + tiff.len()) as u16;
    let segment = [&[0xFF, 0xE1], &length.to_be_bytes()[..], b"Exif\0\0", &tiff].concat();
    bytes.splice(2..2, segment);
    let stored = load(&plain(8), &bytes);
    let upright = load(&Transform { orientation: Orientation::Exif, ..plain(8) }, &bytes);
    // Red grows to the right as stored, downwards once it is turned.
    assert!(stored[7] > 200.0 && stored[56] < 50.0, "{stored:?}");
    assert!(upright[7] < 50.0 && upright[56] > 200.0, "{upright:?}");
}

#[test]
fn strokes_are_rendered_at_the_size_of_the_input() {
    let stroke = Stroke { points: vec![[0.0, 52.0], [100.0, 52.0]], times: None };
    let sketch = Sketch::new([100.0, 100.0], vec![stroke]).unwrap();
    let values = plain(32).load_sketch(&SketchSource::Strokes(Arc::new(sketch))).unwrap();
    assert_eq!(values.len(), 3 * 32 * 32);
    assert!(values[16 * 32 + 16] < 200.0 && values[4 * 32 + 16].round() == 255.0);
    assert_eq!(values[..1024], values[1024..2048]);
}
