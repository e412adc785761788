//! Trees of small pictures, an embedder that tells them apart, and what is done with them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sbir_gallery::{EmbedError, Embedder, Gallery, Record, Upright, VectorStore as _};
use sbir_objects::{Options, Place};
use sbir_shards::{
    EmbedOptions, EmbedSummary, LoadOptions, LoadSummary, Manifest, ManifestOptions,
    ManifestSummary, NoProgress, Result, embed, load, write_manifest,
};
use sha2::{Digest as _, Sha256};

pub(crate) const DIMENSION: usize = 48;

/// The mean colours of a 4 by 4 grid, less the grey that all share, of unit length.
pub(crate) struct Colours {
    pub(crate) fingerprint: String,
    pub(crate) embedded: AtomicUsize,
    pub(crate) delay: Duration,
    /// Asked to stop after so many photos.
    pub(crate) stop: Option<(usize, &'static AtomicBool)>,
}

impl Colours {
    pub(crate) fn new() -> Self {
        Self {
            fingerprint: "colours".into(),
            embedded: AtomicUsize::new(0),
            delay: Duration::ZERO,
            stop: None,
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.embedded.swap(0, Ordering::SeqCst)
    }
}

fn vector(photo: &Upright) -> Vec<f32> {
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
        std::thread::sleep(self.delay * photos.len() as u32);
        let done = self.embedded.fetch_add(photos.len(), Ordering::SeqCst) + photos.len();
        if let Some((after, stop)) = self.stop
            && done >= after
        {
            stop.store(true, Ordering::SeqCst);
        }
        Ok(photos.iter().flat_map(vector).collect())
    }

    fn embed_sketch(&self, _: &sbir_sketch::Sketch) -> Result<Vec<f32>, EmbedError> {
        Err("no sketches here".into())
    }

    fn embed_drawing(&self, picture: &Upright) -> Result<Vec<f32>, EmbedError> {
        Ok(vector(picture))
    }
}

/// A picture that no other seed has; every third one is large, so that a reduced copy of it is embedded.
pub(crate) fn picture(seed: u32) -> image::RgbImage {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut cells = [[0_u8; 3]; 16];
    for value in cells.iter_mut().flatten() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8;
    }
    let scale = if seed.is_multiple_of(3) { 12 } else { 1 };
    image::RgbImage::from_fn(24 * scale, 16 * scale, |x, y| {
        image::Rgb(cells[(y / scale / 4 * 4 + x / scale / 6) as usize])
    })
}

pub(crate) fn write_picture(path: &Path, seed: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(seed).save(path).unwrap();
}

/// A tree of photos, and a folder for what is made of it.
pub(crate) struct Work {
    pub(crate) folder: tempfile::TempDir,
}

impl Work {
    pub(crate) fn new() -> Self {
        let work = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(work.root()).unwrap();
        work
    }

    /// With photos `0.png`, `1.jpg` and so on, the later half of them in a folder.
    pub(crate) fn with_photos(count: u32) -> Self {
        let work = Self::new();
        for seed in 0..count {
            let folder = if seed < count / 2 { "" } else { "sub folder/" };
            let kind = if seed % 2 == 0 { "png" } else { "jpg" };
            write_picture(&work.root().join(format!("{folder}{seed}.{kind}")), seed);
        }
        work
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("photos")
    }

    pub(crate) fn place(&self, name: &str) -> Place {
        open(&self.path(name))
    }

    pub(crate) fn out(&self) -> Place {
        self.place("out")
    }

    pub(crate) fn gallery(&self, name: &str) -> Gallery {
        Gallery::open_or_create(&self.path(name)).unwrap()
    }

    pub(crate) fn list(&self, piece: u32) -> ManifestSummary {
        self.list_below("photos", piece)
    }

    pub(crate) fn list_below(&self, root: &str, piece: u32) -> ManifestSummary {
        let (place, key) = file(&self.path("m.jsonl"));
        let options = ManifestOptions { piece, ..ManifestOptions::default() };
        write_manifest(&self.place(root), (&place, &key), &options, &mut |_| {}).unwrap()
    }

    /// A manifest of any files, whatever they are.
    pub(crate) fn list_by_hand(&self, root: &str, paths: &[&str], piece: u32) {
        let count = paths.len();
        let mut text = format!(
            "{{\"format\":\"sbir manifest\",\"version\":1,\"path\":\"{root}\",\"photos\":{count},\"bytes\":0,\"piece\":{piece}}}\n"
        );
        for path in paths {
            text.push_str(&format!("{{\"path\":\"{path}\",\"size\":0,\"mtime\":0}}\n"));
        }
        let digest = sbir_files::names::to_hex(&Sha256::digest(&text));
        text.push_str(&format!("{{\"digest\":\"{digest}\"}}\n"));
        std::fs::write(self.path("m.jsonl"), text).unwrap();
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let (place, key) = file(&self.path("m.jsonl"));
        Manifest::open(&place, &key).unwrap()
    }

    pub(crate) fn embed(&self, shard: &str, embedder: &Colours) -> Result<EmbedSummary> {
        self.embed_to(&self.out(), shard, embedder)
    }

    pub(crate) fn embed_to(&self, out: &Place, shard: &str, by: &Colours) -> Result<EmbedSummary> {
        let options = EmbedOptions { stop: by.stop.map(|(_, stop)| stop), ..options(shard) };
        embed(&mut self.manifest(), out, by, &Options::default(), &options, &NoProgress)
    }

    pub(crate) fn load(&self, gallery: &Gallery) -> Result<LoadSummary> {
        load(&self.out(), None, gallery, &LoadOptions::default(), &mut |_| {})
    }

    /// Loads pieces and checks them beside the manifest.
    pub(crate) fn load_checked(&self, gallery: &Gallery) -> Result<LoadSummary> {
        let mut manifest = self.manifest();
        load(&self.out(), Some(&mut manifest), gallery, &LoadOptions::default(), &mut |_| {})
    }

    pub(crate) fn pieces(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("out")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "job.json").collect();
        names.sort();
        names
    }

    pub(crate) fn piece(&self, number: u64) -> PathBuf {
        self.path("out").join(format!("piece-{number:08}.sbir-piece"))
    }
}

/// Small batches and few readers, so that a little work is several of everything.
pub(crate) fn options(shard: &str) -> EmbedOptions {
    EmbedOptions {
        shard: shard.parse().unwrap(),
        batch: 4,
        threads: 2,
        readers: 3,
        memory: 40_000,
        stop: None,
    }
}

pub(crate) fn open(path: &Path) -> Place {
    Place::open(path.as_os_str(), &Options::default()).unwrap()
}

pub(crate) fn file(path: &Path) -> (Place, sbir_objects::Key) {
    Place::open_file(path.as_os_str(), &Options::default()).unwrap()
}

/// All that a gallery has, in the order of paths, without the ids.
pub(crate) fn records(gallery: &Gallery) -> Vec<Record> {
    let page = gallery.scan(None, 10_000).unwrap();
    assert_eq!(page.next, None);
    let mut records = page.items;
    records.iter_mut().for_each(|record| record.photo.id.0 = 0);
    records.sort_by(|a, b| a.photo.path.cmp(&b.photo.path));
    records
}
