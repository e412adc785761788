//! From a file to 8-bit pixels, with limits on what a hostile file can cost.

use std::io::{Cursor, ErrorKind, Read as _};
use std::path::Path;

use image::codecs::{bmp, gif, jpeg, png, tiff, webp};
use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, Limits};

use super::ExifOrientation;
use super::resize::times_255th;
use crate::error::{Error, Result, one_line};

/// The longest side that is decoded, in pixels.
pub const MAX_IMAGE_SIDE: u32 = 16_384;
/// The most pixels that are decoded.
pub const MAX_IMAGE_PIXELS: u64 = 100_000_000;
/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// The most memory that the decoded pixels, and the decoder's own buffers, may take, in bytes.
pub(super) const MAX_ALLOCATION: u64 = 512 << 20;

/// The channels of decoded pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// Decoded pixels, `[height, width, channels]`.
pub(super) struct Decoded {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) layout: Layout,
    pub(super) data: Vec<u8>,
    /// Whether Pillow would hold the picture in mode 1 or P, which it resizes by nearest neighbour.
    pub(super) nearest: bool,
    /// Whether the alpha channel stands for a transparent colour, which Pillow drops without a look.
    pub(super) keyed: bool,
}

impl Decoded {
    /// Lays the picture over white paper.
    pub(super) fn flatten_over_white(&mut self) {
        self.drop_alpha(|value, alpha| times_255th(value, alpha) + (255 - alpha));
    }

    /// The picture over white paper, `[height, width, 3]`.
    pub(super) fn into_rgb(mut self) -> Vec<u8> {
        self.flatten_over_white();
        match self.layout {
            Layout::Grey => self.data.iter().flat_map(|value| [*value; 3]).collect(),
            _ => self.data,
        }
    }

    /// Forgets the alpha channel.
    pub(super) fn ignore_alpha(&mut self) {
        self.drop_alpha(|value, _| value);
    }

    fn drop_alpha(&mut self, blend: impl Fn(u8, u8) -> u8) {
        let (colours, layout) = match self.layout {
            Layout::Grey | Layout::Rgb => return,
            Layout::GreyAlpha => (1, Layout::Grey),
            Layout::Rgba => (3, Layout::Rgb),
        };
        let pixels = self.data.len() / (colours + 1);
        // In place: a pixel's new bytes never lie behind its old ones.
        for pixel in 0..pixels {
            let from = pixel * (colours + 1);
            let alpha = self.data[from + colours];
            for colour in 0..colours {
                self.data[pixel * colours + colour] = blend(self.data[from + colour], alpha);
            }
        }
        self.data.truncate(pixels * colours);
        self.layout = layout;
    }
}

/// Reads a file of at most [`MAX_FILE_BYTES`] whole.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    // Asked before opening, which would wait on a pipe.
    let metadata = fs_err::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let too_large = |bytes| Error::FileTooLarge { path: path.into(), bytes, limit: MAX_FILE_BYTES };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    fs_err::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Decodes the first picture of an image file, whatever its name says; `upright` applies its EXIF orientation.
pub(super) fn decode(name: &Path, bytes: &[u8], upright: bool) -> Result<Decoded> {
    if bytes.is_empty() {
        return Err(Error::EmptyFile { path: name.into() });
    }
    if super::heic::is_heic(bytes) {
        return super::heic::decode(name, bytes);
    }
    let failed = |error: ImageError| decoding_error(name, &error);
    let mut nearest = false;
    let mut keyed = false;
    let input = Cursor::new(bytes);
    let format = image::guess_format(bytes).ok();
    let mut decoder: Box<dyn ImageDecoder + '_> = match format {
        Some(ImageFormat::Jpeg) => {
            // The decoder fills what is missing with grey; Pillow refuses such files.
            if !jpeg_is_whole(bytes) {
                return Err(Error::Truncated { path: name.into() });
            }
            Box::new(jpeg::JpegDecoder::new(input).map_err(failed)?)
        }
        Some(ImageFormat::Png) => {
            let header =
                PngHeader::read(bytes).ok_or_else(|| Error::Truncated { path: name.into() })?;
            // Before the decoder, which makes room for a row when it is made.
            check_size(name, header.width, header.height)?;
            nearest = header.is_palette() || header.is_bilevel();
            keyed = !header.has_alpha();
            Box::new(png::PngDecoder::with_limits(input, limits()).map_err(failed)?)
        }
        Some(ImageFormat::Gif) => {
            nearest = true;
            keyed = true;
            Box::new(gif::GifDecoder::new(input).map_err(failed)?)
        }
        Some(ImageFormat::WebP) => Box::new(webp::WebPDecoder::new(input).map_err(failed)?),
        Some(ImageFormat::Bmp) => Box::new(bmp::BmpDecoder::new(input).map_err(failed)?),
        Some(ImageFormat::Tiff) => Box::new(tiff::TiffDecoder::new(input).map_err(failed)?),
        _ => return Err(Error::NotAnImage { path: name.into() }),
    };
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    let too_large = Error::ImageTooLarge {
        path: name.into(),
        width,
        height,
        limit: "512 MiB of decoded values",
    };
    if decoder.total_bytes() > MAX_ALLOCATION {
        return Err(too_large);
    }
    decoder.set_limits(limits()).map_err(failed)?;
    // A picture with unreadable metadata is shown as it is stored.
    let orientation = if upright { decoder.orientation().ok() } else { None };
    let color = decoder.color_type();
    let values = match jpeg_values(format, bytes, color) {
        Some(values) => values,
        None => {
            let mut values = vec![0; decoder.total_bytes() as usize];
            decoder.read_image_boxed(&mut values).map_err(failed)?;
            values
        }
    };
    let (layout, data) = eight_bit(color, values).ok_or_else(|| Error::Decode {
        path: name.into(),
        problem: format!("pixels of type {color:?} are not supported"),
    })?;
    let decoded =
        Decoded { width: width as usize, height: height as usize, layout, data, nearest, keyed };
    match orientation {
        None | Some(ExifOrientation::NoTransforms) => Ok(decoded),
        Some(orientation) => turned(decoded, orientation).ok_or(too_large),
    }
}

/// The pixels of a grey or YCbCr JPEG as libjpeg decodes them, nearly: `None` if it is none or has faults, which the
/// `image` crate's decoder may pass over as libjpeg does.
///
/// That decoder (zune-jpeg 0.5) rounds twice where it doubles the chroma planes: after resizing to 224, 1.3 % of the
/// values of 200 photos differ from Pillow's by more than 1, where with jpeg-decoder it is 0.1 %. Its portable feature
/// gives the same pixels on every machine; its SSSE3 code is twice as fast, but off in 0.3 %.
fn jpeg_values(format: Option<ImageFormat>, bytes: &[u8], color: ColorType) -> Option<Vec<u8>> {
    if format != Some(ImageFormat::Jpeg) {
        return None;
    }
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(MAX_ALLOCATION as usize);
    decoder.read_info().ok()?;
    let matches = match decoder.info()?.pixel_format {
        jpeg_decoder::PixelFormat::L8 => color == ColorType::L8,
        jpeg_decoder::PixelFormat::RGB24 => color == ColorType::Rgb8,
        _ => false,
    };
    if matches { decoder.decode().ok() } else { None }
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    limits
}

pub(super) fn check_size(name: &Path, width: u32, height: u32) -> Result<()> {
    let limit = if width == 0 || height == 0 {
        "no side may be 0"
    } else if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE {
        "sides of 16,384"
    } else if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        "100 megapixels"
    } else {
        return Ok(());
    };
    Err(Error::ImageTooLarge { path: name.into(), width, height, limit })
}

fn decoding_error(name: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::Truncated { path: name.into() }
        }
        _ => Error::Decode { path: name.into(), problem: one_line(&error.to_string()) },
    }
}

/// The decoder's values with 8 bits each. Of 16 bits the upper 8 are kept, as Pillow does for RGB.
fn eight_bit(color: ColorType, values: Vec<u8>) -> Option<(Layout, Vec<u8>)> {
    let layout = match color {
        ColorType::L8 | ColorType::L16 => Layout::Grey,
        ColorType::La8 | ColorType::La16 => Layout::GreyAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 | ColorType::Rgb32F => Layout::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 | ColorType::Rgba32F => Layout::Rgba,
        _ => return None,
    };
    let data = match color.bytes_per_pixel() / color.channel_count() {
        1 => values,
        2 => values.as_chunks().0.iter().map(|v| (u16::from_ne_bytes(*v) >> 8) as u8).collect(),
        _ => values
            .as_chunks()
            .0
            .iter()
            .map(|value| (f32::from_ne_bytes(*value).clamp(0.0, 1.0) * 255.0).round() as u8)
            .collect(),
    };
    Some((layout, data))
}

pub(super) fn turned(decoded: Decoded, orientation: ExifOrientation) -> Option<Decoded> {
    let Decoded { width, height, layout, data, nearest, keyed } = decoded;
    let (width, height) = (width as u32, height as u32);
    let mut image = match layout {
        Layout::Grey => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLuma8),
        Layout::GreyAlpha => {
            ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLumaA8)
        }
        Layout::Rgb => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb8),
        Layout::Rgba => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba8),
    }?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    Some(Decoded { width, height, layout, data: image.into_bytes(), nearest, keyed })
}

/// The parts of a PNG's IHDR chunk that say what Pillow makes of it.
struct PngHeader {
    width: u32,
    height: u32,
    depth: u8,
    color: u8,
}

impl PngHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        // Signature (8 bytes), length and name of the chunk (8), width, height, bit depth, colour type.
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            width: word(16)?,
            height: word(20)?,
            depth: *bytes.get(24)?,
            color: *bytes.get(25)?,
        })
    }

    fn is_palette(&self) -> bool {
        self.color == 3
    }

    fn is_bilevel(&self) -> bool {
        self.color == 0 && self.depth == 1
    }

    fn has_alpha(&self) -> bool {
        self.color & 4 != 0
    }
}

/// Whether a JPEG reaches its end-of-image marker (T.81, B.1.1): segments with a length up to a scan, then coded data
/// in which 0xFF is followed by 0 or a restart marker, and so on.
pub(super) fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut rest = &bytes[2.min(bytes.len())..];
    loop {
        // To the next marker: in coded data past stuffed bytes and restarts, else a fill byte at most.
        let Some(at) = rest.iter().position(|byte| *byte == 0xFF) else { return false };
        rest = &rest[at + 1..];
        match rest.first() {
            None => return false,
            Some(0xD9) => return true,
            // A stuffed byte, a fill byte, markers without a length.
            Some(0x00 | 0xFF | 0x01 | 0xD0..=0xD8) => {}
            Some(_) => {
                let Some(length) = rest.get(1..3) else { return false };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let Some(after) = rest.get(1 + length..) else { return false };
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_whole_up_to_its_end_marker() {
        let scan = [0xFF, 0xD8, 0xFF, 0xDA, 0, 4, 1, 2, 7, 0xFF, 0, 8, 0xFF, 0xD0, 9, 0xFF, 0xD9];
        assert!(jpeg_is_whole(&scan));
        for end in 0..scan.len() {
            assert!(!jpeg_is_whole(&scan[..end]), "{end}");
        }
        // An end marker inside a segment, as of an embedded thumbnail, is none.
        assert!(!jpeg_is_whole(&[0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2, 5]));
    }

    #[test]
    fn white_shines_through() {
        let mut decoded = Decoded {
            width: 3,
            height: 1,
            layout: Layout::GreyAlpha,
            data: vec![0, 0, 100, 255, 0, 128],
            nearest: false,
            keyed: false,
        };
        decoded.flatten_over_white();
        assert_eq!((decoded.layout, decoded.data), (Layout::Grey, vec![255, 100, 127]));
    }

    #[test]
    fn deep_values_keep_their_upper_half() {
        let values = [0x1234_u16, 0xFF80].into_iter().flat_map(u16::to_ne_bytes).collect();
        assert_eq!(eight_bit(ColorType::L16, values), Some((Layout::Grey, vec![0x12, 0xFF])));
        let values = [-1.0_f32, 0.5, f32::NAN].into_iter().flat_map(f32::to_ne_bytes).collect();
        assert_eq!(eight_bit(ColorType::Rgb32F, values), Some((Layout::Rgb, vec![0, 128, 0])));
    }
}
