//! Real data, where it is at hand: `SBIR_DATA`, or `../shared/data` beside the workspace.

use std::path::{Path, PathBuf};

use sbir_data::{
    Dataset, DatasetKind, Error, OpenOptions, SketchKind, SketchSource, Transform, image_batches,
    open,
};

/// The folder of a dataset; `None`, after a line that says so, where it is missing. In CI that is a failure.
fn data(name: &str) -> Option<PathBuf> {
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
