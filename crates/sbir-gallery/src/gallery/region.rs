//! Which rows lie at or below a path.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::writer::roots;
use crate::store::{is_remote, region};

/// The path as roots are stored: absolute, links resolved as far as it exists, no slash at its end.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    if is_remote(path) {
        return path.into();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let resolved = path.ancestors().find_map(|above| {
        let below = path.strip_prefix(above).ok()?;
        Some(fs_err::canonicalize(above).ok()?.join(below))
    });
    resolved.unwrap_or(path).components().collect()
}

/// What of each root lies at or below a path.
pub(crate) struct Region {
    /// The path below the root is empty where all of it does.
    parts: Vec<(i64, Vec<u8>)>,
}

impl Region {
    pub(crate) fn under(connection: &Connection, path: &Path) -> rusqlite::Result<Self> {
        let folder = absolute(path);
        let roots = roots(connection)?.into_iter();
        let parts = roots.filter_map(|(id, root)| Some((id, region(&root, &folder)?))).collect();
        Ok(Self { parts })
    }

    /// A condition on `photo`, with its values; they are numbered from `first`.
    pub(crate) fn condition(&self, first: usize) -> (String, Vec<Value>) {
        let mut terms = vec!["0".to_owned()];
        let mut values = Vec::new();
        for (root, below) in &self.parts {
            let next = first + values.len();
            values.push(Value::Integer(*root));
            if below.is_empty() {
                terms.push(format!("photo.root = ?{next}"));
                continue;
            }
            terms.push(format!(
                "(photo.root = ?{next} AND (photo.path = ?{} OR photo.path > ?{} AND photo.path < ?{}))",
                next + 1,
                next + 2,
                next + 3
            ));
            // The byte after a slash is a zero.
            values.push(Value::Blob(below.clone()));
            values.push(Value::Blob([below.as_slice(), b"/"].concat()));
            values.push(Value::Blob([below.as_slice(), b"0"].concat()));
        }
        (terms.join(" OR "), values)
    }

    /// The numbers of its photos, in order.
    pub(crate) fn ids(&self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut ids = Vec::new();
        // One part after the other, each along the index of paths.
        for part in &self.parts {
            let (condition, values) = Self { parts: vec![part.clone()] }.condition(1);
            let mut statement =
                connection.prepare_cached(&format!("SELECT id FROM photo WHERE {condition}"))?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                ids.push(row.get(0)?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
