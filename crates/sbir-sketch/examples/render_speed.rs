//! Times the renderer on one thread: `render_speed strokes.ndjson [side] [style] [seconds]`.
//!
//! Prints `sbir,<run>,<sketches per second of processor time>,<checksum>` for each of five runs over all
//! records of the file. Processor time, where the system tells it (Linux), so that other programs do not
//! count; else the time on the clock.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use sbir_sketch::{LineStyle, Sketch, format::strokes_ndjson, render_into};

/// Seconds that this thread has run.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn seconds(&self) -> f64 {
        // The first number is nanoseconds on a processor.
        let stat = fs_err::read_to_string("/proc/thread-self/schedstat").ok();
        let nanoseconds = stat.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        nanoseconds.map_or_else(|| self.0.elapsed().as_secs_f64(), |count| count * 1e-9)
    }
}

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

    let clock = Clock::start();
    let mut pixels = Vec::new();
    for run in 0..5 {
        let start = clock.seconds();
        let (mut drawn, mut ink) = (0_usize, 0_u64);
        while clock.seconds() - start < seconds {
            for sketch in &sketches {
                render_into(sketch, side, &style, &mut pixels);
                // Read something, so that nothing can be left out.
                ink += u64::from(255 - pixels[side / 2 * side + side / 2]);
            }
            drawn += sketches.len();
        }
        let rate = drawn as f64 / (clock.seconds() - start);
        println!("sbir,{run},{rate:.0},{ink}");
    }
    Ok(())
}
