//! A local folder.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sbir_files::{WriteError, sync_folder, write_atomically};

use crate::error::{Error, Result, named};
use crate::key::Key;
use crate::place::{Object, Stat};

/// A folder, by its absolute path.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let path = match fs_err::canonicalize(path) {
            Ok(path) => path,
            Err(_) => std::path::absolute(path)?,
        };
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn named(&self, key: &Key) -> impl Fn(io::Error) -> Error {
        named(&self.path.join(key.to_path()))
    }

    /// Opens a regular file, through no link below the folder.
    pub(crate) fn open_file(&self, key: &Key) -> Result<File> {
        let named = self.named(key);
        let file = open_below(&self.path, key).map_err(&named)?;
        if file.metadata().map_err(&named)?.is_file() {
            return Ok(file);
        }
        Err(named(io::Error::new(ErrorKind::InvalidInput, "not a regular file")))
    }

    pub(crate) fn stat(&self, key: &Key) -> Result<Stat> {
        Ok(stat_of(&self.open_file(key)?.metadata().map_err(self.named(key))?))
    }

    pub(crate) fn get(&self, key: &Key, limit: u64) -> Result<Object> {
        let file = self.open_file(key)?;
        // Before reading: a file that is written meanwhile has another time when it is looked at next.
        let mut stat = stat_of(&file.metadata().map_err(self.named(key))?);
        let too_large = |size| Error::TooLarge {
            name: self.path.join(key.to_path()).display().to_string(),
            size,
            limit,
        };
        if stat.size > limit {
            return Err(too_large(stat.size));
        }
        let mut bytes = Vec::with_capacity(stat.size as usize + 1);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(self.named(key))?;
        stat.size = bytes.len() as u64;
        if stat.size > limit {
            Err(too_large(stat.size))
        } else {
            Ok(Object { stat, bytes: bytes.into() })
        }
    }

    pub(crate) fn get_start(&self, key: &Key, count: u64) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.open_file(key)?.take(count).read_to_end(&mut bytes).map_err(self.named(key))?;
        Ok(bytes.into())
    }

    /// Where a file is to be, in a folder that there is then.
    fn target(&self, key: &Key) -> Result<PathBuf> {
        let target = self.path.join(key.to_path());
        if let Some(folder) = target.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(target)
    }

    pub(crate) fn put(&self, key: &Key, bytes: &[u8]) -> Result<()> {
        Ok(write_atomically(&self.target(key)?, |out| out.write_all(bytes))?)
    }

    pub(crate) fn upload(&self, key: &Key, from: &mut File) -> Result<()> {
        from.rewind()?;
        write_atomically(&self.target(key)?, |out| io::copy(from, out).map(drop))?;
        Ok(())
    }

    pub(crate) fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<bool> {
        let target = self.target(key)?;
        let failed = |source| Error::Write(WriteError { path: target.clone(), source });
        let folder = target.parent().unwrap_or(&self.path);
        let mut file = tempfile::Builder::new()
            .prefix(".sbir-")
            .suffix(".tmp")
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        readable_by_others(file.as_file());
        file.as_file().sync_all().map_err(failed)?;
        let created = match fs_err::hard_link(file.path(), &target) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            // Some file systems know no hard links.
            Err(_) => match rename_new(file.path(), &target) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(failed(error)),
            },
        };
        // The other name goes with `file`; the folder is brought to the disk also where another writer was first, which
        // may have been killed before it did.
        drop(file);
        sync_folder(folder).map_err(failed)?;
        Ok(created)
    }
}

/// What a file is known by.
pub(crate) fn stat_of(metadata: &Metadata) -> Stat {
    #[cfg(unix)]
    let mtime_ns = {
        use std::os::unix::fs::MetadataExt as _;
        metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
    };
    #[cfg(not(unix))]
    let mtime_ns = {
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    };
    Stat { size: metadata.len(), mtime_ns, etag: None }
}

/// Opens one folder after the other below the root, none of which may be a link. Neither waits on pipes nor becomes a
/// terminal's owner.
#[cfg(unix)]
fn open_below(root: &Path, key: &Key) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut held = openat(CWD, root, folder, Mode::empty())?;
    let mut names = key.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { folder } else { file };
        held = openat(&held, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(File::from(held))
}

#[cfg(not(unix))]
fn open_below(root: &Path, key: &Key) -> io::Result<File> {
    let file = root.join(key.to_path());
    if file.canonicalize()? != file || !file.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(file)
}

/// As other new files are: temporary ones are their owner's alone.
fn readable_by_others(file: &File) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Some file systems have no permissions to set.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
    }
    #[cfg(not(unix))]
    let _ = file;
}

#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(target_os = "linux"))]
fn rename_new(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "this file system knows no hard links"))
}
