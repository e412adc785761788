//! Strokes as someone else, or the same person from memory, would have drawn them.

use sbir_sketch::{Sketch, Stroke};

use super::geometry::{Bend, Geometry};
use super::{AugmentRanges, Random};

/// The longest piece of a line that stays straight when lines bend, as a share of the side.
const PIECE: f32 = 0.03;
/// How far a stroke drawn twice lies off, beside the range of a stroke's own move.
const SECOND: f32 = 0.008;

/// The sketch changed, on a canvas of 1 × 1. Of a sketch with strokes, at least one is left.
pub(super) fn changed(
    sketch: &Sketch,
    geometry: &Geometry,
    ranges: &AugmentRanges,
    random: &mut Random,
) -> Sketch {
    let [width, height] = sketch.canvas;
    let unit: Vec<Vec<[f32; 2]>> = sketch
        .strokes
        .iter()
        .filter(|stroke| !stroke.points.is_empty())
        .map(|stroke| stroke.points.iter().map(|[x, y]| [x / width, y / height]).collect())
        .collect();
    let kept = if random.chance(ranges.dropout) {
        survivors(&unit, ranges.keep, random)
    } else {
        vec![true; unit.len()]
    };
    let bend = Bend::draw(ranges.wobble, random);
    let mut strokes = Vec::with_capacity(unit.len());
    for (points, kept) in unit.iter().zip(kept) {
        if !kept {
            continue;
        }
        let points =
            if random.chance(ranges.partial) { part(points, random) } else { points.clone() };
        let bent: Vec<[f32; 2]> = if ranges.wobble > 0.0 {
            finer(&points).into_iter().map(|point| bend.at(point)).collect()
        } else {
            points
        };
        let turns = if random.chance(ranges.overdraw) { 2 } else { 1 };
        for turn in 0..turns {
            let own = Own::draw(&bent, ranges, turn, random);
            let points = bent.iter().map(|&point| geometry.forward(own.apply(point))).collect();
            strokes.push(Stroke::new(points));
        }
    }
    Sketch { canvas: [1.0, 1.0], strokes }
}

fn length(points: &[[f32; 2]]) -> f32 {
    points.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Which strokes are kept: down to a share of the length between `least` and all of it, long ones rather than short.
fn survivors(strokes: &[Vec<[f32; 2]>], least: f32, random: &mut Random) -> Vec<bool> {
    let lengths: Vec<f32> = strokes.iter().map(|points| length(points) + 0.01).collect();
    let wanted = random.between(least, 1.0) * lengths.iter().sum::<f32>();
    // Exponential clocks of rate √length: the first to ring are kept.
    let mut order: Vec<(f32, usize)> = lengths
        .iter()
        .enumerate()
        .map(|(index, length)| (-(1.0 - random.uniform()).ln() / length.sqrt(), index))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut kept = vec![false; strokes.len()];
    let mut sum = 0.0;
    for (_, index) in order {
        if sum >= wanted {
            break;
        }
        kept[index] = true;
        sum += lengths[index];
    }
    kept
}

/// A stroke without up to two fifths of it, at one of its ends.
fn part(points: &[[f32; 2]], random: &mut Random) -> Vec<[f32; 2]> {
    let fine = finer(points);
    let gone = (random.uniform() * 0.4 * fine.len() as f32) as usize;
    if random.chance(0.5) { fine[gone..].to_vec() } else { fine[..fine.len() - gone].to_vec() }
}

/// The same line with points no farther apart than [`PIECE`].
fn finer(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut fine = Vec::with_capacity(2 * points.len());
    fine.extend(points.first());
    for pair in points.windows(2) {
        // Far off the canvas nothing is seen: no more than a few pieces a line.
        let pieces = (distance(pair[0], pair[1]) / PIECE).ceil().clamp(1.0, 64.0) as usize;
        for piece in 1..=pieces {
            let share = piece as f32 / pieces as f32;
            fine.push([0, 1].map(|axis| pair[0][axis] + share * (pair[1][axis] - pair[0][axis])));
        }
    }
    fine
}

/// What happens to one stroke alone, about its middle.
struct Own {
    middle: [f32; 2],
    cosine: f32,
    sine: f32,
    shift: [f32; 2],
}

impl Own {
    fn draw(points: &[[f32; 2]], ranges: &AugmentRanges, turn: usize, random: &mut Random) -> Self {
        let count = points.len().max(1) as f32;
        let middle = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / count);
        let second = if turn == 0 { 0.0 } else { SECOND };
        let scale = random.signed(ranges.stroke_scale).exp();
        let (sine, cosine) = random.signed(ranges.stroke_turn).sin_cos();
        let shift = [(); 2].map(|()| random.signed(ranges.stroke_shift + second));
        Self { middle, cosine: cosine * scale, sine: sine * scale, shift }
    }

    fn apply(&self, point: [f32; 2]) -> [f32; 2] {
        let [x, y] = [0, 1].map(|axis| point[axis] - self.middle[axis]);
        [
            self.middle[0] + self.shift[0] + self.cosine * x - self.sine * y,
            self.middle[1] + self.shift[1] + self.sine * x + self.cosine * y,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strokes_survive_more_often() {
        let strokes: Vec<Vec<[f32; 2]>> =
            (0..20).map(|i| vec![[0.0, 0.0], [if i < 10 { 0.5 } else { 0.02 }, 0.0]]).collect();
        let mut counts = [0, 0];
        for seed in 0..200 {
            let kept = survivors(&strokes, 0.3, &mut Random::new(seed, &[]));
            assert!(kept.iter().any(|kept| *kept));
            for (index, kept) in kept.iter().enumerate() {
                counts[index / 10] += usize::from(*kept);
            }
        }
        assert!(counts[0] > counts[1] + 200, "{counts:?}");
    }

    #[test]
    fn finer_lines_are_the_same_lines() {
        let line = [[0.0, 0.0], [0.9, 0.0], [0.9, 0.01]];
        let fine = finer(&line);
        assert!((length(&fine) - length(&line)).abs() < 1e-5);
        assert!(fine.windows(2).all(|pair| distance(pair[0], pair[1]) <= PIECE + 1e-6));
        assert_eq!(finer(&line[..1]), line[..1]);
        let whole = part(&line, &mut Random::new(3, &[]));
        assert!(length(&whole) >= 0.55 * length(&line));
    }
}
