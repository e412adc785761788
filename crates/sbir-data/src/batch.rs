//! Batches of tensors, made ahead of time.

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::loader::{Loader, caught};
use crate::pairs::{PairSet, SketchSource};
use crate::transform::{Pixels, Transform};

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

/// The batches of one epoch: `order` (indices of pairs of `set`, e.g. from [`crate::epoch_order`]) cut into batches of
/// `batch_size` pairs (at least 1); the last one may be smaller. Pictures are made on `threads` threads, up to two
/// batches ahead. The batches are the same for any number of threads.
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
    let jobs: Vec<Vec<usize>> = order.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect();
    let loader = {
        let (set, transform) = (Arc::clone(set), transform.clone());
        Loader::new(jobs, threads, PREFETCH, move |index| {
            let pair = &set.pairs[index];
            let photo = SketchSource::Image(set.photos[pair.photo].path.clone());
            let sketch = transform.source_pixels(&pair.sketch)?;
            Ok((index, sketch, transform.source_pixels(&photo)?))
        })
    };
    TrainingBatches { set: Arc::clone(set), transform: transform.clone(), loader }
}

/// The iterator of [`training_batches`].
pub struct TrainingBatches {
    set: Arc<PairSet>,
    transform: Transform,
    loader: Loader<(usize, Pixels, Pixels)>,
}

impl Iterator for TrainingBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let items = match self.loader.next()? {
            Ok(items) => items,
            Err(error) => return Some(Err(error)),
        };
        let photo_indices: Vec<usize> =
            items.iter().map(|(index, ..)| self.set.pairs[*index].photo).collect();
        Some(Ok(Batch {
            indices: items.iter().map(|(index, ..)| *index).collect(),
            labels: photo_indices.iter().map(|photo| self.set.photos[*photo].label).collect(),
            photo_indices,
            side: self.transform.side,
            sketches: stack(&self.transform, &items, |(_, sketch, _)| sketch),
            photos: stack(&self.transform, &items, |(_, _, photo)| photo),
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
