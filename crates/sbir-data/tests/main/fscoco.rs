//! The FS-COCO layout: its quirks and what may be wrong with it, on generated folders.

use std::path::{Path, PathBuf};

use sbir_data::{
    Dataset, DatasetKind, Error, OpenOptions, SketchKind, SketchSource, Transform, open,
};
use tempfile::TempDir;

use crate::pictures::{encoded, gradient, jpeg, png};

/// A folder with files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    pub(crate) fn remove(&self, path: &str) {
        fs_err::remove_file(self.0.path().join(path)).unwrap();
    }

    /// Opens it and checks what every error promises.
    pub(crate) fn open(&self, options: &OpenOptions) -> Result<Dataset, Error> {
        open(self.path(), options).inspect_err(|error| {
            let message = error.to_string();
            assert!(message.contains(&self.path().display().to_string()), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        })
    }
}

const STROKES: &str = r#"[
    {"timestamp": 0.0, "coordinates": [0.1, 0.52], "pen_state": [0, 1, 0]},
    {"timestamp": 0.1, "coordinates": [0.9, 0.52], "pen_state": [1, 0, 0]}
]"#;

/// Users 2 and 10 with three pairs each, one of each in the normal split, user 10 unseen.
fn fscoco(prefix: &str) -> Folder {
    let folder = Folder::new();
    for (user, ids) in [(2, [30, 4, 500]), (10, [6, 7, 1000])] {
        for id in ids {
            folder.write(&format!("{prefix}images/{user}/{id:012}.jpg"), jpeg(20, 16, id as u8));
            let sketch = jpeg(16, 16, 255);
            folder.write(&format!("{prefix}raster_sketches/{user}/{id:012}.jpg"), sketch);
            folder.write(&format!("{prefix}raw_data/{user}/{id:012}.json"), STROKES);
        }
    }
    folder.write(&format!("{prefix}val_normal.txt"), "000000000004\r\n\r\n 7\r\n");
    folder.write(&format!("{prefix}val_unseen_user.txt"), "1000\n7\n6\n");
    folder
}

fn normal() -> OpenOptions {
    OpenOptions::default()
}

fn unseen() -> OpenOptions {
    OpenOptions { unseen: true, ..normal() }
}

fn strokes() -> OpenOptions {
    OpenOptions { sketches: SketchKind::Strokes, ..normal() }
}

fn ids(set: &sbir_data::PairSet) -> Vec<&str> {
    set.pairs.iter().map(|pair| pair.id.trim_start_matches('0')).collect()
}

#[test]
fn pairs_come_by_user_then_id_as_numbers() {
    let folder = fscoco("");
    let dataset = folder.open(&normal()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::FsCoco);
    assert_eq!(ids(&dataset.train), ["30", "500", "6", "1000"]);
    assert_eq!(ids(&dataset.validation), ["4", "7"]);
    assert_eq!(dataset.split, "val_normal.txt");
    assert_eq!(dataset.notes, ["sketches: 6 .jpg from raster_sketches"]);
    let pair = &dataset.train.pairs[2];
    assert_eq!((pair.id.as_str(), pair.group.as_deref()), ("000000000006", Some("10")));
    let photo = &dataset.train.photos[pair.photo];
    assert_eq!(photo.path, folder.path().join("images/10/000000000006.jpg"));
    let sketch = folder.path().join("raster_sketches/10/000000000006.jpg");
    assert_eq!(pair.sketch.path(), Some(sketch.as_path()));

    let dataset = folder.open(&unseen()).unwrap();
    assert_eq!(ids(&dataset.train), ["4", "30", "500"]);
    assert_eq!(ids(&dataset.validation), ["6", "7", "1000"]);
}

#[test]
fn a_nested_folder_is_found() {
    let folder = fscoco("fscoco/");
    let dataset = folder.open(&normal()).unwrap();
    assert_eq!(dataset.root, folder.path().join("fscoco"));
    assert_eq!(dataset.validation.len(), 2);
}

#[test]
fn png_sketches_are_used_and_named() {
    let folder = fscoco("");
    // Both: the official .jpg is taken. Only .png: that one.
    folder.write("raster_sketches/2/000000000030.png", png(16, 16, 255));
    folder.write("raster_sketches/2/000000000004.png", png(16, 16, 255));
    folder.remove("raster_sketches/2/000000000004.jpg");
    let dataset = folder.open(&normal()).unwrap();
    assert_eq!(
        dataset.notes,
        ["sketches: 5 .jpg from raster_sketches, 1 .png from raster_sketches"]
    );
    assert_eq!(dataset.validation.pairs[0].sketch.path().unwrap().extension().unwrap(), "png");
}

#[test]
fn strokes_come_from_raw_data_first() {
    let folder = fscoco("");
    let dataset = folder.open(&strokes()).unwrap();
    assert_eq!(dataset.notes, ["sketches: 6 .json from raw_data"]);
    let SketchSource::StrokeFile(path) = &dataset.train.pairs[0].sketch else { panic!() };
    assert!(path.ends_with("raw_data/2/000000000030.json"));
    let values = Transform::origin(32).load_sketch(&dataset.train.pairs[0].sketch).unwrap();
    assert!(values[16 * 32 + 16] < 1.5 && values[16] > 2.0);

    // Without rasters they are what there is.
    fs_err::remove_dir_all(folder.path().join("raster_sketches")).unwrap();
    assert_eq!(folder.open(&normal()).unwrap().notes, ["sketches: 6 .json from raw_data"]);
    let raster = OpenOptions { sketches: SketchKind::Raster, ..normal() };
    assert!(matches!(folder.open(&raster).unwrap_err(), Error::NoSuchSketches { .. }));
}

#[test]
fn points_off_the_canvas_and_an_open_last_stroke_are_no_fault() {
    let folder = fscoco("");
    let open_stroke = r#"[
        {"timestamp": 0.0, "coordinates": [-0.25, 0.52], "pen_state": [0, 1, 0]},
        {"timestamp": 0.1, "coordinates": [1.25, 0.52], "pen_state": [0, 1, 0]}
    ]"#;
    let path = folder.write("raw_data/2/000000000030.json", open_stroke);
    let values = Transform::origin(32).load_sketch(&SketchSource::StrokeFile(path)).unwrap();
    assert!(values[16 * 32 + 16] < 1.5, "the segment crosses the canvas");
}

#[test]
fn strokes_that_are_not_finite_are_refused_by_name() {
    let folder = fscoco("");
    let text = STROKES.replace("0.9", "1e999");
    let path = folder.write("raw_data/2/000000000030.json", text);
    let error = Transform::origin(32).load_sketch(&SketchSource::StrokeFile(path)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("000000000030.json") && message.lines().count() == 1, "{message}");
}

#[test]
fn a_grey_photo_is_a_photo() {
    let folder = fscoco("");
    let grey = gradient(20, 16, 0).to_luma8();
    let bytes = encoded(&grey.into(), image::ImageFormat::Jpeg);
    folder.write("images/2/000000000030.jpg", bytes);
    let dataset = folder.open(&normal()).unwrap();
    assert!(Transform::origin(8).load_image(&dataset.train.photos[0].path).is_ok());
}

#[test]
fn ids_of_the_split_without_files_are_counted() {
    let folder = fscoco("");
    folder.write("val_normal.txt", "4\n7\n123\n88\n");
    let dataset = folder.open(&normal()).unwrap();
    assert_eq!(dataset.validation.len(), 2);
    let note = &dataset.notes[1];
    assert!(note.contains("2 of 4 ids") && note.contains("the first: 88"), "{note}");

    folder.write("val_normal.txt", "123\n88\n");
    let error = folder.open(&normal()).unwrap_err();
    assert!(matches!(error, Error::SplitWithoutFiles { count: 2, .. }), "{error}");
}

#[test]
fn faults_of_the_split_file() {
    let folder = fscoco("");
    folder.write("val_normal.txt", "4\n1.0e+05\n");
    let error = folder.open(&normal()).unwrap_err();
    assert!(matches!(error, Error::BadSplitLine { line: 2, .. }), "{error}");
    folder.write("val_normal.txt", "\n \n");
    assert!(matches!(folder.open(&normal()).unwrap_err(), Error::EmptySplit { .. }));
    folder.remove("val_normal.txt");
    let error = folder.open(&normal()).unwrap_err();
    assert!(matches!(error, Error::MissingSplit { .. }), "{error}");
    assert!(error.to_string().contains("val_normal.txt"));
    folder.remove("val_unseen_user.txt");
    let error = folder.open(&unseen()).unwrap_err();
    assert!(error.to_string().contains("leave out --val-unseen"), "{error}");
}

#[test]
fn a_photo_without_a_sketch_and_the_reverse() {
    let folder = fscoco("");
    folder.remove("raster_sketches/10/000000000006.jpg");
    folder.remove("raster_sketches/10/000000001000.jpg");
    let error = folder.open(&normal()).unwrap_err();
    let Error::PhotoWithoutSketch { path, count: 2, expected } = &error else { panic!("{error}") };
    assert!(path.ends_with("images/10/000000000006.jpg"), "{error}");
    assert_eq!(expected, "raster_sketches/10/000000000006.jpg");

    let folder = fscoco("");
    folder.remove("images/2/000000000500.jpg");
    let error = folder.open(&normal()).unwrap_err();
    let Error::SketchWithoutPhoto { path, count: 1, expected } = &error else { panic!("{error}") };
    assert!(path.ends_with("raster_sketches/2/000000000500.jpg"), "{error}");
    assert_eq!(expected, "images/2/000000000500.jpg");
}

#[test]
fn foreign_files_are_noted_and_one_id_in_two_spellings_refused() {
    let folder = fscoco("");
    folder.write("images/2/notes.txt", "x");
    folder.write("images/2/.hidden.jpg", "x");
    folder.write("images/101/000000000001.jpg", "x");
    let dataset = folder.open(&normal()).unwrap();
    assert!(dataset.notes[1].starts_with("skipped 2 in "), "{:?}", dataset.notes);
    folder.write("images/2/30.jpg", jpeg(8, 8, 0));
    let error = folder.open(&normal()).unwrap_err();
    assert!(matches!(error, Error::DuplicatePhoto { .. }), "{error}");
}

#[test]
fn an_empty_training_part_is_told_when_it_is_needed() {
    let folder = fscoco("");
    folder.write("val_normal.txt", "30\n4\n500\n6\n7\n1000\n");
    let dataset = folder.open(&normal()).unwrap();
    assert_eq!(dataset.evaluation_set().unwrap().len(), 6);
    let error = dataset.training_set().unwrap_err();
    assert!(matches!(error, Error::EmptySplit { which: "train", .. }), "{error}");
}
