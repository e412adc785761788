//! What turns pictures into vectors.

use sbir_data::Upright;
use sbir_sketch::Sketch;

use crate::error::{Error, Result};
use crate::store::Space;

/// What an [`Embedder`] may fail with; its message is one line.
pub type EmbedError = Box<dyn std::error::Error + Send + Sync>;

/// An encoder with its preprocessing, as the gallery sees it.
///
/// Photos come decoded and turned upright, as 8-bit RGB over white, perhaps at reduced scale: the short side is then
/// still at least twice [`image_size`](Self::image_size). Resizing and normalising are the embedder's.
///
/// Every vector has [`dimension`](Self::dimension) values, all finite, and unit length. The same picture gives the same
/// vector in every batch.
pub trait Embedder: Send + Sync {
    /// Names weights and preprocessing: two embedders with equal fingerprints give equal vectors.
    fn fingerprint(&self) -> &str;

    /// The number of values of a vector.
    fn dimension(&self) -> usize;

    /// The space of its vectors.
    fn space(&self) -> Space {
        Space { fingerprint: self.fingerprint().into(), dimension: self.dimension() }
    }

    /// The side of the square input in pixels.
    fn image_size(&self) -> usize;

    /// A photo with no more pixels than [`embed_photos`](Self::embed_photos) needs, which gives the same vector of it.
    /// Whoever decodes calls this, so that little waits in memory and little is left to the thread that embeds.
    ///
    /// # Errors
    /// If the number of bytes does not fit the size.
    fn fit(&self, photo: Upright) -> Result<Upright, EmbedError> {
        Ok(photo)
    }

    /// Embeds photos, whether they went through [`fit`](Self::fit) or not.
    ///
    /// # Shapes
    /// - output: `[photos.len(), dimension]`
    ///
    /// # Errors
    /// If the encoder fails, which ends an index run.
    fn embed_photos(&self, photos: &[Upright]) -> Result<Vec<f32>, EmbedError>;

    /// Embeds a drawing given as strokes.
    ///
    /// # Shapes
    /// - output: `[dimension]`
    ///
    /// # Errors
    /// If the encoder fails.
    fn embed_sketch(&self, sketch: &Sketch) -> Result<Vec<f32>, EmbedError>;

    /// Embeds a drawing given as a picture.
    ///
    /// # Shapes
    /// - output: `[dimension]`
    ///
    /// # Errors
    /// If the encoder fails.
    fn embed_drawing(&self, picture: &Upright) -> Result<Vec<f32>, EmbedError>;
}

/// Embeds photos and looks whether the embedder keeps what it says of its vectors.
///
/// # Shapes
/// - output: `[photos.len(), dimension]`
///
/// # Errors
/// [`Error::Embedding`] if the encoder fails; [`Error::BadEmbedding`] if it gives something else than one vector of unit
/// length a photo.
pub fn embed_photos(embedder: &dyn Embedder, photos: &[Upright]) -> Result<Vec<f32>> {
    let dimension = embedder.dimension();
    let vectors = embedder.embed_photos(photos).map_err(Error::Embedding)?;
    if vectors.len() != photos.len() * dimension {
        return Err(Error::BadEmbedding {
            expected: format!("{} values", photos.len() * dimension),
            found: vectors.len().to_string(),
        });
    }
    for vector in vectors.chunks_exact(dimension) {
        let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if norm.is_nan() || (norm - 1.0).abs() > 1e-2 {
            return Err(Error::BadEmbedding {
                expected: "a vector of unit length".into(),
                found: format!("one of length {norm}"),
            });
        }
    }
    Ok(vectors)
}
