//! Photos, sketches of them, and sets of such pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sbir_sketch::{DrawingStyle, Sketch};

use crate::augment::Alignment;
use crate::error::Result;
use crate::transform::drawing;

/// Where a picture comes from: an image file, or strokes that are rendered when they are needed.
#[derive(Clone, Debug)]
pub enum SketchSource {
    /// An image file.
    Image(PathBuf),
    /// A stroke file, with `#<index or key>` after an ndjson file's name.
    StrokeFile(PathBuf),
    /// Strokes in memory.
    Strokes(Arc<Sketch>),
    /// The line drawing that [`sbir_sketch::sketchify`] makes of a photo.
    Drawing {
        /// The photo's file.
        photo: PathBuf,
        /// How much of it is drawn.
        style: DrawingStyle,
    },
}

impl SketchSource {
    /// The source that `path` names: a stroke file by its extension, else an image.
    #[must_use]
    pub fn from_path(path: PathBuf) -> Self {
        if sbir_sketch::is_stroke_file(&path) { Self::StrokeFile(path) } else { Self::Image(path) }
    }

    /// The sketch's own file, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Image(path) | Self::StrokeFile(path) => Some(path),
            Self::Strokes(_) | Self::Drawing { .. } => None,
        }
    }

    /// The strokes, read or drawn where needed; `None` for an image file.
    ///
    /// # Errors
    /// If the stroke file is none, or the photo to be drawn cannot be read.
    pub fn strokes(&self) -> Result<Option<Arc<Sketch>>> {
        Ok(match self {
            Self::Image(_) => None,
            Self::StrokeFile(path) => Some(Arc::new(sbir_sketch::read_sketch(path)?)),
            Self::Strokes(sketch) => Some(Arc::clone(sketch)),
            Self::Drawing { photo, style } => Some(Arc::new(drawing(photo, *style)?)),
        })
    }
}

impl fmt::Display for SketchSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(path) | Self::StrokeFile(path) => path.display().fmt(f),
            Self::Strokes(_) => f.write_str("strokes in memory"),
            Self::Drawing { photo, style } => write!(f, "{style} drawing of {}", photo.display()),
        }
    }
}

/// A photo of a gallery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its name in the dataset, e.g. the 12-digit COCO id, without folder of the split and extension.
    pub id: String,
    /// Its file.
    pub path: PathBuf,
    /// Its class, where the dataset says that photos of one class depict the same thing: two photos of one label are
    /// never each other's negative. Numbered from 0 within a set.
    pub label: Option<u32>,
}

/// A sketch and the photo that it depicts.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The sketch's name in the dataset.
    pub id: String,
    /// The sketch.
    pub sketch: SketchSource,
    /// The photo's index in [`PairSet::photos`].
    pub photo: usize,
    /// The group that the pair belongs to, e.g. the user who drew it.
    pub group: Option<String>,
}

/// The pairs of one dataset within a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The dataset's name.
    pub name: String,
    /// Its pairs.
    pub pairs: Range<usize>,
    /// How its sketches lie on their photos.
    pub alignment: Alignment,
}

/// Pairs and the photos that they refer to. A photo may have several sketches and stands in the gallery once; every
/// photo is referred to by a pair, but in a part whose pairs are [`Alignment::Unrelated`], where the photo is but one
/// of its class. The order is a function of the dataset alone.
#[derive(Clone, Debug, Default)]
pub struct PairSet {
    /// The set's name, for reports.
    pub name: String,
    /// The gallery.
    pub photos: Vec<Photo>,
    /// The pairs: the queries, or what is trained on.
    pub pairs: Vec<Pair>,
    /// The datasets that the pairs come from, in order, without gaps; for one dataset it may be empty.
    pub parts: Vec<Part>,
}

impl PairSet {
    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The sketch of each pair, in order, for [`crate::image_batches`].
    #[must_use]
    pub fn sketch_sources(&self) -> Vec<SketchSource> {
        self.pairs.iter().map(|pair| pair.sketch.clone()).collect()
    }

    /// Each photo of the gallery, in order, for [`crate::image_batches`].
    #[must_use]
    pub fn photo_sources(&self) -> Vec<SketchSource> {
        self.photos.iter().map(|photo| SketchSource::Image(photo.path.clone())).collect()
    }

    /// The index in the gallery of each pair's photo.
    #[must_use]
    pub fn truth(&self) -> Vec<usize> {
        self.pairs.iter().map(|pair| pair.photo).collect()
    }

    /// The datasets that the pairs come from, at least one unless the set is empty.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        if self.parts.is_empty() && !self.is_empty() {
            let (name, pairs) = (self.name.clone(), 0..self.len());
            return vec![Part { name, pairs, alignment: Alignment::default() }];
        }
        self.parts.clone()
    }

    /// The part of the set whose photos satisfy `keep` (by index), with all their sketches, in the same order.
    #[must_use]
    pub fn filter_photos(&self, name: String, keep: impl Fn(usize) -> bool) -> Self {
        let mut builder = Builder::new(name);
        let mut parts = Vec::new();
        for part in self.parts() {
            let first = builder.set.pairs.len();
            for pair in self.pairs[part.pairs].iter().filter(|pair| keep(pair.photo)) {
                builder
                    .add(self.photos[pair.photo].clone(), |photo| Pair { photo, ..pair.clone() });
            }
            let pairs = first..builder.set.pairs.len();
            if !pairs.is_empty() {
                parts.push(Part { pairs, ..part });
            }
        }
        PairSet { parts, ..builder.finish() }
    }
}

/// Several sets as one: photos and pairs one set after the other, with indices and labels renumbered so that no photo
/// and no label belongs to two sets. With several sets, every id begins with its set's name (`name/id`, and `name#2/id`
/// for the second set of that name).
#[must_use]
pub fn mix(sets: Vec<PairSet>) -> PairSet {
    if let [_] = sets.as_slice() {
        return sets.into_iter().next().unwrap_or_default();
    }
    let mut mixed = PairSet {
        name: sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(" + "),
        ..PairSet::default()
    };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut next_label = 0;
    for set in sets {
        let seen = names.entry(set.name.clone()).or_default();
        *seen += 1;
        let prefix = if *seen == 1 { set.name.clone() } else { format!("{}#{seen}", set.name) };
        let first_photo = mixed.photos.len();
        let labels: BTreeSet<u32> = set.photos.iter().filter_map(|photo| photo.label).collect();
        let renumbered: BTreeMap<u32, u32> = labels.into_iter().zip(next_label..).collect();
        next_label += renumbered.len() as u32;
        let first_pair = mixed.pairs.len();
        mixed.parts.extend(set.parts().into_iter().map(|part| Part {
            name: if set.parts.len() > 1 {
                format!("{prefix}/{}", part.name)
            } else {
                prefix.clone()
            },
            pairs: part.pairs.start + first_pair..part.pairs.end + first_pair,
            ..part
        }));
        mixed.photos.extend(set.photos.into_iter().map(|photo| Photo {
            id: format!("{prefix}/{}", photo.id),
            label: photo.label.and_then(|label| renumbered.get(&label).copied()),
            ..photo
        }));
        mixed.pairs.extend(set.pairs.into_iter().map(|pair| Pair {
            id: format!("{prefix}/{}", pair.id),
            photo: pair.photo + first_photo,
            ..pair
        }));
    }
    mixed
}

/// Gathers pairs into a set, each photo once (by its path), in the order of first use.
pub(crate) struct Builder {
    set: PairSet,
    places: std::collections::HashMap<PathBuf, usize>,
}

impl Builder {
    pub(crate) fn new(name: String) -> Self {
        Self { set: PairSet { name, ..PairSet::default() }, places: Default::default() }
    }

    /// Adds the pair that `pair` makes of the photo's index.
    pub(crate) fn add(&mut self, photo: Photo, pair: impl FnOnce(usize) -> Pair) {
        let place = match self.places.get(&photo.path) {
            Some(place) => *place,
            None => {
                self.places.insert(photo.path.clone(), self.set.photos.len());
                self.set.photos.push(photo);
                self.set.photos.len() - 1
            }
        };
        self.set.pairs.push(pair(place));
    }

    pub(crate) fn finish(self) -> PairSet {
        self.set
    }

    /// The set, of pairs that lie on their photos otherwise than loosely.
    pub(crate) fn finish_aligned(self, alignment: Alignment) -> PairSet {
        let mut set = self.set;
        set.parts = set.parts().into_iter().map(|part| Part { alignment, ..part }).collect();
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, labels: &[Option<u32>], sketches: &[usize]) -> PairSet {
        PairSet {
            name: name.into(),
            photos: labels
                .iter()
                .enumerate()
                .map(|(i, label)| Photo {
                    id: format!("p{i}"),
                    path: format!("{name}/p{i}.jpg").into(),
                    label: *label,
                })
                .collect(),
            pairs: sketches
                .iter()
                .enumerate()
                .map(|(i, photo)| Pair {
                    id: format!("s{i}"),
                    sketch: SketchSource::Image(format!("{name}/s{i}.png").into()),
                    photo: *photo,
                    group: None,
                })
                .collect(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn mixing_keeps_the_sets_apart() {
        let mixed = mix(vec![
            set("a", &[Some(3), Some(7), Some(3)], &[0, 1, 1, 2]),
            set("b", &[None, Some(3)], &[1, 0]),
            set("a", &[Some(0)], &[0]),
        ]);
        let labels: Vec<_> = mixed.photos.iter().map(|photo| photo.label).collect();
        assert_eq!(labels, [Some(0), Some(1), Some(0), None, Some(2), Some(3)]);
        assert_eq!(mixed.truth(), [0, 1, 1, 2, 4, 3, 5]);
        assert_eq!(mixed.pairs[4].id, "b/s0");
        assert_eq!(mixed.photos[5].id, "a#2/p0");
        assert_eq!(mixed.name, "a + b + a");
        let parts: Vec<_> =
            mixed.parts.iter().map(|p| (p.name.as_str(), p.pairs.clone())).collect();
        assert_eq!(parts, [("a", 0..4), ("b", 4..6), ("a#2", 6..7)]);
        let part = mixed.filter_photos("part".into(), |photo| photo == 2 || photo == 5);
        let parts: Vec<_> = part.parts.iter().map(|p| (p.name.as_str(), p.pairs.clone())).collect();
        assert_eq!(parts, [("a", 0..1), ("a#2", 1..2)]);
    }

    #[test]
    fn one_set_stays_as_it_is() {
        let mixed = mix(vec![set("a", &[Some(3)], &[0])]);
        assert_eq!((mixed.photos[0].label, mixed.photos[0].id.as_str()), (Some(3), "p0"));
        assert!(mix(Vec::new()).is_empty());
    }

    #[test]
    fn a_part_keeps_the_sketches_of_its_photos() {
        let part = set("a", &[None; 4], &[3, 0, 1, 3, 1])
            .filter_photos("part".into(), |p| p == 3 || p == 1);
        let ids: Vec<_> = part.photos.iter().map(|photo| photo.id.as_str()).collect();
        assert_eq!(ids, ["p3", "p1"]);
        assert_eq!(part.truth(), [0, 1, 0, 1]);
        assert_eq!(part.name, "part");
    }
}
