//! All files below a folder in the order of their paths' bytes, with memory for one folder of each depth.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sbir_files::names::{bytes_to_path, name_bytes};

use crate::error::{Result, named};
use crate::key::Key;
use crate::local::stat_of;
use crate::place::Entry;

/// A walk through folders; links are not followed.
#[derive(Debug)]
pub(crate) struct Walk {
    root: PathBuf,
    /// The path of the folder on top of the stack, with a slash at its end unless it is the root.
    path: Vec<u8>,
    stack: Vec<Frame>,
    links: u64,
}

/// A folder that is being walked.
#[derive(Debug)]
struct Frame {
    /// Its names; a folder's has a slash at its end, by which it sorts among the paths.
    names: VecDeque<Vec<u8>>,
    /// The length of its path.
    base: usize,
}

impl Walk {
    pub(crate) fn begin(root: &Path) -> Result<Self> {
        let mut walk =
            Self { root: root.to_path_buf(), path: Vec::new(), stack: Vec::new(), links: 0 };
        walk.enter()?;
        Ok(walk)
    }

    pub(crate) fn links(&self) -> u64 {
        self.links
    }

    /// Lists the folder at `path`.
    fn enter(&mut self) -> Result<()> {
        let folder = self.root.join(bytes_to_path(&self.path));
        let mut names = Vec::new();
        let named = named(&folder);
        for entry in fs::read_dir(&folder).map_err(&named)? {
            let entry = entry.map_err(&named)?;
            let file_type = match entry.file_type() {
                Ok(file_type) => file_type,
                // Gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(named(error)),
            };
            let name = entry.file_name();
            let Some(name) = name_bytes(&name) else { continue };
            if file_type.is_symlink() {
                self.links += 1;
            } else if file_type.is_dir() {
                names.push([name, b"/"].concat());
            } else if file_type.is_file() {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        self.stack.push(Frame { names: names.into(), base: self.path.len() });
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = self.stack.last_mut()?;
            self.path.truncate(frame.base);
            let Some(name) = frame.names.pop_front() else {
                self.stack.pop();
                continue;
            };
            self.path.extend_from_slice(&name);
            if name.ends_with(b"/") {
                match self.enter() {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            // Not through a link, should the file have become one.
            let place = self.root.join(bytes_to_path(&self.path));
            let metadata = match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_file() => metadata,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Some(Err(named(&place)(error))),
            };
            let key = match Key::new(self.path.clone()) {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            return Some(Ok(Entry { key, stat: stat_of(&metadata) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_the_order_of_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/x", "a b", "a-", "a.jpg", "a0", "z/y/x", "A", ".h/i", "a/b/c"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "12").unwrap();
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let mut walk = Walk::begin(folder.path()).unwrap();
        let found: Vec<_> = walk.by_ref().map(|entry| entry.unwrap().key.to_string()).collect();
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(found, sorted);
        assert_eq!(found, [".h/i", "A", "a b", "a-", "a.jpg", "a/b/c", "a/x", "a0", "z/y/x"]);
        assert_eq!(walk.links(), u64::from(cfg!(unix)));
        let missing = Walk::begin(&folder.path().join("none")).unwrap_err();
        assert!(missing.is_not_found() && missing.to_string().contains("none"));
    }
}
