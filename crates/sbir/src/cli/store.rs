//! The gallery that a command is about: a file, a Qdrant collection or a PostgreSQL database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sbir::{AnyStore, Creation, Files, Staging};
use sbir_gallery::{Embedder, Error, PhotoFiles, RootInfo, Space, VectorStore, default_path};

use super::args::{CreateArgs, GalleryPlace};
use super::failure::Failure;
use super::output;

/// A gallery that was opened.
pub(crate) struct Opened {
    any: AnyStore,
    pub(crate) store: Arc<dyn VectorStore>,
}

/// What `--gallery` says, or the default place.
pub(crate) fn name(place: &GalleryPlace) -> Result<PathBuf, Failure> {
    match &place.gallery {
        Some(path) => Ok(path.to_owned()),
        None => Ok(default_path()?),
    }
}

/// A folder as typed, absolute; it need not exist. Places in an object store are as they are.
pub(crate) fn folder(path: impl AsRef<Path>) -> Result<PathBuf, Failure> {
    let path = path.as_ref();
    if sbir_gallery::is_remote(path) {
        return Ok(path.to_owned());
    }
    match fs_err::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(_) => Ok(std::path::absolute(path)?),
    }
}

/// Opens a gallery to be read.
pub(crate) fn open(place: &GalleryPlace) -> Result<Opened, Failure> {
    open_named(&name(place)?, None)
}

/// Opens a gallery to be written, or makes it, when the first space is known.
pub(crate) fn open_or_create(place: &GalleryPlace, create: &CreateArgs) -> Result<Opened, Failure> {
    open_named(&name(place)?, Some(create))
}

/// Opens the gallery of this name; with `create` it may be made.
pub(crate) fn open_named(name: &Path, create: Option<&CreateArgs>) -> Result<Opened, Failure> {
    let creation = |args: &CreateArgs| Creation { shards: args.shards, replicas: args.replicas };
    let any = AnyStore::open(name, create.map(creation)).map_err(|error| match error {
        Error::BadAddress { .. } => Failure::Usage(format!("--gallery: {error}")),
        error => error.into(),
    })?;
    Ok(Opened { store: any.store(), any })
}

impl Opened {
    /// Where to write this encoder's vectors.
    pub(crate) fn writable(
        &self,
        embedder: &dyn Embedder,
        reembed: bool,
    ) -> Result<Target, Failure> {
        let space = embedder.space();
        if !reembed {
            self.store.ensure(&space)?;
            return Ok(Target { store: Arc::clone(&self.store), replaces: None });
        }
        match self.any.staging(&space)? {
            Some(staging) => {
                let replaces = Some((staging.clone(), Arc::clone(&self.store)));
                Ok(Target { store: staging.store(), replaces })
            }
            None => Err(Failure::Usage(format!(
                "--reembed: {} is no Qdrant collection; index into another gallery (--gallery) and use that",
                self.store.name()
            ))),
        }
    }

    /// Removes what earlier encoders left, and says so.
    pub(crate) fn drop_old(&self) -> Result<(), Failure> {
        for removed in self.any.drop_unpublished()? {
            output::note(&format!("removed: {removed}"));
        }
        Ok(())
    }

    /// Fails where the gallery is of another encoder than this, or is not there.
    pub(crate) fn check(&self, embedder: &dyn Embedder) -> Result<(), Failure> {
        match self.space()? {
            Some(held) => Ok(embedder.space().check(&self.store.name(), &held)?),
            None => Ok(()),
        }
    }

    /// The space of the gallery's vectors; none of a local one without a photo. Fails where there is no gallery.
    pub(crate) fn space(&self) -> Result<Option<Space>, Failure> {
        match self.store.space()? {
            None if self.store.local().is_none() => {
                Err(Error::NoGallery { path: self.store.name().into() }.into())
            }
            space => Ok(space),
        }
    }
}

/// The files of photos: on this machine, or in an object store.
pub(crate) fn files() -> Arc<dyn PhotoFiles> {
    Arc::new(Files::default())
}

/// Where vectors are written to.
pub(crate) struct Target {
    pub(crate) store: Arc<dyn VectorStore>,
    /// What is to take another's place when it is whole, and that other.
    replaces: Option<(Staging, Arc<dyn VectorStore>)>,
}

impl Target {
    /// Makes what was embedded anew what searches find, unless photos would be lost by it: those of a folder of which
    /// there is nothing here, or not half as much. With `prune` it may be.
    pub(crate) fn publish(&self, prune: bool) -> Result<(), Failure> {
        let Some((staging, old)) = &self.replaces else { return Ok(()) };
        if !prune {
            let (old, new) = (old.roots()?, self.store.roots()?);
            if let Some(lost) = lost(&old, &new) {
                return Err(anyhow::anyhow!(
                    "{}: searches still find the old vectors, since {lost}; index that folder with --reembed too,                      or leave out what is missing with --prune",
                    self.store.name()
                )
                .into());
            }
        }
        if let Some(old) = staging.publish()? {
            output::note(&format!(
                "{} has the new vectors now; the old ones are left in the collection {old}, `sbir gallery compact --old` removes them",
                self.store.name()
            ));
        }
        Ok(())
    }
}

/// What of the old gallery's photos the new one would lose, in words; none if it holds at least half of each folder.
fn lost(old: &[RootInfo], new: &[RootInfo]) -> Option<String> {
    old.iter().find_map(|root| {
        // A folder above takes those below it in.
        let above = |other: &&RootInfo| root.path.starts_with(&other.path);
        let embedded: u64 = new.iter().filter(above).map(|other| other.photos).sum();
        (embedded < root.photos.div_ceil(2)).then(|| {
            let path = root.path.display();
            format!("of the {} photos of {path} it has {embedded} anew", root.photos)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str, photos: u64) -> RootInfo {
        RootInfo { path: path.into(), photos, present: true }
    }

    #[test]
    fn what_would_be_lost_is_seen() {
        let old = [root("/a", 10), root("/b/c", 3), root("/empty", 0)];
        assert_eq!(lost(&old, &[root("/a", 9), root("/b", 40)]), None);
        assert!(lost(&old, &[root("/a", 9)]).unwrap().contains("3 photos of /b/c"));
        assert!(lost(&old, &[root("/a", 4), root("/b", 40)]).unwrap().contains("it has 4"));
        assert!(lost(&old, &[root("/a/sub", 10), root("/b", 40)]).is_some());
        assert_eq!(lost(&[], &[]), None);
    }
}
