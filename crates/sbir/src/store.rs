//! Galleries of every kind, by name.

use std::path::Path;
use std::sync::Arc;

use sbir_gallery::{Error, Gallery, Result, Space, VectorStore};
use sbir_postgres::Postgres;
use sbir_qdrant::Qdrant;

/// How a gallery is made where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Into how many parts a Qdrant collection is divided; none leaves it to the cluster.
    pub shards: Option<u32>,
    /// On how many nodes each part lies; none leaves it to the cluster.
    pub replicas: Option<u32>,
}

/// A gallery that was opened.
#[derive(Clone)]
pub enum AnyStore {
    /// A file.
    Local(Arc<Gallery>),
    /// A collection on Qdrant.
    Qdrant(Arc<Qdrant>),
    /// A schema in PostgreSQL.
    Postgres(Arc<Postgres>),
}

impl AnyStore {
    /// Opens the gallery of this name: a file, `qdrant://HOST[:PORT][,…]/NAME` or `postgres://[USER@]HOST[:PORT]/DATABASE`.
    /// A file is made where there is none if `create` is given; the others are made when they are first written to. Keys
    /// and passwords come from the environment, as docs/scale.md tells.
    ///
    /// # Errors
    /// If there is no such gallery, or the name cannot be understood.
    pub fn open(name: &Path, create: Option<Creation>) -> Result<Self> {
        let url = name.to_str().and_then(|text| Some((text.split_once("://")?.0, text)));
        match url {
            None => Self::open_file(name, create.is_some()),
            Some(("file", url)) => {
                Self::open_file(Path::new(url.trim_start_matches("file://")), create.is_some())
            }
            Some(("qdrant", url)) => {
                let mut options = sbir_qdrant::Options::from_env()?;
                let create = create.unwrap_or_default();
                (options.shards, options.replicas) = (create.shards, create.replicas);
                Ok(Self::Qdrant(Arc::new(Qdrant::connect(url, options)?)))
            }
            Some(("postgres" | "postgresql", url)) => {
                let options = sbir_postgres::Options::default();
                Ok(Self::Postgres(Arc::new(Postgres::connect(url, options)?)))
            }
            // Without what may be a password in it.
            Some((scheme, _)) => Err(Error::BadAddress {
                gallery: format!("{scheme}://…"),
                problem: "no kind of gallery; give a file, qdrant://HOST:PORT/NAME or postgres://HOST/DATABASE".into(),
            }),
        }
    }

    fn open_file(path: &Path, create: bool) -> Result<Self> {
        let gallery = if create { Gallery::open_or_create(path) } else { Gallery::open(path) };
        Ok(Self::Local(Arc::new(gallery?)))
    }

    /// The gallery as a store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn VectorStore> {
        match self {
            Self::Local(gallery) => Arc::<Gallery>::clone(gallery),
            Self::Qdrant(gallery) => Arc::<Qdrant>::clone(gallery),
            Self::Postgres(gallery) => Arc::<Postgres>::clone(gallery),
        }
    }

    /// A place for the vectors of another encoder, which nobody sees until it is published; none where a gallery holds
    /// vectors of one encoder only.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn staging(&self, space: &Space) -> Result<Option<Staging>> {
        match self {
            Self::Qdrant(gallery) => Ok(Some(Staging(Arc::new(gallery.staging(space)?)))),
            Self::Local(_) | Self::Postgres(_) => Ok(None),
        }
    }

    /// Removes what earlier encoders and unfinished changes of encoder left, and says what it was.
    ///
    /// # Errors
    /// If the server does not do so.
    pub fn drop_unpublished(&self) -> Result<Vec<String>> {
        match self {
            Self::Qdrant(gallery) => gallery.drop_unpublished(),
            Self::Local(_) | Self::Postgres(_) => Ok(Vec::new()),
        }
    }
}

/// Where the photos of a gallery are embedded anew.
#[derive(Clone)]
pub struct Staging(Arc<Qdrant>);

impl Staging {
    /// The place as a store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn VectorStore> {
        Arc::<Qdrant>::clone(&self.0)
    }

    /// Lets it take the gallery's name, and says what had it before, which is left as it is.
    ///
    /// # Errors
    /// If the server does not do so.
    pub fn publish(&self) -> Result<Option<String>> {
        self.0.publish()
    }
}
