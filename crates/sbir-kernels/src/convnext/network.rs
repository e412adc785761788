//! The whole network: parts in order, threads over spans of rows.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::forward::BlockTile;
use super::head::{Head, HeadTape};
use super::patch::{DownTile, Pixels, StemTile};
use super::rows::{Rows, Scratch, spans};
use super::spec::{BLOCK_PARAMETERS, ConvNextSpec, PATCH_PARAMETERS, Plane};
use super::tape::{BlockTape, Tape};
use super::weights::{Block, Patch};
use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::Lanes;
use crate::panels::spans::Shared;

/// Pictures that are embedded at a time take no more memory than this in one map.
const MAP_BYTES: usize = 64 << 20;

/// A network for some instructions and operands.
pub(super) struct Core<L: Lanes> {
    pub(super) spec: ConvNextSpec,
    pub(super) patches: [Patch<L::Operand>; 4],
    /// By stage.
    pub(super) blocks: [Vec<Block<L::Operand>>; 4],
    pub(super) head: Head,
    pub(super) back: OnceLock<super::backward::Back<L>>,
    /// Memory of maps that are done with.
    pool: Mutex<Vec<Buffer<f32>>>,
}

impl<L: Lanes> fmt::Debug for Core<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Core({:?})", self.spec)
    }
}

/// What kind of pass.
pub(super) struct Recording<'a> {
    pub(super) scales: &'a [Option<Vec<f32>>],
    /// Bytes for products that are kept.
    pub(super) memory: u64,
}

impl<L: Lanes> Core<L>
where
    L::Operand: Plain,
{
    pub(super) fn new(spec: ConvNextSpec, parameters: &[&[f32]]) -> Self {
        let blocks = spec.depths.map(|depth| (0..depth).map(|_| Block::empty()).collect());
        let mut core = Self {
            patches: std::array::from_fn(|_| Patch::empty()),
            blocks,
            head: Head::default(),
            spec,
            back: OnceLock::new(),
            pool: Mutex::default(),
        };
        core.set(parameters);
        core
    }

    pub(super) fn set(&mut self, parameters: &[&[f32]]) {
        let spec = &self.spec;
        let lengths = spec.parameter_lengths();
        assert_eq!(parameters.len(), lengths.len(), "number of parameters");
        for (parameter, length) in parameters.iter().zip(lengths) {
            assert_eq!(parameter.len(), length, "length of a parameter");
        }
        for stage in 0..4 {
            let at = spec.patch_at(stage);
            self.patches[stage].set::<L>(spec, stage, &parameters[at..at + PATCH_PARAMETERS]);
            for (place, block) in self.blocks[stage].iter_mut().enumerate() {
                let at = spec.block_at(stage, place);
                block.set::<L>(&parameters[at..at + BLOCK_PARAMETERS]);
            }
        }
        if spec.projection.is_some() {
            let own = |i: usize| parameters[spec.head_at() + i].to_vec();
            self.head = Head { norm: own(0), norm_bias: own(1), projection: own(2) };
        }
        if let Some(back) = self.back.get_mut() {
            back.set(&self.spec, &self.patches, parameters);
        }
    }

    /// Memory for a map; what it holds is not said.
    pub(super) fn take(&self, length: usize) -> Buffer<f32> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = pool.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
        let best = fits.min_by_key(|(_, buffer)| buffer.len()).map(|(place, _)| place);
        match best {
            Some(place) => pool.swap_remove(place),
            None => {
                drop(pool);
                Buffer::zeroed(length)
            }
        }
    }

    pub(super) fn give(&self, buffers: impl IntoIterator<Item = Buffer<f32>>) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).extend(buffers);
    }

    pub(super) fn rows<'a>(&self, pictures: &'a [usize], plane: Plane, stage: usize) -> Rows<'a> {
        Rows { pictures, plane, channels: self.spec.dims[stage] }
    }

    /// Embeds as many pictures at a time as memory for maps allows.
    pub(super) fn embed(&self, pixels: &[f32], size: [usize; 3]) -> Vec<f32> {
        let [count, height, width] = size;
        let first = self.rows(&[], Plane::of_stages(height, width)[0], 0);
        let bytes = 4 * first.picture_stride::<L>();
        let most = (MAP_BYTES / bytes).max(1);
        let picture = 3 * height * width;
        let mut output = Vec::with_capacity(count * self.spec.width());
        for pixels in pixels.chunks(most * picture) {
            let size = [pixels.len() / picture, height, width];
            let (heads, _) = self.forward(pixels, size, None);
            output.extend(heads.into_iter().flat_map(|head| head.embedding));
        }
        output
    }

    /// Bytes of a tape: what it always holds, and the products of each block, in order.
    fn costs(&self, size: [usize; 3]) -> (u64, Vec<u64>) {
        let [count, height, width] = size;
        let planes = Plane::of_stages(height, width);
        let mut always = 4 * (count * 3 * height * width) as u64;
        let mut products = Vec::new();
        for (stage, blocks) in self.blocks.iter().enumerate() {
            let rows = self.rows(&[], planes[stage], stage);
            let map = 4 * (count * rows.picture_stride::<L>()) as u64;
            always += map * (blocks.len() as u64 + 1);
            let hidden = (4 * rows.channels).next_multiple_of(L::PANEL) * rows.plane.pixels();
            let bytes = (count * hidden * size_of::<L::Operand>()) as u64;
            products.extend(blocks.iter().map(|_| bytes));
        }
        (always, products)
    }

    pub(super) fn tape_bytes(&self, size: [usize; 3]) -> [u64; 2] {
        let (always, products) = self.costs(size);
        [always, always + products.iter().sum::<u64>()]
    }

    /// A pass through the network; with a recording, what the backward pass needs is kept.
    pub(super) fn forward(
        &self,
        pixels: &[f32],
        size: [usize; 3],
        recording: Option<&Recording<'_>>,
    ) -> (Vec<HeadTape>, Tape) {
        let [count, height, width] = size;
        let planes = Plane::of_stages(height, width);
        let all: Vec<usize> = (0..count).collect();
        let epsilon = self.spec.norm_epsilon;
        let mut tape = Tape { size, ..Tape::default() };
        let mut keeps = vec![false; self.spec.blocks()];
        if let Some(recording) = recording {
            tape.pixels = pixels.to_vec();
            let (always, products) = self.costs(size);
            let mut rest = recording.memory.saturating_sub(always);
            // Products of wide stages save the most arithmetic for their bytes.
            for (keep, bytes) in keeps.iter_mut().zip(products).rev() {
                *keep = bytes <= rest;
                if *keep {
                    rest -= bytes;
                }
            }
        }
        let mut now: Buffer<f32> = Buffer::default();
        let mut index = 0;
        for stage in 0..4 {
            let rows = self.rows(&all, planes[stage], stage);
            let length = count * rows.picture_stride::<L>();
            let mut next = self.take(length);
            let output = Shared(next.as_mut_ptr());
            let patch = &self.patches[stage];
            if stage == 0 {
                let pixels = Pixels { values: pixels, plane: Plane { height, width } };
                spans::<L>(rows.count(), rows.channels).into_par_iter().for_each(|span| {
                    Scratch::with(|scratch| {
                        // SAFETY: the processor was checked when the network was made; sizes are the network's own.
                        unsafe {
                            L::enter(StemTile {
                                patch,
                                pixels,
                                rows,
                                span,
                                output,
                                epsilon,
                                scratch,
                            });
                        }
                    });
                });
            } else {
                let plane = planes[stage - 1];
                let input = Shared(now.as_mut_ptr());
                spans::<L>(rows.count(), rows.channels).into_par_iter().for_each(|span| {
                    Scratch::with(|scratch| {
                        // SAFETY: as above.
                        unsafe {
                            L::enter(DownTile {
                                patch,
                                rows,
                                plane,
                                span,
                                input,
                                output,
                                epsilon,
                                scratch,
                            });
                        }
                    });
                });
                if recording.is_some() {
                    tape.maps.push(now);
                } else {
                    self.give([now]);
                }
            }
            now = next;
            for block in &self.blocks[stage] {
                let scales = recording.and_then(|recording| recording.scales.get(index));
                let scales = scales.and_then(Option::as_deref);
                let (taking, dropped): (Vec<usize>, Vec<usize>) = all
                    .iter()
                    .partition(|&&picture| scales.is_none_or(|scales| scales[picture] != 0.0));
                let rows = self.rows(&taking, planes[stage], stage);
                let mut next = self.take(length);
                let stride = rows.picture_stride::<L>();
                for picture in dropped {
                    let place = picture * stride..(picture + 1) * stride;
                    next[place.clone()].copy_from_slice(&now[place]);
                }
                let mut kept = keeps[index].then(|| {
                    let hidden = (4 * rows.channels).next_multiple_of(L::PANEL);
                    let bytes = hidden * rows.count() * size_of::<L::Operand>();
                    self.take(bytes.div_ceil(4))
                });
                let (input, output) = (Shared(now.as_mut_ptr()), Shared(next.as_mut_ptr()));
                let to = kept.as_mut().map(|kept| Shared(kept.as_mut_ptr().cast()));
                spans::<L>(rows.count(), rows.channels).into_par_iter().for_each(|span| {
                    Scratch::with(|scratch| {
                        // SAFETY: as above.
                        unsafe {
                            L::enter(BlockTile::<L::Operand> {
                                block,
                                rows,
                                span,
                                input,
                                output,
                                scales,
                                kept: to,
                                epsilon,
                                scratch,
                            });
                        }
                    });
                });
                if recording.is_some() {
                    let scales = scales.map(<[f32]>::to_vec);
                    tape.blocks.push(BlockTape { input: now, scales, pictures: taking, kept });
                } else {
                    self.give([now]);
                }
                now = next;
                index += 1;
            }
        }
        let rows = self.rows(&all, planes[3], 3);
        let stride = rows.picture_stride::<L>();
        let heads: Vec<HeadTape> = (0..count)
            .into_par_iter()
            .map(|picture| {
                let map = &now[picture * stride..(picture + 1) * stride];
                self.head.forward::<L>(&rows, map, epsilon)
            })
            .collect();
        self.give([now]);
        (heads, tape)
    }
}
