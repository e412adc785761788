//! What a run writes to.

use std::path::Path;

use crate::error::Result;
use crate::gallery::{Change, Writer};
use crate::store::{Photo, PhotoId, Record, RelPath, Selector, Space, VectorStore};

/// The right to write to a store: the local gallery has one writer at a time, others any number.
pub(super) enum Output<'a> {
    Local(Box<Writer>),
    Remote(&'a dyn VectorStore),
}

/// How many photos are moved together.
const MANY: usize = 512;

impl<'a> Output<'a> {
    pub(super) fn open(store: &'a dyn VectorStore, space: &Space) -> Result<Self> {
        match store.local() {
            Some(gallery) => {
                let mut writer = gallery.writer()?;
                writer.ensure(space)?;
                Ok(Self::Local(Box::new(writer)))
            }
            None => {
                store.ensure(space)?;
                Ok(Self::Remote(store))
            }
        }
    }

    /// Makes changes; they are safe when this returns.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<()> {
        let store = match self {
            Self::Local(writer) => return writer.apply(changes),
            Self::Remote(store) => *store,
        };
        let (mut put, mut touched, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Put(record) => put.push(Record::clone(record)),
                Change::Touch(touch) => touched.push(*touch),
                Change::Move(record) => {
                    left.push(record.photo.id);
                    put.push(Record::clone(record));
                }
            }
        }
        if !put.is_empty() {
            store.upsert(&put)?;
        }
        if !touched.is_empty() {
            store.touch(&touched)?;
        }
        // Last, so that a photo is never in neither place.
        if !left.is_empty() {
            store.delete(&Selector::Ids(left))?;
        }
        Ok(())
    }

    /// Makes the photos of one root those of another, which lies above it. It may be cut off, and called again.
    pub(super) fn absorb(&mut self, inner: &Path, outer: &Path) -> Result<()> {
        let below = RelPath::from_path(inner.strip_prefix(outer).unwrap_or(inner))?;
        let store = match self {
            Self::Local(writer) => {
                let (inner, outer) = (writer.root(inner)?, writer.root(outer)?);
                return writer.absorb(inner, outer, &below);
            }
            Self::Remote(store) => *store,
        };
        let mut after = None;
        loop {
            let page = store.list(Some(inner), after, MANY)?;
            let ids: Vec<_> = page
                .items
                .iter()
                .filter(|photo| photo.root == inner)
                .map(|photo| photo.id)
                .collect();
            let mut records = store.get(&ids)?;
            // A photo that a store with many replicas lists and does not give yet stays for the next run.
            let left: Vec<_> = records.iter().map(|record| record.photo.id).collect();
            for Record { photo, .. } in &mut records {
                *photo = moved(photo, outer, &below)?;
            }
            if !left.is_empty() {
                store.upsert(&records)?;
                store.delete(&Selector::Ids(left))?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Forgets photos; says how many there were.
    pub(super) fn delete(&mut self, ids: &[PhotoId]) -> Result<u64> {
        match self {
            Self::Local(writer) => {
                writer.delete(&ids.iter().filter_map(|id| id.row()).collect::<Vec<_>>())
            }
            Self::Remote(_) if ids.is_empty() => Ok(0),
            Self::Remote(store) => store.delete(&Selector::Ids(ids.to_vec())),
        }
    }

    /// Forgets all photos at or below a place; says how many there were.
    pub(super) fn delete_under(&mut self, place: &Path) -> Result<u64> {
        match self {
            Self::Local(writer) => writer.delete_under(place),
            Self::Remote(store) => store.delete(&Selector::Under(place.into())),
        }
    }

    pub(super) fn close(&mut self) {
        if let Self::Local(writer) = self {
            writer.checkpoint();
        }
    }
}

fn moved(photo: &Photo, root: &Path, below: &RelPath) -> Result<Photo> {
    let path = RelPath::new([below.as_bytes(), b"/", photo.path.as_bytes()].concat())?;
    Ok(Photo { root: root.into(), path, ..photo.clone() })
}
