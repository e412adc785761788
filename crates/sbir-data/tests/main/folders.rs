//! The other layouts, on generated folders: what is detected, matched, split and refused.

use std::path::Path;

use sbir_data::{DatasetKind, Error, OpenOptions, PairSet, SketchKind, SketchSource, open};

use crate::fscoco::Folder;

fn auto() -> OpenOptions {
    OpenOptions::default()
}

fn kind(kind: DatasetKind) -> OpenOptions {
    OpenOptions { kind: Some(kind), ..auto() }
}

fn pairs(set: &PairSet) -> Vec<(&str, &str)> {
    set.pairs.iter().map(|pair| (pair.id.as_str(), set.photos[pair.photo].id.as_str())).collect()
}

#[test]
fn missing_and_unknown_folders() {
    let error = open(Path::new("no/such/folder"), &auto()).unwrap_err();
    assert!(matches!(error, Error::MissingFolder { .. }), "{error}");
    let folder = Folder::new();
    let file = folder.write("file", "x");
    assert!(matches!(open(&file, &auto()).unwrap_err(), Error::NotAFolder { .. }));
    let error = folder.open(&auto()).unwrap_err();
    assert!(matches!(error, Error::UnknownLayout { .. }), "{error}");
    let kinds = [
        (DatasetKind::FsCoco, "images/<user>/"),
        (DatasetKind::ChairV2, "trainA/"),
        (DatasetKind::SketchyCoco, "trainInTrain/"),
        (DatasetKind::Sketchy, "photo/tx_"),
        (DatasetKind::Pairs, "pairs.csv"),
    ];
    for (asked, looked_for) in kinds {
        assert!(error.to_string().contains(looked_for), "{error}");
        let error = folder.open(&kind(asked)).unwrap_err();
        assert!(matches!(error, Error::WrongLayout { .. }), "{error}");
        assert!(error.to_string().contains(looked_for), "{error}");
    }
}

#[test]
fn unseen_users_are_of_fscoco_alone() {
    let folder = Folder::new();
    folder.write("photo/a.jpg", "x");
    folder.write("sketch/a.jpg", "x");
    let error = folder.open(&OpenOptions { unseen: true, ..auto() }).unwrap_err();
    assert!(matches!(error, Error::NoUnseenSplit { kind: DatasetKind::Pairs, .. }), "{error}");
}

#[test]
fn qmul_sketches_are_told_by_their_names() {
    for (sketches, photos) in [("A", "B"), ("B", "A")] {
        let folder = Folder::new();
        for (part, names) in [("train", ["a_v1", "b", "unused"]), ("test", ["c", "d_v1", "e"])] {
            for name in names {
                folder.write(&format!("{part}{photos}/{name}.png"), "x");
                if name != "unused" {
                    folder.write(&format!("{part}{sketches}/{name}_1.png"), "x");
                    folder.write(&format!("{part}{sketches}/{name}_2.png"), "x");
                }
            }
        }
        let dataset = folder.open(&auto()).unwrap();
        assert_eq!(dataset.kind, DatasetKind::ChairV2);
        assert_eq!(
            pairs(&dataset.train),
            [("a_v1_1", "a_v1"), ("a_v1_2", "a_v1"), ("b_1", "b"), ("b_2", "b")]
        );
        assert_eq!((dataset.validation.photos.len(), dataset.validation.len()), (3, 6));
        assert_eq!(dataset.notes[0], format!("sketches: rasters from the {sketches} folders"));
        assert!(dataset.notes[1].contains("left out 1 of 3 photos"), "{:?}", dataset.notes);
        let path = dataset.train.pairs[0].sketch.path().unwrap();
        assert!(path.ends_with(format!("train{sketches}/a_v1_1.png")));

        let strokes = OpenOptions { sketches: SketchKind::Strokes, ..auto() };
        assert!(matches!(folder.open(&strokes).unwrap_err(), Error::NoSuchSketches { .. }));
        folder.write(&format!("test{sketches}/f_1.png"), "x");
        let error = folder.open(&auto()).unwrap_err();
        assert!(matches!(error, Error::SketchWithoutPhoto { count: 1, .. }), "{error}");
    }
}

#[test]
fn qmul_without_names_in_common_or_without_a_test_part() {
    let folder = Folder::new();
    folder.write("trainA/x.png", "x");
    folder.write("trainB/y.png", "x");
    assert!(matches!(folder.open(&auto()).unwrap_err(), Error::NoPairs { .. }));

    let folder = Folder::new();
    for photo in 0..20 {
        folder.write(&format!("trainB/{photo}.png"), "x");
        folder.write(&format!("trainA/{photo}_1.png"), "x");
        folder.write(&format!("trainA/{photo}_2.png"), "x");
    }
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!((dataset.train.len(), dataset.validation.len()), (36, 4));
    assert_eq!(dataset.split, "held-out tenth of the photos, seed 42");
}

#[test]
fn strokes_with_photos() {
    let folder = Folder::new();
    let mut lines = String::new();
    for photo in ["a", "b", "c"] {
        folder.write(&format!("photo/{photo}.png"), "x");
        for k in 1..3 {
            lines += &format!(
                "{{\"sketch\":\"{photo}_{k}\",\"photo\":\"{photo}.png\",\"canvas\":256,\"strokes\":[[[1,2],[3,4]]]}}\n"
            );
        }
    }
    folder.write("photo/unused.png", "x");
    folder.write("strokes.ndjson", &lines);
    folder.write("test.txt", "b\r\nnone.png\r\n");
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::ChairV2);
    assert_eq!(pairs(&dataset.validation), [("b_1", "b"), ("b_2", "b")]);
    assert_eq!(dataset.train.len(), 4);
    assert_eq!(dataset.split, "test.txt");
    assert!(dataset.notes[1].contains("left out 1 of 4 photos"), "{:?}", dataset.notes);
    assert!(dataset.notes[2].contains("1 of 2 names belong to no photo"), "{:?}", dataset.notes);
    let SketchSource::Strokes(sketch) = &dataset.train.pairs[0].sketch else { panic!() };
    assert_eq!(sketch.strokes[0].points, [[1.0, 2.0], [3.0, 4.0]]);

    folder.write("test.txt", "none\n");
    assert!(matches!(folder.open(&auto()).unwrap_err(), Error::SplitWithoutFiles { .. }));
    folder.write("test.txt", "\n");
    assert!(matches!(folder.open(&auto()).unwrap_err(), Error::EmptySplit { .. }));
    folder.remove("test.txt");
    folder.remove("photo/c.png");
    let error = folder.open(&auto()).unwrap_err();
    assert!(matches!(error, Error::MissingFile { count: 2, .. }), "{error}");
    folder.write("strokes.ndjson", lines.replace("[1,2]", "[1,1e999]"));
    let error = folder.open(&auto()).unwrap_err();
    assert!(error.to_string().contains("strokes.ndjson"), "{error}");
}

#[test]
fn sketchycoco_by_its_parts() {
    for prefix in ["", "Scene/"] {
        let folder = Folder::new();
        for (part, ids) in [("trainInTrain", [1, 2]), ("valInTrain", [3, 4]), ("val", [5, 6])] {
            for id in ids {
                folder.write(&format!("{prefix}GT/{part}/{id}.png"), "x");
                folder.write(&format!("{prefix}Sketch/paper_version/{part}/{id}.png"), "x");
            }
        }
        let dataset = folder.open(&auto()).unwrap();
        assert_eq!(dataset.kind, DatasetKind::SketchyCoco);
        assert_eq!(pairs(&dataset.train), [("1", "1"), ("2", "2")]);
        assert_eq!(pairs(&dataset.validation), [("3", "3"), ("4", "4"), ("5", "5"), ("6", "6")]);

        folder.write(&format!("{prefix}scenes.txt"), "1\n5\n");
        let dataset = folder.open(&auto()).unwrap();
        assert_eq!(pairs(&dataset.validation), [("5", "5")]);
        folder.remove(&format!("{prefix}scenes.txt"));
        folder.remove(&format!("{prefix}GT/val/5.png"));
        let error = folder.open(&auto()).unwrap_err();
        assert!(matches!(error, Error::SketchWithoutPhoto { count: 1, .. }), "{error}");
        folder.remove(&format!("{prefix}Sketch/paper_version/val/5.png"));
        folder.remove(&format!("{prefix}Sketch/paper_version/trainInTrain/1.png"));
        let error = folder.open(&auto()).unwrap_err();
        assert!(matches!(error, Error::PhotoWithoutSketch { count: 1, .. }), "{error}");
    }
}

#[test]
fn sketchy_by_class_and_instance() {
    let folder = Folder::new();
    for class in ["ant", "bee"] {
        for n in 1..=10 {
            folder.write(&format!("256x256/photo/tx_000000000000/{class}/n0{n}_5.jpg"), "x");
            folder.write(&format!("256x256/photo/tx_000100000000/{class}/n0{n}_5.jpg"), "x");
            for k in 1..3 {
                let sketch = format!("256x256/sketch/tx_000000000000/{class}/n0{n}_5-{k}.png");
                folder.write(&sketch, "x");
            }
        }
    }
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::Sketchy);
    assert_eq!((dataset.train.len(), dataset.validation.len()), (36, 4));
    for pair in &dataset.train.pairs {
        let photo = &dataset.train.photos[pair.photo];
        let class = pair.group.as_deref().unwrap();
        assert!(pair.id.starts_with(&format!("{}-", photo.id)), "{pair:?}");
        assert_eq!(photo.label, None);
        let stem = photo.id.strip_prefix(&format!("{class}/")).unwrap();
        let path = format!("256x256/photo/tx_000000000000/{class}/{stem}.jpg");
        assert_eq!(photo.path, folder.path().join(path));
    }

    folder.write("256x256/testset.txt", "ant/n03_5.jpg\nbee/n04_5.jpg\n");
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!(
        pairs(&dataset.validation),
        [
            ("ant/n03_5-1", "ant/n03_5"),
            ("ant/n03_5-2", "ant/n03_5"),
            ("bee/n04_5-1", "bee/n04_5"),
            ("bee/n04_5-2", "bee/n04_5")
        ]
    );
}

#[test]
fn plain_folders() {
    for (photos, sketches) in [("photo", "sketch"), ("images", "contour"), ("photos", "sketches")] {
        let folder = Folder::new();
        for name in ["12", "12_1", "x"] {
            folder.write(&format!("{photos}/{name}.jpg"), "x");
        }
        for name in ["12", "12_1", "12_1_1", "12-2", "x_03"] {
            folder.write(&format!("{sketches}/{name}.png"), "x");
        }
        folder.write(&format!("{photos}/.DS_Store"), "x");
        folder.write("test.txt", "x.jpg\n");
        let dataset = folder.open(&auto()).unwrap();
        assert_eq!(dataset.kind, DatasetKind::Pairs);
        let mut found = pairs(&dataset.train);
        found.sort_unstable();
        assert_eq!(found, [("12", "12"), ("12-2", "12"), ("12_1", "12_1"), ("12_1_1", "12_1")]);
        assert_eq!(pairs(&dataset.validation), [("x_03", "x")]);
        assert!(dataset.train.photos.iter().all(|photo| photo.label.is_none()));

        folder.write(&format!("{sketches}/y_1.png"), "x");
        let error = folder.open(&auto()).unwrap_err();
        assert!(matches!(error, Error::SketchWithoutPhoto { count: 1, .. }), "{error}");
        folder.write(&format!("{photos}/x.png"), "x");
        assert!(matches!(folder.open(&auto()).unwrap_err(), Error::DuplicatePhoto { .. }));
    }
}

#[test]
fn classes_become_labels_and_class_level_sets_are_no_pairs() {
    let folder = Folder::new();
    for class in ["cat", "dog"] {
        for n in 0..10 {
            folder.write(&format!("photo/{class}/{n}.jpg"), "x");
            folder.write(&format!("sketch/{class}/{n}_1.png"), "x");
        }
    }
    let dataset = folder.open(&auto()).unwrap();
    for set in [&dataset.train, &dataset.validation] {
        assert!(!set.is_empty());
        for photo in &set.photos {
            assert_eq!(photo.label, Some(u32::from(photo.id.starts_with("dog/"))));
        }
    }
    let folder = Folder::new();
    for class in ["cat", "dog"] {
        for n in 0..10 {
            folder.write(&format!("photo/{class}/056_{n}.jpg"), "x");
            folder.write(&format!("sketch/{class}/{}.png", n + 5000), "x");
        }
    }
    let error = folder.open(&auto()).unwrap_err();
    assert!(matches!(error, Error::NotPairs { classes: 2, .. }), "{error}");
}

#[test]
fn parts_in_folders_of_their_own() {
    for validation in ["val", "test"] {
        let folder = Folder::new();
        for part in ["train", validation] {
            folder.write(&format!("{part}/photo/{part}1.jpg"), "x");
            folder.write(&format!("{part}/contour/{part}1_1.png"), "x");
        }
        let dataset = folder.open(&auto()).unwrap();
        assert_eq!(pairs(&dataset.train), [("train1_1", "train1")]);
        assert_eq!(dataset.validation.len(), 1);
        assert_eq!(dataset.split, format!("folders train and {validation}"));
    }
}

#[test]
fn sketches_of_either_form() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        folder.write(&format!("photo/{name}.jpg"), "x");
        folder.write(&format!("sketch/{name}.png"), "x");
        folder.write(&format!("sketch/{name}.svg"), "x");
    }
    let count = |sketches| {
        let dataset = folder.open(&OpenOptions { sketches, ..auto() }).unwrap();
        let sets = [dataset.train, dataset.validation];
        sets.iter()
            .flat_map(|set| &set.pairs)
            .filter(|pair| matches!(pair.sketch, SketchSource::StrokeFile(_)))
            .count()
    };
    assert_eq!(count(SketchKind::Auto), 0);
    assert_eq!(count(SketchKind::Raster), 0);
    assert_eq!(count(SketchKind::Strokes), 2);
    folder.remove("sketch/a.png");
    folder.remove("sketch/b.png");
    assert_eq!(count(SketchKind::Auto), 2);
    let raster = OpenOptions { sketches: SketchKind::Raster, ..auto() };
    assert!(matches!(folder.open(&raster).unwrap_err(), Error::NoSuchSketches { .. }));
}

fn listed(csv: &str) -> Folder {
    let folder = Folder::new();
    for path in ["p/a.jpg", "p/b.jpg", "p/c.jpg", "s/a,1.png", "s/b.json", "s/c.ndjson"] {
        folder.write(path, "x");
    }
    folder.write("pairs.csv", csv);
    folder
}

#[test]
fn a_list_of_pairs() {
    let folder = listed(
        "\u{feff}split,sketch,photo,label\r\ntrain,\"s/a,1.png\",p/a.jpg,red\r\ntrain,s/b.json,p/a.jpg,red\r\nval,s/c.ndjson#7,p/b.jpg,\r\ntest,s/b.json,p/c.jpg,blue\r\n",
    );
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!(pairs(&dataset.train), [("s/a,1", "p/a"), ("s/b", "p/a")]);
    assert_eq!(dataset.train.photos[0].label, Some(1));
    assert!(matches!(dataset.train.pairs[1].sketch, SketchSource::StrokeFile(_)));
    assert_eq!(pairs(&dataset.validation), [("s/c.ndjson#7", "p/b")]);
    assert_eq!(dataset.validation.photos[0].label, None);
    let test = dataset.test.as_ref().unwrap();
    assert_eq!((pairs(test), test.photos[0].label), (vec![("s/b", "p/c")], Some(0)));
    assert_eq!(dataset.evaluation_set().unwrap().pairs[0].id, "s/b");

    // Without val, test is what is evaluated; a photo on both sides is noted.
    let folder = listed("sketch,photo,split\ns/b.json,p/a.jpg,train\ns/c.ndjson#0,p/a.jpg,test\n");
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!((dataset.validation.len(), dataset.test.is_none()), (1, true));
    assert!(
        dataset.notes[1].starts_with("1 photos are in the training part"),
        "{:?}",
        dataset.notes
    );

    // Without a split, a tenth of the photos is held out.
    let folder = listed("photo,sketch\np/a.jpg,s/b.json\np/b.jpg,s/b.json\n");
    let dataset = folder.open(&auto()).unwrap();
    assert_eq!((dataset.train.len(), dataset.validation.len()), (1, 1));
}

#[test]
fn faults_of_a_list() {
    for (csv, line, part) in [
        ("", 1, "empty"),
        ("sketch,split\n", 1, "no column photo"),
        ("sketch,photo,colour\n", 1, "colour"),
        ("sketch,photo,photo\n", 1, "twice"),
        ("sketch,photo\ns/b.json,p/a.jpg,x\n", 2, "3 fields, expected 2"),
        ("sketch,photo\n\ns/b.json,../p/a.jpg\n", 3, "inside"),
        ("sketch,photo\n/s/b.json,p/a.jpg\n", 2, "inside"),
        ("sketch,photo\n,p/a.jpg\n", 2, "inside"),
        ("sketch,photo,split\ns/b.json,p/a.jpg,valid\n", 2, "train, val or test"),
        ("sketch,photo,split\ns/b.json,p/a.jpg,val\ns/b.json,p/b.jpg,\n", 3, "only some"),
        ("sketch,photo,label\ns/b.json,p/a.jpg,1\ns/b.json,p/a.jpg,2\n", 3, "another label"),
        ("sketch,photo\n\"s/b.json,p/a.jpg\n", 2, "quote"),
    ] {
        let error = listed(csv).open(&auto()).unwrap_err();
        let Error::Csv { line: found, problem, .. } = &error else { panic!("{csv:?}: {error}") };
        assert_eq!(*found, line, "{csv:?}: {error}");
        assert!(problem.contains(part), "{csv:?}: {error}");
    }
    let error = listed("sketch,photo\n").open(&auto()).unwrap_err();
    assert!(matches!(error, Error::NoPairs { .. }), "{error}");
    let error =
        listed("sketch,photo\ns/b.json,p/a.jpg\ns/z.png,p/y.jpg\n").open(&auto()).unwrap_err();
    let Error::MissingFile { path, count: 2, .. } = &error else { panic!("{error}") };
    assert!(path.ends_with("s/z.png"), "{error}");
}
