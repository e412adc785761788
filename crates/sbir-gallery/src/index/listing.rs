//! What is in a folder, in the order of the rows.

use std::fs::FileType;
use std::io;
use std::path::Path;

use crate::store::name_bytes;

/// Files by their names' ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Photo,
}

/// A folder's folders and photos, sorted so that a walk meets paths in the order of their bytes: a folder's name counts
/// with the slash after it. The names share one buffer, since a folder may have millions.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Vec<u8>,
    /// Start and length of each name, and what it is.
    entries: Vec<(usize, u32, Kind)>,
    /// AVIF files, for which there is no decoder.
    pub(super) unsupported: u64,
    /// Symbolic links.
    pub(super) links: u64,
    /// Everything, photos or not.
    pub(super) all: u64,
}

impl Listing {
    /// Lists a folder whole.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            listing.all += 1;
            let file_type = match entry.file_type() {
                Ok(file_type) => file_type,
                // Gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            if let Some(name) = name_bytes(&name) {
                listing.add(name, file_type);
            }
        }
        let names = std::mem::take(&mut listing.names);
        let key = |(start, length, kind): &(usize, u32, Kind)| {
            let name = &names[*start..*start + *length as usize];
            name.iter().copied().chain((*kind == Kind::Folder).then_some(b'/'))
        };
        listing.entries.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        listing.names = names;
        Ok(listing)
    }

    fn add(&mut self, name: &[u8], file_type: FileType) {
        let kind = if file_type.is_dir() {
            Kind::Folder
        } else if file_type.is_symlink() {
            self.links += 1;
            return;
        } else if !file_type.is_file() {
            return;
        } else {
            match NameKind::of(name) {
                NameKind::Photo => Kind::Photo,
                NameKind::Unsupported => {
                    self.unsupported += 1;
                    return;
                }
                NameKind::Other => return,
            }
        };
        self.entries.push((self.names.len(), name.len() as u32, kind));
        self.names.extend_from_slice(name);
    }

    pub(super) fn get(&self, place: usize) -> Option<(&[u8], Kind)> {
        let (start, length, kind) = *self.entries.get(place)?;
        Some((&self.names[start..start + length as usize], kind))
    }

    pub(super) fn photos(&self) -> u64 {
        self.entries.iter().filter(|(_, _, kind)| *kind == Kind::Photo).count() as u64
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.entries.len()).filter_map(|place| match self.get(place) {
            Some((name, Kind::Folder)) => Some(name),
            _ => None,
        })
    }
}

/// What a file's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A photo that can be decoded.
    Photo,
    /// A photo that no decoder here knows: AVIF.
    Unsupported,
    /// Something else.
    Other,
}

impl NameKind {
    /// Tells by the end of a name, or of a path.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        match extension(name).as_slice() {
            b"jpg" | b"jpeg" | b"jpe" | b"jfif" | b"png" | b"webp" | b"gif" | b"bmp" | b"dib"
            | b"tif" | b"tiff" | b"heic" | b"heif" | b"hif" => Self::Photo,
            b"avif" => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// What follows the last dot, in lower case; nothing where that is long.
fn extension(name: &[u8]) -> Vec<u8> {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(at) if name.len() - at <= 6 => name[at + 1..].to_ascii_lowercase(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_sort_with_their_slash() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "a b", "z"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["a.jpg", "A.JPEG", "a-.png", "b.txt", "c.avif", "noext", ".gif", "a0.tif"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = Listing::read(folder.path()).unwrap();
        let names: Vec<_> = (0..)
            .map_while(|place| listing.get(place))
            .map(|(name, _)| std::str::from_utf8(name).unwrap())
            .collect();
        // "a b/" < "a-.png" < "a.jpg" < "a/" < "a0.tif".
        assert_eq!(names, [".gif", "A.JPEG", "a b", "a-.png", "a.jpg", "a", "a0.tif", "z"]);
        assert_eq!((listing.photos(), listing.unsupported, listing.all), (5, 1, 11));
        assert_eq!(listing.folders().count(), 3);
    }
}
