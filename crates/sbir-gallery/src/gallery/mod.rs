//! The local store: a SQLite file that is the truth, and derived files that may be deleted at any time.

mod cache;
mod lock;
mod matrix;
mod npy;
mod photo_file;
mod region;
mod sql;
mod transfer;
mod vector;
mod verify;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use sbir_kernels::scan::{MAX_DIMENSION, Wanted};
use serde::Serialize;

use matrix::Keeper;
pub(crate) use photo_file::{RootFolder, mtime_ns};
use region::Region;
pub(crate) use region::absolute;
pub(crate) use vector::to_halves;
pub(crate) use writer::{Change, Known, Put, Writer, roots};

use crate::error::{Error, Result};
use crate::store::{
    Cursor, Hit, Hits, Page, Photo, PhotoId, Record, SearchOptions, Selector, Space, Stats,
    VectorStore,
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
    /// Connections for reading that nobody uses now.
    readers: Mutex<Vec<Connection>>,
    keeper: Mutex<Option<Keeper>>,
}

/// How many idle connections are kept.
const MAX_IDLE: usize = 8;
/// The most photos of a page.
const MAX_PAGE: usize = 10_000;

/// A derived file's name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn same_space(path: &Path, expected: &Space, found: &Space) -> Result<()> {
    let path = path.into();
    if expected.fingerprint != found.fingerprint {
        let (expected, found) = (expected.fingerprint.clone(), found.fingerprint.clone());
        return Err(Error::OtherEncoder { path, expected, found });
    }
    if expected.dimension != found.dimension {
        let (expected, found) = (found.dimension, expected.dimension);
        return Err(Error::OtherDimension { path, expected, found });
    }
    Ok(())
}

/// A lock's content; what another thread was doing when it panicked is whole, since it is replaced at once.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let connection = sql::open(path)?;
        sql::space(&connection).map_err(sql::meaning(path))?;
        let readers = Mutex::new(vec![connection]);
        Ok(Self { path: path.into(), readers, keeper: Mutex::new(None) })
    }

    /// Opens a gallery, or makes an empty one (and the folder it lies in) where there is none. It takes the space of
    /// the first [`ensure`](VectorStore::ensure).
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

    /// The space of the gallery's vectors, once it has one.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn space(&self) -> Result<Option<Space>> {
        self.read(|connection| sql::space(connection).map_err(sql::meaning(&self.path)))
    }

    /// What the gallery is and holds.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn info(&self) -> Result<GalleryInfo> {
        Ok(GalleryInfo { path: self.path.clone(), stats: self.stats()?, roots: self.roots()? })
    }

    /// The folders that were indexed.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn roots(&self) -> Result<Vec<RootInfo>> {
        let failed = sql::meaning(&self.path);
        self.read(|connection| {
            let mut found = Vec::new();
            for (id, path) in roots(connection).map_err(&failed)? {
                let photos: i64 = connection
                    .prepare_cached("SELECT count(*) FROM photo WHERE root = ?1")
                    .and_then(|mut statement| statement.query_row([id], |row| row.get(0)))
                    .map_err(&failed)?;
                let present = path.is_dir();
                found.push(RootInfo { path, photos: photos.unsigned_abs(), present });
            }
            Ok(found)
        })
    }

    /// A photo.
    ///
    /// # Errors
    /// [`Error::NoPhoto`] if there is none of that number; or if the gallery cannot be read.
    pub fn photo(&self, id: PhotoId) -> Result<Photo> {
        self.read(|connection| self.find(connection, id.0))?.ok_or(Error::NoPhoto { id: id.0 })
    }

    /// A photo's embedding, for "more like this".
    ///
    /// # Shapes
    /// - output: `[dimension]`, of unit length but for the rounding of f16
    ///
    /// # Errors
    /// As [`Self::photo`].
    pub fn embedding(&self, id: PhotoId) -> Result<Vec<f32>> {
        let failed = sql::meaning(&self.path);
        self.read(|connection| {
            let dimension = sql::space(connection).map_err(&failed)?.map_or(0, |s| s.dimension);
            let mut halves = Vec::with_capacity(dimension);
            let found = connection
                .prepare_cached("SELECT id, vector, checksum FROM embedding WHERE id = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_row([id.0], |row| vector::read(row, 0, dimension, &mut halves))
                        .optional()
                })
                .map_err(&failed)?;
            found.map(|_| vector::to_floats(&halves)).ok_or(Error::NoPhoto { id: id.0 })
        })
    }

    /// The photos in order of id, at most `limit` (and 10,000) at or below an absolute path, from where the last page
    /// ended.
    ///
    /// # Errors
    /// If the gallery cannot be read.
    pub fn list(
        &self,
        under: Option<&Path>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Photo>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let failed = sql::meaning(&self.path);
        let items = self.read(|connection| {
            let (condition, values) = match under {
                None => ("1".to_owned(), Vec::new()),
                Some(path) => Region::under(connection, path).map_err(&failed)?.condition(3),
            };
            let query = format!(
                "SELECT {} FROM photo JOIN root ON root.id = photo.root
                 WHERE photo.id > ?1 AND ({condition}) ORDER BY photo.id LIMIT ?2",
                sql::PHOTO
            );
            let values = [after.map_or(i64::MIN, |cursor| cursor.0), limit as i64 + 1]
                .map(rusqlite::types::Value::Integer)
                .into_iter()
                .chain(values);
            let read = || -> rusqlite::Result<Vec<Photo>> {
                let mut statement = connection.prepare_cached(&query)?;
                let rows = statement.query_map(params_from_iter(values), sql::photo)?;
                rows.collect()
            };
            read().map_err(&failed)
        })?;
        Ok(page(items, limit, |photo| photo.id))
    }

    /// Opens a photo's file below its root, through no symbolic link, and says whether it changed.
    ///
    /// # Errors
    /// [`Error::NoPhoto`]; [`Error::PhotoGone`] if the file is missing, no regular file, or reached only through a
    /// link; or if the gallery cannot be read.
    pub fn open_photo(&self, id: PhotoId) -> Result<OpenedPhoto> {
        let photo = self.photo(id)?;
        let gone = |problem: std::io::Error| Error::PhotoGone {
            path: photo.display(),
            problem: problem.to_string(),
        };
        let file = RootFolder::open(&photo.root)
            .and_then(|root| root.open_file(&photo.path))
            .map_err(gone)?;
        let metadata = file.metadata().map_err(gone)?;
        let (size, mtime_ns) = (metadata.len(), mtime_ns(&metadata));
        let changed = size != photo.size || mtime_ns != photo.mtime_ns;
        Ok(OpenedPhoto { photo, file, size, mtime_ns, changed })
    }

    /// Checks the gallery's file, every vector, and every photo's file; with `contents` also the files' bytes.
    ///
    /// # Errors
    /// If the gallery cannot be read at all; what is wrong with it otherwise is the answer.
    pub fn verify(&self, contents: bool) -> Result<Verification> {
        verify::verify(self, contents)
    }

    /// Gives unused space back and writes the derived files anew.
    ///
    /// # Errors
    /// If another process writes to the gallery, or it cannot be written.
    pub fn compact(&self) -> Result<()> {
        self.writer()?.compact()?;
        self.with_keeper(|keeper| keeper.settle(true))
    }

    /// Writes the embeddings as a NumPy file of f32, `[photos, dimension]`, and the photos as JSON lines in the same
    /// order; each beside its place first, then renamed. Says how many there are.
    ///
    /// # Errors
    /// If the gallery cannot be read or a file not be written.
    pub fn export(&self, npy: &Path, jsonl: &Path) -> Result<u64> {
        transfer::export(self, npy, jsonl)
    }

    /// Reads what [`export`](Self::export) wrote, whole or not at all.
    ///
    /// # Errors
    /// If the files do not fit each other or the gallery's space, or the gallery cannot be written.
    pub fn import(&self, npy: &Path, jsonl: &Path) -> Result<ImportReport> {
        transfer::import(self, npy, jsonl)
    }

    /// Makes the first search as fast as the others, and writes the derived file if many vectors are not in it.
    ///
    /// # Errors
    /// If the gallery cannot be read. That the derived file cannot be written is no error.
    pub fn settle(&self) -> Result<()> {
        self.with_keeper(|keeper| keeper.settle(false))
    }

    /// What an error of SQLite means for this gallery.
    pub(crate) fn meaning(&self, error: rusqlite::Error) -> Error {
        sql::meaning(&self.path)(error)
    }

    /// The photos that have some content.
    pub(crate) fn known(&self, hash: &[u8; 32], dimension: usize) -> Result<Vec<Known>> {
        self.read(|connection| {
            writer::known(connection, hash, dimension).map_err(sql::meaning(&self.path))
        })
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

    /// One search in what is committed now; `None` if a photo that was found was removed meanwhile.
    fn search_once(
        &self,
        queries: &[&[f32]],
        options: &SearchOptions,
    ) -> Result<Option<Vec<Hits>>> {
        let nothing = || Hits { items: Vec::new(), exhaustive: true, searched: 0 };
        let Some(matrix) = self.with_keeper(Keeper::current)? else {
            return Ok(Some(queries.iter().map(|_| nothing()).collect()));
        };
        for query in queries {
            if query.len() != matrix.dimension {
                let (expected, found) = (matrix.dimension, query.len());
                return Err(Error::OtherDimension { path: self.path.clone(), expected, found });
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
                        None => return Ok(None),
                    }
                }
                all.push(hits);
            }
            Ok(Some(all))
        })
    }
}

/// The first `limit` of what was read with one more than that.
fn page<T>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> PhotoId) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|item| Cursor(id(item).0));
    Page { items, next }
}

impl VectorStore for Gallery {
    fn ensure(&self, space: &Space) -> Result<()> {
        if space.dimension == 0 || space.dimension > MAX_DIMENSION {
            let expected = format!("1 to {MAX_DIMENSION} values");
            return Err(Error::BadEmbedding { expected, found: space.dimension.to_string() });
        }
        match self.space()? {
            Some(held) => same_space(&self.path, space, &held),
            None => self.writer()?.ensure(space),
        }
    }

    fn upsert(&self, batch: &[Record]) -> Result<()> {
        let Some(space) = self.space()? else {
            return Err(Error::BadEmbedding {
                expected: "a space (ensure)".into(),
                found: "vectors".into(),
            });
        };
        let mut writer = self.writer()?;
        let mut records = batch.iter().map(|record| {
            let Photo { root, path, size, mtime_ns, hash, width, height, .. } = &record.photo;
            if record.embedding.len() != space.dimension {
                let (expected, found) = (space.dimension, record.embedding.len());
                return Err(Error::OtherDimension { path: self.path.clone(), expected, found });
            }
            if !root.is_absolute() {
                return Err(Error::BadPath { path: root.display().to_string() });
            }
            let halves = to_halves(&record.embedding)?;
            let (path, size, mtime_ns) = (path.clone(), *size, *mtime_ns);
            let (hash, width, height) = (*hash, *width, *height);
            let put = Put { root: 0, path, size, mtime_ns, hash, width, height, halves };
            Ok((root.clone(), put))
        });
        writer.put_all(&mut records).map(drop)
    }

    fn delete(&self, which: &Selector) -> Result<u64> {
        let mut writer = self.writer()?;
        let ids = match which {
            Selector::Ids(ids) => ids.iter().map(|id| id.0).collect(),
            Selector::Under(path) => self.ids_under(path)?,
            Selector::All => self.read(|connection| {
                let read = || -> rusqlite::Result<Vec<i64>> {
                    let mut statement = connection.prepare("SELECT id FROM photo")?;
                    let rows = statement.query_map([], |row| row.get(0))?;
                    rows.collect()
                };
                read().map_err(sql::meaning(&self.path))
            })?,
        };
        writer.delete(&ids)
    }

    fn search_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<Hits>> {
        // A photo may be removed between the search and the look at its row. Each time round sees all removals before
        // it, and only as many happen as somebody makes.
        loop {
            if let Some(hits) = self.search_once(queries, options)? {
                return Ok(hits);
            }
        }
    }

    fn scan(&self, after: Option<Cursor>, limit: usize) -> Result<Page<Record>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let failed = sql::meaning(&self.path);
        let items = self.read(|connection| {
            let Some(space) = sql::space(connection).map_err(&failed)? else {
                return Ok(Vec::new());
            };
            let read = || -> rusqlite::Result<Vec<Record>> {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT {}, photo.id, vector, checksum FROM photo
                     JOIN root ON root.id = photo.root JOIN embedding ON embedding.id = photo.id
                     WHERE photo.id > ?1 ORDER BY photo.id LIMIT ?2",
                    sql::PHOTO
                ))?;
                let after = after.map_or(i64::MIN, |cursor| cursor.0);
                let rows = statement.query_map([after, limit as i64 + 1], |row| {
                    let mut halves = Vec::with_capacity(space.dimension);
                    vector::read(row, 8, space.dimension, &mut halves)?;
                    Ok(Record { photo: sql::photo(row)?, embedding: vector::to_floats(&halves) })
                })?;
                rows.collect()
            };
            read().map_err(&failed)
        })?;
        Ok(page(items, limit, |record| record.photo.id))
    }

    fn stats(&self) -> Result<Stats> {
        let failed = sql::meaning(&self.path);
        let bytes = ["", "-wal", "-vectors"]
            .iter()
            .filter_map(|suffix| fs_err::metadata(beside(&self.path, suffix)).ok())
            .map(|file| file.len())
            .sum();
        self.read(|connection| {
            let read = || -> rusqlite::Result<Stats> {
                let transaction = connection.unchecked_transaction()?;
                let count = |table: &str| -> rusqlite::Result<u64> {
                    let query = format!("SELECT count(*) FROM {table}");
                    let count: i64 = transaction.query_row(&query, [], |row| row.get(0))?;
                    Ok(count.unsigned_abs())
                };
                Ok(Stats {
                    space: sql::space(&transaction)?,
                    photos: count("photo")?,
                    roots: count("root")?,
                    generation: sql::number(&transaction, "generation")?.unsigned_abs(),
                    bytes,
                })
            };
            read().map_err(&failed)
        })
    }
}
