//! Plain pair folders, and lists of pairs.
//!
//! ```text
//! photo/<name>.jpg  sketch/<name>[_-<k>].png              photos/ and images/, sketches/ too; contour/ for drawings on
//!                                                         the photo's pixels
//! photo/<class>/<name>.jpg  sketch/<class>/<name>….png    classes become labels
//! train/photo/ train/sketch/ val/photo/ val/sketch/       a split by folders (test/ as val/)
//! test.txt                                                a photo's name a line: the validation split
//! pairs.csv                                               sketch,photo[,split][,label]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::files::{Entry, Listing};
use super::names::PhotoNames;
use super::{
    Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name, list, qmul,
    split_by_list_or_seed,
};
use crate::augment::Alignment;
use crate::error::{Error, Result};
use crate::pairs::{Builder, Pair, PairSet, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str = "photo/ (or photos/, images/) and sketch/ (or sketches/, contour/), here or in train/ and val/ (or test/); or pairs.csv";

/// A folder of one of the layouts.
pub(super) enum Layout {
    /// `pairs.csv`.
    List(PathBuf),
    /// Photos and sketches side by side.
    Folder(PathBuf, Sides),
    /// Such folders for training and for validation, and the latter's name.
    Split { root: PathBuf, train: Sides, validation: Sides, name: &'static str },
}

/// The folder of photos and that of sketches.
pub(super) struct Sides {
    photos: PathBuf,
    sketches: PathBuf,
    /// Contours lie on the photo's pixels; sketches do so by and large.
    alignment: Alignment,
}

impl Sides {
    fn find(root: &Path) -> Option<Self> {
        let first = |names: [&str; 3]| names.into_iter().find_map(|n| files::folder(root.join(n)));
        let sketches = first(["sketch", "sketches", "contour"])?;
        let contours = sketches.file_name().is_some_and(|name| name == "contour");
        Some(Self {
            photos: first(["photo", "photos", "images"])?,
            sketches,
            alignment: if contours { Alignment::Pixel } else { Alignment::Loose },
        })
    }
}

pub(super) fn find(root: &Path) -> Option<Layout> {
    if root.join("pairs.csv").is_file() {
        return Some(Layout::List(root.into()));
    }
    if let Some(sides) = Sides::find(root) {
        return Some(Layout::Folder(root.into(), sides));
    }
    let train = Sides::find(&root.join("train"))?;
    ["val", "test"]
        .into_iter()
        .find_map(|name| Sides::find(&root.join(name)).map(|s| (name, s)))
        .map(|(name, validation)| Layout::Split { root: root.into(), train, validation, name })
}

pub(super) fn open(layout: Layout, options: &OpenOptions) -> Result<Dataset> {
    let mut notes = Vec::new();
    let dataset = |root, train, validation, split, notes| Dataset {
        kind: DatasetKind::Pairs,
        root,
        train,
        validation,
        test: None,
        split,
        notes,
    };
    match layout {
        Layout::List(root) => list::open(&root, options),
        Layout::Folder(root, sides) => {
            let all = read_folder(&root, &sides, options.sketches, &mut notes)?;
            let test = files::file(root.join("test.txt"));
            let (train, validation, split) =
                split_by_list_or_seed(&all, test.as_deref(), options.holdout, &mut notes)?;
            Ok(dataset(root, train, validation, split, notes))
        }
        Layout::Split { root, train, validation, name } => {
            let mut read = |part: &str, sides| -> Result<PairSet> {
                let mut set = read_folder(&root.join(part), sides, options.sketches, &mut notes)?;
                set.name = folder_name(&root);
                set.parts.iter_mut().for_each(|part| part.name.clone_from(&set.name));
                Ok(set)
            };
            let (train, validation) = (read("train", &train)?, read(name, &validation)?);
            Ok(dataset(root, train, validation, format!("folders train and {name}"), notes))
        }
    }
}

/// Photos and sketches by class; files beside the class folders have the class "".
fn by_class(listing: Listing) -> Result<BTreeMap<String, Vec<Entry>>> {
    let mut classes = BTreeMap::new();
    if !listing.files.is_empty() {
        classes.insert(String::new(), listing.files);
    }
    for (class, folder) in listing.folders {
        classes.insert(class, files::list(&folder)?.files);
    }
    Ok(classes)
}

fn read_folder(
    root: &Path,
    sides: &Sides,
    kind: SketchKind,
    notes: &mut Vec<String>,
) -> Result<PairSet> {
    let mut photos = BTreeMap::new();
    for (class, mut entries) in by_class(files::list(&sides.photos)?)? {
        entries.retain(|entry| files::is_image(&entry.path));
        if !entries.is_empty() {
            photos.insert(class, PhotoNames::new(entries)?);
        }
    }
    let sketches = sketches(root, by_class(files::list(&sides.sketches)?)?, kind, notes)?;

    let labels: BTreeMap<&str, u32> =
        photos.keys().filter(|class| !class.is_empty()).map(String::as_str).zip(0..).collect();
    let mut builder = Builder::new(folder_name(root));
    let mut without_photo = Vec::new();
    let mut count = 0;
    for (class, entries) in &sketches {
        let in_class =
            |stem: &str| if class.is_empty() { stem.into() } else { format!("{class}/{stem}") };
        for Entry { path, stem } in entries {
            count += 1;
            let Some((photo, photo_path)) =
                photos.get(class).and_then(|photos| photos.of_sketch(stem))
            else {
                without_photo.push(path);
                continue;
            };
            let photo = Photo {
                id: in_class(photo),
                path: photo_path.clone(),
                label: labels.get(class.as_str()).copied(),
            };
            builder.add(photo, |photo| Pair {
                id: in_class(stem),
                sketch: SketchSource::from_path(path.clone()),
                photo,
                group: None,
            });
        }
    }
    if let Some(path) = without_photo.first() {
        let classes = sketches.keys().filter(|class| labels.contains_key(class.as_str())).count();
        // A few are missing files; many (in PACS, whose numbers coincide for most, 27 %) are sketches of other things.
        if classes > 0 && without_photo.len() * 20 > count {
            return Err(Error::NotPairs {
                root: root.into(),
                classes,
                path: (*path).clone(),
                count: without_photo.len(),
                sketches: count,
            });
        }
        return Err(Error::SketchWithoutPhoto {
            path: (*path).clone(),
            count: without_photo.len(),
            expected: format!("a photo of its name (without _<k>) in {}", sides.photos.display()),
        });
    }
    let set = builder.finish_aligned(sides.alignment);
    if set.is_empty() {
        return Err(Error::NoPairs {
            path: sides.sketches.clone(),
            remedy: "expected sketches named as their photos, or <photo>_<k>",
        });
    }
    qmul::note_unused(photos.values().map(PhotoNames::len).sum(), &set, notes);
    Ok(set)
}

/// The sketches of the kind that was asked for, and a note on which were taken.
fn sketches(
    root: &Path,
    files: BTreeMap<String, Vec<Entry>>,
    kind: SketchKind,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Vec<Entry>>> {
    // A file of many records has no single photo; such sketches are listed in pairs.csv, by record.
    let is_stroke = |entry: &Entry| {
        sbir_sketch::is_stroke_file(&entry.path)
            && files::extension(&entry.path).is_some_and(|extension| extension != "ndjson")
    };
    let is_raster = |entry: &Entry| files::is_image(&entry.path);
    let any = |wanted: &dyn Fn(&Entry) -> bool| files.values().flatten().any(wanted);
    let strokes = match kind {
        SketchKind::Auto => !any(&is_raster) && any(&is_stroke),
        SketchKind::Raster => false,
        SketchKind::Strokes => true,
    };
    if kind == SketchKind::Strokes && !any(&is_stroke) {
        let remedy = "leave out --sketches strokes";
        return Err(Error::NoSuchSketches { root: root.into(), wanted: "stroke", remedy });
    }
    if kind == SketchKind::Raster && !any(&is_raster) {
        let remedy = "leave out --sketches raster";
        return Err(Error::NoSuchSketches { root: root.into(), wanted: "raster", remedy });
    }
    let mut extensions = BTreeSet::new();
    let mut kept = files;
    for entries in kept.values_mut() {
        entries.retain(|entry| if strokes { is_stroke(entry) } else { is_raster(entry) });
        extensions.extend(entries.iter().filter_map(|entry| files::extension(&entry.path)));
    }
    kept.retain(|_, entries| !entries.is_empty());
    let extensions: Vec<String> = extensions.iter().map(|e| format!(".{e}")).collect();
    notes.push(format!(
        "sketches: {} {}",
        extensions.join(", "),
        if strokes { "strokes" } else { "rasters" }
    ));
    Ok(kept)
}
