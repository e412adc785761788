//! Which pixels of which pictures a pass works on, and where they lie.

use super::buffer::Buffer;
use super::lanes::Lanes;
use super::spec::Plane;

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

/// What is worked on at a time: rows `start..start + count`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) count: usize,
}

/// Values of a tile's temporaries: as many as half a second-level cache holds.
const TEMPORARIES: usize = 256 * 1024;
/// Hidden columns worked on at a time.
pub(super) const HIDDEN: usize = 768;

/// Cuts `rows` into spans: small enough for a cache, enough of them for every thread, an even number of rows each
/// but for the last. What is computed does not depend on the cut.
pub(super) fn spans<L: Lanes>(rows: usize, channels: usize) -> Vec<Span> {
    if rows == 0 {
        return Vec::new();
    }
    let most = TEMPORARIES / (3 * channels + HIDDEN.min(4 * channels));
    let threads = rayon::current_num_threads();
    let shared = if threads > 1 { rows.div_ceil(4 * threads) } else { rows };
    let least = 2 * L::HEIGHT;
    let count = rows.div_ceil(most.min(shared).max(least));
    let height = rows.div_ceil(count).next_multiple_of(2);
    (0..rows).step_by(height).map(|start| Span { start, count: height.min(rows - start) }).collect()
}

/// A pointer that threads share. Each writes only to its own rows.
#[derive(Debug)]
pub(super) struct Shared<T>(pub(super) *mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}
// SAFETY: whoever follows the pointer answers for it; see the works that hold one.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

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
