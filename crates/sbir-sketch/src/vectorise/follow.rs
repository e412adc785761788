//! From thin lines to strokes: pieces between crossings, joined where they go on.

use crate::sketchify::Plane;

/// How far from a crossing a piece's direction is taken, in pixels beside half the line's width.
const BEFORE: usize = 2;
const AFTER: usize = 10;
/// How straight two pieces must go on to be one stroke (cosine of the turn): among several, and where they are alone.
const STRAIGHT: f32 = 0.5;
const ALONE: f32 = -0.2;

/// The eight neighbours of a pixel, clockwise from above.
pub(super) fn around(width: usize) -> [isize; 8] {
    let width = width as isize;
    [-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1]
}

/// Distance to the nearest pixel that is no ink, by steps of 1 and √2.
fn depth(mask: &Plane) -> Plane {
    let width = mask.width;
    let mut depth = mask.clone();
    let far = (mask.width + mask.height) as f32;
    depth.values.iter_mut().for_each(|value| *value *= far);
    let inner = width + 1..mask.values.len().saturating_sub(width + 1);
    let diagonal = std::f32::consts::SQRT_2;
    for at in inner.clone() {
        let near = [(1, 1.0), (width, 1.0), (width - 1, diagonal), (width + 1, diagonal)];
        for (back, step) in near {
            depth.values[at] = depth.values[at].min(depth.values[at - back] + step);
        }
    }
    for at in inner.rev() {
        let near = [(1, 1.0), (width, 1.0), (width - 1, diagonal), (width + 1, diagonal)];
        for (ahead, step) in near {
            depth.values[at] = depth.values[at].min(depth.values[at + ahead] + step);
        }
    }
    depth
}

/// A line from one crossing or end to the next.
struct Piece {
    pixels: Vec<usize>,
    /// The crossing at the first pixel and at the last.
    at: [Option<usize>; 2],
}

impl Piece {
    /// The pixel some steps from one of its ends.
    fn inwards(&self, end: usize, steps: usize) -> usize {
        let steps = steps.min(self.pixels.len() - 1);
        if end == 0 { self.pixels[steps] } else { self.pixels[self.pixels.len() - 1 - steps] }
    }
}

/// The lines of `thin` as points in pixels, the longest first; `mask` is the ink that they were thinned from.
pub(super) fn strokes(mask: &Plane, thin: &Plane) -> Vec<Vec<[f32; 2]>> {
    let width = thin.width;
    let lines = Lines {
        point: |at| [(at % width) as f32, (at / width) as f32],
        depth: depth(mask),
        around: around(width),
    };
    let mut crossings = Crossings::find(thin, &lines);
    let mut pieces = pieces(thin, &lines, &crossings);
    crossings.tidy(&mut pieces, &lines);
    let links = crossings.links(&pieces, &lines);
    let mut strokes = chains(&pieces, &links, &crossings, &lines);
    strokes.sort_by(|a, b| length(b).total_cmp(&length(a)));
    strokes
}

/// What all steps look at.
struct Lines<P> {
    point: P,
    depth: Plane,
    around: [isize; 8],
}

impl<P: Fn(usize) -> [f32; 2]> Lines<P> {
    /// The direction in which a piece arrives at one of its ends.
    fn arriving(&self, piece: &Piece, end: usize) -> [f32; 2] {
        let half = self.depth.values[piece.inwards(end, AFTER)] as usize;
        let long = piece.pixels.len() > BEFORE + half + 3;
        let to = (self.point)(piece.inwards(end, if long { BEFORE + half } else { 0 }));
        let from = (self.point)(piece.inwards(end, BEFORE + half + AFTER));
        let way = [to[0] - from[0], to[1] - from[1]];
        let size = way[0].hypot(way[1]).max(1e-6);
        way.map(|value| value / size)
    }
}

fn length(points: &[[f32; 2]]) -> f32 {
    points.windows(2).map(|pair| (pair[0][0] - pair[1][0]).hypot(pair[0][1] - pair[1][1])).sum()
}

/// Places where more than two lines meet. Several that lie close together are one, under the first one's number.
struct Crossings {
    /// By pixel.
    of: Vec<Option<usize>>,
    pixels: Vec<Vec<usize>>,
    /// The crossing that each became part of.
    part_of: Vec<usize>,
}

impl Crossings {
    fn find<P>(thin: &Plane, lines: &Lines<P>) -> Self {
        let line = |at: usize| thin.values[at] > 0.5;
        let branches = |at: usize| {
            let near = lines.around.map(|step| line(at.wrapping_add_signed(step)));
            (0..8).filter(|&place| !near[place] && near[(place + 1) % 8]).count()
        };
        let meets = |at: usize| line(at) && branches(at) >= 3;
        // With the first pixel of each branch, since those of two branches may touch.
        let is = |at: usize| {
            line(at)
                && (meets(at)
                    || lines.around.into_iter().any(|step| meets(at.wrapping_add_signed(step))))
        };
        let mut of = vec![None; thin.values.len()];
        let mut pixels = Vec::new();
        for start in 0..thin.values.len() {
            if thin.values[start] <= 0.5 || of[start].is_some() || !is(start) {
                continue;
            }
            let number = pixels.len();
            of[start] = Some(number);
            let mut region = vec![start];
            let mut next = 0;
            while let Some(&at) = region.get(next) {
                next += 1;
                for step in lines.around {
                    let place = at.wrapping_add_signed(step);
                    if of[place].is_none() && is(place) {
                        of[place] = Some(number);
                        region.push(place);
                    }
                }
            }
            pixels.push(region);
        }
        let part_of = (0..pixels.len()).collect();
        Self { of, pixels, part_of }
    }

    fn whole(&self, mut number: usize) -> usize {
        while self.part_of[number] != number {
            number = self.part_of[number];
        }
        number
    }

    /// Half the width of the lines at a crossing.
    fn half<P>(&self, number: usize, lines: &Lines<P>) -> f32 {
        self.pixels[number].iter().map(|&at| lines.depth.values[at]).fold(1.0, f32::max)
    }

    /// Unites crossings that thinning drew apart, and drops what it left standing out of a line's side.
    fn tidy<P>(&mut self, pieces: &mut Vec<Piece>, lines: &Lines<P>) {
        pieces.retain(|piece| match piece.at {
            [Some(a), Some(b)] => {
                let (a, b) = (self.whole(a), self.whole(b));
                let near = self.half(a, lines) + self.half(b, lines);
                let keep = piece.pixels.len() as f32 > near;
                if !keep && a != b {
                    self.part_of[b] = a;
                    let moved = std::mem::take(&mut self.pixels[b]);
                    self.pixels[a].extend(moved);
                }
                keep
            }
            _ => true,
        });
        for piece in &mut *pieces {
            piece.at = piece.at.map(|at| at.map(|number| self.whole(number)));
        }
        let mut ends = vec![0_usize; self.pixels.len()];
        for number in pieces.iter().flat_map(|piece| piece.at).flatten() {
            ends[number] += 1;
        }
        pieces.retain(|piece| match piece.at {
            [Some(number), None] | [None, Some(number)] => {
                let spur = piece.pixels.len() as f32 <= self.half(number, lines) + 0.5;
                let drop = spur && ends[number] > 2;
                ends[number] -= usize::from(drop);
                !drop
            }
            _ => true,
        });
    }

    /// For each piece and end, the piece and end that it goes on with.
    fn links<P: Fn(usize) -> [f32; 2]>(
        &self,
        pieces: &[Piece],
        lines: &Lines<P>,
    ) -> Vec<[Option<(usize, usize)>; 2]> {
        let mut at = vec![Vec::new(); self.pixels.len()];
        for (number, piece) in pieces.iter().enumerate() {
            for end in 0..2 {
                if let Some(crossing) = piece.at[end] {
                    at[crossing].push((number, end, lines.arriving(piece, end)));
                }
            }
        }
        let mut links = vec![[None; 2]; pieces.len()];
        for ends in at {
            let least = if ends.len() == 2 { ALONE } else { STRAIGHT };
            let mut pairs = Vec::new();
            for (place, (a, a_end, one)) in ends.iter().enumerate() {
                for (b, b_end, other) in &ends[place + 1..] {
                    let straight = -(one[0] * other[0] + one[1] * other[1]);
                    if straight > least {
                        pairs.push((straight, (*a, *a_end), (*b, *b_end)));
                    }
                }
            }
            pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (_, one, other) in pairs {
                if links[one.0][one.1].is_none() && links[other.0][other.1].is_none() {
                    links[one.0][one.1] = Some(other);
                    links[other.0][other.1] = Some(one);
                }
            }
        }
        links
    }
}

/// The lines without the crossings.
fn pieces<P>(thin: &Plane, lines: &Lines<P>, crossings: &Crossings) -> Vec<Piece> {
    let mut open: Vec<bool> = thin
        .values
        .iter()
        .zip(&crossings.of)
        .map(|(value, crossing)| *value > 0.5 && crossing.is_none())
        .collect();
    let near = |at: usize| lines.around.map(|step| at.wrapping_add_signed(step));
    let mut pieces = Vec::new();
    // From ends first; what is left then are rings.
    for rings in [false, true] {
        for start in 0..open.len() {
            let count = |open: &[bool]| near(start).into_iter().filter(|&at| open[at]).count();
            if !open[start] || !rings && count(&open) > 1 {
                continue;
            }
            open[start] = false;
            let mut pixels = vec![start];
            let mut at = start;
            // Beside before across, so that no corner is passed over.
            while let Some(next) = [0, 2, 4, 6, 1, 3, 5, 7]
                .into_iter()
                .map(|place| near(at)[place])
                .find(|&place| open[place])
            {
                open[next] = false;
                pixels.push(next);
                at = next;
            }
            let touching = |at: usize| near(at).into_iter().filter_map(|near| crossings.of[near]);
            let first = touching(start).next();
            let last = if pixels.len() == 1 {
                touching(start).find(|number| Some(*number) != first)
            } else {
                touching(at).next()
            };
            if rings && first.is_none() && pixels.len() > 4 && near(start).contains(&at) {
                pixels.push(start);
            }
            pieces.push(Piece { pixels, at: [first, last] });
        }
    }
    pieces
}

/// Pieces one after the other, as they are linked.
fn chains<P: Fn(usize) -> [f32; 2]>(
    pieces: &[Piece],
    links: &[[Option<(usize, usize)>; 2]],
    crossings: &Crossings,
    lines: &Lines<P>,
) -> Vec<Vec<[f32; 2]>> {
    let mut done = vec![false; pieces.len()];
    let mut strokes = Vec::new();
    // Where one begins, then those that have no beginning.
    for rings in [false, true] {
        for (start, link) in links.iter().enumerate() {
            let begins = [0, 1].into_iter().find(|&end| link[end].is_none() || rings);
            let Some(mut end) = begins.filter(|_| !done[start]) else { continue };
            let mut points = Vec::new();
            if !rings {
                points.extend(tip(&pieces[start], end, crossings, lines));
            }
            let mut number = start;
            loop {
                done[number] = true;
                let pixels = pieces[number].pixels.iter().map(|&at| (lines.point)(at));
                if end == 0 {
                    points.extend(pixels);
                } else {
                    points.extend(pixels.rev());
                }
                match links[number][1 - end] {
                    Some((next, entry)) if !done[next] => (number, end) = (next, entry),
                    Some(_) => {
                        points.extend(points.first().copied());
                        break;
                    }
                    None => {
                        points.extend(tip(&pieces[number], 1 - end, crossings, lines));
                        break;
                    }
                }
            }
            strokes.push(points);
        }
    }
    strokes
}

/// What thinning took from a line that goes on no further: up to the crossing, or half a width.
fn tip<P: Fn(usize) -> [f32; 2]>(
    piece: &Piece,
    end: usize,
    crossings: &Crossings,
    lines: &Lines<P>,
) -> Option<[f32; 2]> {
    let at = (lines.point)(piece.inwards(end, 0));
    if let Some(number) = piece.at[end] {
        let pixels = &crossings.pixels[number];
        let middle = [0, 1].map(|axis| {
            pixels.iter().map(|&at| (lines.point)(at)[axis]).sum::<f32>() / pixels.len() as f32
        });
        return Some(middle);
    }
    let closed = piece.pixels.len() > 1 && piece.pixels.first() == piece.pixels.last();
    let more = lines.depth.values[piece.inwards(end, 2)] - 1.0;
    if closed || more <= 0.0 || piece.pixels.len() < 4 {
        return None;
    }
    let [x, y] = lines.arriving(piece, end);
    let within = |value: f32, side: usize| value.clamp(0.0, (side - 1) as f32);
    Some([
        within(at[0] + more * x, lines.depth.width),
        within(at[1] + more * y, lines.depth.height),
    ])
}
