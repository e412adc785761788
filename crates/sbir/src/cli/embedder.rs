//! An encoder as galleries and servers see it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rayon::prelude::*;
use sbir_data::{Alpha, Orientation, SketchSource, Transform};
use sbir_encoder::{Encoder, Selected};
use sbir_gallery::{EmbedError, Embedder, Upright};
use sbir_sketch::Sketch;

use super::args::ComputeArgs;
use super::{compute, model, pairs};

/// An encoder with its preprocessing.
pub(crate) struct EncoderEmbedder {
    encoder: Encoder,
    transform: Transform,
    fingerprint: String,
}

impl EncoderEmbedder {
    /// The encoder of a checkpoint, or the bundled one.
    pub(crate) fn load(
        model: &Path,
        compute: &ComputeArgs,
        selected: &Selected,
    ) -> anyhow::Result<Self> {
        let encoder = model::load(model, &selected.device)
            .with_context(|| format!("cannot use {} as encoder", model.display()))?
            .encoder;
        let encoder = compute::precise(encoder, compute, selected)?;
        let preprocessing = encoder.preprocessing();
        let transform = pairs::transform(preprocessing, Alpha::OverWhite, Orientation::Exif);
        let fingerprint = encoder.fingerprint();
        Ok(Self { encoder, transform, fingerprint })
    }

    fn embed_one(&self, pixels: Vec<f32>) -> Vec<f32> {
        self.encoder.embed(pixels, [1, self.transform.side, self.transform.side])
    }
}

impl Embedder for EncoderEmbedder {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimension(&self) -> usize {
        self.encoder.width()
    }

    fn image_size(&self) -> usize {
        self.transform.side
    }

    fn fit(&self, photo: Upright) -> Result<Upright, EmbedError> {
        let (width, height) = (photo.width as usize, photo.height as usize);
        let pixels = self.transform.resize_rgb8(width, height, &photo.pixels)?;
        let side = self.transform.side as u32;
        Ok(Upright { width: side, height: side, pixels, full_size: photo.full_size })
    }

    fn embed_photos(&self, photos: &[Upright]) -> Result<Vec<f32>, EmbedError> {
        let mut values = vec![0.0; photos.len() * self.transform.len()];
        photos.par_iter().zip(values.par_chunks_mut(self.transform.len())).try_for_each(
            |(photo, values)| {
                let (width, height) = (photo.width as usize, photo.height as usize);
                self.transform.rgb8_into(width, height, &photo.pixels, values)
            },
        )?;
        let side = self.transform.side;
        Ok(self.encoder.embed(values, [photos.len(), side, side]))
    }

    fn embed_sketch(&self, sketch: &Sketch) -> Result<Vec<f32>, EmbedError> {
        let source = SketchSource::Strokes(Arc::new(sketch.clone()));
        Ok(self.embed_one(self.transform.load_sketch(&source)?))
    }

    fn embed_drawing(&self, picture: &Upright) -> Result<Vec<f32>, EmbedError> {
        self.embed_photos(std::slice::from_ref(picture))
    }
}
