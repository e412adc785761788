//! From a picture to the encoder's input: decode, resize on 8-bit values, scale, normalise.

mod decode;
mod heic;
mod normalise;
mod reduced;
mod resize;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use image::metadata::Orientation as ExifOrientation;
use sbir_sketch::{DrawingStyle, LineStyle, Sketch, SketchifyOptions};
use serde::{Deserialize, Serialize};

pub(crate) use decode::read_file;
use decode::{Decoded, Layout};
pub use decode::{MAX_FILE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
pub use heic::is_heic;
use normalise::Lookup;
pub(crate) use reduced::{decode_upright, resize_rgb};

use crate::error::{Error, Result};
use crate::pairs::SketchSource;

/// The kernel of the resize; both are stretched by the scale when shrinking (antialiasing), as Pillow's are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The triangle of support 1.
    #[default]
    Bilinear,
    /// Keys' cubic of support 2 with a = −0.5 (R. Keys, 1981).
    Bicubic,
}

/// What is done with a photo's EXIF orientation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// Nothing: pixels as they are stored, as the origin has it.
    #[default]
    Ignore,
    /// The picture is turned upright.
    Exif,
}

/// What becomes of pictures with transparency, of palette pictures and of 1-bit pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alpha {
    /// They become grey or RGB over white *before* resizing, so that a transparent sketch is drawn on white paper.
    #[default]
    OverWhite,
    /// Pillow's way, for parity with the origin: palette and 1-bit pictures are resized by nearest neighbour, pictures
    /// with an alpha channel by premultiplied values; then transparency is dropped. Palettes are recognised in PNG and
    /// GIF files.
    OriginPixels,
}

macro_rules! names {
    ($type:ident, $what:literal, $expected:literal, $($variant:ident = $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::UnknownName { what: $what, expected: $expected, found: name.into() }),
                }
            }
        }
    };
}

names!(Filter, "filter", "bilinear, bicubic", Bilinear = "bilinear", Bicubic = "bicubic");
names!(Orientation, "orientation", "ignore, exif", Ignore = "ignore", Exif = "exif");
names!(
    Alpha,
    "treatment of transparency",
    "over-white, origin-pixels",
    OverWhite = "over-white",
    OriginPixels = "origin-pixels"
);

/// How a picture becomes the encoder's input.
///
/// Photos and raster sketches are squashed to the square (the aspect is not kept), strokes are rendered at its size.
/// Values are scaled to 0–1 and normalised; grey becomes RGB by repetition, after resizing.
#[derive(Clone, Debug)]
pub struct Transform {
    /// The side of the square in pixels, at least 1.
    pub side: usize,
    /// The mean of each channel (R, G, B), subtracted from values of 0–1.
    pub mean: [f32; 3],
    /// The deviation of each channel, by which the difference is divided.
    pub std: [f32; 3],
    /// The kernel of the resize.
    pub resize: Filter,
    /// What is done with a photo's EXIF orientation.
    pub orientation: Orientation,
    /// What is done with transparency.
    pub alpha: Alpha,
    /// How strokes are drawn.
    pub line: LineStyle,
}

impl Transform {
    /// The origin's transform: bilinear with antialiasing, ImageNet's mean (0.485, 0.456, 0.406) and deviation (0.229,
    /// 0.224, 0.225), no EXIF rotation; lines in the style `fscoco`; transparency over white, which is a departure.
    #[must_use]
    pub fn origin(side: usize) -> Self {
        Self {
            side,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            resize: Filter::Bilinear,
            orientation: Orientation::Ignore,
            alpha: Alpha::OverWhite,
            line: LineStyle::FsCoco,
        }
    }

    /// The number of values of one picture, `3 * side * side`.
    #[must_use]
    pub fn len(&self) -> usize {
        3 * self.side * self.side
    }

    /// Whether pictures have no values, i.e. the side is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.side == 0
    }

    /// Reads an image file.
    ///
    /// # Shapes
    /// - output: `[3, side, side]`
    ///
    /// # Errors
    /// If the file cannot be read, is no whole image of a known format, or is larger than [`MAX_FILE_BYTES`],
    /// [`MAX_IMAGE_SIDE`] or [`MAX_IMAGE_PIXELS`].
    pub fn load_image(&self, path: &Path) -> Result<Vec<f32>> {
        Ok(self.normalise(&self.image_pixels(path)?))
    }

    /// Decodes an image from memory; `name` stands for it in errors.
    ///
    /// # Shapes
    /// - output: `[3, side, side]`
    ///
    /// # Errors
    /// As [`Self::load_image`].
    pub fn load_bytes(&self, name: &Path, bytes: &[u8]) -> Result<Vec<f32>> {
        Ok(self.normalise(&self.byte_pixels(name, bytes)?))
    }

    /// Reads or renders a sketch (or a photo, which is a [`SketchSource::Image`] too).
    ///
    /// # Shapes
    /// - output: `[3, side, side]`
    ///
    /// # Errors
    /// As [`Self::load_image`], or if the stroke file is not one.
    pub fn load_sketch(&self, source: &SketchSource) -> Result<Vec<f32>> {
        Ok(self.normalise(&self.source_pixels(source)?))
    }

    /// Resizes and normalises pixels that are already decoded.
    ///
    /// # Shapes
    /// - `pixels`: `[height, width, 3]`
    /// - output: `[3, side, side]`
    ///
    /// # Errors
    /// If the number of bytes does not fit the size, or the size is 0.
    pub fn from_rgb8(&self, width: usize, height: usize, pixels: &[u8]) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.len()];
        self.rgb8_into(width, height, pixels, &mut values)?;
        Ok(values)
    }

    /// [`from_rgb8`](Self::from_rgb8) into a place in a batch.
    ///
    /// # Shapes
    /// - `pixels`: `[height, width, 3]`
    /// - `values`: `[3, side, side]`
    ///
    /// # Errors
    /// If the number of bytes does not fit the size, or the size is 0.
    ///
    /// # Panics
    /// If `values` has another length than [`len`](Self::len).
    pub fn rgb8_into(
        &self,
        width: usize,
        height: usize,
        pixels: &[u8],
        values: &mut [f32],
    ) -> Result<()> {
        assert_eq!(values.len(), self.len(), "a place for another size of picture");
        let data = self.resize_rgb8(width, height, pixels)?;
        self.lookup().write(&Pixels { channels: 3, data }, values);
        Ok(())
    }

    /// Resizes pixels that are already decoded, to 8-bit RGB. Made of the result, the values are the same.
    ///
    /// # Shapes
    /// - `pixels`: `[height, width, 3]`
    /// - output: `[side, side, 3]`
    ///
    /// # Errors
    /// If the number of bytes does not fit the size, or the size is 0.
    pub fn resize_rgb8(&self, width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>> {
        let expected = width.saturating_mul(height).saturating_mul(3);
        if expected == 0 || pixels.len() != expected {
            return Err(Error::PixelCount { width, height, expected, found: pixels.len() });
        }
        Ok(resize::convolve::<3>(pixels, [width, height], self.side, self.resize))
    }

    /// The resized 8-bit picture of a source.
    pub(crate) fn source_pixels(&self, source: &SketchSource) -> Result<Pixels> {
        match source {
            SketchSource::Image(path) => self.image_pixels(path),
            SketchSource::StrokeFile(path) => Ok(self.rendered(&sbir_sketch::read_sketch(path)?)),
            SketchSource::Strokes(sketch) => Ok(self.rendered(sketch)),
            SketchSource::Drawing { photo, style } => Ok(self.rendered(&drawing(photo, *style)?)),
        }
    }

    pub(crate) fn rendered(&self, sketch: &sbir_sketch::Sketch) -> Pixels {
        Pixels { channels: 1, data: sbir_sketch::render(sketch, self.side, &self.line).pixels }
    }

    fn image_pixels(&self, path: &Path) -> Result<Pixels> {
        self.byte_pixels(path, &decode::read_file(path)?)
    }

    fn byte_pixels(&self, name: &Path, bytes: &[u8]) -> Result<Pixels> {
        let upright = self.orientation == Orientation::Exif;
        let mut decoded = decode::decode(name, bytes, upright)?;
        match self.alpha {
            Alpha::OverWhite => decoded.flatten_over_white(),
            Alpha::OriginPixels if decoded.keyed => decoded.ignore_alpha(),
            Alpha::OriginPixels => {}
        }
        Ok(self.resized(decoded))
    }

    fn resized(&self, decoded: Decoded) -> Pixels {
        let size = [decoded.width, decoded.height];
        if decoded.nearest && self.alpha == Alpha::OriginPixels {
            let data = resize::nearest(&decoded.data, size, decoded.layout.channels(), self.side);
            return Pixels::without_alpha(decoded.layout, data);
        }
        let Decoded { layout, mut data, .. } = decoded;
        let data = match layout {
            Layout::Grey => resize::convolve::<1>(&data, size, self.side, self.resize),
            Layout::Rgb => resize::convolve::<3>(&data, size, self.side, self.resize),
            Layout::GreyAlpha => {
                resize::premultiply::<2>(&mut data);
                let mut data = resize::convolve::<2>(&data, size, self.side, self.resize);
                resize::unpremultiply::<2>(&mut data);
                data
            }
            Layout::Rgba => {
                resize::premultiply::<4>(&mut data);
                let mut data = resize::convolve::<4>(&data, size, self.side, self.resize);
                resize::unpremultiply::<4>(&mut data);
                data
            }
        };
        Pixels::without_alpha(layout, data)
    }

    fn normalise(&self, pixels: &Pixels) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        self.lookup().write(pixels, &mut values);
        values
    }

    /// The table that turns 8-bit pictures into this transform's values.
    pub(crate) fn lookup(&self) -> Lookup {
        Lookup::new(self.mean, self.std)
    }
}

/// A resized 8-bit picture, `[side, side, channels]` with one channel (grey) or three (RGB): a quarter (or a twelfth)
/// of the memory of its normalised values while it waits in the loader.
#[derive(Clone, Debug)]
pub(crate) struct Pixels {
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Pixels {
    /// The side of the square in pixels.
    pub(crate) fn side(&self) -> usize {
        (self.data.len() / self.channels).isqrt()
    }

    fn without_alpha(layout: Layout, data: Vec<u8>) -> Self {
        match layout {
            Layout::Grey => Self { channels: 1, data },
            Layout::Rgb => Self { channels: 3, data },
            Layout::GreyAlpha => {
                let data = data.chunks_exact(2).map(|pixel| pixel[0]).collect();
                Self { channels: 1, data }
            }
            Layout::Rgba => {
                let data = data.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
                Self { channels: 3, data }
            }
        }
    }
}

/// The line drawing of a photo, upright or not as its pixels are stored; transparency is white.
///
/// # Errors
/// As [`Transform::load_image`].
pub fn drawing(photo: &Path, style: DrawingStyle) -> Result<Sketch> {
    draw(photo, &style.into(), Orientation::Ignore)
}

/// The line drawing of a photo with options of one's own.
///
/// # Errors
/// As [`Transform::load_image`].
pub fn draw(photo: &Path, options: &SketchifyOptions, orientation: Orientation) -> Result<Sketch> {
    let bytes = decode::read_file(photo)?;
    let decoded = decode::decode(photo, &bytes, orientation == Orientation::Exif)?;
    let [width, height] = [decoded.width, decoded.height];
    Ok(sbir_sketch::sketchify(width, height, &decoded.into_rgb(), options)?)
}

/// The strokes of a sketch that is a picture.
///
/// # Errors
/// As [`Transform::load_image`].
pub fn traced(sketch: &Path) -> Result<Sketch> {
    let bytes = decode::read_file(sketch)?;
    let decoded = decode::decode(sketch, &bytes, false)?;
    let [width, height] = [decoded.width, decoded.height];
    Ok(sbir_sketch::vectorise(width, height, &decoded.into_rgb())?)
}

/// A part of a square picture, `size` = `[width, height]` from `at` = `[left, top]` on, resized to a square.
pub(crate) fn resize_part(
    pixels: &Pixels,
    at: [usize; 2],
    size: [usize; 2],
    side: usize,
    filter: Filter,
) -> Pixels {
    let (from, channels) = (pixels.side(), pixels.channels);
    let part: Vec<u8> = pixels
        .data
        .chunks_exact(from * channels)
        .skip(at[1])
        .take(size[1])
        .flat_map(|row| &row[at[0] * channels..(at[0] + size[0]) * channels])
        .copied()
        .collect();
    let data = if channels == 1 {
        resize::convolve::<1>(&part, size, side, filter)
    } else {
        resize::convolve::<3>(&part, size, side, filter)
    };
    Pixels { channels, data }
}
