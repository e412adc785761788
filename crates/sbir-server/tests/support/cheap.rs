//! An embedder that needs no weights: darkness and edges on a coarse grid. It tells pictures apart and finds a photo by
//! itself or by a drawing of its outlines, a little; it is no encoder.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sbir_gallery::{EmbedError, Embedder, Upright};
use sbir_sketch::{LineStyle, Sketch, render};

const SIDE: usize = 64;
const GRID: usize = 12;

#[derive(Default)]
pub struct Cheap {
    /// How long a photo takes, in milliseconds.
    pub photo_ms: AtomicU64,
    /// How long a query takes, in milliseconds.
    pub query_ms: AtomicU64,
    /// How many queries are under way, and the most that ever were.
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
    pub queries: AtomicUsize,
}

impl Cheap {
    fn query(&self, picture: &Upright) -> Vec<f32> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.queries.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(self.query_ms.load(Ordering::SeqCst)));
        self.running.fetch_sub(1, Ordering::SeqCst);
        vector(picture)
    }
}

impl Embedder for Cheap {
    fn fingerprint(&self) -> &str {
        "cheap"
    }

    fn dimension(&self) -> usize {
        GRID * GRID
    }

    fn image_size(&self) -> usize {
        SIDE
    }

    fn embed_photos(&self, photos: &[Upright]) -> Result<Vec<f32>, EmbedError> {
        let mut values = Vec::new();
        for photo in photos {
            std::thread::sleep(Duration::from_millis(self.photo_ms.load(Ordering::SeqCst)));
            values.extend(vector(photo));
        }
        Ok(values)
    }

    fn embed_sketch(&self, sketch: &Sketch) -> Result<Vec<f32>, EmbedError> {
        let raster = render(sketch, SIDE, &LineStyle::default());
        let pixels = raster.pixels.iter().flat_map(|&grey| [grey; 3]).collect();
        Ok(self.query(&Upright::new(SIDE as u32, SIDE as u32, pixels)?))
    }

    fn embed_drawing(&self, picture: &Upright) -> Result<Vec<f32>, EmbedError> {
        Ok(self.query(picture))
    }
}

fn vector(picture: &Upright) -> Vec<f32> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let grey = |x: usize, y: usize| {
        let at = (y.min(height - 1) * width + x.min(width - 1)) * 3;
        picture.pixels[at..at + 3].iter().map(|&value| f32::from(value)).sum::<f32>() / 765.0
    };
    let mut cells = vec![0.0_f32; GRID * GRID];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (px, py) = (x * width / SIDE, y * height / SIDE);
            let step = (width.max(height) / SIDE).max(1);
            let here = grey(px, py);
            let edge = (here - grey(px + step, py)).abs() + (here - grey(px, py + step)).abs();
            cells[y * GRID / SIDE * GRID + x * GRID / SIDE] += edge + 0.05 * (1.0 - here);
        }
    }
    let mean = cells.iter().sum::<f32>() / cells.len() as f32;
    // The last cell keeps blank pictures from having no length.
    cells.iter_mut().for_each(|cell| *cell -= 0.7 * mean);
    cells[0] += 0.01;
    let norm = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
    cells.iter_mut().for_each(|cell| *cell /= norm);
    cells
}
