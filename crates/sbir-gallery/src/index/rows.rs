//! The rows of a root in the order of their paths, some at a time.

use std::collections::VecDeque;
use std::path::Path;

use rusqlite::params;

use crate::error::{Error, Result};
use crate::gallery::{Gallery, roots};
use crate::store::PhotoId;

/// How many rows are read at once: no statement stays open, so that the log of a long run can be emptied.
const PAGE: usize = 4096;

/// What the gallery knows of a file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: PhotoId,
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
}

/// The rows of a root below a folder.
pub(super) struct Rows<'a> {
    gallery: &'a Gallery,
    /// Nothing is known of a new one.
    root: Option<i64>,
    /// Rows after this path, and before the other, are still to be read.
    after: Vec<u8>,
    before: Option<Vec<u8>>,
    page: VecDeque<Row>,
    ended: bool,
}

impl<'a> Rows<'a> {
    /// `below` is the folder's path below the root; empty for the root.
    pub(super) fn new(gallery: &'a Gallery, root: &Path, below: &[u8]) -> Result<Self> {
        let known =
            gallery.read(|connection| roots(connection).map_err(|error| gallery.meaning(error)))?;
        let root = known.into_iter().find(|(_, path)| path == root).map(|(id, _)| id);
        let bound = |end: &[u8]| [below, end].concat();
        // Paths below begin with the folder's and a slash; the byte after a slash is a zero.
        let (after, before) =
            if below.is_empty() { (Vec::new(), None) } else { (bound(b"/"), Some(bound(b"0"))) };
        Ok(Self { gallery, root, after, before, page: VecDeque::new(), ended: false })
    }

    pub(super) fn peek(&mut self) -> Result<Option<&Row>> {
        if self.page.is_empty() && !self.ended {
            self.read()?;
        }
        Ok(self.page.front())
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        self.peek()?;
        Ok(self.page.pop_front())
    }

    fn read(&mut self) -> Result<()> {
        let rows = self.gallery.read(|connection| {
            let read = || -> rusqlite::Result<Vec<Row>> {
                let mut statement = connection.prepare_cached(
                    "SELECT id, path, size, mtime FROM photo
                     WHERE root = ?1 AND path > ?2 AND (?3 IS NULL OR path < ?3)
                     ORDER BY path LIMIT ?4",
                )?;
                let rows = statement.query_map(
                    params![self.root, self.after, self.before, PAGE as i64],
                    |row| {
                        Ok(Row {
                            id: PhotoId::from_row(row.get(0)?),
                            path: row.get(1)?,
                            size: row.get::<_, i64>(2)?.cast_unsigned(),
                            mtime_ns: row.get(3)?,
                        })
                    },
                )?;
                rows.collect()
            };
            read().map_err(|error| self.gallery.meaning(error))
        })?;
        self.ended = rows.len() < PAGE;
        if let Some(last) = rows.last() {
            // Rows in order are what the walk relies on; a damaged index may give others.
            let sorted = rows.is_sorted_by(|a, b| a.path < b.path);
            if !sorted || rows[0].path <= self.after {
                let problem = "the index of paths is out of order".into();
                return Err(Error::Corrupt { path: self.gallery.path().into(), problem });
            }
            self.after.clone_from(&last.path);
        }
        self.page.extend(rows);
        Ok(())
    }
}
