//! Writing a file whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;

/// Writes `path` through a temporary file beside it (`.<name>.<pid>-<n>.tmp`): written, synced to
/// disk, then renamed over `path`. On any error the temporary is removed and `path` stays as it
/// was; only a process killed in between leaves its temporary behind.
///
/// # Errors
///
/// [`Error::Write`] with the operating system's reason: no space, a size limit, no permission.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<fs_err::File>) -> io::Result<()>,
) -> Result<(), Error> {
    let temporary = temporary_beside(path);
    let written = write_synced(&temporary, content).and_then(|()| fs_err::rename(&temporary, path));
    written.map(|()| sync_folder(path)).map_err(|reason| {
        // It may never have been created.
        let _ = fs_err::remove_file(&temporary);
        Error::Write { path: path.to_owned(), reason }
    })
}

fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()))
}

fn write_synced(
    temporary: &Path,
    content: impl FnOnce(&mut BufWriter<fs_err::File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = fs_err::OpenOptions::new().write(true).create_new(true).open(temporary)?;
    let mut writer = BufWriter::with_capacity(1 << 18, file);
    let written = content(&mut writer).and_then(|()| writer.flush());
    let (file, _unwritten) = writer.into_parts();
    written?;
    file.sync_all()
}

/// Makes the rename itself last. Not every file system can; the file is whole in any case.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs_err::File::open(folder.unwrap_or(Path::new(".")));
        let _ = folder.and_then(|folder| folder.sync_all());
    }
}
