//! The photos as the server needs them.

use std::path::{Path, PathBuf};

use sbir_gallery::{
    Cursor, Embedder, Gallery, Hits, IndexOptions, OpenedPhoto, Page, Photo, PhotoId, Progress,
    Result, RootInfo, SearchOptions, Stats, Summary, VectorStore as _,
};

/// A gallery whose photos lie on this machine: vectors to search in, and files to show. Calls block.
///
/// Every function fails as the [`Gallery`]'s of the same name does.
pub trait Library: Send + Sync {
    /// The gallery's file, whose own changes are no news.
    fn file(&self) -> Option<&Path>;

    /// What it holds.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    fn stats(&self) -> Result<Stats>;

    /// The folders that were indexed.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    fn roots(&self) -> Result<Vec<RootInfo>>;

    /// The photos nearest to a query, best first.
    ///
    /// # Errors
    /// If the query does not fit, or the gallery cannot be read.
    fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Hits>;

    /// A photo's embedding.
    ///
    /// # Errors
    /// If there is no such photo, or the gallery cannot be read.
    fn embedding(&self, id: PhotoId) -> Result<Vec<f32>>;

    /// The photos in order of id.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>>;

    /// Opens a photo's file below its root, through no link.
    ///
    /// # Errors
    /// If there is no such photo, or its file is gone or not what it was.
    fn open_photo(&self, id: PhotoId) -> Result<OpenedPhoto>;

    /// Makes the first search as fast as the others.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    fn settle(&self) -> Result<()>;

    /// Brings the gallery up to date with folders.
    ///
    /// # Errors
    /// If the run cannot go on.
    fn index(
        &self,
        folders: &[PathBuf],
        embedder: &dyn Embedder,
        options: &IndexOptions,
        progress: &dyn Progress,
    ) -> Result<Summary>;
}

impl Library for Gallery {
    fn file(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn stats(&self) -> Result<Stats> {
        sbir_gallery::VectorStore::stats(self)
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        Gallery::roots(self)
    }

    fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Hits> {
        self.search_batch(&[query], options).map(|mut hits| hits.pop().unwrap_or_default())
    }

    fn embedding(&self, id: PhotoId) -> Result<Vec<f32>> {
        Gallery::embedding(self, id)
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        Gallery::list(self, under, after, limit)
    }

    fn open_photo(&self, id: PhotoId) -> Result<OpenedPhoto> {
        Gallery::open_photo(self, id)
    }

    fn settle(&self) -> Result<()> {
        Gallery::settle(self)
    }

    fn index(
        &self,
        folders: &[PathBuf],
        embedder: &dyn Embedder,
        options: &IndexOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        sbir_gallery::index(self, folders, embedder, options, progress)
    }
}
