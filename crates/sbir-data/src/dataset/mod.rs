//! Datasets: which layout a folder has, and the pairs in it. One file per layout.

mod classes;
mod csv;
mod files;
mod fscoco;
mod list;
mod names;
mod pairs;
mod photos;
mod qmul;
mod sketchy;
mod sketchycoco;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pairs::PairSet;
use crate::split::{HoldOut, hold_out};

/// A layout of pairs on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// FS-COCO (Chowdhury et al., ECCV 2022): `images/<user>/<id>.jpg` and `raster_sketches`, `raw_data` or
    /// `vector_sketches`, with `val_normal.txt` and `val_unseen_user.txt`.
    FsCoco,
    /// QMUL's Chair-V2 and Shoe-V2: `trainA`, `trainB`, `testA`, `testB`, or `photo/` with `strokes.ndjson`.
    #[serde(rename = "qmul")]
    ChairV2,
    /// SketchyCOCO (Gao et al., CVPR 2020), scene level.
    SketchyCoco,
    /// The Sketchy Database (Sangkloy et al., 2016): `photo/tx_…` and `sketch/tx_…`.
    Sketchy,
    /// Plain pair folders, `photo/` and `sketch/`, or a list, `pairs.csv`.
    Pairs,
    /// Photos alone, whose sketches are line drawings made of them; never detected, see [`open`].
    Photos,
    /// Photos and sketches of the same classes without pairs, as PACS; never detected, see [`open`].
    Classes,
}

impl DatasetKind {
    /// The layout of a folder, or of the folder of the dataset's own name in it (`fscoco/fscoco`).
    ///
    /// # Errors
    /// If the folder is missing or has none of the known layouts.
    pub fn detect(root: &Path) -> Result<Self> {
        check_folder(root)?;
        type IsLaidOut = fn(&Path) -> bool;
        let layouts: [(Self, IsLaidOut); 5] = [
            (Self::FsCoco, |root| fscoco::find(root).is_some()),
            (Self::ChairV2, |root| qmul::find(root).is_some()),
            (Self::SketchyCoco, |root| sketchycoco::find(root).is_some()),
            (Self::Sketchy, |root| sketchy::find(root).is_some()),
            (Self::Pairs, |root| pairs::find(root).is_some()),
        ];
        layouts.into_iter().find(|(_, found)| found(root)).map(|(kind, _)| kind).ok_or_else(|| {
            Error::UnknownLayout {
                root: root.into(),
                looked_for: layouts
                    .map(|(kind, _)| format!("{kind} ({})", kind.looked_for()))
                    .join("; "),
            }
        })
    }

    /// What the layout needs, for messages.
    fn looked_for(self) -> &'static str {
        match self {
            Self::FsCoco => fscoco::LOOKED_FOR,
            Self::ChairV2 => qmul::LOOKED_FOR,
            Self::SketchyCoco => sketchycoco::LOOKED_FOR,
            Self::Sketchy => sketchy::LOOKED_FOR,
            Self::Pairs => pairs::LOOKED_FOR,
            Self::Photos => photos::LOOKED_FOR,
            Self::Classes => classes::LOOKED_FOR,
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FsCoco => "fscoco",
            Self::ChairV2 => "qmul",
            Self::SketchyCoco => "sketchycoco",
            Self::Sketchy => "sketchy",
            Self::Pairs => "pairs",
            Self::Photos => "photos",
            Self::Classes => "classes",
        })
    }
}

impl FromStr for DatasetKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "fscoco" => Ok(Self::FsCoco),
            "qmul" | "chairv2" | "shoev2" => Ok(Self::ChairV2),
            "sketchycoco" => Ok(Self::SketchyCoco),
            "sketchy" => Ok(Self::Sketchy),
            "pairs" => Ok(Self::Pairs),
            "photos" => Ok(Self::Photos),
            "classes" => Ok(Self::Classes),
            _ => Err(Error::UnknownName {
                what: "dataset",
                expected: "fscoco, qmul, sketchycoco, sketchy, pairs, photos, classes",
                found: name.into(),
            }),
        }
    }
}

/// Which form of the sketches to take, where a dataset has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SketchKind {
    /// Raster sketches where there are any, else strokes.
    #[default]
    Auto,
    /// Raster sketches.
    Raster,
    /// Strokes, rendered when they are needed.
    Strokes,
}

impl fmt::Display for SketchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Raster => "raster",
            Self::Strokes => "strokes",
        })
    }
}

impl FromStr for SketchKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "raster" => Ok(Self::Raster),
            "strokes" => Ok(Self::Strokes),
            _ => Err(Error::UnknownName {
                what: "form of sketches",
                expected: "auto, raster, strokes",
                found: name.into(),
            }),
        }
    }
}

/// How to open a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenOptions {
    /// The layout; detected if `None`.
    pub kind: Option<DatasetKind>,
    /// Whether validation is on the users not seen in training (FS-COCO).
    pub unseen: bool,
    /// The form of the sketches.
    pub sketches: SketchKind,
    /// Which photos are held out where the dataset has no split.
    pub holdout: HoldOut,
}

impl Default for OpenOptions {
    /// Detected layout, the dataset's normal split, the origin's seed 42.
    fn default() -> Self {
        Self { kind: None, unseen: false, sketches: SketchKind::Auto, holdout: HoldOut::default() }
    }
}

/// A dataset with its split.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its layout.
    pub kind: DatasetKind,
    /// The folder that has the layout: the one given, or the one nested in it.
    pub root: PathBuf,
    /// What is trained on; may be empty where only the validation part is at hand.
    pub train: PairSet,
    /// What is evaluated on after each epoch; not empty, unless there is a training part.
    pub validation: PairSet,
    /// The part kept for the last evaluation, where the dataset tells it from `validation` (`pairs.csv` only).
    pub test: Option<PairSet>,
    /// Where the split comes from, e.g. `val_normal.txt` or `held-out tenth of the photos, seed 42`.
    pub split: String,
    /// What was used and what was skipped, a line each.
    pub notes: Vec<String>,
}

impl Dataset {
    /// The training part.
    ///
    /// # Errors
    /// If it is empty.
    pub fn training_set(&self) -> Result<&PairSet> {
        self.part(&self.train, "train", "training needs pairs outside of the validation split")
    }

    /// What `eval` measures: the test part where there is one, else the validation part.
    ///
    /// # Errors
    /// If it is empty.
    pub fn evaluation_set(&self) -> Result<&PairSet> {
        let set = self.test.as_ref().unwrap_or(&self.validation);
        self.part(set, "validation", "evaluation needs pairs in the validation split")
    }

    fn part<'a>(
        &'a self,
        set: &'a PairSet,
        which: &'static str,
        remedy: &'static str,
    ) -> Result<&'a PairSet> {
        if set.is_empty() {
            return Err(Error::EmptySplit { path: self.root.clone(), which, remedy });
        }
        Ok(set)
    }
}

/// Opens the dataset in a folder. A root written `KIND:FOLDER`, such as `photos:holiday`, is a folder of that layout,
/// whatever the options say; a folder of that very name goes first.
///
/// # Errors
/// If the folder is missing, its layout unknown or not the one asked for, its split missing or empty, or a pair
/// incomplete: see [`Error`]. Pictures are not opened here.
pub fn open(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    let (root, named) = named_kind(root);
    check_folder(root)?;
    let kind = match named.or(options.kind) {
        Some(kind) => kind,
        None => DatasetKind::detect(root)?,
    };
    let wrong =
        || Error::WrongLayout { root: root.into(), kind, looked_for: kind.looked_for().into() };
    if options.unseen && kind != DatasetKind::FsCoco {
        return Err(Error::NoUnseenSplit { root: root.into(), kind });
    }
    match kind {
        DatasetKind::FsCoco => fscoco::open(&fscoco::find(root).ok_or_else(wrong)?, options),
        DatasetKind::ChairV2 => qmul::open(qmul::find(root).ok_or_else(wrong)?, options),
        DatasetKind::SketchyCoco => {
            sketchycoco::open(&sketchycoco::find(root).ok_or_else(wrong)?, options)
        }
        DatasetKind::Sketchy => sketchy::open(&sketchy::find(root).ok_or_else(wrong)?, options),
        DatasetKind::Pairs => pairs::open(pairs::find(root).ok_or_else(wrong)?, options),
        DatasetKind::Photos => photos::open(root, options),
        DatasetKind::Classes => classes::open(&classes::find(root).ok_or_else(wrong)?, options),
    }
}

/// The folder of `KIND:FOLDER` and the kind.
fn named_kind(root: &Path) -> (&Path, Option<DatasetKind>) {
    let named = || {
        let (kind, folder) = root.to_str()?.split_once(':')?;
        Some((Path::new(folder), kind.parse().ok()?))
    };
    match named() {
        Some((folder, kind)) if !root.exists() => (folder, Some(kind)),
        _ => (root, None),
    }
}

fn check_folder(root: &Path) -> Result<()> {
    match fs_err::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::NotAFolder { path: root.into() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::MissingFolder { path: root.into() })
        }
        Err(error) => Err(error.into()),
    }
}

/// The set's name for reports: the folder's.
fn folder_name(root: &Path) -> String {
    // `.` and `..` have no name of their own.
    root.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| {
            let full = fs_err::canonicalize(root).ok()?;
            Some(full.file_name()?.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| root.display().to_string())
}

/// Splits `all` by `test.txt` (or another list of photos) where there is one, else by a seeded share of the photos.
/// Gives the training part, the validation part and the split's name.
fn split_by_list_or_seed(
    all: &PairSet,
    list: Option<&Path>,
    holdout: HoldOut,
    notes: &mut Vec<String>,
) -> Result<(PairSet, PairSet, String)> {
    let (held, split) = match list {
        Some(path) => {
            let held = held_by_list(all, path, notes)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (held, name)
        }
        None => {
            let ids: Vec<&str> = all.photos.iter().map(|photo| photo.id.as_str()).collect();
            (hold_out(&ids, holdout), holdout.to_string())
        }
    };
    let train = all.filter_photos(all.name.clone(), |photo| !held[photo]);
    let validation = all.filter_photos(all.name.clone(), |photo| held[photo]);
    Ok((train, validation, split))
}

/// Which photos a list names, a line each: the photo's id, its last part (without the class), either with the
/// extension of an image.
fn held_by_list(all: &PairSet, path: &Path, notes: &mut Vec<String>) -> Result<Vec<bool>> {
    let text = files::read_text(path)?;
    let mut named: BTreeSet<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let count = named.len();
    if count == 0 {
        return Err(Error::EmptySplit {
            path: path.into(),
            which: "validation",
            remedy: "give one photo's name a line",
        });
    }
    let spellings = |id: &str, file: &Path| {
        let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (class, stem) = id.rsplit_once('/').unwrap_or(("", id));
        [id.to_owned(), stem.to_owned(), format!("{class}/{file}"), file]
    };
    let mut used = BTreeSet::new();
    let held: Vec<bool> = all
        .photos
        .iter()
        .map(|photo| {
            let mut held = false;
            for spelling in spellings(&photo.id, &photo.path) {
                if let Some(line) = named.get(spelling.as_str()) {
                    used.insert(*line);
                    held = true;
                }
            }
            held
        })
        .collect();
    if used.is_empty() {
        return Err(Error::SplitWithoutFiles { path: path.into(), count });
    }
    named.retain(|name| !used.contains(name));
    if let Some(first) = named.first() {
        notes.push(format!(
            "{}: {} of {count} names belong to no photo with a sketch here (the first: {first:?})",
            path.display(),
            named.len()
        ));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for kind in [
            DatasetKind::FsCoco,
            DatasetKind::ChairV2,
            DatasetKind::SketchyCoco,
            DatasetKind::Sketchy,
            DatasetKind::Pairs,
            DatasetKind::Photos,
            DatasetKind::Classes,
        ] {
            assert_eq!(kind.to_string().parse::<DatasetKind>().unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        for kind in [SketchKind::Auto, SketchKind::Raster, SketchKind::Strokes] {
            assert_eq!(kind.to_string().parse::<SketchKind>().unwrap(), kind);
        }
        let message = "coco".parse::<DatasetKind>().unwrap_err().to_string();
        assert!(message.contains("\"coco\"") && message.contains("sketchycoco"), "{message}");
    }
}
