//! What turns pictures into vectors.

use sbir_data::Upright;
use sbir_sketch::Sketch;

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

    /// The side of the square input in pixels.
    fn image_size(&self) -> usize;

    /// Embeds photos.
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
