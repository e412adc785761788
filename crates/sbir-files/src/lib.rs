//! Files that are either whole or not there.
//!
//! The bytes go to a temporary file in the target's folder, which reaches the disk before it takes the target's name.
//! A process killed at any moment leaves the old file or the new one, never a part; at worst a stray `.sbir-*.tmp`.

pub mod names;

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

/// A file could not be written. The message names the file and the remedy, on one line.
#[derive(Debug)]
pub struct WriteError {
    /// The file that was asked for.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: cannot be written, ", self.path.display())?;
        match self.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                formatter.write_str("the disk is full: free some space or write elsewhere")
            }
            ErrorKind::FileTooLarge => formatter.write_str(
                "a file may not grow that large here: raise the limit (ulimit -f) or write elsewhere",
            ),
            ErrorKind::PermissionDenied => formatter
                .write_str("permission denied: change the folder's permissions or write elsewhere"),
            ErrorKind::ReadOnlyFilesystem => {
                formatter.write_str("the file system is read-only: write elsewhere")
            }
            ErrorKind::NotFound => {
                formatter.write_str("its folder does not exist: create it or write elsewhere")
            }
            ErrorKind::NotADirectory => {
                formatter.write_str("a part of its path is a file, not a folder: write elsewhere")
            }
            ErrorKind::IsADirectory => {
                formatter.write_str("there is a folder of that name: name a file")
            }
            _ => write!(formatter, "{}: write elsewhere or try again", innermost(&self.source)),
        }
    }
}

impl StdError for WriteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// The operating system's own words, below the wrappers that name the temporary file.
fn innermost(error: &io::Error) -> String {
    let mut deepest: &dyn StdError = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Writes a file through `fill`, so that `path` holds either all of it or what it held before.
///
/// The writer is buffered and can seek.
///
/// # Errors
/// Where `fill` fails, or the file cannot be created, written, synced or renamed. Nothing is left behind then.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("numbers.txt");
/// use std::io::Write;
/// sbir_files::write_atomically(&path, |out| writeln!(out, "1 2 3"))?;
/// # Ok::<(), sbir_files::WriteError>(())
/// ```
pub fn write_atomically<T>(
    path: &Path,
    fill: impl FnOnce(&mut AtomicFile) -> io::Result<T>,
) -> Result<T, WriteError> {
    let mut file = AtomicFile::create(path)?;
    let value = fill(&mut file).map_err(|source| file.error(source))?;
    file.commit()?;
    Ok(value)
}

/// A file being written: it takes its name at [`commit`](Self::commit) and is removed when dropped before.
#[derive(Debug)]
pub struct AtomicFile {
    // Declared, and so closed, before `temporary` removes the file.
    out: BufWriter<fs::File>,
    /// The name as the caller gave it, for messages.
    asked: PathBuf,
    /// The file to replace: `asked` with symbolic links followed, so that a link stays a link.
    target: PathBuf,
    /// None for devices and pipes, which are written in place: renaming over /dev/null would replace it.
    temporary: Option<Temporary>,
}

#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a commit the name is gone, and there is nobody left to tell of any other failure.
        let _ = fs::remove_file(&self.path);
    }
}

impl AtomicFile {
    /// Starts a file in the folder of `path`, which must exist.
    ///
    /// # Errors
    /// Where `path` is a folder, or its folder is missing or may not be written to.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Self::start(path).map_err(|source| WriteError { path: path.to_path_buf(), source })
    }

    fn start(path: &Path) -> io::Result<Self> {
        let asked = path.to_path_buf();
        if path.file_name().is_none() {
            return Err(io::Error::from(ErrorKind::IsADirectory));
        }
        let target = fs::canonicalize(path).unwrap_or_else(|_| asked.clone());
        let existing = fs::metadata(&target).ok();
        match &existing {
            Some(metadata) if metadata.is_dir() => {
                return Err(io::Error::from(ErrorKind::IsADirectory));
            }
            Some(metadata) if !metadata.is_file() => {
                let out = BufWriter::new(fs::OpenOptions::new().write(true).open(&target)?);
                return Ok(Self { out, asked, target, temporary: None });
            }
            _ => {}
        }
        let (file, path) = create_beside(&target)?;
        let temporary = Some(Temporary { path });
        if let Some(metadata) = existing {
            // A file that the group could read stays so. Some file systems have no permissions to set.
            let _ = file.set_permissions(metadata.permissions());
        }
        Ok(Self { out: BufWriter::with_capacity(1 << 16, file), asked, target, temporary })
    }

    /// Names the file in an input/output error.
    #[must_use]
    pub fn error(&self, source: io::Error) -> WriteError {
        WriteError { path: self.asked.clone(), source }
    }

    /// Brings the file to the disk and gives it its name, replacing what had it.
    ///
    /// # Errors
    /// Where writing, syncing or renaming fails; the file that had the name is then untouched.
    pub fn commit(mut self) -> Result<(), WriteError> {
        self.finish().map_err(|source| self.error(source))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let Some(temporary) = &self.temporary else { return Ok(()) };
        self.out.get_ref().sync_all()?;
        fs::rename(&temporary.path, &self.target)?;
        sync_folder(folder_of(&self.target))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.out.seek(position)
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a file of a new name beside `target`.
fn create_beside(target: &Path) -> io::Result<(fs::File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let folder = folder_of(target);
    loop {
        // Not made from the target's name, which may already be as long as a name can be.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".sbir-{}-{number}.tmp", std::process::id()));
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            // Left by a killed process that had this id.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a new name in `folder` durable.
///
/// # Errors
/// If the folder cannot be opened or synced; one that cannot be synced by its nature is no error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot sync a folder, and one may write to a folder without reading it.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
