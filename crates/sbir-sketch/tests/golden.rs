//! Pictures made by OpenCV, Pillow and numpy (`scripts/parity/opencv_lines.py`), none of them ours.

use std::path::{Path, PathBuf};

use sbir_sketch::format::strokes_ndjson::{self, Record};
use sbir_sketch::{LineStyle, render};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn records() -> Vec<Record> {
    let records = strokes_ndjson::open(&folder().join("strokes.ndjson")).unwrap();
    records.map(Result::unwrap).collect()
}

/// A PBM or PGM file's data, behind the last blank of its header of `fields` words.
fn body(name: &str, fields: usize) -> Vec<u8> {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    let mut blanks = bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_whitespace());
    let (end, _) = blanks.nth(fields - 1).unwrap();
    bytes[end + 1..].to_vec()
}

/// Compares each record's picture with its golden one; `bound` is the largest difference.
fn compare(name: &str, golden: &[u8], side: usize, style: &LineStyle, bound: u8) {
    let records = records();
    assert_eq!(golden.len(), records.len() * side * side, "{name}");
    for (record, golden) in records.iter().zip(golden.chunks_exact(side * side)) {
        let raster = render(&record.sketch, side, style);
        let ink = golden.iter().filter(|&&pixel| pixel < 255).count();
        assert!(ink > 100, "{name}: the golden picture is empty");
        let worst = raster.pixels.iter().zip(golden).map(|(a, b)| a.abs_diff(*b)).max();
        let off = raster.pixels.iter().zip(golden).filter(|(a, b)| a.abs_diff(**b) > bound).count();
        assert_eq!(off, 0, "{name}, {:?}: {off} pixels differ, by up to {worst:?}", record.name);
    }
}

#[test]
fn fscoco_lines_are_opencvs() {
    let bits = body("opencv.pbm", 3);
    // In PBM a set bit is black, the highest bit first.
    let golden: Vec<u8> = bits
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| if byte >> (7 - bit) & 1 == 1 { 0 } else { 255 }))
        .collect();
    compare("opencv.pbm", &golden, 256, &LineStyle::FsCoco, 0);
}

#[test]
fn fscoco_lines_are_resized_as_pillow_does() {
    compare("pillow_96.pgm", &body("pillow_96.pgm", 4), 96, &LineStyle::FsCoco, 0);
}

#[test]
fn antialiased_lines_follow_the_definition() {
    compare("capsules_96.pgm", &body("capsules_96.pgm", 4), 96, &LineStyle::default(), 1);
}

#[test]
fn a_canvas_is_stretched_onto_the_square() {
    for record in records() {
        let mut wide = record.sketch.clone();
        wide.canvas[0] *= 2.0;
        for point in wide.strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
            point[0] *= 2.0;
        }
        for style in [LineStyle::default(), LineStyle::FsCoco] {
            assert!(render(&wide, 224, &style) == render(&record.sketch, 224, &style), "{style}");
        }
    }
}
