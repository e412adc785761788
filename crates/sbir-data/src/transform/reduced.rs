//! Decoding at reduced scale, to upright RGB.

use std::path::Path;

use image::ImageFormat;

use super::decode::{self, Decoded, Layout};
use super::{ExifOrientation, Filter, resize};
use crate::error::{Error, Result};
use crate::upright::Upright;

/// Decodes a picture upright, as RGB over white; reduced by a whole factor while its short side stays at least
/// `short_side`.
pub(crate) fn decode_upright(
    name: &Path,
    bytes: &[u8],
    short_side: Option<u32>,
) -> Result<Upright> {
    if let Some(short_side) = short_side
        && let Some(decoded) = reduced_jpeg(name, bytes, short_side)?
    {
        return Ok(decoded);
    }
    let mut decoded = decode::decode(name, bytes, true)?;
    let full_size = [decoded.width as u32, decoded.height as u32];
    decoded.flatten_over_white();
    let factor = match short_side {
        Some(side) if side > 0 => decoded.width.min(decoded.height) / side as usize,
        _ => 1,
    };
    if factor > 1 {
        decoded = averaged(&decoded, factor);
    }
    upright(decoded, full_size)
}

/// Resizes RGB, `[height, width, 3]` with `size` = `[width, height]`, to another size.
pub(crate) fn resize_rgb(
    pixels: &[u8],
    size: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Vec<u8> {
    resize::convolve_to::<3>(pixels, size, to, filter)
}

/// A JPEG at a half, a quarter or an eighth of its scale, by our own kernel or, where it does not know a file's kind
/// (progressive ones above all), by jpeg-decoder. `None` where this is no JPEG, too small to reduce, or one of a kind
/// that the whole decoder may know.
fn reduced_jpeg(name: &Path, bytes: &[u8], short_side: u32) -> Result<Option<Upright>> {
    if image::guess_format(bytes).ok() != Some(ImageFormat::Jpeg) || short_side == 0 {
        return Ok(None);
    }
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(decode::MAX_ALLOCATION as usize);
    if decoder.read_info().is_err() {
        return Ok(None);
    }
    let Some(info) = decoder.info() else { return Ok(None) };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    decode::check_size(name, width, height)?;
    let layout = match info.pixel_format {
        jpeg_decoder::PixelFormat::L8 => Layout::Grey,
        jpeg_decoder::PixelFormat::RGB24 => Layout::Rgb,
        _ => return Ok(None),
    };
    let short = width.min(height);
    if short < 2 * short_side {
        return Ok(None);
    }
    if !decode::jpeg_is_whole(bytes) {
        return Err(Error::Truncated { path: name.into() });
    }
    let orientation = decoder.exif_data().and_then(ExifOrientation::from_exif_chunk);
    let factor = [8, 4, 2].into_iter().find(|factor| short / factor >= short_side).unwrap_or(2);
    let known = sbir_kernels::jpeg::reduced(bytes, factor as usize)
        .filter(|reduced| reduced.channels == layout.channels());
    let (size, data) = match known {
        Some(reduced) => ([reduced.width, reduced.height], reduced.pixels),
        None => {
            let [to_width, to_height] = [width, height].map(|side| side.div_ceil(factor) as u16);
            let Ok((to_width, to_height)) = decoder.scale(to_width, to_height) else {
                return Ok(None);
            };
            let Ok(data) = decoder.decode() else { return Ok(None) };
            ([to_width, to_height].map(usize::from), data)
        }
    };
    let [to_width, to_height] = size;
    let mut decoded =
        Decoded { width: to_width, height: to_height, layout, data, nearest: false, keyed: false };
    let mut full_size = [width, height];
    if let Some(orientation) = orientation
        && orientation != ExifOrientation::NoTransforms
    {
        let Some(turned) = decode::turned(decoded, orientation) else { return Ok(None) };
        let sideways = matches!(
            orientation,
            ExifOrientation::Rotate90
                | ExifOrientation::Rotate270
                | ExifOrientation::Rotate90FlipH
                | ExifOrientation::Rotate270FlipH
        );
        if sideways {
            full_size.reverse();
        }
        decoded = turned;
    }
    upright(decoded, full_size).map(Some)
}

fn upright(decoded: Decoded, full_size: [u32; 2]) -> Result<Upright> {
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    Ok(Upright { full_size, ..Upright::new(width, height, decoded.into_rgb())? })
}

/// The mean of each box of `factor` by `factor` pixels; boxes at the right and lower edge may be smaller.
fn averaged(decoded: &Decoded, factor: usize) -> Decoded {
    let channels = decoded.layout.channels();
    let (width, height) = (decoded.width.div_ceil(factor), decoded.height.div_ceil(factor));
    let mut data = Vec::with_capacity(width * height * channels);
    let mut sums = vec![0_u64; width * channels];
    for rows in decoded.data.chunks(factor * decoded.width * channels) {
        sums.fill(0);
        for row in rows.chunks_exact(decoded.width * channels) {
            for (pixels, sums) in row.chunks(factor * channels).zip(sums.chunks_exact_mut(channels))
            {
                for pixel in pixels.chunks_exact(channels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += u64::from(*value);
                    }
                }
            }
        }
        let box_height = rows.len() / (decoded.width * channels);
        for (column, sums) in sums.chunks_exact(channels).enumerate() {
            let box_width = factor.min(decoded.width - column * factor);
            let count = (box_width * box_height) as u64;
            data.extend(sums.iter().map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    Decoded { width, height, layout: decoded.layout, data, nearest: false, keyed: false }
}
