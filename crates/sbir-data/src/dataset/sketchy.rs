//! The Sketchy Database (Sangkloy et al., "The Sketchy Database: Learning to Retrieve Badly Drawn Bunnies", SIGGRAPH
//! 2016).
//!
//! ```text
//! [256x256/]photo/tx_<12 digits>/<class>/<photo>.jpg
//! [256x256/]sketch/tx_<12 digits>/<class>/<photo>-<n>.png
//! ```
//!
//! The `tx_` folders hold renderings of the same pictures; the first is used. The database's own list of test photos,
//! `testset.txt` (or `test.txt`), makes the split where it is there; else a tenth of the photos is held out. The task is
//! at instance level, so that photos of one class are each other's negatives: the class is the pair's group, not the
//! photo's label. Tested on generated folders only.

use std::path::{Path, PathBuf};

use super::names::PhotoNames;
use super::{
    Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name, qmul, split_by_list_or_seed,
};
use crate::error::{Error, Result};
use crate::pairs::{Builder, Pair, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str =
    "photo/tx_<digits>/<class>/ and sketch/tx_<digits>/<class>/, here or in 256x256/";

/// The folders of the layout: those with the classes.
pub(super) struct Layout {
    root: PathBuf,
    photos: PathBuf,
    sketches: PathBuf,
}

pub(super) fn find(root: &Path) -> Option<Layout> {
    [root.to_path_buf(), root.join("256x256"), root.join("rendered_256x256").join("256x256")]
        .into_iter()
        .find_map(|root| {
            let photos = first_rendering(&root.join("photo"))?;
            let sketches = first_rendering(&root.join("sketch"))?;
            Some(Layout { root, photos, sketches })
        })
}

fn first_rendering(folder: &Path) -> Option<PathBuf> {
    let folders = files::list(folder).ok()?.folders;
    folders.into_iter().find(|(name, _)| name.starts_with("tx_")).map(|(_, path)| path)
}

pub(super) fn open(layout: &Layout, options: &OpenOptions) -> Result<Dataset> {
    if options.sketches == SketchKind::Strokes {
        return Err(Error::NoSuchSketches {
            root: layout.root.clone(),
            wanted: "stroke",
            remedy: "leave out --sketches strokes",
        });
    }
    let rendering =
        |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut notes = vec![format!(
        "photos: {}; sketches: rasters from {}",
        rendering(&layout.photos),
        rendering(&layout.sketches)
    )];
    let mut builder = Builder::new(folder_name(&layout.root));
    let mut photo_count = 0;
    let mut without_photo = Vec::new();
    for (class, folder) in files::list(&layout.sketches)?.folders {
        let photos = match files::folder(layout.photos.join(&class)) {
            Some(folder) => PhotoNames::new(files::images(&folder)?)?,
            None => PhotoNames::new(Vec::new())?,
        };
        photo_count += photos.len();
        for sketch in files::images(&folder)? {
            let Some((stem, path)) = photos.of_sketch(&sketch.stem) else {
                without_photo.push(sketch.path);
                continue;
            };
            let photo = Photo { id: format!("{class}/{stem}"), path: path.clone(), label: None };
            builder.add(photo, |photo| Pair {
                id: format!("{class}/{}", sketch.stem),
                sketch: SketchSource::Image(sketch.path),
                photo,
                group: Some(class.clone()),
            });
        }
    }
    if let Some(path) = without_photo.first() {
        return Err(Error::SketchWithoutPhoto {
            path: path.clone(),
            count: without_photo.len(),
            expected: format!("<photo>.jpg in {}/<class>", layout.photos.display()),
        });
    }
    let all = builder.finish();
    if all.is_empty() {
        return Err(Error::NoPairs {
            path: layout.sketches.clone(),
            remedy: "expected <class>/<photo>-<n>.png",
        });
    }
    qmul::note_unused(photo_count, &all, &mut notes);
    let list =
        ["test.txt", "testset.txt"].iter().find_map(|name| files::file(layout.root.join(name)));
    let (train, validation, split) =
        split_by_list_or_seed(&all, list.as_deref(), options.holdout, &mut notes)?;
    Ok(Dataset {
        kind: DatasetKind::Sketchy,
        root: layout.root.clone(),
        train,
        validation,
        test: None,
        split,
        notes,
    })
}
