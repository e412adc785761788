//! How fast a folder is indexed without an encoder: the walk, reading, decoding and the store alone.
//!
//! ```text
//! index_bench GALLERY FOLDER [IMAGE_SIZE]
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;

use sbir_gallery::{EmbedError, Embedder, Gallery, IndexOptions, NoProgress, Upright, index};

/// Gives every photo one of a few vectors.
struct Nothing {
    image_size: usize,
}

const DIMENSION: usize = 512;

impl Embedder for Nothing {
    fn fingerprint(&self) -> &str {
        "nothing"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn image_size(&self) -> usize {
        self.image_size
    }

    fn embed_photos(&self, photos: &[Upright]) -> Result<Vec<f32>, EmbedError> {
        let mut vectors = vec![0.0; photos.len() * DIMENSION];
        for (photo, vector) in photos.iter().zip(vectors.chunks_exact_mut(DIMENSION)) {
            vector[usize::from(photo.pixels[0])] = 1.0;
        }
        Ok(vectors)
    }

    fn embed_sketch(&self, _: &sbir_sketch::Sketch) -> Result<Vec<f32>, EmbedError> {
        Err("no encoder".into())
    }

    fn embed_drawing(&self, _: &Upright) -> Result<Vec<f32>, EmbedError> {
        Err("no encoder".into())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [gallery, folder, rest @ ..] = arguments.as_slice() else {
        return Err("give a gallery and a folder".into());
    };
    let image_size = match rest.first().and_then(|size| size.to_str()) {
        Some(size) => size.parse()?,
        None => 224,
    };
    let gallery = Gallery::open_or_create(gallery.as_ref())?;
    let options = IndexOptions::default();
    let summary =
        index(&gallery, &[folder.into()], &Nothing { image_size }, &options, &NoProgress)?;
    let snapshot = summary.snapshot;
    let seconds = snapshot.elapsed.as_secs_f64();
    let rate = snapshot.done as f64 / seconds;
    println!("{}", serde_json::json!({"photos": snapshot.done, "seconds": seconds, "rate": rate}));
    Ok(())
}
