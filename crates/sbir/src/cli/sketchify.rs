//! `sbir sketchify`.

use std::path::Path;

use rayon::prelude::*;
use sbir_data::{Orientation, draw};
use sbir_eval::atomic::write_atomically;
use sbir_sketch::Sketch;

use super::args::SketchifyArgs;
use super::failure::Failure;
use super::{output, report};

pub(crate) fn run(args: &SketchifyArgs) -> Result<(), Failure> {
    fs_err::create_dir_all(&args.out)?;
    let options = args.style.into();
    let results: Vec<Result<(), Failure>> = args
        .photos
        .par_iter()
        .map(|photo| {
            let sketch = draw(photo, &options, Orientation::Exif)?;
            let stem = photo.file_stem().unwrap_or(photo.as_os_str());
            write(&args.out.join(stem), &sketch, args.svg)
        })
        .collect();
    let count = results.len();
    results.into_iter().collect::<Result<(), _>>()?;
    output::line(&format!("{count} drawings in {}", args.out.display()))
}

fn write(stem: &Path, sketch: &Sketch, svg: bool) -> Result<(), Failure> {
    let (extension, text) = if svg {
        ("svg", report::drawing(sketch))
    } else {
        let strokes: Vec<_> = sketch.strokes.iter().map(|stroke| &stroke.points).collect();
        let value = serde_json::json!({ "canvas": sketch.canvas, "strokes": strokes });
        ("json", value.to_string())
    };
    // Added, not put in the place of an ending: a name may hold dots.
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    write_atomically(Path::new(&name), |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(())
}
