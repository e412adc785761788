//! Draws line drawings anew as from memory, for want of freehand scenes to evaluate on.
//!
//! `redraw FOLDER OUT [STRENGTH]` finds the strokes of every PNG in FOLDER, keeps the long ones (60 % of the length), and
//! moves, turns, scales and bends them by random amounts: the drawing as a whole by some 4 % of its side, 6° and 10 %, each
//! stroke by 2 %, 6° and 12 %, lines by 2 %; all times STRENGTH (1). It is written to OUT under the same name, 256 pixels
//! wide and high. Apart from the augmentation that encoders are trained with: normal where that is uniform, and with
//! draws of its own.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::f32::consts::TAU;
use std::path::PathBuf;

use sbir_data::{SplitMix64, traced};
use sbir_sketch::{LineStyle, Sketch, Stroke, render};

const SIDE: u32 = 256;
const KEPT: f32 = 0.6;

struct Normal(SplitMix64);

impl Normal {
    fn uniform(&mut self) -> f32 {
        (self.0.below(1 << 24) as f32 + 0.5) / (1 << 24) as f32
    }

    /// Box and Muller's.
    fn draw(&mut self, deviation: f32) -> f32 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        deviation * radius * (TAU * self.uniform()).cos()
    }
}

/// A turn, two scales and a move about a point.
struct Map {
    about: [f32; 2],
    turn: f32,
    scales: [f32; 2],
    shift: [f32; 2],
}

impl Map {
    fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (sine, cosine) = self.turn.sin_cos();
        let [x, y] = [(x - self.about[0]) * self.scales[0], (y - self.about[1]) * self.scales[1]];
        [
            self.about[0] + self.shift[0] + cosine * x - sine * y,
            self.about[1] + self.shift[1] + sine * x + cosine * y,
        ]
    }
}

fn length(points: &[[f32; 2]]) -> f32 {
    points.windows(2).map(|pair| (pair[0][0] - pair[1][0]).hypot(pair[0][1] - pair[1][1])).sum()
}

fn redrawn(sketch: &Sketch, strength: f32, random: &mut Normal) -> Sketch {
    let [width, height] = sketch.canvas;
    let mut strokes: Vec<Vec<[f32; 2]>> = sketch
        .strokes
        .iter()
        .map(|stroke| stroke.points.iter().map(|[x, y]| [x / width, y / height]).collect())
        .collect();
    strokes.sort_by(|a, b| length(b).total_cmp(&length(a)));
    let wanted = KEPT * strokes.iter().map(|points| length(points)).sum::<f32>();
    let mut sum = 0.0;
    strokes.retain(|points| {
        let keep = sum < wanted;
        sum += length(points);
        keep
    });
    let degree = TAU / 360.0;
    let scale = random.draw(0.1 * strength);
    let aspect = random.draw(0.1 * strength) / 2.0;
    let whole = Map {
        about: [0.5; 2],
        turn: random.draw(6.0 * degree * strength),
        scales: [(scale + aspect).exp(), (scale - aspect).exp()],
        shift: [random.draw(0.04 * strength), random.draw(0.04 * strength)],
    };
    let waves: Vec<_> = (0..4)
        .map(|_| {
            let (direction, times) = (TAU * random.uniform(), 0.5 + 2.0 * random.uniform());
            let vector = [TAU * times * direction.cos(), TAU * times * direction.sin()];
            (vector, TAU * random.uniform(), [(); 2].map(|()| random.draw(0.01 * strength)))
        })
        .collect();
    let strokes = strokes.into_iter().map(|points| {
        let count = points.len().max(1) as f32;
        let own = Map {
            about: [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / count),
            turn: random.draw(6.0 * degree * strength),
            scales: [random.draw(0.12 * strength).exp(); 2],
            shift: [random.draw(0.02 * strength), random.draw(0.02 * strength)],
        };
        let bent = |[x, y]: [f32; 2]| {
            waves.iter().fold([x, y], |[u, v], (vector, phase, amount)| {
                let wave = (vector[0] * x + vector[1] * y + phase).sin();
                [u + amount[0] * wave, v + amount[1] * wave]
            })
        };
        Stroke::new(points.iter().map(|&point| whole.apply(own.apply(bent(point)))).collect())
    });
    Sketch { canvas: [1.0; 2], strokes: strokes.collect() }
}

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (from, out) = (arguments.next().expect("FOLDER"), arguments.next().expect("OUT"));
    let strength = arguments.next().map_or(1.0, |text| text.to_str().unwrap().parse().unwrap());
    fs_err::create_dir_all(&out).unwrap();
    let mut names: Vec<_> =
        fs_err::read_dir(&from).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut random = Normal(SplitMix64::new(7));
    for name in &names {
        let sketch = redrawn(&traced(&from.join(name)).unwrap(), strength, &mut random);
        let raster = render(&sketch, SIDE as usize, &LineStyle::FsCoco);
        let image = image::GrayImage::from_raw(SIDE, SIDE, raster.pixels).unwrap();
        image.save_with_format(out.join(name), image::ImageFormat::Png).unwrap();
    }
    println!("{} drawings in {}", names.len(), out.display());
}
