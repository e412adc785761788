//! Photos as rows.

use std::path::{Path, PathBuf};

use sbir_files::names::name_bytes;
use sbir_gallery::{Error, Photo, PhotoId, Record, RelPath, Result, is_root};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::fault::Fault;
use crate::halfvec::HalfVec;

/// The columns of a photo `p` with its root `r`, as [`photo`] reads them.
pub(crate) const COLUMNS: &str =
    "p.id, r.path AS root, p.path, p.size, p.mtime_ns, p.hash, p.width, p.height";

/// The id of a photo: the UUIDv5, in the namespace of URLs, of `sbir:`, its root, a zero byte and its path.
pub(crate) fn id(root: &Path, path: &RelPath) -> Result<Uuid> {
    let root = root_bytes(root)?;
    let name = [b"sbir:", &root[..], b"\0", path.as_bytes()].concat();
    Ok(Uuid::new_v5(&Uuid::NAMESPACE_URL, &name))
}

/// A root's bytes.
///
/// # Errors
/// If it cannot be one.
pub(crate) fn root_bytes(root: &Path) -> Result<Vec<u8>> {
    let bytes = is_root(root).then(|| name_bytes(root.as_os_str())).flatten();
    bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::BadPath { path: root.display().to_string() })
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// A root out of its bytes.
///
/// # Errors
/// If they are none.
pub(crate) fn root(bytes: &[u8]) -> Result<PathBuf, Fault> {
    let root = path_of(bytes).filter(|path| is_root(path));
    root.ok_or_else(|| Fault::Answer("a root that is no absolute path".into()))
}

/// A photo out of a row of [`COLUMNS`].
///
/// # Errors
/// If a value is not what it should be.
pub(crate) fn photo(row: &Row) -> Result<Photo, Fault> {
    let wrong = |what: &str| Fault::Answer(format!("a photo with a {what} that is none"));
    let side =
        |column, what| u32::try_from(row.try_get::<_, i64>(column)?).map_err(|_| wrong(what));
    Ok(Photo {
        id: PhotoId(row.try_get::<_, Uuid>(0)?.as_u128()),
        root: root(row.try_get(1)?)?,
        path: RelPath::new(row.try_get(2)?).map_err(|_| wrong("path"))?,
        size: row.try_get::<_, i64>(3)?.cast_unsigned(),
        mtime_ns: row.try_get(4)?,
        hash: row.try_get::<_, &[u8]>(5)?.try_into().map_err(|_| wrong("hash"))?,
        width: side(6, "width")?,
        height: side(7, "height")?,
    })
}

/// A record out of a row of [`COLUMNS`] and its embedding.
///
/// # Errors
/// If a value is not what it should be.
pub(crate) fn record(row: &Row, dimension: usize) -> Result<Record, Fault> {
    let embedding = row.try_get::<_, HalfVec>(8)?;
    if embedding.0.len() != dimension {
        return Err(Fault::Answer("a vector of another dimension".into()));
    }
    Ok(Record { photo: photo(row)?, embedding: embedding.to_floats() })
}
