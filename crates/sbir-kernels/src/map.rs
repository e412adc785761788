//! Files as memory.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file that is read as memory. Its pages are the system's cache: they cost no memory of the process that could not be
/// taken back at any time.
#[derive(Debug)]
pub struct Map {
    inner: memmap2::Mmap,
}

impl Map {
    /// Maps a file whole, read-only.
    ///
    /// The file must not be shortened or written while it is mapped: a file that is to change is written anew and renamed
    /// into its place, which leaves this mapping what it was, as removing the file does.
    ///
    /// # Errors
    /// If the file cannot be mapped, e.g. since it is a folder.
    pub fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is private to readers of bytes, any value of which is valid. Nobody in this program writes
        // to a file after it has been given its name, as documented above.
        let inner = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self { inner })
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.inner
    }
}
