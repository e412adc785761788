//! QMUL's Chair-V2 and Shoe-V2 (Yu et al., "Sketch Me That Shoe", CVPR 2016, and its second version), in two layouts:
//!
//! ```text
//! trainA/ trainB/ testA/ testB/   raster sketches named <photo>_<k>.png, and the photos
//! photo/ strokes.ndjson           a line a sketch: {"sketch", "photo", "canvas", "strokes"}; optionally test.txt
//! ```
//!
//! Which of A and B holds the sketches is told by the names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sbir_sketch::format::strokes_ndjson;

use super::files::Entry;
use super::names::PhotoNames;
use super::{
    Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name, split_by_list_or_seed,
};
use crate::error::{Error, Result};
use crate::pairs::{Builder, Pair, PairSet, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str =
    "trainA/ and trainB/, testA/ and testB/, or photo/ and strokes.ndjson";

/// The largest `strokes.ndjson` that is held in memory, in bytes (Chair-V2's has 5 million).
const MAX_STROKES_BYTES: u64 = 2 << 30;

/// A folder of one of the two layouts.
pub(super) enum Layout {
    /// `trainA`, `trainB`, `testA`, `testB`.
    Folders(PathBuf),
    /// `photo/` and `strokes.ndjson`.
    Strokes(PathBuf),
}

pub(super) fn find(root: &Path) -> Option<Layout> {
    if side_by_side(root, "train").or_else(|| side_by_side(root, "test")).is_some() {
        return Some(Layout::Folders(root.into()));
    }
    let has_strokes = root.join("photo").is_dir() && root.join("strokes.ndjson").is_file();
    has_strokes.then(|| Layout::Strokes(root.into()))
}

fn side_by_side(root: &Path, part: &str) -> Option<[PathBuf; 2]> {
    let folder = |side| files::folder(root.join(format!("{part}{side}")));
    Some([folder('A')?, folder('B')?])
}

pub(super) fn open(layout: Layout, options: &OpenOptions) -> Result<Dataset> {
    match layout {
        Layout::Folders(root) => open_folders(&root, options),
        Layout::Strokes(root) => open_strokes(&root, options),
    }
}

fn open_folders(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    if options.sketches == SketchKind::Strokes {
        return Err(Error::NoSuchSketches {
            root: root.into(),
            wanted: "stroke",
            remedy: "leave out --sketches strokes",
        });
    }
    let part = |name| -> Result<Option<[Vec<Entry>; 2]>> {
        let Some([a, b]) = side_by_side(root, name) else { return Ok(None) };
        Ok(Some([files::images(&a)?, files::images(&b)?]))
    };
    let (train, test) = (part("train")?, part("test")?);
    let sketch_side = sketch_side(root, train.iter().chain(&test))?;
    let mut notes = vec![format!("sketches: rasters from the {} folders", ["A", "B"][sketch_side])];
    let mut set = |part: Option<[Vec<Entry>; 2]>| -> Result<Option<PairSet>> {
        let Some([a, b]) = part else { return Ok(None) };
        let (sketches, photos) = if sketch_side == 0 { (a, b) } else { (b, a) };
        matched(root, sketches, photos, &mut notes).map(Some)
    };
    let (train, test) = (set(train)?, set(test)?);
    let (train, validation, split) = match (train, test) {
        (Some(train), Some(test)) => (train, test, "testA and testB".to_owned()),
        (Some(all), None) => split_by_list_or_seed(&all, None, options.holdout, &mut notes)?,
        (None, test) => {
            let name = folder_name(root);
            let train = PairSet { name, ..PairSet::default() };
            (train, test.unwrap_or_default(), "testA and testB".to_owned())
        }
    };
    if validation.is_empty() {
        return Err(Error::NoPairs {
            path: root.into(),
            remedy: "expected sketches <photo>_<k>.png in one of testA and testB, photos in the other",
        });
    }
    Ok(Dataset {
        kind: DatasetKind::ChairV2,
        root: root.into(),
        train,
        validation,
        test: None,
        split,
        notes,
    })
}

/// 0 if the A folders hold the sketches, 1 if the B folders do: those more of whose files are named after a file of the
/// other side, with a number behind.
fn sketch_side<'a>(root: &Path, parts: impl Iterator<Item = &'a [Vec<Entry>; 2]>) -> Result<usize> {
    let mut named = [0_usize; 2];
    for sides in parts {
        let stems =
            [0, 1].map(|s| sides[s].iter().map(|e| e.stem.as_str()).collect::<BTreeSet<_>>());
        for side in [0, 1] {
            named[side] += sides[side]
                .iter()
                .filter(|entry| {
                    let numbered = entry.stem.rsplit_once(['_', '-']).filter(|(_, number)| {
                        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                    });
                    numbered.is_some_and(|(photo, _)| stems[1 - side].contains(photo))
                })
                .count();
        }
    }
    if named[0] == named[1] {
        return Err(Error::NoPairs {
            path: root.into(),
            remedy: "expected sketches <photo>_<k>.png in the A (or B) folders, photos in the others",
        });
    }
    Ok(usize::from(named[1] > named[0]))
}

/// The pairs of sketches named after photos, in the order of the sketches' names.
fn matched(
    root: &Path,
    sketches: Vec<Entry>,
    photos: Vec<Entry>,
    notes: &mut Vec<String>,
) -> Result<PairSet> {
    let photos = PhotoNames::new(photos)?;
    let mut builder = Builder::new(folder_name(root));
    let mut without_photo = Vec::new();
    for Entry { path, stem } in sketches {
        match photos.of_sketch(&stem) {
            Some((id, photo)) => {
                let photo = Photo { id: id.to_owned(), path: photo.clone(), label: None };
                builder.add(photo, |photo| Pair {
                    id: stem,
                    sketch: SketchSource::Image(path),
                    photo,
                    group: None,
                });
            }
            None => without_photo.push(path),
        }
    }
    if let Some(path) = without_photo.first() {
        return Err(Error::SketchWithoutPhoto {
            path: path.clone(),
            count: without_photo.len(),
            expected: "a photo of the same name without _<k>".into(),
        });
    }
    let set = builder.finish();
    note_unused(photos.len(), &set, notes);
    Ok(set)
}

/// Notes how many photos no sketch refers to.
pub(super) fn note_unused(photos: usize, set: &PairSet, notes: &mut Vec<String>) {
    let unused = photos - set.photos.len();
    if unused > 0 {
        notes.push(format!("left out {unused} of {photos} photos, which no sketch depicts"));
    }
}

fn open_strokes(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    if options.sketches == SketchKind::Raster {
        return Err(Error::NoSuchSketches {
            root: root.into(),
            wanted: "raster",
            remedy: "leave out --sketches raster",
        });
    }
    let list = root.join("strokes.ndjson");
    let bytes = fs_err::metadata(&list)?.len();
    if bytes > MAX_STROKES_BYTES {
        return Err(Error::FileTooLarge { path: list, bytes, limit: MAX_STROKES_BYTES });
    }
    let photos: BTreeMap<String, Entry> = files::images(&root.join("photo"))?
        .into_iter()
        .map(|entry| {
            (entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned(), entry)
        })
        .collect();
    let mut builder = Builder::new(folder_name(root));
    let mut missing = Vec::new();
    let mut unnamed = 0_usize;
    for (index, record) in strokes_ndjson::open(&list)?.enumerate() {
        let record = record?;
        let Some(name) = record.photo else {
            unnamed += 1;
            continue;
        };
        let Some(photo) = photos.get(&name) else {
            missing.push(root.join("photo").join(name));
            continue;
        };
        let id = record.name.unwrap_or_else(|| format!("{}#{index}", photo.stem));
        let photo = Photo { id: photo.stem.clone(), path: photo.path.clone(), label: None };
        builder.add(photo, |photo| Pair {
            id,
            sketch: SketchSource::Strokes(Arc::new(record.sketch)),
            photo,
            group: None,
        });
    }
    if let Some(path) = missing.first() {
        return Err(Error::MissingFile { path: path.clone(), list, count: missing.len() });
    }
    let all = builder.finish();
    if all.is_empty() {
        return Err(Error::NoPairs {
            path: list,
            remedy: "expected a sketch with its photo a line",
        });
    }
    let mut notes = vec!["sketches: strokes from strokes.ndjson".to_owned()];
    if unnamed > 0 {
        notes.push(format!("left out {unnamed} sketches of strokes.ndjson that name no photo"));
    }
    note_unused(photos.len(), &all, &mut notes);
    let test = files::file(root.join("test.txt"));
    let (train, validation, split) =
        split_by_list_or_seed(&all, test.as_deref(), options.holdout, &mut notes)?;
    Ok(Dataset {
        kind: DatasetKind::ChairV2,
        root: root.into(),
        train,
        validation,
        test: None,
        split,
        notes,
    })
}
