//! FS-COCO (Chowdhury et al., "FS-COCO: Towards Understanding of Freehand Sketches of Common Objects in Context", ECCV
//! 2022): scene sketches of MS-COCO photos by 100 users.
//!
//! ```text
//! images/<1..100>/<12-digit COCO id>.jpg
//! raster_sketches/<user>/<id>.jpg      official; some tools render .png files beside or instead
//! raw_data/<user>/<id>.json            strokes with time
//! vector_sketches/<user>/<id>.npy      strokes
//! val_normal.txt, val_unseen_user.txt  one id a line
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Dataset, DatasetKind, OpenOptions, SketchKind, files, folder_name};
use crate::error::{Error, Result, one_line};
use crate::pairs::{Builder, Pair, Photo, SketchSource};

pub(super) const LOOKED_FOR: &str =
    "images/<user>/ with raster_sketches/, raw_data/ or vector_sketches/, here or in fscoco/";

/// The users are numbered from 1 to this.
const USERS: u32 = 100;

/// A folder of sketches, in the order in which they are preferred.
const RASTERS: [Source; 2] = [
    Source { folder: "raster_sketches", extension: "jpg" },
    Source { folder: "raster_sketches", extension: "png" },
];
const STROKES: [Source; 2] = [
    Source { folder: "raw_data", extension: "json" },
    Source { folder: "vector_sketches", extension: "npy" },
];

#[derive(Clone, Copy)]
struct Source {
    folder: &'static str,
    extension: &'static str,
}

/// The folder that has the layout: `root` or `root/fscoco`.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    [root.to_path_buf(), root.join("fscoco")].into_iter().find(|root| {
        let images = root.join("images");
        let has_sketches = RASTERS.iter().chain(&STROKES).any(|s| root.join(s.folder).is_dir());
        has_sketches && (1..=USERS).any(|user| images.join(user.to_string()).is_dir())
    })
}

/// Files by user and id, which is a number: the zeros before it are not part of it.
type ByUser = BTreeMap<(u32, u64), PathBuf>;

pub(super) fn open(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    let mut notes = Vec::new();
    let photos = files_by_user(&root.join("images"), &["jpg", "jpeg"], Some(&mut notes))?;
    if photos.is_empty() {
        return Err(Error::NoPairs {
            path: root.join("images"),
            remedy: "expected <user>/<id>.jpg with users 1 to 100",
        });
    }
    let split_path = split_path(root, options)?;
    let validation_ids = read_ids(&split_path)?;
    let sketches = sketches(root, options.sketches, &photos, &mut notes)?;

    let name = folder_name(root);
    let mut train = Builder::new(name.clone());
    let mut validation = Builder::new(name);
    let mut used = BTreeSet::new();
    for ((user, id), path) in photos {
        let Some(sketch) = sketches.get(&(user, id)) else { continue };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let builder = if validation_ids.contains(&id) {
            used.insert(id);
            &mut validation
        } else {
            &mut train
        };
        builder.add(Photo { id: stem.clone(), path, label: None }, |photo| Pair {
            id: stem,
            sketch: SketchSource::from_path(sketch.clone()),
            photo,
            group: Some(user.to_string()),
        });
    }
    if used.is_empty() {
        return Err(Error::SplitWithoutFiles { path: split_path, count: validation_ids.len() });
    }
    let orphans = validation_ids.difference(&used).count();
    if let Some(first) = validation_ids.difference(&used).next() {
        notes.push(format!(
            "{}: {orphans} of {} ids have no photo here (the first: {first})",
            split_path.display(),
            validation_ids.len()
        ));
    }
    Ok(Dataset {
        kind: DatasetKind::FsCoco,
        root: root.into(),
        train: train.finish(),
        validation: validation.finish(),
        test: None,
        split: split_path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        notes,
    })
}

/// The files of the users 1 to 100 whose names are numbers. What else is there is noted, if `notes` is given.
fn files_by_user(
    folder: &Path,
    extensions: &[&str],
    notes: Option<&mut Vec<String>>,
) -> Result<ByUser> {
    let mut found = ByUser::new();
    let mut skipped: Vec<PathBuf> = Vec::new();
    for (name, path) in files::list(folder)?.folders {
        let Some(user) = name.parse().ok().filter(|user| (1..=USERS).contains(user)) else {
            skipped.push(path);
            continue;
        };
        for entry in files::list(&path)?.files {
            let wanted =
                files::extension(&entry.path).is_some_and(|e| extensions.contains(&e.as_str()));
            match parse_id(&entry.stem) {
                Some(id) if wanted => {
                    if let Some(other) = found.insert((user, id), entry.path.clone()) {
                        return Err(Error::DuplicatePhoto { path: entry.path, other });
                    }
                }
                _ => skipped.push(entry.path),
            }
        }
    }
    if let (Some(notes), Some(first)) = (notes, skipped.first()) {
        notes.push(format!(
            "skipped {} in {} that are no <user>/<id>.jpg (the first: {})",
            skipped.len(),
            folder.display(),
            first.display()
        ));
    }
    Ok(found)
}

/// The sketch of every photo, and a note on which were taken.
fn sketches(
    root: &Path,
    kind: SketchKind,
    photos: &ByUser,
    notes: &mut Vec<String>,
) -> Result<ByUser> {
    let available = |sources: &[Source]| -> Result<Vec<(Source, ByUser)>> {
        let mut found = Vec::new();
        for source in sources {
            let folder = root.join(source.folder);
            if folder.is_dir() {
                let files = files_by_user(&folder, &[source.extension], None)?;
                if !files.is_empty() {
                    found.push((*source, files));
                }
            }
        }
        Ok(found)
    };
    let missing = |wanted, remedy| Error::NoSuchSketches { root: root.into(), wanted, remedy };
    let sources = match kind {
        SketchKind::Raster => Some(available(&RASTERS)?)
            .filter(|found| !found.is_empty())
            .ok_or_else(|| missing("raster", "use --sketches strokes, or add raster_sketches/"))?,
        SketchKind::Strokes => {
            Some(available(&STROKES)?).filter(|found| !found.is_empty()).ok_or_else(|| {
                missing("stroke", "use --sketches raster, or add raw_data/ or vector_sketches/")
            })?
        }
        SketchKind::Auto => match available(&RASTERS)? {
            found if found.is_empty() => available(&STROKES)?,
            found => found,
        },
    };

    let mut chosen = ByUser::new();
    let mut counts = vec![0_usize; sources.len()];
    let mut without_sketch: Vec<&PathBuf> = Vec::new();
    for (key, photo) in photos {
        match sources.iter().position(|(_, files)| files.contains_key(key)) {
            Some(source) => {
                counts[source] += 1;
                chosen.insert(*key, sources[source].1[key].clone());
            }
            None => without_sketch.push(photo),
        }
    }
    if let Some(photo) = without_sketch.first() {
        let tried = match kind {
            SketchKind::Strokes => &STROKES,
            _ => &RASTERS,
        };
        let shown =
            if sources.is_empty() { tried.to_vec() } else { sources.iter().map(|s| s.0).collect() };
        let expected: Vec<String> = shown
            .iter()
            .map(|source| {
                let own = photo.strip_prefix(root.join("images")).unwrap_or(photo);
                Path::new(source.folder)
                    .join(own)
                    .with_extension(source.extension)
                    .display()
                    .to_string()
            })
            .collect();
        return Err(Error::PhotoWithoutSketch {
            path: (*photo).clone(),
            count: without_sketch.len(),
            expected: expected.join(" or "),
        });
    }
    let orphans: BTreeMap<_, _> = sources
        .iter()
        .flat_map(|(_, files)| files)
        .filter(|(key, _)| !photos.contains_key(key))
        .collect();
    if let Some((&(user, id), sketch)) = orphans.first_key_value() {
        return Err(Error::SketchWithoutPhoto {
            path: (*sketch).clone(),
            count: orphans.len(),
            expected: format!("images/{user}/{id:012}.jpg"),
        });
    }
    let used: Vec<String> = sources
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count > 0)
        .map(|((source, _), count)| format!("{count} .{} from {}", source.extension, source.folder))
        .collect();
    notes.insert(0, format!("sketches: {}", used.join(", ")));
    Ok(chosen)
}

fn split_path(root: &Path, options: &OpenOptions) -> Result<PathBuf> {
    let (name, remedy) = if options.unseen {
        ("val_unseen_user.txt", "add it, or leave out --val-unseen")
    } else {
        ("val_normal.txt", "it comes with FS-COCO, one photo id a line; add it")
    };
    files::file(root.join(name))
        .ok_or_else(|| Error::MissingSplit { path: root.join(name), remedy })
}

/// The ids of a split file, one a line; blank lines are allowed, and zeros before the number.
fn read_ids(path: &Path) -> Result<BTreeSet<u64>> {
    let text = files::read_text(path)?;
    let mut ids = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        ids.insert(parse_id(line).ok_or_else(|| Error::BadSplitLine {
            path: path.into(),
            line: index + 1,
            expected: "whole number",
            found: one_line(&line.chars().take(40).collect::<String>()),
        })?);
    }
    if ids.is_empty() {
        return Err(Error::EmptySplit {
            path: path.into(),
            which: "validation",
            remedy: "give one photo id a line",
        });
    }
    Ok(ids)
}

/// A number of digits alone; `u64::from_str` would take a sign too.
fn parse_id(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &[u8]) -> Result<BTreeSet<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("val_normal.txt");
        fs_err::write(&path, text).unwrap();
        read_ids(&path)
    }

    #[test]
    fn ids_are_whole_numbers() {
        let found = ids(b"\xEF\xBB\xBF000000043450\r\n\r\n 7 \n43450\n").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [7, 43450]);
        for bad in ["1.0e+05", "12.0", "-3", "+3", "1 2", "x", "99999999999999999999", "\u{0}"] {
            let error = ids(format!("5\n\n{bad}\n").as_bytes()).unwrap_err();
            assert!(matches!(error, Error::BadSplitLine { line: 3, .. }), "{bad}: {error}");
        }
        assert!(matches!(ids(b" \n\r\n").unwrap_err(), Error::EmptySplit { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_give_ids_or_an_error(bytes: Vec<u8>) {
            if let Err(error) = ids(&bytes) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
