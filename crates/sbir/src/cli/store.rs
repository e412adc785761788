//! The gallery that a command is about: a file, a Qdrant collection or a PostgreSQL database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sbir::{AnyStore, Creation, Files, Staging};
use sbir_gallery::{Embedder, Error, PhotoFiles, VectorStore, default_path};

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
            return Ok(Target { store: Arc::clone(&self.store), staging: None });
        }
        match self.any.staging(&space)? {
            Some(staging) => Ok(Target { store: staging.store(), staging: Some(staging) }),
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
        match self.store.space()? {
            Some(held) => Ok(embedder.space().check(&self.store.name(), &held)?),
            // A local gallery without a photo, in which nothing is found.
            None if self.store.local().is_some() => Ok(()),
            None => Err(Error::NoGallery { path: self.store.name().into() }.into()),
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
    staging: Option<Staging>,
}

impl Target {
    /// Makes what was embedded anew what searches find.
    pub(crate) fn publish(&self) -> Result<(), Failure> {
        let Some(staging) = &self.staging else { return Ok(()) };
        if let Some(old) = staging.publish()? {
            output::note(&format!(
                "{} has the new vectors now; the old ones are left in the collection {old}, `sbir gallery compact --old` removes them",
                self.store.name()
            ));
        }
        Ok(())
    }
}
