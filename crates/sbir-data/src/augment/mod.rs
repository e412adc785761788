//! Changing pictures while training, so that a small set teaches more.
//!
//! Sketches change as people's drawings differ: misplaced and missing strokes, shaky lines, other pens. Photos change
//! as photos differ: framing, colour, focus. What is mirrored is mirrored in both. Every draw is a function of the
//! seed, the epoch and the pair's place in it; the number of threads changes nothing.

mod geometry;
mod photo;
mod random;
mod raster;
mod strokes;

use std::fmt;
use std::str::FromStr;

use sbir_sketch::{LineStyle, Sketch};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::transform::Pixels;
use geometry::{Geometry, Window};
pub(crate) use random::Random;

/// How training pictures are changed. The origin changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// Nothing.
    #[default]
    None,
    /// Each sketch is turned, scaled and moved a little, as people draw from memory; photos stay. What comes in from
    /// outside is white paper.
    Light,
    /// Sketches and photos change as [`AugmentRanges::strong`] says.
    Strong,
    /// Ranges of one's own.
    Custom(AugmentRanges),
}

impl Augmentation {
    /// The ranges that are drawn from; `None` where nothing changes.
    #[must_use]
    pub fn ranges(self) -> Option<AugmentRanges> {
        match self {
            Self::None => None,
            Self::Light => Some(AugmentRanges::light()),
            Self::Strong => Some(AugmentRanges::strong()),
            Self::Custom(ranges) => Some(ranges),
        }
    }
}

impl FromStr for Augmentation {
    type Err = Error;

    /// `none`, `light`, `strong`, or [`AugmentRanges`] as JSON; fields left out are those of `strong`.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "none" => Ok(Self::None),
            "light" => Ok(Self::Light),
            "strong" => Ok(Self::Strong),
            json if json.trim_start().starts_with('{') => {
                serde_json::from_str(json).map(Self::Custom).map_err(|_| unknown(name))
            }
            _ => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::UnknownName {
        what: "augmentation",
        expected: "none, light, strong, or ranges as JSON, such as {\"turn\":0.1}",
        found: name.into(),
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Light => f.write_str("light"),
            Self::Strong => f.write_str("strong"),
            Self::Custom(ranges) => {
                f.write_str(&serde_json::to_string(ranges).map_err(|_| fmt::Error)?)
            }
        }
    }
}

/// What is drawn from when pictures change. Lengths are shares of the side; changes are drawn evenly from minus to plus
/// the number, probabilities are from 0 to 1. The default is [`AugmentRanges::strong`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentRanges {
    /// Probability of mirroring, of sketch and photo alike.
    pub flip: f32,
    /// The smallest share of a photo's area that is left by cropping, where its sketch lies on its pixels and is
    /// cropped alike.
    pub crop: f32,
    /// For sketches drawn apart from the photo, how much of that the photo is cropped, and how far the sketch follows:
    /// 0 not at all, 1 wholly.
    pub follow: f32,
    /// Turn of the sketch in radians.
    pub turn: f32,
    /// Change of the sketch's scale, as a logarithm.
    pub scale: f32,
    /// Change of the sketch's height against its width, as a logarithm.
    pub aspect: f32,
    /// Move of the sketch.
    pub shift: f32,
    /// Largest displacement by which lines bend.
    pub wobble: f32,
    /// Turn of each stroke in radians.
    pub stroke_turn: f32,
    /// Change of each stroke's scale, as a logarithm.
    pub stroke_scale: f32,
    /// Move of each stroke.
    pub stroke_shift: f32,
    /// The smallest share of the drawing's length that is kept when strokes are left out.
    pub keep: f32,
    /// Probability that strokes are left out.
    pub dropout: f32,
    /// Probability, for each stroke, that an end of it is missing.
    pub partial: f32,
    /// Probability, for each stroke, that it is drawn twice.
    pub overdraw: f32,
    /// Probability that lines are as wide as elsewhere; else the width is drawn from [`Self::line`].
    pub usual_line: f32,
    /// Least and greatest width of lines; raster sketches become thicker by up to the difference.
    pub line: [f32; 2],
    /// Probability that a raster sketch is drawn anew from the strokes that [`sbir_sketch::vectorise`] finds in it, so that
    /// it changes as strokes do.
    pub trace: f32,
    /// Probability that a patch of a raster sketch is erased.
    pub erase: f32,
    /// Change of a photo's brightness, contrast and saturation.
    pub colour: f32,
    /// Probability that a photo becomes grey.
    pub grey: f32,
    /// Probability that a photo is blurred a little.
    pub blur: f32,
}

impl Default for AugmentRanges {
    fn default() -> Self {
        Self::strong()
    }
}

impl AugmentRanges {
    /// Ranges in which nothing changes.
    #[must_use]
    pub fn still() -> Self {
        Self {
            flip: 0.0,
            crop: 1.0,
            follow: 0.0,
            turn: 0.0,
            scale: 0.0,
            aspect: 0.0,
            shift: 0.0,
            wobble: 0.0,
            stroke_turn: 0.0,
            stroke_scale: 0.0,
            stroke_shift: 0.0,
            keep: 1.0,
            dropout: 0.0,
            partial: 0.0,
            overdraw: 0.0,
            usual_line: 1.0,
            line: [LineStyle::FSCOCO_WIDTH; 2],
            trace: 0.0,
            erase: 0.0,
            colour: 0.0,
            grey: 0.0,
            blur: 0.0,
        }
    }

    /// Sketches turned by up to 10°, scaled by 15 % and moved by 6 %.
    #[must_use]
    pub fn light() -> Self {
        Self { turn: 0.17, scale: 0.15, shift: 0.06, ..Self::still() }
    }

    /// What drawings from memory need.
    #[must_use]
    pub fn strong() -> Self {
        Self {
            flip: 0.5,
            crop: 0.5,
            follow: 0.6,
            turn: 0.15,
            scale: 0.18,
            aspect: 0.15,
            shift: 0.07,
            wobble: 0.025,
            stroke_turn: 0.12,
            stroke_scale: 0.12,
            stroke_shift: 0.02,
            keep: 0.3,
            dropout: 0.7,
            partial: 0.15,
            overdraw: 0.08,
            usual_line: 0.3,
            line: [0.007, 0.028],
            trace: 0.75,
            erase: 0.2,
            colour: 0.35,
            grey: 0.15,
            blur: 0.15,
        }
    }

    /// Whether strokes are looked for in raster sketches.
    pub(crate) fn traces(&self) -> bool {
        self.trace > 0.0
    }

    /// Whether photos stay as they are.
    pub(crate) fn keep_photos(&self) -> bool {
        [self.flip, self.colour, self.grey, self.blur].iter().all(|range| *range <= 0.0)
            && self.crop >= 1.0
    }

    /// The ranges with every number brought to where it means something.
    fn clamped(mut self) -> Self {
        let within = |value: &mut f32, high: f32| {
            *value = if value.is_finite() { value.clamp(0.0, high) } else { 0.0 };
        };
        for probability in [
            &mut self.flip,
            &mut self.follow,
            &mut self.keep,
            &mut self.dropout,
            &mut self.partial,
            &mut self.overdraw,
            &mut self.usual_line,
            &mut self.trace,
            &mut self.erase,
            &mut self.colour,
            &mut self.grey,
            &mut self.blur,
            &mut self.shift,
            &mut self.wobble,
            &mut self.stroke_shift,
            &mut self.crop,
        ] {
            within(probability, 1.0);
        }
        for size in [
            &mut self.turn,
            &mut self.scale,
            &mut self.aspect,
            &mut self.stroke_turn,
            &mut self.stroke_scale,
        ] {
            within(size, 3.2);
        }
        self.line.iter_mut().for_each(|width| within(width, 1.0));
        self.crop = self.crop.max(0.05);
        self.line = [self.line[0].max(1e-3), self.line[1].max(self.line[0]).max(1e-3)];
        self
    }
}

/// How a sketch lies on its photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// Drawn apart from it: the layout agrees by and large.
    #[default]
    Loose,
    /// On its pixels, as computed drawings and BSDS's boundaries are.
    Pixel,
    /// Not at all: it shows another thing of the same class.
    Unrelated,
}

/// What one pair's pictures will go through.
pub(crate) struct Change {
    ranges: AugmentRanges,
    photo: Geometry,
    sketch: Geometry,
    random: Random,
}

impl Change {
    /// Draws a change at `coordinates`, which tell this draw from all others.
    pub(crate) fn new(
        ranges: AugmentRanges,
        alignment: Alignment,
        seed: u64,
        coordinates: &[u64],
    ) -> Self {
        let ranges = ranges.clamped();
        let mut random = Random::new(seed, coordinates);
        let flip = random.chance(ranges.flip);
        // What was drawn apart from the photo shows its main thing, which a small crop would cut.
        let share = if alignment == Alignment::Pixel { 1.0 } else { ranges.follow };
        let window = Window::draw(1.0 - share * (1.0 - ranges.crop), &mut random);
        let (sketch_flip, sketch_window) = match alignment {
            Alignment::Pixel => (flip, window),
            Alignment::Loose => (flip, window.towards_whole(1.0 - ranges.follow)),
            Alignment::Unrelated => (random.chance(ranges.flip), Window::WHOLE),
        };
        let photo = Geometry::new(flip, window);
        let sketch = Geometry::new(sketch_flip, sketch_window).moved(
            random.signed(ranges.turn),
            [random.signed(ranges.scale), random.signed(ranges.aspect)],
            [random.signed(ranges.shift), random.signed(ranges.shift)],
        );
        Self { ranges, photo, sketch, random }
    }

    /// The photo as it is shown; `pixels` may be of any square size.
    pub(crate) fn photo(&mut self, pixels: &Pixels, side: usize) -> Pixels {
        photo::changed(pixels, &self.photo, side, &self.ranges, &mut self.random)
    }

    /// Strokes as they are shown.
    pub(crate) fn strokes(&mut self, sketch: &Sketch, side: usize, usual: &LineStyle) -> Pixels {
        let changed = strokes::changed(sketch, &self.sketch, &self.ranges, &mut self.random);
        let style = if self.random.chance(self.ranges.usual_line) {
            *usual
        } else {
            let [thin, thick] = self.ranges.line;
            LineStyle::Antialiased { width: self.random.between(thin, thick) }
        };
        Pixels { channels: 1, data: sbir_sketch::render(&changed, side, &style).pixels }
    }

    /// A raster sketch whose strokes are known: drawn anew from them or not.
    pub(crate) fn traced(
        &mut self,
        pixels: &Pixels,
        sketch: &Sketch,
        side: usize,
        usual: &LineStyle,
    ) -> Pixels {
        if self.random.chance(self.ranges.trace) && !sketch.is_blank() {
            self.strokes(sketch, side, usual)
        } else {
            self.raster(pixels, side)
        }
    }

    /// A raster sketch as it is shown; `pixels` may be of any square size.
    pub(crate) fn raster(&mut self, pixels: &Pixels, side: usize) -> Pixels {
        raster::changed(pixels, &self.sketch, side, &self.ranges, &mut self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_json_come_back() {
        let custom = Augmentation::Custom(AugmentRanges { turn: 0.5, ..AugmentRanges::strong() });
        for augmentation in [Augmentation::None, Augmentation::Light, Augmentation::Strong, custom]
        {
            assert_eq!(augmentation.to_string().parse::<Augmentation>().unwrap(), augmentation);
            let json = serde_json::to_string(&augmentation).unwrap();
            assert_eq!(serde_json::from_str::<Augmentation>(&json).unwrap(), augmentation);
        }
        assert_eq!("{\"turn\":0.5}".parse::<Augmentation>().unwrap(), custom);
        assert_eq!(serde_json::to_string(&Augmentation::Light).unwrap(), "\"light\"");
        for bad in ["", "loud", "{\"tern\":1}", "{"] {
            assert!(bad.parse::<Augmentation>().is_err(), "{bad}");
        }
    }

    fn picture() -> Pixels {
        let data = (0..40 * 40 * 3).map(|i| (i * 31 % 251) as u8).collect();
        Pixels { channels: 3, data }
    }

    fn drawing() -> Sketch {
        let strokes = (0..8)
            .map(|i| {
                let y = 10.0 + 10.0 * i as f32;
                sbir_sketch::Stroke::new(vec![[10.0, y], [50.0, y + 5.0], [90.0, y]])
            })
            .collect();
        Sketch::new([100.0, 100.0], strokes).unwrap()
    }

    #[test]
    fn draws_are_functions_of_seed_and_place() {
        let all = |seed: u64, place: u64| {
            let mut change =
                Change::new(AugmentRanges::strong(), Alignment::Loose, seed, &[3, place]);
            let style = LineStyle::default();
            [
                change.photo(&picture(), 32).data,
                change.strokes(&drawing(), 32, &style).data,
                change.raster(&picture(), 32).data,
            ]
        };
        let first = all(1, 5);
        assert_eq!(first, all(1, 5));
        for other in [all(1, 6), all(2, 5)] {
            assert!(first.iter().zip(&other).all(|(a, b)| a != b));
        }
        assert_eq!(first.map(|data| data.len()), [32 * 32 * 3, 32 * 32, 32 * 32]);
    }

    #[test]
    fn nothing_changes_in_still_ranges() {
        let mut change = Change::new(AugmentRanges::still(), Alignment::Pixel, 1, &[0]);
        assert_eq!(change.photo(&picture(), 40).data, picture().data);
        let style = LineStyle::default();
        let expected = sbir_sketch::render(&drawing(), 64, &style).pixels;
        let found = change.strokes(&drawing(), 64, &style).data;
        let off = expected.iter().zip(&found).filter(|(a, b)| a.abs_diff(**b) > 3).count();
        assert_eq!(off, 0);
        let grey = Pixels { channels: 1, data: expected };
        let raster = change.raster(&grey, 64);
        assert!(raster.data.iter().zip(&grey.data).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn aligned_pictures_stay_aligned() {
        // A black square in a photo and the same square as a raster sketch: wherever the crop and the mirror bring one,
        // they bring the other.
        let square = |x: usize, y: usize| (32..80).contains(&x) && (96..160).contains(&y);
        let data = (0..192 * 192).map(|i| if square(i % 192, i / 192) { 0 } else { 255 });
        let grey = Pixels { channels: 1, data: data.collect() };
        let small = Change::new(AugmentRanges::still(), Alignment::Pixel, 9, &[]).photo(&grey, 48);
        let ranges = AugmentRanges { flip: 0.5, crop: 0.4, ..AugmentRanges::still() };
        let mut moved = 0;
        for place in 0..20 {
            let mut change = Change::new(ranges, Alignment::Pixel, 9, &[place]);
            let (photo, sketch) = (change.photo(&grey, 48), change.raster(&grey, 48));
            let off = photo.data.iter().zip(&sketch.data).filter(|(a, b)| a.abs_diff(**b) > 180);
            assert!(off.count() < 12, "place {place}");
            moved += usize::from(photo.data != small.data);
        }
        assert!(moved > 10);
    }

    #[test]
    fn numbers_out_of_range_do_no_harm() {
        let wild = AugmentRanges {
            crop: -3.0,
            keep: f32::NAN,
            turn: 1e9,
            line: [5.0, f32::NEG_INFINITY],
            wobble: f32::INFINITY,
            ..AugmentRanges::strong()
        };
        let mut change = Change::new(wild, Alignment::Loose, 1, &[1]);
        let _ = change.photo(&picture(), 16);
        let _ = change.raster(&picture(), 16);
        let _ = change.strokes(&drawing(), 16, &LineStyle::default());
    }
}
