//! Edges: smoothing that keeps them, their strength and direction, thinned.

use super::Plane;

/// Radius of the guided filter in pixels, and the variance below which it smooths.
const RADIUS: usize = 4;
const SMALL_VARIANCE: f32 = 0.0025;
/// Blur that the rolling begins with, in pixels: what is smaller does not come back.
const SMALL_SIZE: f32 = 2.5;
/// Scales of the gradients, in pixels, and what each counts.
const SCALES: [(f32, f32); 3] = [(1.0, 0.4), (2.0, 0.35), (4.0, 0.25)];
/// Width of the surroundings that weaken an edge, in pixels: outer and inner Gaussian.
const SURROUND: [f32; 2] = [9.0, 2.5];

/// The guided filter of each of the planes by itself, rolled `times` times.
pub(super) fn rolled(planes: &[Plane; 3], times: usize) -> [Plane; 3] {
    let mut guide =
        planes.clone().map(|plane| plane.gaussian(if times == 0 { 0.7 } else { SMALL_SIZE }));
    let means = planes.each_ref().map(|plane| plane.box_blur(RADIUS));
    for _ in 0..times {
        // One guide for all planes, so that an edge in one of them keeps the edges of the others sharp.
        let guide_means = guide.each_ref().map(|plane| plane.box_blur(RADIUS));
        let next = [0, 1, 2].map(|channel| {
            guided(&guide[channel], &guide_means[channel], &planes[channel], &means[channel])
        });
        guide = next;
    }
    guide
}

/// He, Sun and Tang's guided filter, grey guide.
fn guided(guide: &Plane, guide_mean: &Plane, input: &Plane, input_mean: &Plane) -> Plane {
    let squares = guide.zip(guide, |a, b| a * b).box_blur(RADIUS);
    let products = guide.zip(input, |a, b| a * b).box_blur(RADIUS);
    let variance = squares.zip(guide_mean, |square, mean| (square - mean * mean).max(0.0));
    let means = guide_mean.zip(input_mean, |a, b| a * b);
    let covariance = products.zip(&means, |product, means| product - means);
    let slope = covariance.zip(&variance, |c, v| c / (v + SMALL_VARIANCE));
    let offset = input_mean.zip(&slope.zip(guide_mean, |a, b| a * b), |mean, part| mean - part);
    let (slope, offset) = (slope.box_blur(RADIUS), offset.box_blur(RADIUS));
    slope.zip(guide, |a, b| a * b).zip(&offset, |a, b| a + b)
}

/// Edges of a picture.
pub(super) struct EdgeMap {
    /// Strength where an edge is strongest across its direction, else 0.
    pub(super) ridges: Plane,
    /// The edge's direction, a unit vector along it.
    pub(super) along: Vec<[f32; 2]>,
}

impl EdgeMap {
    /// Edges of the planes together, each weakened by `suppression` times the mean strength around it.
    pub(super) fn new(planes: &[Plane; 3], suppression: f32) -> Self {
        let (width, height) = (planes[0].width, planes[0].height);
        let mut strength = Plane::new(width, height);
        // Σ over scales of weight · strength · (cos 2θ, sin 2θ): directions that agree add up.
        let mut turn = vec![[0.0_f32; 2]; width * height];
        for (sigma, weight) in SCALES {
            let blurred = planes.each_ref().map(|plane| plane.gaussian(sigma));
            // A step of height h blurred by σ has the slope h / (σ √2π).
            let factor = weight * sigma * 2.506_628;
            let mut tensors = vec![[0.0_f32; 3]; width];
            for y in 0..height {
                tensors.fill([0.0; 3]);
                for plane in &blurred {
                    let row = |y: usize| &plane.values[y * width..(y + 1) * width];
                    let (above, own, below) =
                        (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
                    let sides = own.windows(3).map(|three| three[2] - three[0]);
                    let ends = [own[1] - own[0], own[width - 1] - own[width - 2]];
                    let across =
                        ends[..1].iter().copied().chain(sides).chain(ends[1..].iter().copied());
                    let down = below.iter().zip(above).map(|(below, above)| below - above);
                    for ((tensor, dx), dy) in tensors.iter_mut().zip(across).zip(down) {
                        tensor[0] += dx * dx;
                        tensor[1] += dx * dy;
                        tensor[2] += dy * dy;
                    }
                }
                let row = y * width..(y + 1) * width;
                let results = strength.values[row.clone()].iter_mut().zip(&mut turn[row]);
                for ([xx, xy, yy], (strength, turn)) in tensors.iter().zip(results) {
                    let difference = xx - yy;
                    let root = (difference * difference + 4.0 * xy * xy).sqrt();
                    // Differences over two pixels: half of them is the slope.
                    let slope = factor * 0.5 * (0.5 * (xx + yy + root)).sqrt();
                    *strength += slope;
                    if root > 0.0 {
                        turn[0] += slope * difference / root;
                        turn[1] += slope * 2.0 * xy / root;
                    }
                }
            }
        }
        let outer = strength.gaussian(SURROUND[0]);
        let inner = strength.gaussian(SURROUND[1]);
        // The ring's mean: the inner disc's share taken out of the outer one's.
        let share = (SURROUND[1] / SURROUND[0]).powi(2);
        let ring =
            outer.zip(&inner, |outer, inner| (outer - share * inner).max(0.0) / (1.0 - share));
        let weakened =
            strength.zip(&ring, |strength, ring| (strength - suppression * ring).max(0.0));
        let along: Vec<[f32; 2]> = turn
            .iter()
            .map(|[c, s]| {
                let across = 0.5 * s.atan2(*c);
                [-across.sin(), across.cos()]
            })
            .collect();
        let ridges = thinned(&weakened, &along);
        Self { ridges, along }
    }
}

/// Keeps what is strongest across the edge; the picture's outermost pixels hold no edge.
fn thinned(strength: &Plane, along: &[[f32; 2]]) -> Plane {
    let mut ridges = Plane::new(strength.width, strength.height);
    for y in 1..strength.height - 1 {
        for x in 1..strength.width - 1 {
            let index = y * strength.width + x;
            let own = strength.values[index];
            if own <= 0.0 {
                continue;
            }
            let [ax, ay] = along[index];
            let (px, py) = (x as f32, y as f32);
            let one = strength.between(px + ay, py - ax);
            let other = strength.between(px - ay, py + ax);
            if own >= one && own > other {
                ridges.values[index] = own;
            }
        }
    }
    ridges
}
