//! Line drawings of photos: what a person might draw of them, as strokes.
//!
//! The photo is smoothed with edges kept (a guided filter, He et al., ECCV 2010, rolled over its own result as in
//! Zhang et al., "Rolling guidance filter", ECCV 2014, so that texture goes and outlines stay). Colour gradients of
//! several scales (Di Zenzo's tensor, 1986) are weakened where their surroundings are full of edges (Grigorescu et
//! al., "Contour detection based on nonclassical receptive field inhibition", 2003), thinned, and followed from the
//! strongest on, over small gaps. Strokes are ranked by length, strength and how much they stand out from the
//! picture's border, smoothed, and simplified (Douglas and Peucker, 1973).

mod edges;
mod plane;
mod saliency;
mod trace;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sketch::{MAX_CANVAS, Sketch};
pub(crate) use plane::{Plane, lightness};
pub(crate) use trace::{simplified, smoothed};

/// How much of a photo is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawingStyle {
    /// A few long strokes: the main outlines.
    Gist,
    /// The outlines of things and their larger parts.
    Outline,
    /// Also inner lines and background.
    Detailed,
}

impl DrawingStyle {
    /// All styles, from the sparsest on.
    pub const ALL: [Self; 3] = [Self::Gist, Self::Outline, Self::Detailed];
}

impl Default for DrawingStyle {
    /// Outlines, the nearest to a drawing of one or two minutes.
    fn default() -> Self {
        Self::Outline
    }
}

impl fmt::Display for DrawingStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gist => "gist",
            Self::Outline => "outline",
            Self::Detailed => "detailed",
        })
    }
}

impl FromStr for DrawingStyle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|style| style.to_string() == text)
            .ok_or_else(|| Error::DrawingStyle { found: text.to_owned() })
    }
}

/// How a photo is drawn, in numbers. Lengths are shares of the photo's longer side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SketchifyOptions {
    /// Longer side, in pixels, of the picture that edges are looked for in: 64 to 1024.
    pub side: usize,
    /// How often the smoothing is rolled: more removes larger texture. 0 to 10.
    pub smoothing: usize,
    /// How much edges weaken each other: 0 draws texture, 2 draws only lines that stand alone.
    pub suppression: f32,
    /// The weakest edge that begins a stroke, as a gradient in a scale on which black on white is about 1.
    pub threshold: f32,
    /// The shortest stroke.
    pub shortest: f32,
    /// The length of all strokes together, of which the most salient ones are kept.
    pub total: f32,
    /// What a stroke of the background counts, beside 1 for one in a part that stands out: 0 to 1.
    pub background: f32,
    /// How far a simplified stroke may be off.
    pub tolerance: f32,
}

impl From<DrawingStyle> for SketchifyOptions {
    fn from(style: DrawingStyle) -> Self {
        let outline = Self {
            side: 256,
            smoothing: 4,
            suppression: 1.0,
            threshold: 0.055,
            shortest: 0.06,
            total: 9.0,
            background: 0.4,
            tolerance: 0.005,
        };
        match style {
            DrawingStyle::Gist => Self {
                side: 192,
                smoothing: 6,
                suppression: 1.3,
                threshold: 0.075,
                shortest: 0.1,
                total: 5.0,
                background: 0.2,
                tolerance: 0.009,
            },
            DrawingStyle::Outline => outline,
            DrawingStyle::Detailed => Self {
                smoothing: 3,
                suppression: 0.7,
                threshold: 0.035,
                shortest: 0.035,
                total: 18.0,
                background: 0.7,
                tolerance: 0.003,
                ..outline
            },
        }
    }
}

impl Default for SketchifyOptions {
    fn default() -> Self {
        DrawingStyle::default().into()
    }
}

impl SketchifyOptions {
    /// The options with every number brought into its range.
    fn clamped(self) -> Self {
        let within = |value: f32, low: f32, high: f32, default: f32| {
            if value.is_finite() { value.clamp(low, high) } else { default }
        };
        let usual = Self::default();
        Self {
            side: self.side.clamp(64, 1024),
            smoothing: self.smoothing.min(10),
            suppression: within(self.suppression, 0.0, 4.0, usual.suppression),
            threshold: within(self.threshold, 0.005, 1.0, usual.threshold),
            shortest: within(self.shortest, 0.005, 1.0, usual.shortest),
            total: within(self.total, 0.1, 200.0, usual.total),
            background: within(self.background, 0.0, 1.0, usual.background),
            tolerance: within(self.tolerance, 0.0, 0.1, usual.tolerance),
        }
    }
}

/// Draws a photo: strokes on a canvas of the photo's size in pixels, the most salient first, so that the first ones
/// alone make a sparser drawing. A picture without edges gives no strokes. Numbers out of their range are brought
/// into it.
///
/// # Shapes
/// - `pixels`: `[height, width, 3]`, RGB
///
/// # Errors
/// [`Error::Pixels`] when the number of bytes does not fit the size, or a side is 0 or above [`MAX_CANVAS`].
pub fn sketchify(
    width: usize,
    height: usize,
    pixels: &[u8],
    options: &SketchifyOptions,
) -> Result<Sketch, Error> {
    let limit = MAX_CANVAS as usize;
    let expected = width.saturating_mul(height).saturating_mul(3);
    if expected == 0 || width > limit || height > limit || pixels.len() != expected {
        return Err(Error::Pixels { width, height, found: pixels.len() });
    }
    let options = options.clamped();
    let longer = width.max(height) as f32;
    let scale = options.side as f32 / longer;
    // No side below 8 pixels: filters need a neighbourhood.
    let sides = [width, height].map(|side| ((side as f32 * scale).round() as usize).max(8));
    let lab = plane::lab(pixels, [width, height], sides);
    let smooth = edges::rolled(&lab, options.smoothing);
    let map = edges::EdgeMap::new(&smooth, options.suppression);
    let weights = saliency::weights(&smooth, options.background);
    let mut strokes = trace::strokes(&map, &weights, &options);
    let back = [width as f32 / sides[0] as f32, height as f32 / sides[1] as f32];
    for point in strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
        *point = [(point[0] + 0.5) * back[0], (point[1] + 0.5) * back[1]];
    }
    Sketch::new([width as f32, height as f32], strokes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark disc of 60 pixels across and a faint small square, on light paper of 160 × 120.
    fn scene() -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in 0..120_i32 {
            for x in 0..160_i32 {
                let disc = (x - 80).pow(2) + (y - 60).pow(2) <= 900;
                let square = (10..30).contains(&x) && (10..30).contains(&y);
                pixels.extend(if disc {
                    [40, 60, 120]
                } else if square {
                    [225, 225, 215]
                } else {
                    [240, 240, 235]
                });
            }
        }
        pixels
    }

    #[test]
    fn an_outline_is_drawn_where_it_is() {
        for style in DrawingStyle::ALL {
            let drawn = sketchify(160, 120, &scene(), &style.into()).unwrap();
            assert_eq!(drawn.canvas, [160.0, 120.0]);
            let first = &drawn.strokes[0].points;
            let off = |p: &[f32; 2]| ((p[0] - 80.0).hypot(p[1] - 60.0) - 30.0).abs();
            assert!(first.iter().all(|point| off(point) < 3.0), "{style}: {first:?}");
            // Most of the way round, in the first stroke or the first two.
            let near = Sketch::new(
                drawn.canvas,
                drawn
                    .strokes
                    .iter()
                    .filter(|s| s.points.iter().all(|p| off(p) < 4.0))
                    .cloned()
                    .collect(),
            );
            let length = near.unwrap().length();
            assert!((150.0..230.0).contains(&length), "{style}: {length}");
        }
    }

    #[test]
    fn the_same_photo_gives_the_same_drawing_at_any_size() {
        let scene = scene();
        let once = sketchify(160, 120, &scene, &SketchifyOptions::default()).unwrap();
        assert_eq!(once, sketchify(160, 120, &scene, &SketchifyOptions::default()).unwrap());
        let twice: Vec<u8> = (0..240 * 320)
            .flat_map(|i| {
                let at = ((i / 320 / 2) * 160 + i % 320 / 2) * 3;
                scene[at..at + 3].to_vec()
            })
            .collect();
        let larger = sketchify(320, 240, &twice, &SketchifyOptions::default()).unwrap();
        let share = larger.length() / once.length();
        assert!((1.8..2.2).contains(&share), "{share}");
    }

    #[test]
    fn more_detail_is_more_line() {
        // Bars of many contrasts.
        let pixels: Vec<u8> = (0..120 * 160)
            .flat_map(|i| {
                [(128 + (i % 160 / 20) * 12 * if i / 160 / 30 % 2 == 0 { 1 } else { -1 }) as u8; 3]
            })
            .collect();
        let lengths = DrawingStyle::ALL
            .map(|style| sketchify(160, 120, &pixels, &style.into()).unwrap().length());
        assert!(lengths[0] < lengths[2] && lengths[1] <= lengths[2], "{lengths:?}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        for size in [[1, 1], [3, 200], [64, 64]] {
            let flat = vec![77; size[0] * size[1] * 3];
            assert!(
                sketchify(size[0], size[1], &flat, &SketchifyOptions::default())
                    .unwrap()
                    .is_blank()
            );
        }
        for (width, height, bytes) in [(0, 5, 0), (2, 2, 11), (usize::MAX, 2, 4)] {
            let error = sketchify(width, height, &vec![0; bytes], &SketchifyOptions::default());
            assert!(matches!(error, Err(Error::Pixels { .. })));
        }
    }

    #[test]
    fn options_out_of_range_do_no_harm() {
        let wild = SketchifyOptions {
            side: usize::MAX,
            smoothing: usize::MAX,
            suppression: f32::NAN,
            threshold: -1.0,
            shortest: f32::NAN,
            total: f32::INFINITY,
            background: -4.0,
            tolerance: 1e9,
        };
        assert!(sketchify(8, 6, &[9; 144], &wild).is_ok());
    }

    #[test]
    fn styles_are_text_both_ways() {
        for style in DrawingStyle::ALL {
            assert_eq!(style.to_string().parse::<DrawingStyle>().unwrap(), style);
            assert_eq!(serde_json::to_string(&style).unwrap(), format!("\"{style}\""));
        }
        assert!("scribble".parse::<DrawingStyle>().is_err());
    }
}
