//! Embedding a set and ranking its photos for its sketches.

use sbir_data::{PairSet, SketchSource, Transform, image_batches};
use sbir_encoder::Encoder;
use sbir_eval::{Ranking, Summary, rank};

use crate::Error;

/// Photos listed per query, as the origin's report has it.
const NEAREST: usize = 10;

/// Told how many pictures have been embedded; false stops the work.
pub type Progress<'a> = &'a mut dyn FnMut(usize) -> bool;

/// Embeddings of a list of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedSet {
    /// `[count, width]`, row-major, rows of unit length.
    pub values: Vec<f32>,
    /// Width of a row.
    pub width: usize,
}

/// Ranking and metrics of a set under an encoder.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Rank of each query's truth and its nearest photos.
    pub ranking: Ranking,
    /// The metrics.
    pub summary: Summary,
}

/// Embeds pictures in order, `batch_size` at a time, decoding ahead on `threads` threads. `None`
/// where `progress` stopped it.
///
/// # Errors
/// The first unreadable picture, by place.
pub fn embed_sources(
    encoder: &Encoder,
    transform: &Transform,
    sources: Vec<SketchSource>,
    batch_size: usize,
    threads: usize,
    progress: Progress<'_>,
) -> Result<Option<EmbeddedSet>, Error> {
    let width = encoder.width();
    let mut values = Vec::with_capacity(sources.len() * width);
    for batch in image_batches(sources, transform, batch_size, threads) {
        let batch = batch?;
        let count = batch.indices.len();
        values.extend(encoder.embed(batch.images, [count, transform.side, transform.side]));
        if !progress(count) {
            return Ok(None);
        }
    }
    Ok(Some(EmbeddedSet { values, width }))
}

/// Ranks every photo of `set` for each of its sketches. `None` where `progress` stopped it; it is
/// told of sketches first, then of photos.
///
/// # Errors
/// [`Error::Empty`] for a set without pairs; the first unreadable picture; [`sbir_eval::Error`] where
/// an embedding is not finite.
pub fn evaluate(
    encoder: &Encoder,
    transform: &Transform,
    set: &PairSet,
    batch_size: usize,
    threads: usize,
    progress: Progress<'_>,
) -> Result<Option<Evaluation>, Error> {
    if set.is_empty() {
        return Err(Error::Empty { set: set.name.clone(), remedy: "there is nothing to evaluate" });
    }
    let mut embed =
        |sources| embed_sources(encoder, transform, sources, batch_size, threads, &mut *progress);
    let Some(sketches) = embed(set.sketch_sources())? else { return Ok(None) };
    let Some(photos) = embed(set.photo_sources())? else { return Ok(None) };
    let truth = set.truth();
    let ranking = rank(&sketches.values, &photos.values, sketches.width, &truth, NEAREST)?;
    let summary = Summary::new(&ranking.ranks, set.photos.len())?;
    Ok(Some(Evaluation { ranking, summary }))
}
