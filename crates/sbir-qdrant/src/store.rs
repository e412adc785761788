//! The gallery on Qdrant as a store.

use std::path::Path;
use std::sync::Arc;

use sbir_gallery::{
    Cursor, Hits, Page, Photo, PhotoId, Record, RelPath, Result, RootInfo, SearchOptions, Selector,
    Space, Stats, Touch, VectorStore,
};

use crate::address::Address;
use crate::gallery::Gallery;
use crate::options::Options;
use crate::read::root_infos;
use crate::runtime::wait;
use crate::write;

/// A gallery on a Qdrant server or cluster.
///
/// Clones share their connections. Once it knows the encoder of its gallery, a client stays with that encoder's
/// collection, so that it goes on when another takes its place: its queries are vectors of the old one.
#[derive(Clone)]
pub struct Qdrant(Arc<Gallery>);

impl std::fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Qdrant").field(&self.0.name()).finish()
    }
}

impl Qdrant {
    /// Names a gallery, `qdrant://HOST[:PORT][,HOST[:PORT]…]/NAME`. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// If the address or the options cannot be understood, or the key would be sent where others can read it.
    pub fn connect(url: &str, options: Options) -> Result<Self> {
        Ok(Self(Arc::new(Gallery::new(Address::parse(url)?, options)?)))
    }

    /// A gallery of the same name for another encoder, that nobody else sees until it is
    /// [published](Self::publish). Writing to it may be interrupted and gone on with.
    ///
    /// # Errors
    /// If its collection cannot be made.
    pub fn staging(&self, space: &Space) -> Result<Self> {
        let (gallery, space) = (Arc::clone(&self.0), space.clone());
        Ok(Self(Arc::new(wait(gallery.stage(space))??)))
    }

    /// Lets this gallery take the place of the one that the name stands for, in one step, and says which collection that
    /// was. It is left as it is: clients that know its encoder go on with it, and
    /// [`drop_unpublished`](Self::drop_unpublished) removes it.
    ///
    /// # Errors
    /// If the server does not do so.
    pub fn publish(&self) -> Result<Option<String>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.publish().await })?
    }

    /// The gallery's collections that its name does not stand for: of encoders before, and staged ones.
    ///
    /// # Errors
    /// If the server cannot be read.
    pub fn unpublished(&self) -> Result<Vec<String>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.unpublished().await })?
    }

    /// Removes the gallery's collections that its name does not stand for, and says which.
    ///
    /// # Errors
    /// If the server cannot be written.
    pub fn drop_unpublished(&self) -> Result<Vec<String>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.drop_unpublished().await })?
    }

    /// Whether the server has built all its indexes.
    ///
    /// # Errors
    /// If the server cannot be read.
    pub fn is_indexed(&self) -> Result<bool> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.is_indexed().await })?
    }
}

impl VectorStore for Qdrant {
    fn name(&self) -> String {
        self.0.name()
    }

    fn ensure(&self, space: &Space) -> Result<()> {
        let (gallery, space) = (Arc::clone(&self.0), space.clone());
        wait(async move { gallery.ensure(&space).await })?
    }

    fn space(&self) -> Result<Option<Space>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { Ok(gallery.bound().await?.map(|bound| bound.space)) })?
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        write::upsert(&self.0, batch)
    }

    fn touch(&self, batch: &[Touch]) -> Result<()> {
        let (gallery, batch) = (Arc::clone(&self.0), batch.to_vec());
        wait(async move { gallery.touch(batch).await })?
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        let (gallery, which) = (Arc::clone(&self.0), which.clone());
        wait(async move {
            match which {
                Selector::Ids(ids) => gallery.delete_ids(ids).await,
                Selector::Under(place) => gallery.delete_under(Some(place)).await,
                Selector::All => gallery.delete_under(None).await,
            }
        })?
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        let queries = queries.iter().map(|query| query.to_vec()).collect();
        let (gallery, options) = (Arc::clone(&self.0), options.clone());
        wait(async move { gallery.search(queries, options).await })?
    }

    fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let (gallery, under) = (Arc::clone(&self.0), under.map(Path::to_path_buf));
        wait(async move { gallery.list(under, after, limit).await })?
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.scan(after, limit).await })?
    }

    fn get(&self, ids: &[PhotoId]) -> Result<Vec<Record>> {
        let (gallery, ids) = (Arc::clone(&self.0), ids.to_vec());
        wait(async move { gallery.get(ids).await })?
    }

    fn lookup(&self, root: &Path, paths: &[RelPath]) -> Result<Vec<Option<Photo>>> {
        let (gallery, root, paths) = (Arc::clone(&self.0), root.to_path_buf(), paths.to_vec());
        wait(async move { gallery.lookup(root, paths).await })?
    }

    fn with_content(&self, hash: &[u8; 32]) -> Result<Vec<Record>> {
        let (gallery, hash) = (Arc::clone(&self.0), *hash);
        wait(async move { gallery.with_content(hash).await })?
    }

    fn sample(&self, count: usize) -> Result<Vec<Photo>> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.sample(count).await })?
    }

    fn roots(&self) -> Result<Vec<RootInfo>> {
        let gallery = Arc::clone(&self.0);
        Ok(root_infos(wait(async move { gallery.roots().await })??))
    }

    fn stats(&self) -> Result<Stats> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.stats().await })?
    }

    fn settle(&self) -> Result<()> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.settle().await })?
    }

    fn compact(&self) -> Result<()> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.compact().await })?
    }

    fn ready(&self) -> Result<()> {
        let gallery = Arc::clone(&self.0);
        wait(async move { gallery.ready().await })?
    }
}
