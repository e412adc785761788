//! Depthwise 7×7 convolution over planes in panels, and its gradients.

use super::spec::Plane;
use crate::panels::lanes::Lanes;

/// Taps of a row of the kernel.
pub(super) const SIDE: usize = 7;
/// Taps in all.
pub(super) const TAPS: usize = SIDE * SIDE;
const REACH: usize = SIDE / 2;
/// Neighbouring outputs computed at a time; a multiple of every stage's width at 224 pixels.
const RUN: usize = 7;

/// A row of outputs in one panel.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) plane: Plane,
    pub(super) y: usize,
    /// First column.
    pub(super) x: usize,
    /// Columns.
    pub(super) count: usize,
}

/// Writes, or adds where `ADD`, a convolution of a plane without bias (`ADD`) or with it.
///
/// # Shapes
/// - `input`: `[height, width, PANEL]`
/// - `weights`: `[49, PANEL]`, (ky, kx)
/// - `bias`: `[PANEL]`; not read where `ADD`
/// - `output`: `[count, PANEL]`
///
/// # Safety
/// All of that can be read and written.
#[inline(always)]
pub(super) unsafe fn forward<L: Lanes, const ADD: bool>(
    segment: Segment,
    input: *const f32,
    weights: *const f32,
    bias: *const f32,
    output: *mut f32,
) {
    let Segment { plane, y, x, count } = segment;
    let first_ky = REACH.saturating_sub(y);
    let end_ky = SIDE.min(plane.height + REACH - y);
    // SAFETY: rows and columns are checked against the plane before they are read.
    unsafe {
        let mut done = 0;
        while done < count {
            let run = RUN.min(count - done);
            let left = (x + done).wrapping_sub(REACH);
            for half in 0..2 {
                let offset = half * L::LANES;
                let to = output.add(done * L::PANEL + offset);
                let mut sums = [L::splat(0.0); RUN];
                let mut i = 0;
                while i < RUN {
                    if ADD {
                        if i < run {
                            sums[i] = L::load(to.add(i * L::PANEL));
                        }
                    } else {
                        sums[i] = L::load(bias.add(offset));
                    }
                    i += 1;
                }
                for ky in first_ky..end_ky {
                    let row = input.add((y + ky - REACH) * plane.width * L::PANEL + offset);
                    let taps = weights.add(ky * SIDE * L::PANEL + offset);
                    let mut tap = [L::splat(0.0); SIDE];
                    let mut kx = 0;
                    while kx < SIDE {
                        tap[kx] = L::load(taps.add(kx * L::PANEL));
                        kx += 1;
                    }
                    macro_rules! column {
                        ($($i:literal)*) => {$({
                            let column = left.wrapping_add($i);
                            if column < plane.width {
                                let value = L::load(row.add(column * L::PANEL));
                                let mut kx = 0;
                                while kx < SIDE {
                                    let place = ($i as usize).wrapping_sub(kx);
                                    if place < RUN {
                                        sums[place] = L::fma(value, tap[kx], sums[place]);
                                    }
                                    kx += 1;
                                }
                            }
                        })*};
                    }
                    column!(0 1 2 3 4 5 6 7 8 9 10 11 12);
                }
                let mut i = 0;
                while i < RUN {
                    if i < run {
                        L::store(to.add(i * L::PANEL), sums[i]);
                    }
                    i += 1;
                }
            }
            done += run;
        }
    }
}

/// Adds the gradient with respect to weights and bias of one half of a panel of one plane.
///
/// # Shapes
/// - `input`, `at_output`: `[height, width, PANEL]`, from the half on
/// - `weights`: `[49, PANEL]`, `bias`: `[PANEL]`, from the half on
///
/// # Safety
/// All of that can be read and written.
#[inline(always)]
pub(super) unsafe fn add_gradients<L: Lanes>(
    plane: Plane,
    input: *const f32,
    at_output: *const f32,
    weights: *mut f32,
    bias: *mut f32,
) {
    // SAFETY: rows and columns are checked against the plane before they are read.
    unsafe {
        let mut total = L::load(bias);
        for y in 0..plane.height {
            let at = at_output.add(y * plane.width * L::PANEL);
            for x in 0..plane.width {
                total = L::add(total, L::load(at.add(x * L::PANEL)));
            }
            for ky in REACH.saturating_sub(y)..SIDE.min(plane.height + REACH - y) {
                let from = input.add((y + ky - REACH) * plane.width * L::PANEL);
                let to = weights.add(ky * SIDE * L::PANEL);
                let mut sums = [L::splat(0.0); SIDE];
                let mut kx = 0;
                while kx < SIDE {
                    sums[kx] = L::load(to.add(kx * L::PANEL));
                    kx += 1;
                }
                let mut x = 0;
                while x < plane.width {
                    let left = x.wrapping_sub(REACH);
                    let mut slopes = [L::splat(0.0); RUN];
                    let mut i = 0;
                    while i < RUN {
                        if x + i < plane.width {
                            slopes[i] = L::load(at.add((x + i) * L::PANEL));
                        }
                        i += 1;
                    }
                    macro_rules! column {
                        ($($i:literal)*) => {$({
                            let column = left.wrapping_add($i);
                            if column < plane.width {
                                let value = L::load(from.add(column * L::PANEL));
                                let mut kx = 0;
                                while kx < SIDE {
                                    let place = ($i as usize).wrapping_sub(kx);
                                    if place < RUN {
                                        sums[kx] = L::fma(value, slopes[place], sums[kx]);
                                    }
                                    kx += 1;
                                }
                            }
                        })*};
                    }
                    column!(0 1 2 3 4 5 6 7 8 9 10 11 12);
                    x += RUN;
                }
                let mut kx = 0;
                while kx < SIDE {
                    L::store(to.add(kx * L::PANEL), sums[kx]);
                    kx += 1;
                }
            }
        }
        L::store(bias, total);
    }
}
