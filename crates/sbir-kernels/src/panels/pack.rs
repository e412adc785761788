//! Right operands of products in the order in which the kernels read them.

use rayon::prelude::*;

use super::buffer::{Buffer, Plain};
use super::lanes::Lanes;
use super::micro::Panels;

/// Panels of `[depth / STEP, PANEL, STEP]` operands, zeros beyond the columns and the depth.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    values: Buffer<T>,
    /// Operands from one panel to the next.
    stride: usize,
    /// Panels.
    pub(crate) panels: usize,
    /// Depth that counts.
    pub(crate) depth: usize,
}

impl<T: Plain> Default for Packed<T> {
    fn default() -> Self {
        Self { values: Buffer::default(), stride: 0, panels: 0, depth: 0 }
    }
}

impl<T: Plain> Packed<T> {
    /// All panels.
    pub(crate) fn whole(&self) -> Panels<T> {
        Panels { start: self.values.as_ptr(), stride: self.stride }
    }

    /// All panels, from a place in each on.
    pub(crate) fn after(&self, operands: usize) -> Panels<T> {
        let start = self.values[operands..].as_ptr();
        Panels { start, stride: self.stride }
    }
}

/// Packs the matrix whose value at `(depth, column)` is `value(depth, column)`, into memory that is used again.
pub(crate) fn pack<L: Lanes>(
    packed: &mut Packed<L::Operand>,
    depth: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32 + Sync,
) where
    L::Operand: Plain,
{
    packed.panels = columns.div_ceil(L::PANEL);
    packed.stride = depth.next_multiple_of(L::STEP) * L::PANEL;
    packed.depth = depth;
    let stride = packed.stride.max(1);
    let values = packed.values.at_least(packed.panels * packed.stride);
    values.par_chunks_mut(stride).enumerate().for_each(|(panel, values)| {
        let first = panel * L::PANEL;
        let width = L::PANEL.min(columns - first);
        for k in 0..depth {
            let row = &mut values[k / L::STEP * L::PANEL * L::STEP + k % L::STEP..];
            for column in 0..width {
                row[column * L::STEP] = L::operand(value(k, first + column));
            }
        }
    });
}
