//! Which pixels of which pictures a pass works on, and where they lie.

use super::spec::Plane;
use crate::panels::buffer::Buffer;
use crate::panels::lanes::Lanes;
use crate::panels::spans::{Span, cut};

/// The pixels of some pictures, as rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// Pictures that take part, by their place in the batch.
    pub(super) pictures: &'a [usize],
    pub(super) plane: Plane,
    pub(super) channels: usize,
}

impl Rows<'_> {
    pub(super) fn count(&self) -> usize {
        self.pictures.len() * self.plane.pixels()
    }

    pub(super) fn panels<L: Lanes>(&self) -> usize {
        self.channels.div_ceil(L::PANEL)
    }

    /// f32 from one picture to the next.
    pub(super) fn picture_stride<L: Lanes>(&self) -> usize {
        self.panels::<L>() * self.plane.pixels() * L::PANEL
    }

    /// f32 from one panel to the next of the same picture.
    pub(super) fn panel_stride<L: Lanes>(&self) -> usize {
        self.plane.pixels() * L::PANEL
    }

    /// Picture and pixel of a row.
    pub(super) fn place(&self, row: usize) -> (usize, usize) {
        (self.pictures[row / self.plane.pixels()], row % self.plane.pixels())
    }
}

/// Values of a tile's temporaries: as many as half a second-level cache holds.
const TEMPORARIES: usize = 256 * 1024;
/// Hidden columns worked on at a time.
pub(super) const HIDDEN: usize = 768;

/// Rows of a span, so that its temporaries stay in a cache. Each span reads all of a block's weights, so they are as few as
/// that allows.
fn most(channels: usize) -> usize {
    TEMPORARIES / (3 * channels + HIDDEN.min(4 * channels))
}

/// Spans for as many threads as there are. What is computed for a row does not depend on the cut.
pub(super) fn spans<L: Lanes>(rows: usize, channels: usize) -> Vec<Span> {
    cut::<L>(rows, most(channels), rayon::current_num_threads())
}

/// Spans that do not depend on the number of threads, so that sums over them do not either.
pub(super) fn fixed_spans<L: Lanes>(rows: usize, channels: usize) -> Vec<Span> {
    cut::<L>(rows, most(channels), 8)
}

/// Temporaries of one thread, used again by every tile.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) filtered: Buffer<f32>,
    pub(super) operands: Buffer<f32>,
    pub(super) hidden: Buffer<f32>,
    pub(super) sums: Buffer<f32>,
    pub(super) slopes: Buffer<f32>,
    pub(super) more: Buffer<f32>,
    /// Where each row lies in a map: f32 from its start.
    pub(super) offsets: Vec<usize>,
    /// What each row's branch is multiplied with.
    pub(super) factors: Vec<f32>,
}

impl Scratch {
    /// Runs `work` with this thread's temporaries.
    pub(super) fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        thread_local! {
            static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::default();
        }
        SCRATCH.with_borrow_mut(work)
    }

    /// Sets offsets and factors for a span.
    pub(super) fn locate<L: Lanes>(&mut self, rows: &Rows<'_>, span: Span, scales: Option<&[f32]>) {
        self.offsets.clear();
        self.factors.clear();
        for row in span.start..span.start + span.count {
            let (picture, pixel) = rows.place(row);
            self.offsets.push(picture * rows.picture_stride::<L>() + pixel * L::PANEL);
            self.factors.push(scales.map_or(1.0, |scales| scales[picture]));
        }
    }
}
