//! A folder of photos alone, whose sketches are line drawings made of them.
//!
//! ```text
//! <name>.jpg  <folder>/<name>.jpg  …
//! ```
//!
//! Each photo to train on has a drawing of each [`DrawingStyle`]; one to validate on has one, of outlines. The layout is
//! not detected, so that no folder is taken for one by mistake: it is asked for by `photos:FOLDER`.

use std::path::{Path, PathBuf};

use sbir_sketch::DrawingStyle;

use super::{
    Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name, split_by_list_or_seed,
};
use crate::augment::Alignment;
use crate::error::{Error, Result};
use crate::pairs::{Builder, Pair, PairSet, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str = "photos, in folders of any depth";

/// Folders within folders, at most.
const DEPTH: usize = 32;

pub(super) fn open(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    if options.sketches == SketchKind::Raster {
        return Err(Error::NoSuchSketches {
            root: root.into(),
            wanted: "raster",
            remedy: "leave out --sketches raster",
        });
    }
    let mut photos = Vec::new();
    gather(root, "", DEPTH, &mut photos)?;
    let set = |styles: &[DrawingStyle]| {
        let mut builder = Builder::new(folder_name(root));
        for (id, path) in &photos {
            for &style in styles {
                let photo = Photo { id: id.clone(), path: path.clone(), label: None };
                builder.add(photo, |photo| Pair {
                    id: format!("{id}#{style}"),
                    sketch: SketchSource::Drawing { photo: path.clone(), style },
                    photo,
                    group: None,
                });
            }
        }
        builder.finish_aligned(Alignment::Pixel)
    };
    let all: PairSet = set(&DrawingStyle::ALL);
    if all.is_empty() {
        return Err(Error::NoPairs { path: root.into(), remedy: "expected image files" });
    }
    let mut notes =
        vec![format!("sketches: line drawings made of the {} photos", all.photos.len())];
    let test = files::file(root.join("test.txt"));
    let (train, _, split) =
        split_by_list_or_seed(&all, test.as_deref(), options.holdout, &mut notes)?;
    let outlines = set(&[DrawingStyle::Outline]);
    let (_, validation, _) =
        split_by_list_or_seed(&outlines, test.as_deref(), options.holdout, &mut Vec::new())?;
    Ok(Dataset {
        kind: DatasetKind::Photos,
        root: root.into(),
        train,
        validation,
        test: None,
        split,
        notes,
    })
}

/// The images of a folder and those in it, with their path from the root, without extension, for a name.
fn gather(
    folder: &Path,
    prefix: &str,
    depth: usize,
    photos: &mut Vec<(String, PathBuf)>,
) -> Result<()> {
    let listing = files::list(folder)?;
    for entry in listing.files {
        if files::is_image(&entry.path) {
            photos.push((format!("{prefix}{}", entry.stem), entry.path));
        }
    }
    if depth > 0 {
        for (name, path) in listing.folders {
            gather(&path, &format!("{prefix}{name}/"), depth - 1, photos)?;
        }
    }
    Ok(())
}
