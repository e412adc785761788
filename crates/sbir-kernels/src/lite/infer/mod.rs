//! Embedding with EfficientNet-Lite: the forward pass alone, over maps in vectors of channels, `[vectors, pixels, LANES]`.
//!
//! A block is two phases: the expanding product and the depthwise convolution of a few channels at a time, which stay in the first-level
//! cache between the two, and the projecting product. With as many pictures as threads each thread takes whole pictures; with fewer, threads
//! share the tiles of one. A phase whose plane is small is cut by channels, so that each core reads a part of the weights; one whose plane
//! is large by rows. What a value is does not depend on any of it.

mod chunks;
mod product;
mod tiles;
mod window;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use self::chunks::{Chunk, Pointwise, Taps, even, pairs};
use self::product::Ahead;
use self::tiles::{Embed, Features, Filter, Project, Source};
use self::window::Window;
use super::LiteWeights;
use super::plan::{BlockSpec, LiteSpec};
use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::Lanes;
use crate::panels::spans::{Shared, Span};
use crate::panels::team::{self, End};

/// `torch.nn.functional.normalize`'s epsilon.
const LENGTH_EPSILON: f32 = 1e-12;
/// Rows from which on a plane is cut into bands of rows, not only into channels.
const BANDS_FROM: usize = 40;
/// Pixels of a plane of which each thread's part makes a few tiles of rows.
const PARTS_FROM: usize = 56;

#[derive(Debug)]
struct Block<T> {
    spec: BlockSpec,
    /// The first block's is the stem.
    expand: Pointwise<T>,
    filter: Taps,
    project: Pointwise<T>,
}

/// A network for some instructions and operands.
pub(super) struct Engine<L: Lanes> {
    spec: LiteSpec,
    blocks: Vec<Block<L::Operand>>,
    features: Pointwise<L::Operand>,
    projection: Pointwise<L::Operand>,
    /// Memory of pictures that were embedded before.
    idle: Mutex<Vec<Maps<L::Operand>>>,
}

impl<L: Lanes> fmt::Debug for Engine<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({:?})", self.spec)
    }
}

/// What an encoder needs of an engine.
pub(super) trait Infer: Send + Sync + fmt::Debug {
    fn embed(&self, pixels: &[f32], side: usize) -> Vec<f32>;
}

/// Maps of one picture, used again by the next.
struct Maps<T> {
    /// Blocks' outputs, in turn.
    values: [Buffer<f32>; 2],
    /// The same as operands, where those are something else.
    operands: [Buffer<T>; 2],
    /// The depthwise convolution's output.
    filtered: Buffer<T>,
    pooled: Buffer<f32>,
    embedding: Buffer<f32>,
}

impl<T: Plain> Default for Maps<T> {
    fn default() -> Self {
        Self {
            values: Default::default(),
            operands: Default::default(),
            filtered: Buffer::default(),
            pooled: Buffer::default(),
            embedding: Buffer::default(),
        }
    }
}

/// The maps' first values.
struct Places<T> {
    values: [Shared<f32>; 2],
    operands: [Shared<T>; 2],
    filtered: Shared<T>,
    pooled: Shared<f32>,
    embedding: Shared<f32>,
}

/// A phase of a picture. The block `n` reads map `n + 1` of the two, and writes map `n`, counted round.
enum Phase {
    Filter { block: usize, window: Window, bands: usize },
    Project { block: usize, pixels: usize, parts: usize },
    Features { plane: [usize; 2] },
    Embed,
}

fn part(of: usize, place: usize, count: usize) -> Span {
    let (start, end) = (of * place / count, of * (place + 1) / count);
    Span { start, count: end - start }
}

impl<L: Lanes> Engine<L>
where
    L::Operand: Plain,
{
    pub(super) fn new(spec: &LiteSpec, weights: &LiteWeights) -> Self {
        let mut next = weights.convolutions.iter();
        let mut take = || next.next().expect("a weight a convolution");
        let pointwise = |(weight, bias): &(Vec<f32>, Vec<f32>), widths| {
            Pointwise::new::<L>(weight, bias, widths)
        };
        let mut stem = Some(take());
        let blocks = spec
            .blocks
            .iter()
            .map(|block| Block {
                spec: *block,
                expand: pointwise(stem.take().unwrap_or_else(&mut take), even),
                filter: {
                    let (weight, bias) = take();
                    Taps::new::<L>(weight, bias)
                },
                project: pointwise(take(), pairs),
            })
            .collect();
        let features = pointwise(take(), pairs);
        let zeros = vec![0.0; spec.width];
        let projection = Pointwise::new::<L>(&weights.projection, &zeros, even);
        let idle = Mutex::default();
        Self { spec: spec.clone(), blocks, features, projection, idle }
    }

    /// Phases of a picture of `side` for `threads`.
    fn phases(&self, side: usize, threads: usize) -> Vec<Phase> {
        let mut plane = [side.div_ceil(2); 2];
        let mut phases = Vec::with_capacity(2 * self.blocks.len() + 2);
        for (block, of) in self.blocks.iter().enumerate() {
            let window = Window::new(&of.spec, plane);
            let bands = if plane[0] >= BANDS_FROM { threads } else { 1 };
            plane = window.output;
            phases.push(Phase::Filter { block, window, bands });
            let pixels = plane[0] * plane[1];
            let parts = if pixels >= PARTS_FROM * threads { threads } else { 1 };
            phases.push(Phase::Project { block, pixels, parts });
        }
        phases.push(Phase::Features { plane });
        phases.push(Phase::Embed);
        phases
    }

    /// Sizes the maps for the phases.
    fn size(&self, phases: &[Phase], maps: &mut Maps<L::Operand>) -> Places<L::Operand> {
        let whole = |channels: usize, pixels: usize| channels.next_multiple_of(L::LANES) * pixels;
        let (mut most, mut filtered) = (0, 0);
        for phase in phases {
            if let Phase::Project { block, pixels, .. } = phase {
                let spec = &self.blocks[*block].spec;
                most = most.max(whole(spec.channels_out, *pixels));
                filtered = filtered.max(whole(spec.inner(), *pixels));
            }
        }
        let values = maps.values.each_mut().map(|map| Shared(map.at_least(most).as_mut_ptr()));
        let operands = if L::EXACT {
            values.map(|map| Shared(map.0.cast::<L::Operand>()))
        } else {
            maps.operands.each_mut().map(|map| Shared(map.at_least(most).as_mut_ptr()))
        };
        let pooled = whole(self.projection.depth, 1);
        Places {
            values,
            operands,
            filtered: Shared(maps.filtered.at_least(filtered).as_mut_ptr()),
            pooled: Shared(maps.pooled.at_least(pooled).as_mut_ptr()),
            embedding: Shared(maps.embedding.at_least(whole(self.spec.width, 1)).as_mut_ptr()),
        }
    }

    /// The product of a phase, and its tiles per chunk.
    fn product(&self, phase: &Phase) -> (&Pointwise<L::Operand>, usize) {
        match phase {
            Phase::Filter { block, bands, .. } => (&self.blocks[*block].expand, *bands),
            Phase::Project { block, parts, .. } => (&self.blocks[*block].project, *parts),
            Phase::Features { .. } => (&self.features, 1),
            Phase::Embed => (&self.projection, 1),
        }
    }

    /// A tile's chunk, and which of the parts of rows it is.
    fn place(&self, phase: &Phase, tile: usize) -> (Chunk, usize) {
        let chunks = self.product(phase).0.chunks();
        (chunks[tile % chunks.len()], tile / chunks.len())
    }

    /// One picture's embedding.
    fn picture(&self, pixels: &[f32], side: usize, shared: bool, output: &mut [f32]) {
        let threads = if shared { rayon::current_num_threads() } else { 1 };
        let phases = self.phases(side, threads);
        let counts: Vec<usize> = phases
            .iter()
            .map(|phase| {
                let (product, parts) = self.product(phase);
                product.chunks().len() * parts
            })
            .collect();
        let mut maps = self.idle().pop().unwrap_or_default();
        let places = self.size(&phases, &mut maps);
        team::run(&counts, shared, |at, tile, end| {
            let ahead = self.ahead(&phases, &counts, at, tile, end);
            self.tile(&phases[at], tile, (pixels, side), &places, ahead);
        });
        let embedding = &maps.embedding[..self.spec.width];
        let length = embedding.iter().map(|x| x * x).sum::<f32>().sqrt().max(LENGTH_EPSILON);
        output.iter_mut().zip(embedding).for_each(|(to, x)| *to = x / length);
        self.idle().push(maps);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Maps<L::Operand>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights of the tile that the same thread takes next.
    fn ahead(&self, phases: &[Phase], counts: &[usize], at: usize, tile: usize, end: End) -> Ahead {
        let step = end.tile(tile, counts[at]) + 1;
        let (at, step) = if step < counts[at] { (at, step) } else { (at + 1, 0) };
        let Some(phase) = phases.get(at) else { return Ahead::NOTHING };
        let (chunk, _) = self.place(phase, end.tile(step, counts[at]));
        Ahead::of(self.product(phase).0.weights(chunk))
    }

    fn tile(
        &self,
        phase: &Phase,
        tile: usize,
        (pixels, side): (&[f32], usize),
        places: &Places<L::Operand>,
        ahead: Ahead,
    ) {
        let (chunk, part_of) = self.place(phase, tile);
        match phase {
            Phase::Filter { block: at, window, bands } => {
                let block = &self.blocks[*at];
                let source = match at {
                    0 => Source::Stem { pixels, side },
                    _ => Source::Map(places.operands[(at + 1) % 2]),
                };
                let length = Filter::<L::Operand>::scratch::<L>(window, chunk.vectors);
                // SAFETY: the processor was checked when the network was made; maps are sized for their planes; a tile's rows and
                // channels are its own.
                with_scratch(length, |scratch| unsafe {
                    L::enter(Filter {
                        source,
                        expand: &block.expand,
                        taps: &block.filter,
                        window: *window,
                        chunk,
                        rows: part(window.output[0], part_of, *bands),
                        to: places.filtered,
                        scratch,
                        ahead,
                    });
                });
            }
            Phase::Project { block: at, pixels, parts } => {
                let block = &self.blocks[*at];
                // SAFETY: as above.
                unsafe {
                    L::enter(Project {
                        project: &block.project,
                        chunk,
                        span: part(*pixels, part_of, *parts),
                        pixels: *pixels,
                        from: places.filtered,
                        residual: block.spec.residual().then(|| places.values[(at + 1) % 2]),
                        to: places.values[at % 2],
                        operands: places.operands[at % 2],
                        ahead,
                    });
                }
            }
            Phase::Features { plane } => {
                let pixels = plane[0] * plane[1];
                with_scratch(chunk.vectors * pixels * L::LANES, |to| {
                    // SAFETY: as above.
                    unsafe {
                        L::enter(Features {
                            features: &self.features,
                            chunk,
                            pixels,
                            from: places.operands[(self.blocks.len() + 1) % 2],
                            to,
                            ahead,
                        });
                    }
                    // SAFETY: the plane was just written, and is this thread's.
                    let map = unsafe {
                        std::slice::from_raw_parts(to, chunk.vectors * pixels * L::LANES)
                    };
                    self.pool(map, *plane, chunk, places.pooled);
                });
            }
            Phase::Embed => {
                let length =
                    self.projection.depth.next_multiple_of(L::LANES) + chunk.vectors * L::LANES;
                // SAFETY: as above; scratch of f32 has room for as many operands.
                with_scratch(length, |operands| unsafe {
                    L::enter(Embed {
                        projection: &self.projection,
                        chunk,
                        pooled: places.pooled.0.cast_const(),
                        to: places.embedding,
                        operands: operands.cast::<L::Operand>(),
                        ahead,
                    });
                });
            }
        }
    }

    /// Means of a chunk's features over every region: `[regions, features]`.
    fn pool(&self, map: &[f32], plane: [usize; 2], chunk: Chunk, pooled: Shared<f32>) {
        let features = self.spec.features;
        let pixels = plane[0] * plane[1];
        for region in 0..self.spec.regions() {
            let [rows, columns] = LiteSpec::region(region, plane);
            let share = 1.0 / (rows.len() * columns.len()) as f32;
            for (vector, map) in map.chunks_exact(pixels * L::LANES).enumerate() {
                let first = (chunk.first + vector) * L::LANES;
                let width = L::LANES.min(features - first);
                // SAFETY: these features are this chunk's own.
                let sums = unsafe {
                    let start = pooled.0.add(region * features + first);
                    std::slice::from_raw_parts_mut(start, width)
                };
                sums.fill(0.0);
                for row in rows.clone() {
                    for pixel in columns.clone() {
                        let pixel = &map[(row * plane[1] + pixel) * L::LANES..][..width];
                        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                    }
                }
                sums.iter_mut().for_each(|sum| *sum *= share);
            }
        }
    }
}

impl<L: Lanes> Infer for Engine<L>
where
    L::Operand: Plain,
{
    fn embed(&self, pixels: &[f32], side: usize) -> Vec<f32> {
        let picture = 3 * side * side;
        let count = pixels.len() / picture;
        let width = self.spec.width;
        let mut output = vec![0.0; count * width];
        // Whole rounds of a picture a thread; what is left over is shared.
        let threads = rayon::current_num_threads();
        let apart = if threads > 1 { count / threads * threads } else { count };
        let (many, few) = output.split_at_mut(apart * width);
        let (ahead, rest) = pixels.split_at(apart * picture);
        ahead.par_chunks(picture).zip(many.par_chunks_mut(width)).for_each(|(pixels, output)| {
            self.picture(pixels, side, false, output);
        });
        for (pixels, output) in rest.chunks(picture).zip(few.chunks_mut(width)) {
            self.picture(pixels, side, true, output);
        }
        output
    }
}

/// Memory of one thread.
fn with_scratch<R>(length: usize, work: impl FnOnce(*mut f32) -> R) -> R {
    thread_local! {
        static SCRATCH: std::cell::RefCell<Buffer<f32>> = std::cell::RefCell::default();
    }
    SCRATCH.with_borrow_mut(|buffer| work(buffer.at_least(length).as_mut_ptr()))
}
