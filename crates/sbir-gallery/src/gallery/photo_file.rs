//! Opening a photo's file below its root, through no link.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::store::RelPath;

/// A root folder that is held open: what is opened below it lies below it, whatever is renamed meanwhile.
#[derive(Debug)]
pub(crate) struct RootFolder {
    #[cfg(unix)]
    folder: rustix::fd::OwnedFd,
    #[cfg(not(unix))]
    folder: std::path::PathBuf,
}

#[cfg(unix)]
mod imp {
    use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::Errno;

    use super::*;

    /// Neither waits on pipes nor becomes a terminal's owner.
    const FILE: OFlags = OFlags::RDONLY
        .union(OFlags::CLOEXEC)
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOCTTY)
        .union(OFlags::NOFOLLOW);

    impl RootFolder {
        /// Opens a root, itself given without links in it.
        pub(crate) fn open(root: &Path) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(Self { folder: openat(CWD, root, flags, Mode::empty())? })
        }

        /// Opens a regular file.
        pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<File> {
            let file = File::from(self.open_below(path)?);
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
            }
        }

        #[cfg(target_os = "linux")]
        fn open_below(&self, path: &RelPath) -> io::Result<OwnedFd> {
            use rustix::fs::{ResolveFlags, openat2};
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.folder, path.as_bytes(), FILE, Mode::empty(), resolve) {
                // Kernels before 5.6, and sandboxes that do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => self.open_by_names(path),
                result => result.map_err(io::Error::from),
            }
        }

        #[cfg(not(target_os = "linux"))]
        fn open_below(&self, path: &RelPath) -> io::Result<OwnedFd> {
            self.open_by_names(path)
        }

        /// Opens one folder after the other, none of which may be a link.
        pub(super) fn open_by_names(&self, path: &RelPath) -> io::Result<OwnedFd> {
            let bytes = path.as_bytes();
            let (folders, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
                Some(at) => (&bytes[..at], &bytes[at + 1..]),
                None => (&[][..], bytes),
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let mut held: Option<OwnedFd> = None;
            for folder in folders.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
                let at: BorrowedFd<'_> = held.as_ref().map_or(self.folder.as_fd(), |fd| fd.as_fd());
                let next = openat(at, folder, flags, Mode::empty())?;
                held = Some(next);
            }
            let at = held.as_ref().map_or(self.folder.as_fd(), |fd| fd.as_fd());
            Ok(openat(at, name, FILE, Mode::empty())?)
        }
    }
}

#[cfg(not(unix))]
impl RootFolder {
    /// Opens a root, itself given without links in it.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs_err::read_dir(root)?;
        Ok(Self { folder: root.into() })
    }

    /// Opens a regular file. Links are looked for before: there is no call that refuses them.
    pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<File> {
        let file = self.folder.join(path.to_path());
        if file.canonicalize()? != file || !file.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        File::open(file)
    }
}

/// A file's time of modification in nanoseconds since 1970.
pub(crate) fn mtime_ns(metadata: &std::fs::Metadata) -> i64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
    }
    #[cfg(not(unix))]
    {
        let since = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn both_ways_open_files_and_no_links() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/photo"), "inside").unwrap();
        std::fs::write(base.join("secret"), "outside").unwrap();
        std::os::unix::fs::symlink(base.join("secret"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(&base, root.join("up")).unwrap();
        std::os::unix::fs::symlink("a", root.join("inner")).unwrap();
        let opened = RootFolder::open(&root).unwrap();
        let path = |name: &str| RelPath::new(name.into()).unwrap();
        let mut text = String::new();
        opened.open_file(&path("a/b/photo")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        assert!(opened.open_by_names(&path("a/b/photo")).is_ok());
        for name in ["link", "up/secret", "inner/b/photo", "missing", "a/missing"] {
            assert!(opened.open_file(&path(name)).is_err(), "{name}");
            assert!(opened.open_by_names(&path(name)).is_err(), "{name}");
        }
        assert!(opened.open_file(&path("a/b")).is_err());
    }
}
