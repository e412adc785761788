//! The local store: a SQLite file that is the truth, and derived files that may be deleted at any time.

mod cache;
mod check;
mod lock;
mod matrix;
mod region;
mod sql;
mod store;
mod vector;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};
use sbir_kernels::scan::Wanted;

use matrix::Keeper;
use region::Region;
pub(crate) use region::absolute;
pub(crate) use writer::{Change, Writer, roots};

use crate::error::{Error, Result};
use crate::store::{Cursor, Hit, Hits, Page, Photo, PhotoId, SearchOptions};

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
    /// Connections for reading that nobody uses now.
    readers: Mutex<Vec<Connection>>,
    keeper: Mutex<Option<Keeper>>,
}

/// A photo that was found, and whose row was not: removed meanwhile, unless the gallery is damaged.
struct Missing {
    id: i64,
}

/// How many idle connections are kept.
const MAX_IDLE: usize = 8;

/// A derived file's name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A lock's content; what another thread was doing when it panicked is whole, since it is replaced at once.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gallery {
    /// Opens a gallery.
    ///
    /// # Errors
    /// [`Error::NoGallery`] if there is none; or if the file is none, is damaged, or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = sql::open(path)?;
        sql::space(&connection).map_err(sql::meaning(path))?;
        let readers = Mutex::new(vec![connection]);
        Ok(Self { path: path.into(), readers, keeper: Mutex::new(None) })
    }

    /// Opens a gallery, or makes an empty one (and the folder it lies in) where there is none. It takes the space of
    /// the first [`ensure`](crate::VectorStore::ensure).
    ///
    /// # Errors
    /// As [`Self::open`], or if it cannot be made.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        match Self::open(path) {
            // An empty file is what a kill in the first moment leaves.
            Err(Error::NoGallery { .. } | Error::NotAGallery { .. })
                if fs_err::metadata(path)
                    .map_or(true, |file| file.is_file() && file.len() == 0) =>
            {
                sql::create(path)?;
                Self::open(path)
            }
            result => result,
        }
    }

    /// The gallery's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with the gallery's file, a line each.
    ///
    /// # Errors
    /// If it cannot be read at all.
    pub fn problems(&self) -> Result<Vec<String>> {
        check::problems(self)
    }

    /// What an error of SQLite means for this gallery.
    pub(crate) fn meaning(&self, error: rusqlite::Error) -> Error {
        sql::meaning(&self.path)(error)
    }

    /// The numbers of the photos at or below a path, in order.
    pub(crate) fn ids_under(&self, path: &Path) -> Result<Vec<i64>> {
        self.read(|connection| {
            Region::under(connection, path)
                .and_then(|region| region.ids(connection))
                .map_err(sql::meaning(&self.path))
        })
    }

    /// The right to write.
    pub(crate) fn writer(&self) -> Result<Writer> {
        Writer::open(&self.path)
    }

    /// Lends a connection for reading.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = locked(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => sql::open(&self.path)?,
        };
        let result = work(&connection);
        // After an error a transaction may be open.
        if result.is_ok() {
            let mut idle = locked(&self.readers);
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
        result
    }

    fn with_keeper<T>(&self, work: impl FnOnce(&mut Keeper) -> Result<T>) -> Result<T> {
        let mut held = locked(&self.keeper);
        if held.is_none() {
            *held = Some(Keeper::new(&self.path)?);
        }
        let Some(keeper) = held.as_mut() else { unreachable!("made above") };
        let result = work(keeper);
        if result.is_err() {
            // It may be half-way.
            *held = None;
        }
        result
    }

    fn find(&self, connection: &Connection, id: i64) -> Result<Option<Photo>> {
        connection
            .prepare_cached(&format!(
                "SELECT {} FROM photo JOIN root ON root.id = photo.root WHERE photo.id = ?1",
                sql::PHOTO
            ))
            .and_then(|mut statement| statement.query_row([id], sql::photo).optional())
            .map_err(sql::meaning(&self.path))
    }

    /// Whether the gallery has a vector of this number.
    fn has_vector(&self, id: i64) -> Result<bool> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM embedding WHERE id = ?1)")
                .and_then(|mut statement| statement.query_row([id], |row| row.get(0)))
                .map_err(sql::meaning(&self.path))
        })
    }

    /// One search in what is committed now.
    fn search_once(
        &self,
        queries: &[&[f32]],
        options: &SearchOptions,
    ) -> Result<Result<Vec<Hits>, Missing>> {
        let nothing = || Hits { items: Vec::new(), exhaustive: true, searched: 0 };
        let Some(matrix) = self.with_keeper(Keeper::current)? else {
            return Ok(Ok(queries.iter().map(|_| nothing()).collect()));
        };
        for query in queries {
            if query.len() != matrix.dimension {
                let (expected, found) = (matrix.dimension, query.len());
                return Err(self.other_dimension(expected, found));
            }
            if !query.iter().all(|value| value.is_finite()) {
                return Err(Error::NotFinite);
            }
        }
        let only = match &options.under {
            None => None,
            Some(path) => Some(self.ids_under(path)?),
        };
        let wanted =
            Wanted { k: options.k, min_score: options.min_score.unwrap_or(f32::NEG_INFINITY) };
        let answer = matrix.search(queries, wanted, only.as_deref());
        self.read(|connection| {
            let mut all = Vec::with_capacity(queries.len());
            for found in answer.found {
                let mut hits = Hits { searched: answer.searched, ..nothing() };
                for found in found {
                    match self.find(connection, found.id)? {
                        Some(photo) => hits.items.push(Hit { photo, score: found.score }),
                        None => return Ok(Err(Missing { id: found.id })),
                    }
                }
                all.push(hits);
            }
            Ok(Ok(all))
        })
    }
}

/// The first `limit` of what was read with one more than that.
fn page<T>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> PhotoId) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|item| Cursor(id(item)));
    Page { items, next }
}
