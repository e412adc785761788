//! From thin edges to strokes.

use super::edges::EdgeMap;
use super::{Plane, SketchifyOptions};
use crate::sketch::Stroke;

/// A stroke goes on where an edge is at least this share of the threshold.
const WEAK: f32 = 0.4;
/// The widest gap that is drawn over, in pixels.
const GAP: i32 = 5;
/// How sharply a stroke may turn from one pixel to the next (cosine).
const STRAIGHT: f32 = 0.25;

/// A stroke in the making.
struct Traced {
    points: Vec<[f32; 2]>,
    score: f32,
    length: f32,
}

/// Strokes along the edges in pixels, the most salient first.
pub(super) fn strokes(map: &EdgeMap, weights: &Plane, options: &SketchifyOptions) -> Vec<Stroke> {
    let (width, height) = (map.ridges.width, map.ridges.height);
    let side = width.max(height) as f32;
    let mut seeds: Vec<usize> =
        (0..width * height).filter(|&at| map.ridges.values[at] >= options.threshold).collect();
    seeds.sort_by(|&a, &b| map.ridges.values[b].total_cmp(&map.ridges.values[a]).then(a.cmp(&b)));
    let mut walker =
        Walker { map, weak: WEAK * options.threshold, used: vec![false; width * height] };
    let mut found = Vec::new();
    for seed in seeds {
        if walker.used[seed] {
            continue;
        }
        let path = walker.path(seed);
        let points: Vec<[f32; 2]> =
            path.iter().map(|&at| [(at % width) as f32, (at / width) as f32]).collect();
        let length = length(&points);
        if length < options.shortest * side {
            continue;
        }
        // Strength counts by its root: a strong edge is not drawn more often than a weak one.
        let mean = |value: &dyn Fn(usize) -> f32| {
            path.iter().map(|&at| value(at)).sum::<f32>() / path.len() as f32
        };
        let strength = mean(&|at| map.ridges.values[at]).sqrt();
        let score = length.powf(0.8) * strength * mean(&|at| weights.values[at]);
        found.push(Traced { points, score, length });
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut left = options.total * side;
    found
        .into_iter()
        .take_while(|traced| {
            let fits = left > 0.0;
            left -= traced.length;
            fits
        })
        .map(|traced| {
            let smooth = smoothed(closed(traced.points), 2);
            Stroke::new(simplified(&smooth, options.tolerance * side))
        })
        .collect()
}

/// Follows edges and remembers where it was.
struct Walker<'a> {
    map: &'a EdgeMap,
    weak: f32,
    used: Vec<bool>,
}

impl Walker<'_> {
    /// The pixels of an edge through `seed`, from one end to the other.
    fn path(&mut self, seed: usize) -> Vec<usize> {
        let along = self.map.along[seed];
        self.take(seed);
        let mut path = self.follow(seed, [-along[0], -along[1]]);
        path.reverse();
        path.push(seed);
        path.extend(self.follow(seed, along));
        path
    }

    /// Marks a pixel and those beside it across the edge, so that no stroke runs along it again.
    fn take(&mut self, at: usize) {
        let (width, height) = (self.map.ridges.width as i32, self.map.ridges.height as i32);
        let (x, y) = (at as i32 % width, at as i32 / width);
        let [ax, ay] = self.map.along[at];
        for step in -1..=1 {
            let (x, y) =
                (x + (ay * step as f32).round() as i32, y - (ax * step as f32).round() as i32);
            if (0..width).contains(&x) && (0..height).contains(&y) {
                self.used[(y * width + x) as usize] = true;
            }
        }
    }

    fn follow(&mut self, from: usize, mut heading: [f32; 2]) -> Vec<usize> {
        let width = self.map.ridges.width;
        let mut path = Vec::new();
        let mut at = from;
        while let Some(next) = self.next(at, heading) {
            let step = [
                (next % width) as f32 - (at % width) as f32,
                (next / width) as f32 - (at / width) as f32,
            ];
            let size = step[0].hypot(step[1]).max(1.0);
            // The edge's own direction, pointed forwards, and some of the way so far.
            let own = self.map.along[next];
            let sign = if own[0] * step[0] + own[1] * step[1] < 0.0 { -1.0 } else { 1.0 };
            let mixed = [0, 1]
                .map(|axis| 0.5 * heading[axis] + 0.3 * sign * own[axis] + 0.2 * step[axis] / size);
            let norm = mixed[0].hypot(mixed[1]).max(1e-6);
            heading = [mixed[0] / norm, mixed[1] / norm];
            self.take(next);
            path.push(next);
            at = next;
        }
        path
    }

    /// The best pixel to go on with: a neighbour, else one over a gap straight ahead.
    fn next(&self, at: usize, heading: [f32; 2]) -> Option<usize> {
        self.best(at, heading, 1, STRAIGHT)
            .or_else(|| self.best(at, heading, 2, 0.5))
            .or_else(|| (3..=GAP).find_map(|reach| self.best(at, heading, reach, 0.9)))
    }

    /// The best pixel on the border of the square of half side `reach` around `at`.
    fn best(&self, at: usize, heading: [f32; 2], reach: i32, straight: f32) -> Option<usize> {
        let (width, height) = (self.map.ridges.width as i32, self.map.ridges.height as i32);
        let (x, y) = (at as i32 % width, at as i32 / width);
        let mut best: Option<(f32, usize)> = None;
        for dy in -reach..=reach {
            let stride = if dy.abs() == reach { 1 } else { 2 * reach };
            for dx in (-reach..=reach).step_by(stride as usize) {
                let (x, y) = (x + dx, y + dy);
                if !(0..width).contains(&x) || !(0..height).contains(&y) {
                    continue;
                }
                let place = (y * width + x) as usize;
                let strength = self.map.ridges.values[place];
                if strength < self.weak || self.used[place] {
                    continue;
                }
                let distance = (dx as f32).hypot(dy as f32);
                let ahead = (heading[0] * dx as f32 + heading[1] * dy as f32) / distance;
                let own = self.map.along[place];
                let parallel = (heading[0] * own[0] + heading[1] * own[1]).abs();
                if ahead < straight || (reach > 1 && parallel < 0.7) {
                    continue;
                }
                let score = strength * (0.3 + ahead) * (0.3 + parallel) / distance;
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, place));
                }
            }
        }
        best.map(|(_, place)| place)
    }
}

fn length(points: &[[f32; 2]]) -> f32 {
    points.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Closes an outline whose ends nearly meet.
fn closed(mut points: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    if let (Some(&first), Some(&last)) = (points.first(), points.last())
        && points.len() > 20
        && distance(first, last) < 2.0 * GAP as f32
    {
        points.push(first);
    }
    points
}

/// Each inner point becomes a mean of itself and its neighbours, `rounds` times over five points.
pub(crate) fn smoothed(mut points: Vec<[f32; 2]>, rounds: usize) -> Vec<[f32; 2]> {
    for _ in 0..rounds {
        let last = points.len() - 1;
        points = (0..=last)
            .map(|index| {
                let reach = index.min(last - index).min(2);
                let near = &points[index - reach..=index + reach];
                let mean =
                    |axis: usize| near.iter().map(|p| p[axis]).sum::<f32>() / near.len() as f32;
                [mean(0), mean(1)]
            })
            .collect();
    }
    points
}

/// Leaves points out as long as the line stays within `tolerance` of them (Douglas and Peucker).
pub(crate) fn simplified(points: &[[f32; 2]], tolerance: f32) -> Vec<[f32; 2]> {
    if points.len() < 3 {
        return points.to_vec();
    }
    let mut keep = vec![false; points.len()];
    keep[0] = true;
    keep[points.len() - 1] = true;
    let mut open = vec![(0, points.len() - 1)];
    while let Some((first, last)) = open.pop() {
        let farthest = (first + 1..last)
            .map(|index| (off_segment(points[index], points[first], points[last]), index))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((off, index)) = farthest
            && off > tolerance
        {
            keep[index] = true;
            open.push((first, index));
            open.push((index, last));
        }
    }
    points.iter().zip(keep).filter(|(_, keep)| *keep).map(|(point, _)| *point).collect()
}

/// Distance of a point from a segment.
fn off_segment(point: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let way = [to[0] - from[0], to[1] - from[1]];
    let size = way[0] * way[0] + way[1] * way[1];
    if size == 0.0 {
        return distance(point, from);
    }
    let share = ((point[0] - from[0]) * way[0] + (point[1] - from[1]) * way[1]) / size;
    let share = share.clamp(0.0, 1.0);
    distance(point, [from[0] + share * way[0], from[1] + share * way[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simplifying_keeps_corners_only() {
        let mut points: Vec<[f32; 2]> = (0..10).map(|i| [i as f32, 0.0]).collect();
        points.extend((1..10).map(|i| [9.0, i as f32]));
        assert_eq!(simplified(&points, 0.1), [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]);
        assert_eq!(simplified(&points, 100.0).len(), 2);
        assert_eq!(simplified(&points[..1], 0.1).len(), 1);
    }

    #[test]
    fn smoothing_keeps_the_ends() {
        let zigzag: Vec<[f32; 2]> = (0..9).map(|i| [i as f32, (i % 2) as f32]).collect();
        let smooth = smoothed(zigzag.clone(), 2);
        assert_eq!((smooth[0], smooth[8]), (zigzag[0], zigzag[8]));
        assert!((2..7).all(|i| (smooth[i][1] - 0.5).abs() < 0.2));
    }
}
