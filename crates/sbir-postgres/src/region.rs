//! Which rows lie at or below a place.

use std::path::{Path, PathBuf};

use sbir_gallery::regions;
use tokio_postgres::types::ToSql;

/// How much of a path the index of places holds, in bytes; also in the migration.
const INDEXED: usize = 512;

/// What of each root lies at or below a place, by the roots' ids.
#[derive(Debug, Default)]
pub(crate) struct Region {
    /// Roots that lie there whole.
    pub(crate) roots: Vec<i32>,
    /// Roots that hold the place, each with the path to it.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    root: i32,
    path: Vec<u8>,
    /// All below lies from here, `path/`,
    from: Vec<u8>,
    /// to here: the byte after a slash is a zero.
    to: Vec<u8>,
    /// What of `path` and `to` is in the index.
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Region {
    pub(crate) fn under(roots: &[(i32, PathBuf)], place: &Path) -> Self {
        let mut region = Self::default();
        for (id, root) in roots {
            for (_, below) in regions(std::slice::from_ref(root), place) {
                if below.is_empty() {
                    region.roots.push(*id);
                } else {
                    let from = [&below[..], b"/"].concat();
                    let to = [&below[..], b"0"].concat();
                    let head = |bytes: &[u8]| bytes[..bytes.len().min(INDEXED)].to_vec();
                    let (first, last) = (head(&below), head(&to));
                    region.parts.push(Part { root: *id, path: below, from, to, first, last });
                }
            }
        }
        region
    }

    /// Whether roots are in it only as wholes.
    pub(crate) fn is_whole(&self) -> bool {
        self.parts.is_empty()
    }

    /// A condition on `p`, and its values, which are numbered from `next`.
    pub(crate) fn condition(&self, mut next: usize) -> (String, Vec<&(dyn ToSql + Sync)>) {
        let mut terms = vec![format!("p.root = ANY(${next}::integer[])")];
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&self.roots];
        next += 1;
        for part in &self.parts {
            let [root, path, from, to, first, last] =
                std::array::from_fn(|place| format!("${}", next + place));
            terms.push(format!(
                "p.root = {root}::integer
                 AND substring(p.path FROM 1 FOR {INDEXED}) BETWEEN {first}::bytea AND {last}::bytea
                 AND (p.path = {path}::bytea OR p.path >= {from}::bytea AND p.path < {to}::bytea)"
            ));
            values.extend([
                &part.root as &(dyn ToSql + Sync),
                &part.path,
                &part.from,
                &part.to,
                &part.first,
                &part.last,
            ]);
            next += 6;
        }
        (format!("({})", terms.join(" OR ")), values)
    }
}
