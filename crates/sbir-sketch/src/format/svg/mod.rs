//! SVG line art: every painted shape becomes polylines.
//!
//! `usvg` resolves styles, units, transforms, `<use>` and basic shapes; of what is painted, the course of
//! each stroke and the outline of each fill is taken, with curves flattened to within [`TOLERANCE`] of the
//! picture's longer side. The canvas is the picture's size. Left out: text, embedded and linked images
//! (nothing outside of the file is ever opened), and unstroked fills that cover the canvas, which are
//! backgrounds. Colours, line widths, dashes, clip paths, masks and filters have no effect.
//!
//! A hostile file costs an error: `guard.rs` bounds what it may expand to before `usvg` sees it.

mod guard;

use usvg::tiny_skia_path::{Path, PathSegment, Point};
use usvg::{ImageHrefResolver, Node, Options, Tree};

use crate::error::{Problem, one_line};
use crate::sketch::{MAX_POINTS, Sketch, Stroke};

/// Most bytes of an SVG file.
pub const MAX_BYTES: u64 = 4 << 20;
/// Largest distance of a flattened curve from its polyline, as a share of the canvas' longer side: a
/// twentieth of a pixel at 256 pixels.
pub const TOLERANCE: f32 = 2e-4;
/// Most straight pieces of one curve.
const MAX_PIECES: f32 = 1000.0;

/// Reads one sketch; its canvas is the picture's size in SVG user units. The strokes have no times.
///
/// # Errors
///
/// A [`Problem`] when the bytes are no SVG, it has no size, it would expand beyond measure, or the sketch
/// breaks a limit of [`Sketch::new`].
pub fn parse(bytes: &[u8]) -> Result<Sketch, Problem> {
    let syntax = |detail: String| Problem::Syntax { format: "SVG", detail: one_line(&detail) };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::TooLarge { limit: MAX_BYTES });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| syntax(e.to_string()))?;
    let document = guard::document(text)?;
    let options = Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let tree = Tree::from_xmltree(&document, &options).map_err(|e| syntax(e.to_string()))?;
    let size = tree.size();
    let mut flattener = Flattener {
        size: [size.width(), size.height()],
        tolerance: size.width().max(size.height()) * TOLERANCE,
        strokes: Vec::new(),
        points: 0,
    };
    // Drawn from a list, not by recursion: the nesting is the file's.
    let mut nodes: Vec<&Node> = tree.root().children().iter().rev().collect();
    while let Some(node) = nodes.pop() {
        match node {
            Node::Group(group) => nodes.extend(group.children().iter().rev()),
            Node::Path(path) if path.is_visible() => flattener.add(path)?,
            Node::Path(_) | Node::Image(_) | Node::Text(_) => {}
        }
    }
    Sketch::check(flattener.size, flattener.strokes)
}

/// Collects polylines.
struct Flattener {
    size: [f32; 2],
    tolerance: f32,
    strokes: Vec<Stroke>,
    points: usize,
}

impl Flattener {
    fn add(&mut self, path: &usvg::Path) -> Result<(), Problem> {
        let Some(placed) = path.data().clone().transform(path.abs_transform()) else {
            // The transform takes the shape to infinity.
            return Err(Problem::NonFinite { stroke: self.strokes.len(), point: 0 });
        };
        if path.stroke().is_none() && self.is_background(&placed) {
            return Ok(());
        }
        let mut line: Vec<[f32; 2]> = Vec::new();
        for segment in placed.segments() {
            let from = line.last().copied().unwrap_or_default();
            match segment {
                PathSegment::MoveTo(to) => {
                    self.close(&mut line);
                    line.push([to.x, to.y]);
                }
                PathSegment::LineTo(to) => line.push([to.x, to.y]),
                PathSegment::QuadTo(control, to) => {
                    // The same curve as a cubic.
                    let third = |end: f32, control: f32| end + (control - end) * 2.0 / 3.0;
                    let (c, t) = ([control.x, control.y], [to.x, to.y]);
                    let first = [third(from[0], c[0]), third(from[1], c[1])];
                    let second = [third(t[0], c[0]), third(t[1], c[1])];
                    self.cubic([from, first, second, t], &mut line);
                }
                PathSegment::CubicTo(first, second, to) => {
                    let pair = |p: Point| [p.x, p.y];
                    self.cubic([from, pair(first), pair(second), pair(to)], &mut line);
                }
                PathSegment::Close => {
                    if let Some(&first) = line.first() {
                        line.push(first);
                        self.close(&mut line);
                        // What follows without a move goes on from the start.
                        line.push(first);
                    }
                }
            }
            let found = self.points + line.len();
            if found > MAX_POINTS {
                return Err(Problem::TooManyPoints { found });
            }
        }
        self.close(&mut line);
        Ok(())
    }

    /// Ends a polyline. A lone point draws nothing in SVG.
    fn close(&mut self, line: &mut Vec<[f32; 2]>) {
        let line = std::mem::take(line);
        if line.len() > 1 {
            self.points += line.len();
            self.strokes.push(Stroke::new(line));
        }
    }

    /// Appends a cubic Bézier curve without its first point. The number of pieces is Wang's bound: with
    /// second differences of at most `d`, `√(3/4 · d / tolerance)` even steps stay within the tolerance.
    fn cubic(&self, curve: [[f32; 2]; 4], line: &mut Vec<[f32; 2]>) {
        let [a, b, c, d] = curve;
        let bend = |p: [f32; 2], q: [f32; 2], r: [f32; 2]| {
            (p[0] - 2.0 * q[0] + r[0]).hypot(p[1] - 2.0 * q[1] + r[1])
        };
        let bend = bend(a, b, c).max(bend(b, c, d));
        let pieces = (0.75 * bend / self.tolerance).sqrt().ceil().clamp(1.0, MAX_PIECES);
        for piece in 1..pieces as u32 {
            let t = piece as f32 / pieces;
            let s = 1.0 - t;
            let weights = [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t];
            let mix = |axis: usize| {
                weights.iter().zip(&curve).map(|(weight, point)| weight * point[axis]).sum()
            };
            line.push([mix(0), mix(1)]);
        }
        line.push(d);
    }

    /// Whether a fill covers the whole canvas.
    fn is_background(&self, path: &Path) -> bool {
        let bounds = path.bounds();
        let slack = self.tolerance;
        bounds.left() <= slack
            && bounds.top() <= slack
            && bounds.right() >= self.size[0] - slack
            && bounds.bottom() >= self.size[1] - slack
    }
}

#[cfg(test)]
mod tests;
