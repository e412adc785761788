//! Strokes: file formats, geometry, and the sketch renderer.
//!
//! A [`Sketch`] is a list of strokes on a white canvas. It comes from one of the formats in [`mod@format`]
//! (or from [`read_sketch`], which tells them apart), can be moved about with [`Affine`], and becomes
//! pixels in [`render`] — the one renderer that training, evaluation, the command line and the server
//! share, so that a query looks like the drawings that the encoder was trained on.
//!
//! ```
//! use sbir_sketch::{LineStyle, Sketch, Stroke, render};
//!
//! let stroke = Stroke::new(vec![[32.0, 32.0], [224.0, 224.0]]);
//! let sketch = Sketch::new([256.0, 256.0], vec![stroke])?;
//! let raster = render(&sketch, 224, &LineStyle::default());
//! assert_eq!(raster.pixels.len(), 224 * 224);
//! # Ok::<(), sbir_sketch::Error>(())
//! ```

mod error;
pub mod format;
mod geometry;
mod read;
mod render;
mod sketch;
mod sketchify;
mod vectorise;

pub use error::{Error, Problem};
pub use geometry::{Affine, Bounds};
pub use read::{Selector, is_stroke_file, read_sketch};
pub use render::{LineStyle, MAX_SIDE, Raster, render, render_into};
pub use sketch::{
    MAX_CANVAS, MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_POINTS, MAX_STROKES, MIN_CANVAS, Sketch, Stroke,
};
pub use sketchify::{DrawingStyle, SketchifyOptions, sketchify};
pub use vectorise::vectorise;
