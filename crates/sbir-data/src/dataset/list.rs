//! A list of pairs, `pairs.csv`: `sketch,photo[,split][,label]`.
//!
//! The first row names the columns, in any order. Paths are relative to the list's folder and stay in it; a sketch may
//! be a stroke file, of an ndjson file the record after `#`. `split` is `train`, `val` or `test`, for every row or none;
//! photos of one `label` are never each other's negatives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{Dataset, DatasetKind, OpenOptions, csv, files, folder_name, split_by_list_or_seed};
use crate::error::{Error, Result, one_line};
use crate::pairs::{Builder, Pair, PairSet, Photo, SketchSource};

/// The parts of a split.
const PARTS: [&str; 3] = ["train", "val", "test"];

/// A row that was read.
struct Listed {
    sketch: String,
    photo: String,
    /// An index into [`PARTS`].
    part: Option<usize>,
    label: Option<String>,
}

pub(super) fn open(root: &Path, options: &OpenOptions) -> Result<Dataset> {
    let path = root.join("pairs.csv");
    let rows = read(&path)?;
    check_files(root, &path, &rows)?;
    let mut notes = vec![format!("pairs: the {} of pairs.csv", rows.len())];
    let labels: BTreeMap<&str, u32> = rows
        .iter()
        .filter_map(|row| row.label.as_deref())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .zip(0..)
        .collect();
    let set = |part: Option<usize>| {
        let mut builder = Builder::new(folder_name(root));
        for row in rows.iter().filter(|row| row.part == part) {
            let photo = Photo {
                id: without_extension(&row.photo),
                path: root.join(&row.photo),
                label: row.label.as_deref().and_then(|label| labels.get(label).copied()),
            };
            builder.add(photo, |photo| Pair {
                id: without_extension(&row.sketch),
                sketch: SketchSource::from_path(root.join(&row.sketch)),
                photo,
                group: None,
            });
        }
        builder.finish()
    };
    let dataset = |train, validation, test, split, notes| Dataset {
        kind: DatasetKind::Pairs,
        root: root.into(),
        train,
        validation,
        test,
        split,
        notes,
    };
    let unsplit = set(None);
    if !unsplit.is_empty() {
        let test = files::file(root.join("test.txt"));
        let (train, validation, split) =
            split_by_list_or_seed(&unsplit, test.as_deref(), options.holdout, &mut notes)?;
        return Ok(dataset(train, validation, None, split, notes));
    }
    let [train, validation, test] = [0, 1, 2].map(|part| set(Some(part)));
    note_shared_photos(&train, [&validation, &test], &mut notes);
    let split = "the column split of pairs.csv".to_owned();
    if validation.is_empty() {
        return Ok(dataset(train, test, None, split, notes));
    }
    let test = (!test.is_empty()).then_some(test);
    Ok(dataset(train, validation, test, split, notes))
}

fn read(path: &Path) -> Result<Vec<Listed>> {
    let text = files::read_text(path)?;
    let problem = |line, problem: String| Error::Csv { path: path.into(), line, problem };
    let mut rows =
        csv::parse(&text).map_err(|(line, text)| problem(line, text.into()))?.into_iter();
    let header = rows.next().ok_or_else(|| {
        problem(1, "the file is empty; expected the columns sketch,photo[,split][,label]".into())
    })?;
    let mut columns = BTreeMap::new();
    for (place, name) in header.fields.iter().enumerate() {
        if !["sketch", "photo", "split", "label"].contains(&name.as_str())
            || columns.insert(name.as_str(), place).is_some()
        {
            return Err(problem(
                header.line,
                format!(
                    "column {:?} is unknown or given twice; expected sketch,photo[,split][,label]",
                    one_line(name)
                ),
            ));
        }
    }
    if let Some(missing) = ["sketch", "photo"].iter().find(|name| !columns.contains_key(**name)) {
        return Err(problem(
            header.line,
            format!("no column {missing}; expected sketch,photo[,split][,label]"),
        ));
    }
    let mut listed: Vec<Listed> = Vec::new();
    let mut labels: BTreeMap<String, Option<String>> = BTreeMap::new();
    for row in rows {
        if row.fields.len() != header.fields.len() {
            return Err(problem(
                row.line,
                format!(
                    "{} fields, expected {}; quote fields that hold commas",
                    row.fields.len(),
                    header.fields.len()
                ),
            ));
        }
        let field = |name: &str| columns.get(name).map_or("", |place| row.fields[*place].as_str());
        for name in ["sketch", "photo"] {
            if !stays_inside(field(name)) {
                return Err(problem(
                    row.line,
                    format!(
                        "{name} {:?} is no path inside of the folder; give it relative to pairs.csv, without ..",
                        one_line(field(name))
                    ),
                ));
            }
        }
        let split = field("split");
        let part = PARTS.iter().position(|part| *part == split);
        if part.is_none() && !split.is_empty() {
            let split = one_line(split);
            return Err(problem(
                row.line,
                format!("split {split:?} is unknown; expected train, val or test"),
            ));
        }
        if listed.first().is_some_and(|first| first.part.is_some() != part.is_some()) {
            return Err(problem(
                row.line,
                "only some rows have a split; give train, val or test in every row or in none"
                    .into(),
            ));
        }
        let photo = field("photo").to_owned();
        let label = Some(field("label")).filter(|label| !label.is_empty()).map(str::to_owned);
        let known = labels.entry(photo.clone()).or_insert_with(|| label.clone());
        if *known != label {
            return Err(problem(
                row.line,
                format!("photo {:?} has another label before; give it one", one_line(&photo)),
            ));
        }
        listed.push(Listed { sketch: field("sketch").to_owned(), photo, part, label });
    }
    if listed.is_empty() {
        return Err(Error::NoPairs { path: path.into(), remedy: "expected a pair a line" });
    }
    Ok(listed)
}

/// Whether a path is relative and has no part that leads out of its folder.
fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn check_files(root: &Path, list: &Path, rows: &[Listed]) -> Result<()> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        names.insert(&row.photo);
        names.insert(file_part(&row.sketch));
    }
    let missing: BTreeSet<&str> =
        names.into_iter().filter(|name| !root.join(name).is_file()).collect();
    // The first in the order of the list.
    let first = rows
        .iter()
        .flat_map(|row| [file_part(&row.sketch), row.photo.as_str()])
        .find(|name| missing.contains(name));
    match first {
        Some(name) => Err(Error::MissingFile {
            path: root.join(name),
            list: list.into(),
            count: missing.len(),
        }),
        None => Ok(()),
    }
}

/// The file of a path that may select a record of an ndjson file.
fn file_part(path: &str) -> &str {
    match path.split_once(".ndjson#") {
        Some((file, _)) => &path[..file.len() + ".ndjson".len()],
        None => path,
    }
}

fn without_extension(path: &str) -> String {
    if path.contains(".ndjson#") {
        return path.to_owned();
    }
    Path::new(path).with_extension("").to_string_lossy().into_owned()
}

/// Notes photos that are trained on and evaluated on.
fn note_shared_photos(train: &PairSet, others: [&PairSet; 2], notes: &mut Vec<String>) {
    let trained: BTreeSet<&PathBuf> = train.photos.iter().map(|photo| &photo.path).collect();
    let shared = others
        .iter()
        .flat_map(|set| &set.photos)
        .filter(|photo| trained.contains(&photo.path))
        .count();
    if shared > 0 {
        notes.push(format!(
            "{shared} photos are in the training part and in another; the figures will flatter"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_inside_are_taken() {
        for good in ["a.png", "photo/a b.png", "./a.png", "a..b/c.png"] {
            assert!(stays_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../a.png", "photo/../../a.png", "a\0b"] {
            assert!(!stays_inside(bad), "{bad}");
        }
    }

    #[test]
    fn records_keep_their_name() {
        assert_eq!(file_part("s/a.ndjson#12"), "s/a.ndjson");
        assert_eq!(file_part("s/a#1.png"), "s/a#1.png");
        assert_eq!(without_extension("s/a.ndjson#12"), "s/a.ndjson#12");
        assert_eq!(without_extension("s/a.b.png"), "s/a.b");
    }
}
