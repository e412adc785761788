//! Folders of small pictures, and an embedder that tells them apart.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sbir_gallery::{
    EmbedError, Embedder, Gallery, IndexOptions, NoProgress, RelPath, Summary, Upright,
    VectorStore as _, index,
};

pub(crate) const DIMENSION: usize = 48;

type Hook = Box<dyn FnOnce() + Send>;

/// The mean colours of a 4 by 4 grid, less the grey that all share, and a constant, of unit length.
pub(crate) struct Colours {
    pub(crate) fingerprint: String,
    pub(crate) embedded: AtomicUsize,
    pub(crate) delay: Duration,
    /// Called at the first photo.
    pub(crate) hook: Mutex<Option<Hook>>,
}

impl Colours {
    pub(crate) fn new() -> Self {
        Self {
            fingerprint: "colours".into(),
            embedded: AtomicUsize::new(0),
            delay: Duration::ZERO,
            hook: Mutex::new(None),
        }
    }

    pub(crate) fn with_hook(hook: impl FnOnce() + Send + 'static) -> Self {
        Self { hook: Mutex::new(Some(Box::new(hook))), ..Self::new() }
    }

    /// How many photos were embedded since the last call.
    pub(crate) fn taken(&self) -> usize {
        self.embedded.swap(0, Ordering::SeqCst)
    }
}

pub(crate) fn vector(photo: &Upright) -> Vec<f32> {
    let (width, height) = (photo.width as usize, photo.height as usize);
    let mut sums = [0.0_f32; DIMENSION];
    let mut counts = [1e-9_f32; DIMENSION];
    for (place, pixel) in photo.pixels.as_chunks::<3>().0.iter().enumerate() {
        let cell = place / width * 4 / height * 4 + place % width * 4 / width;
        for (channel, value) in pixel.iter().enumerate() {
            sums[cell * 3 + channel] += f32::from(*value) / 255.0;
            counts[cell * 3 + channel] += 1.0;
        }
    }
    let mut values: Vec<_> = sums.iter().zip(counts).map(|(sum, n)| sum / n - 0.45).collect();
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= norm);
    values
}

impl Embedder for Colours {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn image_size(&self) -> usize {
        16
    }

    fn embed_photos(&self, photos: &[Upright]) -> Result<Vec<f32>, EmbedError> {
        if let Some(hook) = self.hook.lock().unwrap().take() {
            hook();
        }
        std::thread::sleep(self.delay * photos.len() as u32);
        self.embedded.fetch_add(photos.len(), Ordering::SeqCst);
        Ok(photos.iter().flat_map(vector).collect())
    }

    fn embed_sketch(&self, _: &sbir_sketch::Sketch) -> Result<Vec<f32>, EmbedError> {
        Err("no sketches here".into())
    }

    fn embed_drawing(&self, picture: &Upright) -> Result<Vec<f32>, EmbedError> {
        Ok(vector(picture))
    }
}

/// A picture that no other seed has.
pub(crate) fn picture(seed: u32) -> image::RgbImage {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut cells = [[0_u8; 3]; 16];
    for value in cells.iter_mut().flatten() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8;
    }
    image::RgbImage::from_fn(24, 16, |x, y| image::Rgb(cells[(y / 4 * 4 + x / 6) as usize]))
}

pub(crate) fn write_picture(path: &Path, seed: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(seed).save(path).unwrap();
}

/// A folder with a gallery, beside a root with photos.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A place with some photos, `0.png` and so on, the later half of them in a folder.
    pub(crate) fn with_photos(count: u32) -> Self {
        let place = Self::new();
        for seed in 0..count {
            let folder = if seed < count / 2 { "" } else { "sub/" };
            write_picture(&place.root().join(format!("{folder}{seed}.png")), seed);
        }
        std::fs::create_dir_all(place.root()).unwrap();
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("photos")
    }

    pub(crate) fn gallery_path(&self) -> PathBuf {
        self.folder.path().join("data/gallery.sbir")
    }

    pub(crate) fn gallery(&self) -> Gallery {
        Gallery::open_or_create(&self.gallery_path()).unwrap()
    }

    pub(crate) fn index(&self, embedder: &Colours) -> Summary {
        self.index_with(embedder, &IndexOptions::default())
    }

    pub(crate) fn index_with(&self, embedder: &Colours, options: &IndexOptions) -> Summary {
        index(&self.gallery(), &[self.root()], embedder, options, &NoProgress).unwrap()
    }

    /// The paths below their roots that the gallery has, sorted.
    pub(crate) fn paths(&self) -> Vec<String> {
        paths(&self.gallery())
    }
}

pub(crate) fn paths(gallery: &Gallery) -> Vec<String> {
    let page = gallery.list(None, None, 10_000).unwrap();
    let mut paths: Vec<_> = page.items.iter().map(|photo| photo.path.to_string()).collect();
    paths.sort();
    paths
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path.into()).unwrap()
}
