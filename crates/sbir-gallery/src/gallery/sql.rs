//! SQLite: opening, the schema, and what its errors mean.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, ffi};
use sbir_kernels::scan::MAX_DIMENSION;

use crate::error::{Error, Result};
use crate::store::{Photo, PhotoId, RelPath, Space, bytes_to_path};

/// "SBIR", which marks the file as a gallery.
const APPLICATION_ID: i64 = 0x5342_4952;
/// The format that this program writes.
const FORMAT: i64 = 1;

/// `photo.generation` is the one at which the embedding was written; `removed` lists ids that are gone, for readers that
/// have an earlier generation in memory. Embeddings have a table of their own, so that a pass over the photos' paths does
/// not read them.
const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE root (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE photo (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root INTEGER NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    hash BLOB NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX photo_path ON photo (root, path);
CREATE INDEX photo_hash ON photo (hash);
CREATE INDEX photo_generation ON photo (generation);
CREATE TABLE embedding (
    id INTEGER PRIMARY KEY,
    vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE removed (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
CREATE INDEX removed_generation ON removed (generation);
INSERT INTO meta VALUES ('generation', 0), ('floor', 0), ('key', randomblob(16));
";

/// What an error of SQLite means for the gallery in `path`.
pub(super) fn meaning(path: &Path) -> impl Fn(rusqlite::Error) -> Error + '_ {
    move |error| {
        let path = PathBuf::from(path);
        let problem = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseCorrupt => Error::Corrupt { path, problem },
                ErrorCode::NotADatabase => Error::NotAGallery { path, found: problem },
                ErrorCode::DiskFull => Error::DiskFull { path },
                ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_WRITE => {
                    Error::DiskFull { path }
                }
                ErrorCode::SystemIoFailure
                    if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ =>
                {
                    Error::Corrupt { path, problem }
                }
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly { path },
                _ => Error::Sqlite { path, problem },
            },
            // A value of another type than the schema has.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows => Error::Corrupt { path, problem },
            _ => Error::Sqlite { path, problem },
        }
    }
}

/// Opens the database of a gallery that exists.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let mut start = [0; 16];
    match fs_err::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::NoGallery { path: path.into() });
        }
        Err(error) => return Err(error.into()),
        Ok(mut file) => {
            if !file.metadata()?.is_file() {
                let found = "a folder or device".into();
                return Err(Error::NotAGallery { path: path.into(), found });
            }
            if file.read_exact(&mut start).is_err() || &start != b"SQLite format 3\0" {
                let found = "no SQLite file".into();
                return Err(Error::NotAGallery { path: path.into(), found });
            }
        }
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(path, &connection)?;
    Ok(connection)
}

/// Makes the database of an empty gallery, beside its place and then renamed into it, so that nobody meets half of one.
/// Another process may do so meanwhile.
pub(super) fn create(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let named = |error: std::io::Error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::ReadOnly { path: path.into() }
        }
        ErrorKind::StorageFull => Error::DiskFull { path: path.into() },
        kind => std::io::Error::new(kind, format!("{}: {error}", path.display())).into(),
    };
    let file = tempfile::Builder::new().prefix(".sbir-new-").tempfile_in(folder).map_err(named)?;
    let failed = meaning(path);
    let connection = connect(file.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fill = || -> rusqlite::Result<()> {
        // Five vectors of 768 values fit a page.
        connection.pragma_update(None, "page_size", 8192)?;
        // Until the last step nothing but this file is written.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.execute_batch(&format!(
            "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {FORMAT}; COMMIT;"
        ))?;
        connection.pragma_update(None, "journal_mode", "WAL")
    };
    fill().map_err(&failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            // An empty file is no gallery of anybody.
            if fs_err::metadata(path)?.len() > 0 {
                return Ok(());
            }
            error.file.persist(path).map(drop).map_err(|error| named(error.error))
        }
        Err(error) => Err(named(error.error)),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let failed = meaning(path);
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    connection.busy_timeout(Duration::from_secs(20)).map_err(&failed)?;
    // The file may come from elsewhere: no trust in its schema, a look at every cell.
    for (name, value) in
        [("trusted_schema", 0), ("cell_size_check", 1), ("synchronous", 2), ("cache_size", -8192)]
    {
        connection.pragma_update(None, name, value).map_err(&failed)?;
    }
    Ok(connection)
}

fn check(path: &Path, connection: &Connection) -> Result<()> {
    let failed = meaning(path);
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
    };
    if pragma("application_id").map_err(&failed)? != APPLICATION_ID {
        let found = "an SQLite file of another program".into();
        return Err(Error::NotAGallery { path: path.into(), found });
    }
    match pragma("user_version").map_err(&failed)? {
        FORMAT => Ok(()),
        found if found > FORMAT => {
            Err(Error::NewerFormat { path: path.into(), found, known: FORMAT })
        }
        found => Err(Error::NotAGallery { path: path.into(), found: format!("format {found}") }),
    }
}

/// The gallery's space, once it has one.
pub(super) fn space(connection: &Connection) -> rusqlite::Result<Option<Space>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    let mut rows = statement.query(["fingerprint"])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let fingerprint = row.get(0)?;
    drop(rows);
    let dimension: i64 = statement.query_row(["dimension"], |row| row.get(0))?;
    // Memory is set aside by it, and the file may come from elsewhere.
    let sound = usize::try_from(dimension).ok().filter(|size| (1..=MAX_DIMENSION).contains(size));
    let dimension = sound.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Integer,
            format!("vectors of {dimension} values, where 1 to {MAX_DIMENSION} can be").into(),
        )
    })?;
    Ok(Some(Space { fingerprint, dimension }))
}

/// A number that the gallery keeps: `generation` or `floor`.
pub(super) fn number(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

/// The columns that [`photo`] reads, of `photo` joined with `root`.
pub(super) const PHOTO: &str = "photo.id, root.path, photo.path, size, mtime, hash, width, height";

/// The photo of a row that begins with [`PHOTO`].
pub(super) fn photo(row: &Row<'_>) -> rusqlite::Result<Photo> {
    let path = RelPath::new(row.get(2)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            2,
            rusqlite::types::Type::Blob,
            error.to_string().into(),
        )
    })?;
    Ok(Photo {
        id: PhotoId::from_row(row.get(0)?),
        root: bytes_to_path(&row.get::<_, Vec<u8>>(1)?),
        path,
        size: row.get::<_, i64>(3)?.unsigned_abs(),
        mtime_ns: row.get(4)?,
        hash: row.get(5)?,
        width: row.get(6)?,
        height: row.get(7)?,
    })
}
