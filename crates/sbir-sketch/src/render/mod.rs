//! The renderer: strokes to grey pixels.
//!
//! A canvas of any shape fills the square raster, each axis stretched by its own factor as photos are;
//! the line keeps one width everywhere. Pixel `(column, row)` covers `[column, column + 1] × [row, row + 1]`,
//! so a point at the canvas' right edge lies at `side`, not `side − 1`.

mod antialiased;
mod fscoco;
mod resize;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sketch::Sketch;

/// Largest raster side that [`render`] draws.
pub const MAX_SIDE: usize = 16_384;

/// The value of blank paper.
const PAPER: u8 = 255;

/// How lines look. As text: `fscoco`, or the width, such as `0.0117`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LineStyle {
    /// Antialiased black lines with round caps and joints; a stroke of one point is a dot.
    Antialiased {
        /// Line width as a share of the raster's side, above 0 and at most 1.
        width: f32,
    },
    /// FS-COCO's drawings as OpenCV makes them: black 1-pixel 8-connected lines between points cut to
    /// whole pixels, on 256 × 256, thickened by a 3 × 3 dilation; other sides are resized from that by an
    /// antialiased bilinear filter, the one that the training transform uses.
    FsCoco,
}

impl LineStyle {
    /// The width of FS-COCO's lines, 3 pixels of 256, as a share of the side.
    pub const FSCOCO_WIDTH: f32 = 3.0 / 256.0;
}

impl Default for LineStyle {
    /// Antialiased lines as wide as FS-COCO's.
    fn default() -> Self {
        Self::Antialiased { width: Self::FSCOCO_WIDTH }
    }
}

impl fmt::Display for LineStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Antialiased { width } => write!(f, "{width}"),
            Self::FsCoco => f.write_str("fscoco"),
        }
    }
}

impl FromStr for LineStyle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.eq_ignore_ascii_case("fscoco") {
            return Ok(Self::FsCoco);
        }
        match text.parse::<f32>() {
            Ok(width) if width > 0.0 && width <= 1.0 => Ok(Self::Antialiased { width }),
            _ => Err(Error::LineStyle { found: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for LineStyle {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<LineStyle> for String {
    fn from(style: LineStyle) -> Self {
        style.to_string()
    }
}

/// A square grey picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Width and height in pixels.
    pub side: usize,
    /// `side × side` values, row by row from the top: 255 is paper, 0 full ink.
    pub pixels: Vec<u8>,
}

/// Draws a sketch on a white square of `side × side` pixels.
///
/// The result depends on nothing but the arguments: no threads, and the same operations in the same
/// order whatever vector instructions the processor has. Segments are clipped to the raster first, so
/// points far away cost nothing; points that are not finite are left out. A line width outside of the
/// range of [`LineStyle::Antialiased`] is brought into it.
///
/// # Shapes
/// - output: `side` rows of `side` pixels
///
/// # Panics
///
/// When `side` is above [`MAX_SIDE`].
pub fn render(sketch: &Sketch, side: usize, style: &LineStyle) -> Raster {
    let mut pixels = Vec::new();
    render_into(sketch, side, style, &mut pixels);
    Raster { side, pixels }
}

/// [`render`] into a buffer, which is resized to `side × side`; for loops that keep their buffer.
///
/// # Panics
///
/// When `side` is above [`MAX_SIDE`].
pub fn render_into(sketch: &Sketch, side: usize, style: &LineStyle, pixels: &mut Vec<u8>) {
    assert!(side <= MAX_SIDE, "raster side {side} is above {MAX_SIDE}");
    pixels.clear();
    pixels.resize(side * side, PAPER);
    if side == 0 {
        return;
    }
    match style {
        LineStyle::Antialiased { width } => antialiased::draw(sketch, side, *width, pixels),
        LineStyle::FsCoco => fscoco::draw(sketch, side, pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_is_text_both_ways() {
        for text in ["fscoco", "0.0117", "1"] {
            let style: LineStyle = text.parse().unwrap();
            assert_eq!(style.to_string(), text);
            let json = serde_json::to_string(&style).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<LineStyle>(&json).unwrap(), style);
        }
        assert_eq!("FSCOCO".parse::<LineStyle>().unwrap(), LineStyle::FsCoco);
        for text in ["", "0", "-0.1", "1.01", "nan", "inf", "thick"] {
            let error = text.parse::<LineStyle>().unwrap_err();
            assert!(matches!(error, Error::LineStyle { .. }), "{text}");
        }
    }

    #[test]
    fn empty_rasters_are_fine() {
        let sketch = Sketch::new([1.0, 1.0], vec![]).unwrap();
        for style in [LineStyle::default(), LineStyle::FsCoco] {
            assert!(render(&sketch, 0, &style).pixels.is_empty());
            assert!(render(&sketch, 3, &style).pixels.iter().all(|&p| p == PAPER));
        }
    }
}
