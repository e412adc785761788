//! Batches of tensors, made ahead of time.

use std::sync::Arc;

use rayon::prelude::*;

use crate::augment::{Alignment, AugmentRanges, Augmentation, Change};
use crate::cache::{Cache, Prepared};
use crate::error::{Error, Result};
use crate::loader::{Loader, caught};
use crate::pairs::{PairSet, SketchSource};
use crate::sampling::Draw;
use crate::transform::{Pixels, Transform, traced};

/// How many batches are made ahead of the one that is in use.
const PREFETCH: usize = 2;

/// A batch of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The index of each pair in its set.
    pub indices: Vec<usize>,
    /// The index of each pair's photo in the set: two pairs with the same one are not each other's negatives.
    pub photo_indices: Vec<usize>,
    /// The label of each pair's photo: two pairs with the same one are not each other's negatives.
    pub labels: Vec<Option<u32>>,
    /// The side of the pictures in pixels.
    pub side: usize,
    /// The sketches, of shape `[indices.len(), 3, side, side]`.
    pub sketches: Vec<f32>,
    /// The photos, of shape `[indices.len(), 3, side, side]`.
    pub photos: Vec<f32>,
}

/// A batch of pictures.
#[derive(Debug)]
pub struct ImageBatch {
    /// The index of each picture in the list that was given.
    pub indices: Vec<usize>,
    /// The side of the pictures in pixels.
    pub side: usize,
    /// The pictures, of shape `[indices.len(), 3, side, side]`.
    pub images: Vec<f32>,
    /// The pictures left out, by index, and why; empty unless [`ImageBatches::skip_bad`] was asked for.
    pub failed: Vec<(usize, Error)>,
}

/// How much larger than the encoder's input pictures are kept that will be cropped: a crop of half the area then has
/// about as many pixels as the input.
const SPARE: f64 = 1.4;
/// Memory for pictures between epochs where nothing else is asked for, in bytes.
pub const CACHE_BYTES: usize = 2 << 30;

/// Pairs, how their pictures are made and changed, and those kept in memory.
#[derive(Debug)]
pub struct TrainingPictures {
    set: Arc<PairSet>,
    transform: Transform,
    /// Ranges of changes, and the seed that they are drawn from.
    change: Option<(AugmentRanges, u64)>,
    /// How the sketch of each pair lies on its photo.
    alignments: Vec<Alignment>,
    /// The sketch of each pair, then each photo.
    cache: Cache,
}

impl TrainingPictures {
    /// Pictures of `set`, changed by `augmentation` with draws from `seed`. Up to `cache_bytes` of pictures stay in
    /// memory once they were decoded (or drawn); the others are decoded in every epoch. The batches are the same
    /// for any number of bytes.
    #[must_use]
    pub fn new(
        set: Arc<PairSet>,
        transform: Transform,
        augmentation: Augmentation,
        seed: u64,
        cache_bytes: usize,
    ) -> Arc<Self> {
        let mut alignments = vec![Alignment::default(); set.len()];
        for part in set.parts() {
            alignments[part.pairs].fill(part.alignment);
        }
        let cache = Cache::new(set.pairs.len() + set.photos.len(), cache_bytes);
        let change = augmentation.ranges().map(|ranges| (ranges, seed));
        Arc::new(Self { set, transform, change, alignments, cache })
    }

    /// Bytes of pictures in memory.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.used()
    }

    /// The batches of `plan` (from [`crate::epoch_plan`]) for epoch `epoch`, made on `threads` threads, up to two
    /// batches ahead. The batches are the same for any number of threads. To go on within an epoch, give the rest
    /// of its plan.
    ///
    /// # Errors
    /// An item of the iterator is an error if a picture of that batch cannot be read, or if an index is none of the
    /// set.
    #[must_use]
    pub fn batches(
        self: &Arc<Self>,
        plan: &[Vec<Draw>],
        epoch: u64,
        threads: usize,
    ) -> TrainingBatches {
        let draws: Vec<Draw> = plan.iter().flatten().copied().collect();
        let mut next = 0;
        let jobs = plan.iter().map(|batch| {
            next += batch.len();
            (next - batch.len()..next).collect()
        });
        let jobs = jobs.collect();
        let pictures = Arc::clone(self);
        let loader = Loader::new(jobs, threads, PREFETCH, move |index| {
            let draw = draws[index];
            let (sketch, photo) = pictures.pair(draw, epoch)?;
            Ok((draw, sketch, photo))
        });
        TrainingBatches { pictures: Arc::clone(self), loader }
    }

    /// Sketch and photo of a pair.
    fn pair(&self, draw: Draw, epoch: u64) -> Result<(Arc<Pixels>, Arc<Pixels>)> {
        let pair = &self.set.pairs[draw.pair];
        let photo = SketchSource::Image(self.set.photos[draw.photo].path.clone());
        let photo_slot = self.set.pairs.len() + draw.photo;
        let Some((ranges, seed)) = self.change else {
            let made = |source: &SketchSource| {
                Ok(Prepared::Pixels(Arc::new(self.transform.source_pixels(source)?)))
            };
            let sketch = self.cache.get(draw.pair, || made(&pair.sketch))?;
            let photo = self.cache.get(photo_slot, || made(&photo))?;
            return Ok((self.shown(sketch), self.shown(photo)));
        };
        let large = Transform {
            side: (self.transform.side as f64 * SPARE).ceil() as usize,
            ..self.transform.clone()
        };
        let enlarged = |source: &SketchSource| large.source_pixels(source).map(Arc::new);
        let drawn = || {
            Ok(match (pair.sketch.strokes()?, &pair.sketch) {
                (Some(sketch), _) => Prepared::Strokes(sketch),
                (None, SketchSource::Image(path)) if ranges.traces() => {
                    Prepared::Traced(enlarged(&pair.sketch)?, Arc::new(traced(path)?))
                }
                (None, _) => Prepared::Pixels(enlarged(&pair.sketch)?),
            })
        };
        let side = self.transform.side;
        let alignment = self.alignments[draw.pair];
        let mut change = Change::new(ranges, alignment, seed, &[epoch, draw.place]);
        let keep = ranges.keep_photos();
        let as_is = || Ok(Prepared::Pixels(Arc::new(self.transform.source_pixels(&photo)?)));
        let made = || if keep { as_is() } else { Ok(Prepared::Pixels(enlarged(&photo)?)) };
        let prepared = self.cache.get(photo_slot, made)?;
        let photo = match prepared {
            Prepared::Pixels(pixels) if !keep => Arc::new(change.photo(&pixels, side)),
            prepared => self.shown(prepared),
        };
        let line = &self.transform.line;
        let sketch = match self.cache.get(draw.pair, drawn)? {
            Prepared::Pixels(pixels) => change.raster(&pixels, side),
            Prepared::Strokes(sketch) => change.strokes(&sketch, side, line),
            Prepared::Traced(pixels, sketch) => change.traced(&pixels, &sketch, side, line),
        };
        Ok((Arc::new(sketch), photo))
    }

    fn shown(&self, prepared: Prepared) -> Arc<Pixels> {
        match prepared {
            Prepared::Pixels(pixels) | Prepared::Traced(pixels, _) => pixels,
            Prepared::Strokes(sketch) => Arc::new(self.transform.rendered(&sketch)),
        }
    }
}

/// The batches of one epoch: `order` (indices of pairs of `set`, e.g. from [`crate::epoch_order`]) cut into batches of
/// `batch_size` pairs (at least 1); the last one may be smaller. Pictures are made on `threads` threads, up to two
/// batches ahead, and are not changed. The batches are the same for any number of threads.
///
/// # Errors
/// An item of the iterator is an error if a picture of that batch cannot be read, or if an index is none of the set.
#[must_use]
pub fn training_batches(
    set: &Arc<PairSet>,
    transform: &Transform,
    order: &[usize],
    batch_size: usize,
    threads: usize,
) -> TrainingBatches {
    let mut place = 0;
    let draw = |&pair: &usize| {
        place += 1;
        // An index that is none of the set fails in the loader, where it becomes an error.
        let photo = set.pairs.get(pair).map_or(0, |pair| pair.photo);
        Draw { pair, photo, place: place - 1 }
    };
    let draws: Vec<Draw> = order.iter().map(draw).collect();
    let plan: Vec<Vec<Draw>> = draws.chunks(batch_size.max(1)).map(<[Draw]>::to_vec).collect();
    TrainingPictures::new(Arc::clone(set), transform.clone(), Augmentation::None, 0, 0)
        .batches(&plan, 0, threads)
}

/// The iterator of [`training_batches`] and [`TrainingPictures::batches`].
pub struct TrainingBatches {
    pictures: Arc<TrainingPictures>,
    loader: Loader<(Draw, Arc<Pixels>, Arc<Pixels>)>,
}

impl Iterator for TrainingBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let items = match self.loader.next()? {
            Ok(items) => items,
            Err(error) => return Some(Err(error)),
        };
        let TrainingPictures { set, transform, .. } = &*self.pictures;
        let photo_indices: Vec<usize> = items.iter().map(|(draw, ..)| draw.photo).collect();
        Some(Ok(Batch {
            indices: items.iter().map(|(draw, ..)| draw.pair).collect(),
            labels: photo_indices.iter().map(|photo| set.photos[*photo].label).collect(),
            photo_indices,
            side: transform.side,
            sketches: stack(transform, &items, |(_, sketch, _)| sketch),
            photos: stack(transform, &items, |(_, _, photo)| photo),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.loader.size_hint()
    }
}

impl ExactSizeIterator for TrainingBatches {}

/// The pictures of `items` in order, in batches of `batch_size` (at least 1); the last one may be smaller. Pictures are
/// made on `threads` threads, up to two batches ahead. The batches are the same for any number of threads.
///
/// # Errors
/// An item of the iterator is an error if a picture of that batch cannot be read, unless [`ImageBatches::skip_bad`] was
/// asked for.
#[must_use]
pub fn image_batches(
    items: Vec<SketchSource>,
    transform: &Transform,
    batch_size: usize,
    threads: usize,
) -> ImageBatches {
    let indices: Vec<usize> = (0..items.len()).collect();
    let jobs = indices.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect();
    let loader = {
        let transform = transform.clone();
        Loader::new(jobs, threads, PREFETCH, move |index| {
            Ok((index, caught(index, || transform.source_pixels(&items[index]))))
        })
    };
    ImageBatches { transform: transform.clone(), loader, skip_bad: false }
}

/// The iterator of [`image_batches`].
pub struct ImageBatches {
    transform: Transform,
    loader: Loader<(usize, Result<Pixels>)>,
    skip_bad: bool,
}

impl ImageBatches {
    /// Leaves pictures that cannot be read out of their batch and lists them in [`ImageBatch::failed`].
    #[must_use]
    pub fn skip_bad(mut self) -> Self {
        self.skip_bad = true;
        self
    }
}

impl Iterator for ImageBatches {
    type Item = Result<ImageBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let items = match self.loader.next()? {
            Ok(items) => items,
            Err(error) => return Some(Err(error)),
        };
        let mut good = Vec::with_capacity(items.len());
        let mut failed = Vec::new();
        for (index, pixels) in items {
            match pixels {
                Ok(pixels) => good.push((index, pixels)),
                Err(error) if self.skip_bad => failed.push((index, error)),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(ImageBatch {
            indices: good.iter().map(|(index, _)| *index).collect(),
            side: self.transform.side,
            images: stack(&self.transform, &good, |(_, pixels)| pixels),
            failed,
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.loader.size_hint()
    }
}

impl ExactSizeIterator for ImageBatches {}

/// The normalised pictures one after the other, `[items.len(), 3, side, side]`, each written in its place at once.
fn stack<T: Sync>(
    transform: &Transform,
    items: &[T],
    pixels: impl Fn(&T) -> &Pixels + Sync,
) -> Vec<f32> {
    let lookup = transform.lookup();
    let mut values = vec![0.0; items.len() * transform.len()];
    if !transform.is_empty() {
        values
            .par_chunks_exact_mut(transform.len())
            .zip(items)
            .for_each(|(values, item)| lookup.write(pixels(item), values));
    }
    values
}
