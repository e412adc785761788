//! Raster sketches that are changed as strokes.

use std::path::Path;
use std::sync::Arc;

use sbir_data::{
    AugmentRanges, Augmentation, CACHE_BYTES, OpenOptions, Sampling, SketchSource,
    TrainingPictures, Transform, epoch_plan, open, traced,
};
use sbir_sketch::{LineStyle, Sketch, Stroke, render};

use crate::fscoco::Folder;
use crate::pictures::{encoded, jpeg};
use crate::real::data;

/// A zigzag as a picture of `side` pixels.
fn zigzag(side: usize, width: f32) -> image::DynamicImage {
    let stroke = Stroke::new(vec![[20.0, 20.0], [80.0, 30.0], [25.0, 70.0], [75.0, 85.0]]);
    let sketch = Sketch::new([100.0; 2], vec![stroke]).unwrap();
    let drawn = render(&sketch, side, &LineStyle::Antialiased { width: width / side as f32 });
    image::GrayImage::from_raw(side as u32, side as u32, drawn.pixels).unwrap().into()
}

#[test]
fn a_raster_sketch_is_drawn_anew_by_the_renderer() {
    let folder = Folder::new();
    for n in 0..4_u8 {
        folder.write(&format!("photo/{n}.jpg"), jpeg(40, 40, n * 20));
        let sketch = encoded(&zigzag(200 + usize::from(n), 1.2), image::ImageFormat::Png);
        folder.write(&format!("sketch/{n}.png"), sketch);
    }
    // Nothing to find here: it stays a picture.
    let blank = image::GrayImage::from_pixel(64, 64, image::Luma([255])).into();
    folder.write("sketch/3.png", encoded(&blank, image::ImageFormat::Png));
    folder.write("test.txt", "0\n");
    let set = Arc::new(open(folder.path(), &OpenOptions::default()).unwrap().train);
    let transform = Transform::origin(96);
    let epoch = |trace: f32, cache: usize| {
        let ranges = AugmentRanges { trace, ..AugmentRanges::still() };
        let pictures = TrainingPictures::new(
            Arc::clone(&set),
            transform.clone(),
            Augmentation::Custom(ranges),
            5,
            cache,
        );
        let plan = epoch_plan(&set, &Sampling::default(), 5, 0, 3);
        // Twice, so that the second comes from memory.
        let batches = || pictures.batches(&plan, 0, 2).next().unwrap().unwrap();
        let first = batches();
        assert_eq!(first, batches());
        first
    };
    let (traced_batch, raster) = (epoch(1.0, CACHE_BYTES), epoch(0.0, CACHE_BYTES));
    assert_eq!(traced_batch, epoch(1.0, 0), "the memory that is kept decides nothing");
    for (place, index) in traced_batch.indices.iter().enumerate() {
        let of = |values: &[f32]| values[place * transform.len()..][..transform.len()].to_vec();
        let (found, as_is) = (of(&traced_batch.sketches), of(&raster.sketches));
        let SketchSource::Image(path) = &set.pairs[*index].sketch else { panic!() };
        let strokes = traced(path).unwrap();
        if strokes.is_blank() {
            assert_eq!(found, as_is);
            continue;
        }
        let expected = transform.load_sketch(&SketchSource::Strokes(Arc::new(strokes))).unwrap();
        let off = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() > 0.1).count();
        assert!(off < transform.len() / 200, "{off} values differ");
        // The lines of the renderer, not the thin ones of the picture.
        let light = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!(light(&found) < light(&as_is) - 0.05);
    }
}

/// Places of a grid of so many cells a side.
const CELLS: usize = 80;

fn cell(x: f32, y: f32) -> usize {
    let at = |value: f32| ((value * CELLS as f32) as usize).min(CELLS - 1);
    at(y) * CELLS + at(x)
}

/// The share of marks with one of the others in their cell or beside it.
fn covered(marks: &[usize], others: &[usize]) -> f64 {
    let mut near = vec![false; CELLS * CELLS];
    for other in others {
        for dy in 0..3 {
            for dx in 0..3 {
                let (y, x) = (other / CELLS + dy, other % CELLS + dx);
                if (1..=CELLS).contains(&y) && (1..=CELLS).contains(&x) {
                    near[(y - 1) * CELLS + x - 1] = true;
                }
            }
        }
    }
    marks.iter().filter(|mark| near[**mark]).count() as f64 / marks.len().max(1) as f64
}

#[test]
fn strokes_of_real_sketches_lie_on_their_ink() {
    // What is least covered of the ink: PACS has filled parts, of which lines cover little.
    for (name, least) in
        [("shoe304/sketch", 0.98), ("bsds500/train/contour", 0.98), ("pacs/sketch/dog", 0.95)]
    {
        let Some(folder) = data(name) else { return };
        let mut paths: Vec<_> =
            fs_err::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut shares = [0.0; 2];
        let count = 12;
        for path in paths.iter().step_by(paths.len() / count).take(count) {
            let [ink_seen, on_ink] = compared(path);
            assert!(ink_seen > least - 0.1 && on_ink > 0.9, "{path:?}: {ink_seen} {on_ink}");
            shares = [shares[0] + ink_seen / count as f64, shares[1] + on_ink / count as f64];
        }
        eprintln!("{name}: {:.3} of the ink, {:.3} of the strokes", shares[0], shares[1]);
        assert!(shares[0] > least && shares[1] > 0.98, "{name}: {shares:?}");
    }
}

/// How much of the ink strokes cover, and how much of the strokes lies on ink.
fn compared(path: &Path) -> [f64; 2] {
    let picture = image::open(path).unwrap().into_luma8();
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let ink: Vec<usize> = picture
        .enumerate_pixels()
        .filter(|(.., pixel)| pixel.0[0] < 170)
        .map(|(x, y, _)| cell(x as f32 / width, y as f32 / height))
        .collect();
    let mut strokes = Vec::new();
    for stroke in traced(path).unwrap().strokes {
        for pair in stroke.points.windows(2) {
            strokes.extend((0..=20).map(|step| {
                let share = step as f32 / 20.0;
                let at = |axis: usize| pair[0][axis] + share * (pair[1][axis] - pair[0][axis]);
                cell(at(0) / width, at(1) / height)
            }));
        }
    }
    [covered(&ink, &strokes), covered(&strokes, &ink)]
}
