//! Real data, where it is at hand: `SBIR_DATA`, or `../shared/data` beside the workspace.

use std::path::{Path, PathBuf};

use std::sync::Arc;

use sbir_data::{
    Alignment, Augmentation, CACHE_BYTES, Dataset, DatasetKind, Error, OpenOptions, Sampling,
    SetWeights, SketchKind, SketchSource, TrainingPictures, Transform, epoch_plan, image_batches,
    mix, open,
};

/// The folder of a dataset; `None`, after a line that says so, where it is missing. In CI that is a failure.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SBIR_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{}: no such folder; set SBIR_DATA",
        folder.display()
    );
    eprintln!("skipped: {} is missing; set SBIR_DATA", folder.display());
    None
}

fn counts(dataset: &Dataset) -> [usize; 4] {
    let (train, validation) = (&dataset.train, &dataset.validation);
    [train.photos.len(), train.len(), validation.photos.len(), validation.len()]
}

#[test]
fn fscoco_mini() {
    let Some(root) = data("fscoco-mini") else { return };
    let normal = open(&root, &OpenOptions::default()).unwrap();
    assert_eq!(normal.kind, DatasetKind::FsCoco);
    assert_eq!(counts(&normal), [200, 200, 100, 100]);
    assert_eq!(normal.notes, ["sketches: 300 .jpg from raster_sketches"]);
    let users: Vec<u32> = normal
        .validation
        .pairs
        .iter()
        .map(|pair| pair.group.as_ref().unwrap().parse().unwrap())
        .collect();
    assert_eq!(users, (1..=100).collect::<Vec<_>>());
    assert_eq!(normal.train.pairs[0].id.len(), 12);

    let unseen = open(&root, &OpenOptions { unseen: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(counts(&unseen), [210, 210, 90, 90]);
    assert_eq!(unseen.validation.pairs[0].group.as_deref(), Some("71"));

    let options = OpenOptions { sketches: SketchKind::Strokes, ..OpenOptions::default() };
    let strokes = open(&root, &options).unwrap();
    let transform = Transform::origin(64);
    let rendered =
        image_batches(strokes.validation.sketch_sources()[..8].to_vec(), &transform, 8, 2)
            .next()
            .unwrap()
            .unwrap();
    let rasters = image_batches(normal.validation.sketch_sources()[..8].to_vec(), &transform, 8, 2)
        .next()
        .unwrap()
        .unwrap();
    // Rendered strokes and official rasters are drawings of the same thing: nearer to their own than to another's.
    let distance = |a: usize, b: usize| -> f32 {
        let picture = |images: &[f32], place: usize| -> Vec<f32> {
            images[place * transform.len()..(place + 1) * transform.len()].to_vec()
        };
        let (a, b) = (picture(&rendered.images, a), picture(&rasters.images, b));
        a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum()
    };
    for place in 0..8 {
        let other = (place + 1) % 8;
        assert!(distance(place, place) < distance(place, other), "sketch {place}");
    }
}

#[test]
fn chairv2() {
    let Some(root) = data("chairv2") else { return };
    let dataset = open(&root, &OpenOptions::default()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::ChairV2);
    let [train_photos, train, photos, validation] = counts(&dataset);
    assert_eq!((train_photos, photos, train + validation), (270, 30, 952));
    assert!(matches!(dataset.train.pairs[0].sketch, SketchSource::Strokes(_)));
    let values = Transform::origin(64).load_sketch(&dataset.train.pairs[0].sketch).unwrap();
    assert!(values.iter().any(|value| *value < 0.0));
}

#[test]
fn shoe304() {
    let Some(root) = data("shoe304") else { return };
    let dataset = open(&root, &OpenOptions::default()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::Pairs);
    assert_eq!(counts(&dataset), [274, 822, 30, 90]);
    assert!(dataset.train.pairs[0].id.starts_with(&dataset.train.photos[0].id));
}

#[test]
fn bsds500() {
    let Some(root) = data("bsds500") else { return };
    let dataset = open(&root, &OpenOptions::default()).unwrap();
    assert_eq!(
        (dataset.kind, dataset.split.as_str()),
        (DatasetKind::Pairs, "folders train and val")
    );
    assert_eq!(dataset.train.parts[0].alignment, Alignment::Pixel);
    let [train_photos, train, photos, validation] = counts(&dataset);
    assert_eq!((train_photos, photos, train + validation), (200, 100, 1633));
    let part = open(&root.join("val"), &OpenOptions::default()).unwrap();
    assert_eq!(counts(&part)[0] + counts(&part)[2], 100);
    // The drawings are 1-bit pictures: dark lines, smoothed by the resize.
    let values = Transform::origin(64).load_sketch(&dataset.train.pairs[0].sketch).unwrap();
    let distinct: std::collections::BTreeSet<u32> = values.iter().map(|v| v.to_bits()).collect();
    assert!(distinct.len() > 20, "{} distinct values", distinct.len());
}

#[test]
fn pacs_has_no_pairs() {
    let Some(root) = data("pacs") else { return };
    let error = open(&root, &OpenOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NotPairs { classes: 7, .. }), "{error}");
}

#[test]
fn pacs_has_classes() {
    let Some(root) = data("pacs") else { return };
    let named = format!("classes:{}", root.display());
    let dataset = open(Path::new(&named), &OpenOptions::default()).unwrap();
    assert_eq!((dataset.kind, dataset.root), (DatasetKind::Classes, root));
    assert_eq!((dataset.train.photos.len(), dataset.train.len()), (1670, 3929));
    assert!(dataset.validation.is_empty());
    let labels: std::collections::BTreeSet<_> =
        dataset.train.photos.iter().map(|photo| photo.label.unwrap()).collect();
    assert_eq!(labels.len(), 7);
    assert_eq!(dataset.train.parts[0].alignment, Alignment::Unrelated);
}

#[test]
fn photos_are_drawn() {
    let Some(root) = data("photos1000") else { return };
    assert!(matches!(open(&root, &OpenOptions::default()), Err(Error::UnknownLayout { .. })));
    let named = format!("photos:{}", root.display());
    let dataset = open(Path::new(&named), &OpenOptions::default()).unwrap();
    assert_eq!(dataset.kind, DatasetKind::Photos);
    assert_eq!(counts(&dataset), [900, 2700, 100, 100]);
    let transform = Transform::origin(64);
    let mut blank = 0;
    for pair in dataset.validation.pairs.iter().step_by(10) {
        let values = transform.load_sketch(&pair.sketch).unwrap();
        blank += usize::from(values.iter().all(|value| *value > 2.0));
    }
    assert!(blank <= 1, "{blank} of 10 drawings are blank");
}

#[test]
fn changed_batches_of_all_sets_together() {
    let roots = ["chairv2", "shoe304", "bsds500/train", "pacs", "photos1000"];
    let prefixes = ["", "", "", "classes:", "photos:"];
    let mut sets = Vec::new();
    for (name, prefix) in roots.iter().zip(prefixes) {
        let Some(root) = data(name) else { return };
        let named = format!("{prefix}{}", root.display());
        sets.push(open(Path::new(&named), &OpenOptions::default()).unwrap().train);
    }
    let set = Arc::new(mix(sets));
    assert_eq!(set.parts.len(), 5);
    let sampling = Sampling { one_set: true, weights: SetWeights::Equal, pairs: 40 };
    let plan = epoch_plan(&set, &sampling, 1, 0, 8);
    assert_eq!(plan.len(), 5);
    let made = |threads: usize, cache: usize| -> Vec<_> {
        let transform = Transform::origin(64);
        let pictures =
            TrainingPictures::new(Arc::clone(&set), transform, Augmentation::Strong, 7, cache);
        pictures.batches(&plan, 0, threads).map(Result::unwrap).collect()
    };
    let batches = made(1, 0);
    assert_eq!(batches, made(3, CACHE_BYTES));
    for batch in &batches {
        assert!(batch.sketches.iter().any(|value| *value < 1.0));
    }
}

#[test]
fn a_thousand_photos_are_read() {
    let Some(root) = data("photos1000") else { return };
    let mut photos: Vec<PathBuf> =
        fs_err::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    assert_eq!(photos.len(), 1000);
    let sources = photos.into_iter().step_by(10).map(SketchSource::Image).collect();
    let transform = Transform::origin(64);
    for batch in image_batches(sources, &transform, 32, 2) {
        let batch = batch.unwrap();
        assert!(batch.images.iter().all(|value| (-2.2..2.7).contains(value)));
    }
}
