//! What every store of vectors can do, and the words it is asked in.

mod id;
mod path;
mod types;

use std::path::{Path, PathBuf};

pub use id::{Cursor, NoId, PhotoId};
pub use path::RelPath;
pub(crate) use path::path_to_bytes;
pub(crate) use sbir_files::names::{bytes_to_path, escaped, name_bytes};
pub use types::{
    Hit, Hits, Page, Photo, Record, RootInfo, SearchOptions, Selector, Space, Stats, Touch,
};

use crate::error::{Error, Result};
use crate::gallery::Gallery;

/// The most photos of a page.
pub const MAX_PAGE: usize = 10_000;

/// A store of photos with their embeddings: the local [`Gallery`], or one behind a network.
///
/// Calls block, since the local search is work for every core and no waiting: an asynchronous server calls it on a
/// blocking thread, and a store behind a network drives its own runtime inside. One instance serves many threads.
///
/// A photo is known by its root and path. Its id follows from them in stores behind a network, so that any number of
/// writers may write the same photo; the local gallery numbers its photos, so that an id stays when a file is moved.
///
/// No answer is ever silently short: what could not be reached is an error that says so.
pub trait VectorStore: Send + Sync {
    /// What `--gallery` takes to name this store, without secrets.
    fn name(&self) -> String;

    /// The local gallery, if it is one: the indexer walks beside its rows.
    fn local(&self) -> Option<&Gallery> {
        None
    }

    /// Binds a new store to a space, or checks that it is the one the store holds. Any number of processes may do so at
    /// once.
    ///
    /// # Errors
    /// [`Error::OtherEncoder`] or [`Error::OtherDimension`] with the remedy where they differ.
    fn ensure(&self, space: &Space) -> Result<()>;

    /// The space of the store's vectors, once it has one.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn space(&self) -> Result<Option<Space>>;

    /// Writes photos, each in the place of one of the same root and path: doing it twice changes nothing. When it
    /// returns, the photos are safe and every search sees them. The local gallery writes a batch whole or not at all.
    ///
    /// # Errors
    /// If a vector does not fit the space or is not finite, or the store cannot be written; some of the batch may then be
    /// written where the store is behind a network.
    fn upsert(&self, batch: &[Record]) -> Result<()>;

    /// Notes that files were written anew with the same content. Unknown ids are passed over.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn touch(&self, batch: &[Touch]) -> Result<()>;

    /// Forgets photos (their files stay) and says how many.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn delete(&self, which: &Selector) -> Result<u64>;

    /// The photos nearest to a query by cosine similarity, best first, ties by id.
    ///
    /// # Shapes
    /// - `query`: `[dimension]`, of unit length
    ///
    /// # Errors
    /// If the query does not fit the space or is not finite, or the store cannot be read.
    fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Hits> {
        let mut hits = self.search_batch(&[query], options)?;
        Ok(hits.pop().unwrap_or_default())
    }

    /// [`search`](Self::search) for several queries in one pass over the vectors.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>>;

    /// The photos in order of id, at most `limit` (and [`MAX_PAGE`]) at or below a place, from where the last page
    /// ended.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>>;

    /// As [`list`](Self::list) for all photos, with their embeddings.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>>;

    /// The photos of these ids that there are, in any order, with their embeddings.
    ///
    /// # Shapes
    /// - each embedding: `[dimension]`, of unit length but for the rounding of f16
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>>;

    /// A photo with its embedding.
    ///
    /// # Errors
    /// [`Error::NoPhoto`] if there is none of this id; or if the store cannot be read.
    fn record(&self, id: PhotoId) -> Result<Record> {
        let found = self.get(&[id])?.into_iter().find(|record| record.photo.id == id);
        found.ok_or(Error::NoPhoto { id })
    }

    /// The photos at these paths below a root, each in its place; at most [`MAX_PAGE`] at a time.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>>;

    /// Some photos (up to four) whose file has the content of this SHA-256.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>>;

    /// As many photos as there are up to `count`, each as likely as any other, none twice.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn sample(&self, count: usize) -> Result<Vec<Photo>>;

    /// The roots of the photos, in order of path.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn roots(&self) -> Result<Vec<RootInfo>>;

    /// What the store holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn stats(&self) -> Result<Stats>;

    /// Makes the first search as fast as the others: derived files and indexes are brought up to date, or are on their
    /// way.
    ///
    /// # Errors
    /// If the store cannot be read. That derived data cannot be written is no error.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Gives unused space back, and builds derived data anew.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn compact(&self) -> Result<()> {
        self.settle()
    }

    /// Whether the store answers, and well: what a load balancer asks. Takes a few seconds at most.
    ///
    /// # Errors
    /// What is wrong.
    fn ready(&self) -> Result<()> {
        self.stats().map(drop)
    }
}

/// Whether a path can be a root: an absolute path, or a place in an object store (`s3://bucket/folder`).
#[must_use]
pub fn is_root(path: &Path) -> bool {
    path.is_absolute() || is_remote(path)
}

/// Whether a root lies in an object store.
#[must_use]
pub fn is_remote(root: &Path) -> bool {
    name_bytes(root.as_os_str()).is_some_and(|bytes| bytes.starts_with(b"s3://"))
}

/// What of each root lies at or below a place: all of it where the path below the root is empty, else what lies at or
/// below that path.
#[must_use]
pub fn regions(roots: &[PathBuf], place: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    roots.iter().filter_map(|root| Some((root.clone(), region(root, place)?))).collect()
}

/// What of a root lies at or below a place, as [`regions`] says it; nothing where they are apart.
pub(crate) fn region(root: &Path, place: &Path) -> Option<Vec<u8>> {
    if root.starts_with(place) {
        return Some(Vec::new());
    }
    let below = place.strip_prefix(root).ok()?;
    name_bytes(below.as_os_str()).map(<[u8]>::to_vec)
}
