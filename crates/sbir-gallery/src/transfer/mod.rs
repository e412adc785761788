//! From one store to another, and out and in by files.

mod copy;
mod files;
mod npy;

use std::collections::BTreeMap;
use std::path::Path;

pub use copy::{CopyOptions, CopyReport, copy};
pub use files::{ImportReport, export, import};

use crate::error::Result;
use crate::store::{Photo, Record, VectorStore};

/// How many photos go together.
const PAGE: usize = 1000;

/// Calls with all photos of a store, some at a time.
fn each_page(
    store: &dyn VectorStore,
    mut each: impl FnMut(Vec<Record>) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = store.scan(after, PAGE)?;
        each(page.items)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// What a store has where records would be written, each in its place.
fn known(store: &dyn VectorStore, records: &[Record]) -> Result<Vec<Option<Photo>>> {
    let mut by_root: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        by_root.entry(&record.photo.root).or_default().push(place);
    }
    let mut found = vec![None; records.len()];
    for (root, places) in by_root {
        let paths: Vec<_> = places.iter().map(|at| records[*at].photo.path.clone()).collect();
        for (place, photo) in places.into_iter().zip(store.lookup(root, &paths)?) {
            found[place] = photo;
        }
    }
    Ok(found)
}
