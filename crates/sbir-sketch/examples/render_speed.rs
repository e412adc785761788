//! Times the renderer on one thread: `render_speed strokes.ndjson [side] [style] [seconds]`.
//!
//! Prints `sketches/s` of each of five runs over all records of the file.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sbir_sketch::{LineStyle, Sketch, format::strokes_ndjson, render_into};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path: PathBuf = arguments.next().ok_or("name a strokes.ndjson file")?.into();
    let side: usize = arguments.next().map_or(Ok(224), |text| text.parse())?;
    let style: LineStyle =
        arguments.next().map_or(Ok(LineStyle::default()), |text| text.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;

    let records = strokes_ndjson::open(&path)?;
    let sketches: Vec<Sketch> =
        records.map(|record| record.map(|record| record.sketch)).collect::<Result<_, _>>()?;
    let points: usize = sketches.iter().map(Sketch::point_count).sum();
    println!("# {} sketches, {points} points, side {side}, style {style}", sketches.len());

    let mut pixels = Vec::new();
    for run in 0..5 {
        let start = Instant::now();
        let (mut drawn, mut ink) = (0_usize, 0_u64);
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            for sketch in &sketches {
                render_into(sketch, side, &style, &mut pixels);
                // Read something, so that nothing can be left out.
                ink += u64::from(255 - pixels[pixels.len() / 2]);
            }
            drawn += sketches.len();
        }
        let rate = drawn as f64 / start.elapsed().as_secs_f64();
        println!("sbir,{run},{rate:.0},{ink}");
    }
    Ok(())
}
