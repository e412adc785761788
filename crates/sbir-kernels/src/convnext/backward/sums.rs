//! Gradients that are sums over rows or pixels.

use std::ops::Range;

use super::block::ByRows;
use crate::convnext::depthwise::{self, Segment, TAPS};
use crate::convnext::rows::Rows;
use crate::panels::buffer::Plain;
use crate::panels::lanes::{Lanes, Work};
use crate::panels::micro::{Panels, SLICE, add_product_over_rows};
use crate::panels::spans::Shared;

/// Values of the left operand that stay in a second-level cache while panels of the right one go by.
const BLOCK: usize = 160 * 1024;

/// Adds `leftᵀ · right` for some panels of `right`, and their sums over rows.
pub(super) struct OverRows<T> {
    pub(super) left: ByRows<T>,
    /// Columns of `left` that count.
    pub(super) channels: usize,
    pub(super) right: ByRows<T>,
    pub(super) panels: Range<usize>,
    /// An even number.
    pub(super) rows: usize,
    /// `[panels of right, channels, PANEL]`; only these panels are touched.
    pub(super) output: Shared<f32>,
    /// `[panels of right, PANEL]`; only these panels are touched.
    pub(super) sums: Option<Shared<f32>>,
}

impl<T: Plain> Work for OverRows<T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let block = (BLOCK / self.channels / SLICE * SLICE).max(SLICE);
        for first in (0..self.rows).step_by(block) {
            let rows = block.min(self.rows - first);
            for panel in self.panels.clone() {
                // SAFETY: operands and outputs have the shapes named above; the panels are this work's own.
                unsafe {
                    let right = self.right.row::<L>(panel, first).cast_const();
                    if let Some(sums) = self.sums {
                        add_column_sums::<L>(right, rows, sums.0.add(panel * L::PANEL));
                    }
                    let start = self.left.row::<L>(0, first).cast_const();
                    let left = Panels { start, stride: self.left.stride };
                    let output = self.output.0.add(panel * self.channels * L::PANEL);
                    add_product_over_rows::<L>(left, self.channels, right, rows, output);
                }
            }
        }
    }
}

/// Adds the sums over rows of some panels.
pub(super) struct ColumnSums<T> {
    pub(super) values: ByRows<T>,
    pub(super) panel: usize,
    pub(super) rows: usize,
    pub(super) sums: Shared<f32>,
}

impl<T: Plain> Work for ColumnSums<T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: as for `OverRows`.
        unsafe {
            let values = self.values.row::<L>(self.panel, 0).cast_const();
            add_column_sums::<L>(values, self.rows, self.sums.0.add(self.panel * L::PANEL));
        }
    }
}

#[inline(always)]
unsafe fn add_column_sums<L: Lanes>(values: *const L::Operand, rows: usize, sums: *mut f32) {
    for half in 0..2 {
        // SAFETY: as asked of the callers.
        unsafe {
            let mut sum = L::load(sums.add(half * L::LANES));
            for row in (0..rows).step_by(2) {
                let from = values.add(row * L::PANEL);
                // Two rows lie in two panels' widths, woven by STEP: with one step, one after the other.
                sum = L::add(sum, L::sum_rows(from, half));
            }
            L::store(sums.add(half * L::LANES), sum);
        }
    }
}

/// The depthwise convolution's gradient at its input, added to a map, for one picture and panel.
pub(super) struct AtInput<'a> {
    /// The group's rows: pictures by their place in the batch.
    pub(super) rows: Rows<'a>,
    /// Place in the group.
    pub(super) picture: usize,
    pub(super) panel: usize,
    /// Turned taps, `[panels, 49, PANEL]`.
    pub(super) taps: &'a [f32],
    /// Map of the group.
    pub(super) at_filtered: Shared<f32>,
    /// Map of the batch.
    pub(super) at_input: Shared<f32>,
}

impl Work for AtInput<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { rows, picture, panel, .. } = self;
        let plane = rows.plane;
        let (stride, panel_stride) = (rows.picture_stride::<L>(), rows.panel_stride::<L>());
        // SAFETY: maps fit the rows; the picture's panel is this work's own.
        unsafe {
            let from = self.at_filtered.0.add(picture * stride + panel * panel_stride);
            let to = self.at_input.0.add(rows.pictures[picture] * stride + panel * panel_stride);
            let taps = self.taps[panel * TAPS * L::PANEL..].as_ptr();
            for y in 0..plane.height {
                depthwise::forward::<L, true>(
                    Segment { plane, y, x: 0, count: plane.width },
                    from,
                    taps,
                    taps,
                    to.add(y * plane.width * L::PANEL),
                );
            }
        }
    }
}

/// Adds the gradients of the depthwise convolution's taps and bias, for one half of a panel and a group's pictures.
pub(super) struct AtTaps<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) panel: usize,
    pub(super) half: usize,
    /// Map of the batch.
    pub(super) input: Shared<f32>,
    /// Map of the group.
    pub(super) at_filtered: Shared<f32>,
    /// `[panels, 49, PANEL]`.
    pub(super) taps: Shared<f32>,
    /// `[panels, PANEL]`.
    pub(super) bias: Shared<f32>,
}

impl Work for AtTaps<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { rows, panel, half, .. } = self;
        let (stride, panel_stride) = (rows.picture_stride::<L>(), rows.panel_stride::<L>());
        let lane = half * L::LANES;
        for (place, picture) in rows.pictures.iter().enumerate() {
            // SAFETY: maps fit the rows; the panel's half is this work's own.
            unsafe {
                depthwise::add_gradients::<L>(
                    rows.plane,
                    self.input.0.add(picture * stride + panel * panel_stride + lane),
                    self.at_filtered.0.add(place * stride + panel * panel_stride + lane),
                    self.taps.0.add(panel * TAPS * L::PANEL + lane),
                    self.bias.0.add(panel * L::PANEL + lane),
                );
            }
        }
    }
}
