//! One writer at a time, over processes.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// The right to write to a gallery, until dropped: a lock of the system, which ends with the process whatever ends it.
#[derive(Debug)]
pub(super) struct WriteLock {
    _file: File,
}

impl WriteLock {
    /// Takes the right to write to the gallery `path`.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let beside = super::beside(path, "-lock");
        let mut options = fs_err::OpenOptions::new();
        let file = match options.read(true).write(true).create(true).truncate(false).open(&beside) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Error::ReadOnly { path: path.into() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                return Err(Error::ReadOnly { path: path.into() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut file = file.into_parts().0;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.take(32).read_to_string(&mut text);
                let pid = text.trim().parse().unwrap_or(0);
                return Err(Error::Locked { path: path.into(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // For the message above; the lock is what counts, and a full disk must not stop a deletion.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
