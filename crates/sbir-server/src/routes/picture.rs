//! Uploaded pictures.

use std::io::Cursor;
use std::path::Path;

use axum::http::StatusCode;
use image::ImageError;
use sbir_data::{Upright, is_heic};
use serde::Deserialize;

use crate::problem::Problem;

/// What a picture is to be taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What it looks like.
    #[default]
    Auto,
    /// A drawing.
    Drawing,
    /// A photo.
    Photo,
}

/// Decodes a picture of at most so many pixels, with a short side of no less than twice the encoder's, and says what it
/// is taken for.
pub(crate) fn decode(
    bytes: &[u8],
    most_pixels: u64,
    side: usize,
    kind: Kind,
) -> Result<(Upright, Kind), Problem> {
    let within = |[width, height]: [u32; 2]| {
        let fits = u64::from(width) * u64::from(height) <= most_pixels;
        if fits { Ok(()) } else { Err(Problem::too_large("Pixels", most_pixels)) }
    };
    // HEIC's decoder has a limit of its own, which it looks at before it decodes.
    if !is_heic(bytes) {
        within(size(bytes)?)?;
    }
    let name = Path::new("upload");
    let picture = Upright::decode(name, bytes, Some(2 * side as u32)).map_err(|error| {
        let text = error.to_string();
        refused(text.strip_prefix("upload: ").unwrap_or(&text))
    })?;
    within(picture.full_size)?;
    let kind = match kind {
        Kind::Auto if looks_drawn(&picture) => Kind::Drawing,
        Kind::Auto => Kind::Photo,
        kind => kind,
    };
    Ok((picture, kind))
}

/// The size that a picture claims, from its header alone.
fn size(bytes: &[u8]) -> Result<[u32; 2], Problem> {
    let unknown = || {
        let message = "This is no picture that can be read here: send JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC.";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    };
    let format = image::guess_format(bytes).map_err(|_| unknown())?;
    match image::ImageReader::with_format(Cursor::new(bytes), format).into_dimensions() {
        Ok((width, height)) => Ok([width, height]),
        // A known format without a decoder here.
        Err(ImageError::Unsupported(_)) => Err(unknown()),
        Err(error) => Err(refused(&error.to_string())),
    }
}

fn refused(problem: &str) -> Problem {
    Problem::unprocessable(format!("The picture: {problem}."))
}

/// Whether a picture is mostly paper with few, mostly colourless marks on it: lines, not a photo on white.
fn looks_drawn(picture: &Upright) -> bool {
    let small = picture.shrunk(256);
    let (mut paper, mut coloured, mut middling) = (0_usize, 0_usize, 0_usize);
    let (pixels, _) = small.pixels.as_chunks::<3>();
    for &[red, green, blue] in pixels {
        let (low, high) = (red.min(green).min(blue), red.max(green).max(blue));
        paper += usize::from(low >= 215);
        coloured += usize::from(high - low > 40);
        middling += usize::from(low < 215 && high > 110);
    }
    let share = |count: usize| count as f64 / pixels.len().max(1) as f64;
    share(paper) > 0.7 && share(coloured) < 0.03 && share(middling) < 0.2
}

#[cfg(test)]
mod tests {
    use sbir_sketch::{LineStyle, Sketch, Stroke, render};

    use super::*;

    fn upright(side: usize, pixels: impl Iterator<Item = [u8; 3]>) -> Upright {
        Upright::new(side as u32, side as u32, pixels.flatten().collect()).unwrap()
    }

    #[test]
    fn drawings_are_told_from_photos() {
        let stroke = Stroke::new(vec![[20.0, 20.0], [200.0, 90.0], [50.0, 220.0], [20.0, 20.0]]);
        let sketch = Sketch::new([256.0; 2], vec![stroke]).unwrap();
        let lines = render(&sketch, 256, &LineStyle::default()).pixels;
        assert!(looks_drawn(&upright(256, lines.iter().map(|&grey| [grey; 3]))));
        let shades = (0..256 * 256).map(|i| [(i % 256) as u8, (i / 256) as u8, 90]);
        assert!(!looks_drawn(&upright(256, shades)));
        // A grey thing on a white ground, as in a catalogue.
        let thing = |i: usize| (64..192).contains(&(i % 256)) && (40..220).contains(&(i / 256));
        let catalogue = (0..256 * 256).map(|i| [if thing(i) { 150 } else { 255 }; 3]);
        assert!(!looks_drawn(&upright(256, catalogue)));
    }

    #[test]
    fn claims_are_checked_before_decoding() {
        let jpeg = upright(64, (0..64 * 64).map(|_| [9; 3])).to_jpeg(80).unwrap();
        assert!(decode(&jpeg, 64 * 64, 16, Kind::Auto).is_ok());
        let problem = decode(&jpeg, 64 * 64 - 1, 16, Kind::Auto).unwrap_err();
        assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
        let problem = decode(&jpeg[..jpeg.len() / 2], 1 << 20, 16, Kind::Auto).unwrap_err();
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!problem.message.contains("upload:"), "{}", problem.message);
        for bytes in [&b""[..], b"<svg onload=alert(1)>", b"%PDF-1.4"] {
            let problem = decode(bytes, 1 << 20, 16, Kind::Auto).unwrap_err();
            assert_eq!(problem.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
}
