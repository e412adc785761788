//! Photos and sketches of the same classes, without pairs, as PACS has them (Li et al., "Deeper, broader and artier domain
//! generalization", ICCV 2017).
//!
//! ```text
//! photo/<class>/<name>.jpg  sketch/<class>/<name>.png
//! ```
//!
//! The layout is asked for by `classes:FOLDER`: as pairs it would be a mistake. In training, every sketch meets another
//! photo of its class each epoch, and photos of one class are never each other's negatives. There is nothing to
//! validate on: a sketch depicts no photo in particular.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Entry;
use super::{Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name};
use crate::augment::Alignment;
use crate::error::{Error, Result};
use crate::pairs::{Pair, PairSet, Part, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str = "photo/<class>/ and sketch/<class>/";

pub(super) struct Layout {
    root: PathBuf,
    photos: PathBuf,
    sketches: PathBuf,
}

pub(super) fn find(root: &Path) -> Option<Layout> {
    let photos = files::folder(root.join("photo"))?;
    let sketches = files::folder(root.join("sketch"))?;
    Some(Layout { root: root.into(), photos, sketches })
}

pub(super) fn open(layout: &Layout, options: &OpenOptions) -> Result<Dataset> {
    let Layout { root, photos, sketches } = layout;
    if options.sketches == SketchKind::Strokes {
        return Err(Error::NoSuchSketches {
            root: root.clone(),
            wanted: "stroke",
            remedy: "leave out --sketches strokes",
        });
    }
    let photos = by_class(photos)?;
    let mut sketches = by_class(sketches)?;
    let name = folder_name(root);
    let mut train = PairSet { name: name.clone(), ..PairSet::default() };
    let mut notes = Vec::new();
    let mut label = 0;
    for (class, entries) in photos {
        let Some(drawn) = sketches.remove(&class) else {
            notes
                .push(format!("left out {} photos of {class}, which has no sketch", entries.len()));
            continue;
        };
        let (first, count) = (train.photos.len(), entries.len());
        train.photos.extend(entries.into_iter().map(|Entry { path, stem }| Photo {
            id: format!("{class}/{stem}"),
            path,
            label: Some(label),
        }));
        train.pairs.extend(drawn.into_iter().enumerate().map(|(index, Entry { path, stem })| {
            Pair {
                id: format!("{class}/{stem}"),
                sketch: SketchSource::Image(path),
                photo: first + index % count,
                group: Some(class.clone()),
            }
        }));
        label += 1;
    }
    for (class, entries) in sketches {
        notes.push(format!("left out {} sketches of {class}, which has no photo", entries.len()));
    }
    if train.pairs.is_empty() {
        return Err(Error::NoPairs {
            path: root.clone(),
            remedy: "expected photos and sketches in folders of the same names",
        });
    }
    train.parts = vec![Part { name, pairs: 0..train.pairs.len(), alignment: Alignment::Unrelated }];
    notes.insert(
        0,
        format!("classes: {label}; every sketch meets a random photo of its class each epoch"),
    );
    Ok(Dataset {
        kind: DatasetKind::Classes,
        root: root.clone(),
        train,
        validation: PairSet::default(),
        test: None,
        split: "all to train on: classes have no pairs to validate on".to_owned(),
        notes,
    })
}

/// The images of each class that has any.
fn by_class(folder: &Path) -> Result<BTreeMap<String, Vec<Entry>>> {
    let mut classes = BTreeMap::new();
    for (class, folder) in files::list(folder)?.folders {
        let entries = files::images(&folder)?;
        if !entries.is_empty() {
            classes.insert(class, entries);
        }
    }
    Ok(classes)
}
