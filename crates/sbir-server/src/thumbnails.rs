//! Small copies of photos, made once and kept in a folder of bounded size.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fs_err as fs;

/// The longer side of a thumbnail in pixels: the page's largest tile on a fine screen.
pub(crate) const SIDE: u32 = 448;
/// Larger files in the cache's folder are not ours.
const MOST_BYTES: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Thumbnails {
    folder: Option<PathBuf>,
    most_bytes: u64,
    /// Bytes there; `u64::MAX` until they were counted.
    bytes: AtomicU64,
    tidying: Mutex<()>,
    /// One lock for each thumbnail being made, so that it is made once.
    making: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Thumbnails {
    pub(crate) fn new(cache: Option<&Path>, most_bytes: u64) -> Self {
        Self {
            folder: cache.map(|folder| folder.join("thumbnails")),
            most_bytes,
            bytes: AtomicU64::new(u64::MAX),
            tidying: Mutex::new(()),
            making: Mutex::default(),
        }
    }

    /// The thumbnail of this key, if it was made before. The key is of `[0-9a-f-]` and at least 3 long.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.place(key)?;
        let mut bytes = Vec::new();
        fs::File::open(&path).ok()?.take(MOST_BYTES + 1).read_to_end(&mut bytes).ok()?;
        // Ours end as a JPEG does; a file cut short by a full disk is made again.
        let whole = bytes.len() as u64 <= MOST_BYTES && bytes.ends_with(&[0xFF, 0xD9]);
        whole.then_some(bytes)
    }

    /// Keeps a thumbnail. That it cannot be kept (a full disk, no permission) is no reason not to show it.
    pub(crate) fn put(&self, key: &str, jpeg: &[u8]) {
        let Some(path) = self.place(key) else { return };
        if write(&path, jpeg).is_err() {
            return;
        }
        if self.bytes.load(Ordering::Relaxed) != u64::MAX {
            self.bytes.fetch_add(jpeg.len() as u64, Ordering::Relaxed);
        }
        if self.bytes.load(Ordering::Relaxed) > self.most_bytes {
            self.tidy();
        }
    }

    /// Whoever makes a thumbnail waits here for whoever makes the same one.
    pub(crate) fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if making.len() > 256 {
            making.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(making.entry(key.to_owned()).or_default())
    }

    fn place(&self, key: &str) -> Option<PathBuf> {
        debug_assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'), "{key}");
        Some(self.folder.as_ref()?.join(key.get(..2)?).join(format!("{key}.jpg")))
    }

    /// Counts what is there and removes the oldest until nine tenths of the bound are left.
    fn tidy(&self) {
        let (Some(folder), Ok(_alone)) = (&self.folder, self.tidying.try_lock()) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for shelf in fs::read_dir(folder).into_iter().flatten().flatten() {
            for file in fs::read_dir(shelf.path()).into_iter().flatten().flatten() {
                let Ok(metadata) = file.metadata() else { continue };
                if metadata.is_file() && file.path().extension().is_some_and(|end| end == "jpg") {
                    let made = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    files.push((made, metadata.len(), file.path()));
                }
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if bytes > self.most_bytes {
            files.sort();
            for (_, size, path) in files {
                if bytes <= self.most_bytes / 10 * 9 {
                    break;
                }
                if fs::remove_file(path).is_ok() {
                    bytes -= size;
                }
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Beside its place first, then renamed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".making-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(fill: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![fill; length];
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn what_is_put_is_got() {
        let folder = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(Some(folder.path()), 1 << 20);
        assert_eq!(thumbnails.get("abc-1"), None);
        thumbnails.put("abc-1", &jpeg(1, 100));
        assert_eq!(thumbnails.get("abc-1"), Some(jpeg(1, 100)));
        // Cut short.
        let path = folder.path().join("thumbnails/ab/abc-1.jpg");
        fs::write(&path, &jpeg(1, 100)[..50]).unwrap();
        assert_eq!(thumbnails.get("abc-1"), None);
        let none = Thumbnails::new(None, 1 << 20);
        none.put("abc-1", &jpeg(1, 100));
        assert_eq!(none.get("abc-1"), None);
    }

    #[test]
    fn the_folder_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(Some(folder.path()), 10_000);
        for i in 0..60 {
            thumbnails.put(&format!("{i:04x}"), &jpeg(0, 998));
        }
        let kept = (0..60).filter(|i| thumbnails.get(&format!("{i:04x}")).is_some()).count();
        assert!((1..=10).contains(&kept), "{kept} thumbnails of 1000 bytes in 10,000");
    }

    #[test]
    fn a_full_disk_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        fs::write(folder.path().join("thumbnails"), b"x").unwrap();
        let thumbnails = Thumbnails::new(Some(folder.path()), 1 << 20);
        thumbnails.put("abc-1", &jpeg(1, 10));
        assert_eq!(thumbnails.get("abc-1"), None);
    }
}
