//! Listing folders and reading small text files.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The extensions of image files, in lower case.
const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// The largest split file or list that is read, in bytes.
const MAX_TEXT_BYTES: u64 = 256 << 20;

/// A file in a listed folder.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The name without extension.
    pub(super) stem: String,
}

/// The files and folders of a folder, each sorted by name; hidden ones are left out.
pub(super) struct Listing {
    pub(super) files: Vec<Entry>,
    /// Names and paths.
    pub(super) folders: Vec<(String, PathBuf)>,
}

/// Lists a folder.
pub(super) fn list(folder: &Path) -> Result<Listing> {
    let mut listing = Listing { files: Vec::new(), folders: Vec::new() };
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A link that leads nowhere is listed as a file, so that reading it says so.
            match fs_err::metadata(entry.path()) {
                Ok(metadata) => kind = metadata.file_type(),
                Err(_) => {
                    listing.files.push(Entry { stem: stem(&name), path: entry.path() });
                    continue;
                }
            }
        }
        if kind.is_dir() {
            listing.folders.push((name, entry.path()));
        } else {
            listing.files.push(Entry { stem: stem(&name), path: entry.path() });
        }
    }
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    listing.folders.sort();
    Ok(listing)
}

/// The image files of a folder, sorted by name.
pub(super) fn images(folder: &Path) -> Result<Vec<Entry>> {
    let mut listing = list(folder)?;
    listing.files.retain(|entry| is_image(&entry.path));
    Ok(listing.files)
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the path has the extension of an image.
pub(super) fn is_image(path: &Path) -> bool {
    extension(path).is_some_and(|extension| IMAGE_EXTENSIONS.contains(&extension.as_str()))
}

/// The extension in lower case.
pub(super) fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// A text file without its byte order mark; bytes that are no UTF-8 are replaced.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let metadata = fs_err::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    if metadata.len() > MAX_TEXT_BYTES {
        return Err(Error::FileTooLarge {
            path: path.into(),
            bytes: metadata.len(),
            limit: MAX_TEXT_BYTES,
        });
    }
    let text = String::from_utf8_lossy(&fs_err::read(path)?).into_owned();
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The path if there is a folder.
pub(super) fn folder(path: PathBuf) -> Option<PathBuf> {
    path.is_dir().then_some(path)
}

/// The path if there is a file.
pub(super) fn file(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}
