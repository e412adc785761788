//! Opening a photo's file below its root, through no link.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::{Photo, RelPath};

/// Where the files of photos come from.
pub trait PhotoFiles: Send + Sync {
    /// Opens a photo's file below its root, and says whether it changed.
    ///
    /// # Errors
    /// [`Error::PhotoGone`] if the file is missing or is no photo any more; or if it cannot be reached.
    fn open(&self, photo: Photo) -> Result<OpenedPhoto>;
}

/// Files on this machine: see [`open_photo`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFiles;

impl PhotoFiles for LocalFiles {
    fn open(&self, photo: Photo) -> Result<OpenedPhoto> {
        open_photo(photo)
    }
}

/// What is in a photo's file.
pub enum PhotoContent {
    /// A regular file below the photo's root, reached through no link.
    File(File),
    /// What brings it from elsewhere, as a file that nobody else has.
    Elsewhere(Box<dyn FnOnce() -> Result<File> + Send>),
}

impl PhotoContent {
    /// The file, to be read from its start. May take as long as the network does.
    ///
    /// # Errors
    /// If it cannot be brought.
    pub fn into_file(self) -> Result<File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Elsewhere(bring) => bring(),
        }
    }
}

impl std::fmt::Debug for PhotoContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Elsewhere(_) => f.write_str("Elsewhere"),
        }
    }
}

/// A photo's file, opened safely.
#[derive(Debug)]
pub struct OpenedPhoto {
    /// What the store knows of it.
    pub photo: Photo,
    /// What is in the file.
    pub content: PhotoContent,
    /// Its size in bytes now.
    pub size: u64,
    /// Its time of modification now, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Whether size or time of modification are not what they were when the photo was embedded.
    pub changed: bool,
}

/// Opens a photo's file below its root, through no symbolic link, and says whether it changed.
///
/// # Errors
/// [`Error::PhotoGone`] if the file is missing, no regular file, or reached only through a link.
pub fn open_photo(photo: Photo) -> Result<OpenedPhoto> {
    let gone = |problem: io::Error| Error::PhotoGone {
        path: photo.display(),
        problem: problem.to_string(),
    };
    let file =
        RootFolder::open(&photo.root).and_then(|root| root.open_file(&photo.path)).map_err(gone)?;
    let metadata = file.metadata().map_err(gone)?;
    let (size, mtime_ns) = (metadata.len(), mtime_ns(&metadata));
    let changed = size != photo.size || mtime_ns != photo.mtime_ns;
    Ok(OpenedPhoto { photo, content: PhotoContent::File(file), size, mtime_ns, changed })
}

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
        /// Opens a root. It was given without links in it, so one there now leads elsewhere than it did.
        pub(crate) fn open(root: &Path) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
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

    #[test]
    fn a_root_that_became_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (root, elsewhere) = (base.join("root"), base.join("elsewhere"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("photo"), "outside").unwrap();
        assert!(RootFolder::open(&root).is_ok());
        std::fs::remove_dir(&root).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &root).unwrap();
        assert!(RootFolder::open(&root).is_err());
    }
}
