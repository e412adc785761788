//! Photos as people see them: upright, in colour, over white paper; and small copies of them.
//!
//! For folders of photos, where a photo's size decides the speed: a JPEG is decoded at a fraction of its scale where that
//! is enough, and every other picture is reduced right after decoding, so that few bytes wait for the encoder.

use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::error::{Error, Result};
use crate::transform::{self, Filter};

/// An upright picture of 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upright {
    /// The width in pixels, at least 1.
    pub width: u32,
    /// The height in pixels, at least 1.
    pub height: u32,
    /// The values, `[height, width, 3]`.
    pub pixels: Vec<u8>,
    /// The width and height of the whole picture, upright, of which this may be a reduced copy.
    pub full_size: [u32; 2],
}

impl Upright {
    /// Takes pixels.
    ///
    /// # Shapes
    /// - `pixels`: `[height, width, 3]`
    ///
    /// # Errors
    /// If the number of bytes does not fit the size, or the size is 0.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || pixels.len() as u64 != expected {
            let (width, height, expected) = (width as usize, height as usize, expected as usize);
            return Err(Error::PixelCount { width, height, expected, found: pixels.len() });
        }
        Ok(Self { width, height, pixels, full_size: [width, height] })
    }

    /// Decodes an image file: EXIF orientation applied, transparency over white, grey as RGB. With `short_side`, the
    /// picture may come reduced by a whole factor, with a short side of no less than that.
    ///
    /// # Errors
    /// If the file cannot be read, is no whole image of a known format, or is larger than
    /// [`MAX_FILE_BYTES`](crate::MAX_FILE_BYTES), [`MAX_IMAGE_SIDE`](crate::MAX_IMAGE_SIDE) or
    /// [`MAX_IMAGE_PIXELS`](crate::MAX_IMAGE_PIXELS).
    pub fn load(path: &Path, short_side: Option<u32>) -> Result<Self> {
        Self::decode(path, &transform::read_file(path)?, short_side)
    }

    /// [`load`](Self::load) from memory; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn decode(name: &Path, bytes: &[u8], short_side: Option<u32>) -> Result<Self> {
        transform::decode_upright(name, bytes, short_side)
    }

    /// A copy whose longer side is at most `side` pixels (antialiased); the picture itself where it is no larger.
    #[must_use]
    pub fn shrunk(&self, side: u32) -> Self {
        let [width, height] = [self.width, self.height];
        let longer = width.max(height);
        if longer <= side || side == 0 {
            return self.clone();
        }
        let scaled = |length: u32| {
            let exact = u64::from(length) * u64::from(side) + u64::from(longer) / 2;
            ((exact / u64::from(longer)) as u32).max(1)
        };
        let (to_width, to_height) = (scaled(width), scaled(height));
        let pixels = transform::resize_rgb(
            &self.pixels,
            [width as usize, height as usize],
            [to_width as usize, to_height as usize],
            Filter::Bilinear,
        );
        Self { width: to_width, height: to_height, pixels, full_size: self.full_size }
    }

    /// The picture as a JPEG file of a quality of 1–100.
    ///
    /// # Errors
    /// If a side is longer than the 65,535 pixels that a JPEG can have.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
            .encode(&self.pixels, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|error| Error::Encode {
                problem: crate::error::one_line(&error.to_string()),
            })?;
        Ok(bytes)
    }
}

/// A small JPEG of an image file's bytes, whose longer side is at most `side` pixels: a thumbnail.
///
/// # Errors
/// As [`Upright::load`].
pub fn thumbnail(name: &Path, bytes: &[u8], side: u32) -> Result<Vec<u8>> {
    Upright::decode(name, bytes, Some(side))?.shrunk(side).to_jpeg(85)
}
