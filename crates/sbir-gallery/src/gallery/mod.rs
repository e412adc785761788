//! The local store: a SQLite file that is the truth, and derived files that may be deleted at any time.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::store::{
    Cursor, Hits, Page, Photo, PhotoId, Record, SearchOptions, Selector, Space, Stats, VectorStore,
};

/// Where the gallery is kept unless another place is named: the file that `SBIR_GALLERY` names, else
/// `sbir/gallery.sbir` in the user's data folder (`XDG_DATA_HOME`, or `~/.local/share`).
///
/// # Errors
/// If there is no such folder since neither `XDG_DATA_HOME` nor `HOME` is set.
pub fn default_path() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("SBIR_GALLERY") {
        return Ok(path);
    }
    let data = set("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local/share")));
    Ok(data.ok_or(Error::NoDefaultPlace)?.join("sbir").join("gallery.sbir"))
}

/// A gallery on disk. Any number of threads and processes may read it while one writes; readers see what is written.
pub struct Gallery {
    path: PathBuf,
}

/// A folder that was indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootInfo {
    /// The folder, absolute.
    pub path: PathBuf,
    /// How many photos the gallery has of it.
    pub photos: u64,
    /// Whether it is there now.
    pub present: bool,
}

/// What `gallery info` shows.
#[derive(Clone, Debug)]
pub struct GalleryInfo {
    /// The gallery's file.
    pub path: PathBuf,
    /// What it holds.
    pub stats: Stats,
    /// The folders that were indexed.
    pub roots: Vec<RootInfo>,
}

/// What `gallery verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many photos were looked at.
    pub photos: u64,
    /// Photos whose file is missing.
    pub missing: u64,
    /// Photos whose file has another size or time of modification, or, when contents are read, other content.
    pub changed: u64,
    /// What is wrong with the gallery itself, a line each; the remedy is to remove it and index again.
    pub problems: Vec<String>,
}

/// What an import brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Photos that were new.
    pub added: u64,
    /// Photos that took the place of one of the same root and path.
    pub replaced: u64,
}

/// A photo's file, opened safely.
#[derive(Debug)]
pub struct OpenedPhoto {
    /// What the gallery knows of it.
    pub photo: Photo,
    /// The file: a regular one below its root, reached through no link.
    pub file: File,
    /// Its size in bytes now.
    pub size: u64,
    /// Its time of modification now, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Whether size or time of modification are not what they were when the photo was embedded.
    pub changed: bool,
}

impl Gallery {
    /// Opens a gallery.
    ///
    /// # Errors
    /// [`Error::NoGallery`] if there is none; or if the file is none, is damaged, or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let _ = path;
        todo!()
    }

    /// Opens a gallery, or makes an empty one (and the folder it lies in) where there is none. It takes the space of
    /// the first [`ensure`](VectorStore::ensure).
    ///
    /// # Errors
    /// As [`Self::open`], or if it cannot be made.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        let _ = path;
        todo!()
    }

    /// The gallery's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The space of the gallery's vectors, once it has one.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn space(&self) -> Result<Option<Space>> {
        todo!()
    }

    /// What the gallery is and holds.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn info(&self) -> Result<GalleryInfo> {
        todo!()
    }

    /// A photo.
    ///
    /// # Errors
    /// [`Error::NoPhoto`] if there is none of that number; or if the gallery cannot be read.
    pub fn photo(&self, id: PhotoId) -> Result<Photo> {
        let _ = id;
        todo!()
    }

    /// A photo's embedding, for "more like this".
    ///
    /// # Shapes
    /// - output: `[dimension]`, of unit length but for the rounding of f16
    ///
    /// # Errors
    /// As [`Self::photo`].
    pub fn embedding(&self, id: PhotoId) -> Result<Vec<f32>> {
        let _ = id;
        todo!()
    }

    /// The photos in order of id, at most `limit` at or below an absolute path, from where the last page ended.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let _ = (under, after, limit);
        todo!()
    }

    /// Opens a photo's file below its root, through no symbolic link, and says whether it changed.
    ///
    /// # Errors
    /// [`Error::NoPhoto`]; [`Error::PhotoGone`] if the file is missing, no regular file, or reached only through a
    /// link; or if the gallery cannot be read.
    pub fn open_photo(&self, id: PhotoId) -> Result<OpenedPhoto> {
        let _ = id;
        todo!()
    }

    /// Checks the gallery's file, every vector, and every photo's file; with `contents` also the files' bytes.
    ///
    /// # Errors
    /// If the gallery cannot be read at all; what is wrong with it otherwise is the answer.
    pub fn verify(&self, contents: bool) -> Result<Verification> {
        let _ = contents;
        todo!()
    }

    /// Gives unused space back and writes the derived files anew.
    ///
    /// # Errors
    /// If another process writes to the gallery, or it cannot be written.
    pub fn compact(&self) -> Result<()> {
        todo!()
    }

    /// Writes the embeddings as a NumPy file of f32, `[photos, dimension]`, and the photos as JSON lines in the same
    /// order; each beside its place first, then renamed.
    ///
    /// # Errors
    /// If the gallery cannot be read or a file not be written.
    pub fn export(&self, npy: &Path, jsonl: &Path) -> Result<u64> {
        let _ = (npy, jsonl);
        todo!()
    }

    /// Reads what [`export`](Self::export) wrote, whole or not at all; `space` is what the vectors are.
    ///
    /// # Errors
    /// If the files do not fit each other or the gallery's space, or the gallery cannot be written.
    pub fn import(&self, npy: &Path, jsonl: &Path, space: &Space) -> Result<ImportReport> {
        let _ = (npy, jsonl, space);
        todo!()
    }
}

impl VectorStore for Gallery {
    fn ensure(&self, space: &Space) -> Result<()> {
        let _ = space;
        todo!()
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        let _ = batch;
        todo!()
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        let _ = which;
        todo!()
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        let _ = (queries, options);
        todo!()
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        let _ = (after, limit);
        todo!()
    }

    fn stats(&self) -> Result<Stats> {
        todo!()
    }
}
