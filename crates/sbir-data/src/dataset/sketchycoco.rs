//! SketchyCOCO (Gao et al., "SketchyCOCO: Image Generation from Freehand Scene Sketches", CVPR 2020), scene level.
//!
//! ```text
//! Scene/GT/<part>/<id>.png                       the photos
//! Scene/Sketch/[paper_version/]<part>/<id>.png   the sketches
//! ```
//!
//! Of the parts, `trainInTrain` is trained on; `valInTrain` and `val` are the validation split. Retrieval papers keep
//! the scenes with a foreground object alone (210 for testing), by lists that they did not publish; a `scenes.txt` with
//! an id a line keeps those. Tested on generated folders only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name};
use crate::error::{Error, Result};
use crate::pairs::{Builder, Pair, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str =
    "GT/ and Sketch/ with trainInTrain/, valInTrain/ or val/, here or in Scene/";

const TRAIN: [&str; 1] = ["trainInTrain"];
const VALIDATION: [&str; 2] = ["valInTrain", "val"];

/// The folders of the layout.
pub(super) struct Layout {
    root: PathBuf,
    photos: PathBuf,
    sketches: PathBuf,
}

pub(super) fn find(root: &Path) -> Option<Layout> {
    [root.to_path_buf(), root.join("Scene")].into_iter().find_map(|root| {
        let photos = files::folder(root.join("GT"))?;
        let sketches = files::folder(root.join("Sketch").join("paper_version"))
            .or_else(|| files::folder(root.join("Sketch")))?;
        let has_part = TRAIN.iter().chain(&VALIDATION).any(|part| photos.join(part).is_dir());
        has_part.then_some(Layout { root, photos, sketches })
    })
}

pub(super) fn open(layout: &Layout, options: &OpenOptions) -> Result<Dataset> {
    if options.sketches == SketchKind::Strokes {
        return Err(Error::NoSuchSketches {
            root: layout.root.clone(),
            wanted: "stroke",
            remedy: "leave out --sketches strokes",
        });
    }
    let mut notes = Vec::new();
    let list = files::file(layout.root.join("scenes.txt"));
    let scenes = list.as_deref().map(files::read_text).transpose()?;
    let scenes: Option<BTreeSet<&str>> = scenes
        .as_ref()
        .map(|text| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect());
    notes.push(match &scenes {
        Some(scenes) => format!("scenes: the {} of scenes.txt", scenes.len()),
        None => {
            "scenes: all; published figures keep those with a foreground object (scenes.txt)".into()
        }
    });
    let name = folder_name(&layout.root);
    let read = |parts: &[&str]| -> Result<_> {
        let mut builder = Builder::new(name.clone());
        for part in parts {
            add_part(layout, part, scenes.as_ref(), &mut builder)?;
        }
        Ok(builder.finish())
    };
    let (train, validation) = (read(&TRAIN)?, read(&VALIDATION)?);
    if validation.is_empty() {
        return Err(Error::EmptySplit {
            path: layout.root.clone(),
            which: "validation",
            remedy: "expected pictures in GT/valInTrain or GT/val",
        });
    }
    Ok(Dataset {
        kind: DatasetKind::SketchyCoco,
        root: layout.root.clone(),
        train,
        validation,
        test: None,
        split: VALIDATION.join(" and "),
        notes,
    })
}

fn add_part(
    layout: &Layout,
    part: &str,
    scenes: Option<&BTreeSet<&str>>,
    builder: &mut Builder,
) -> Result<()> {
    let by_stem = |folder: PathBuf| -> Result<BTreeMap<String, PathBuf>> {
        let Some(folder) = files::folder(folder) else { return Ok(BTreeMap::new()) };
        let mut found = BTreeMap::new();
        for entry in files::images(&folder)? {
            if scenes.is_some_and(|scenes| !scenes.contains(entry.stem.as_str())) {
                continue;
            }
            if let Some(other) = found.insert(entry.stem, entry.path.clone()) {
                return Err(Error::DuplicatePhoto { path: entry.path, other });
            }
        }
        Ok(found)
    };
    let photos = by_stem(layout.photos.join(part))?;
    let sketches = by_stem(layout.sketches.join(part))?;
    let mut without_sketch =
        photos.iter().filter(|(stem, _)| !sketches.contains_key(*stem)).peekable();
    if let Some((stem, path)) = without_sketch.peek() {
        return Err(Error::PhotoWithoutSketch {
            path: (*path).clone(),
            expected: layout.sketches.join(part).join(format!("{stem}.png")).display().to_string(),
            count: without_sketch.count(),
        });
    }
    let mut without_photo =
        sketches.iter().filter(|(stem, _)| !photos.contains_key(*stem)).peekable();
    if let Some((stem, path)) = without_photo.peek() {
        return Err(Error::SketchWithoutPhoto {
            path: (*path).clone(),
            expected: layout.photos.join(part).join(format!("{stem}.png")).display().to_string(),
            count: without_photo.count(),
        });
    }
    for ((id, photo), sketch) in photos.into_iter().zip(sketches.into_values()) {
        builder.add(Photo { id: id.clone(), path: photo, label: None }, |photo| Pair {
            id,
            sketch: SketchSource::Image(sketch),
            photo,
            group: None,
        });
    }
    Ok(())
}
