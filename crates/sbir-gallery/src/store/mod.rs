//! What every store of vectors can do, and the words it is asked in.

mod path;
mod types;

pub use path::RelPath;
pub(crate) use path::{bytes_to_path, escaped, name_bytes, path_to_bytes};
pub use types::{
    Cursor, Hit, Hits, Page, Photo, PhotoId, Record, SearchOptions, Selector, Space, Stats,
};

use crate::error::Result;

/// A store of photos with their embeddings: the local [`Gallery`](crate::Gallery), and later remote ones.
///
/// Calls block, since the local search is work for every core and no waiting: an asynchronous server calls it on a
/// blocking thread, and a store behind a network drives its own runtime inside. One instance serves many threads.
pub trait VectorStore: Send + Sync {
    /// Binds a new store to a space, or checks that it is the one the store holds.
    ///
    /// # Errors
    /// [`Error::OtherEncoder`](crate::Error::OtherEncoder) or
    /// [`Error::OtherDimension`](crate::Error::OtherDimension) with the remedy where they differ.
    fn ensure(&self, space: &Space) -> Result<()>;

    /// Writes photos, each in the place of one of the same root and path: doing it twice changes nothing. Whole or not
    /// at all; when it returns, the photos are safe and every search sees them.
    ///
    /// # Errors
    /// If a vector does not fit the space or is not finite, or the store cannot be written.
    fn upsert(&self, batch: &[Record]) -> Result<()>;

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

    /// The photos with their embeddings, at most `limit`, in order of id, from where the last page ended.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>>;

    /// What the store holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn stats(&self) -> Result<Stats>;
}
