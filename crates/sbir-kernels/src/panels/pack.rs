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

/// Rows of a panel that are written at a time where they are read column by column.
const ROWS: usize = 64;

impl<T: Plain> Packed<T> {
    /// Sets the sizes, and hands out each panel: its first column, how many of its columns count, and its operands.
    fn fill<L: Lanes<Operand = T>>(
        &mut self,
        depth: usize,
        columns: usize,
        panel: impl Fn(usize, usize, &mut [T]) + Sync + Send,
    ) {
        self.panels = columns.div_ceil(L::PANEL);
        self.stride = depth.next_multiple_of(L::STEP) * L::PANEL;
        self.depth = depth;
        let stride = self.stride.max(1);
        let values = self.values.at_least(self.panels * self.stride);
        values.par_chunks_mut(stride).enumerate().for_each(|(place, values)| {
            let first = place * L::PANEL;
            panel(first, L::PANEL.min(columns - first), values);
        });
    }
}

/// Where the operand of a depth begins in a panel.
#[inline(always)]
fn place<L: Lanes>(depth: usize) -> usize {
    depth / L::STEP * L::PANEL * L::STEP + depth % L::STEP
}

/// Packs the matrix whose value at `(depth, column)` is `value(depth, column)`, into memory that is used again.
pub(crate) fn pack<L: Lanes>(
    packed: &mut Packed<L::Operand>,
    depth: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32 + Sync + Send,
) where
    L::Operand: Plain,
{
    packed.fill::<L>(depth, columns, |first, width, values| {
        for k in 0..depth {
            let row = &mut values[place::<L>(k)..];
            for column in 0..width {
                row[column * L::STEP] = L::operand(value(k, first + column));
            }
        }
    });
}

/// Packs a matrix that lies as `[columns, depth]`, each column times `scale` of it.
pub(crate) fn pack_transposed<L: Lanes>(
    packed: &mut Packed<L::Operand>,
    depth: usize,
    matrix: &[f32],
    scale: impl Fn(usize) -> f32 + Sync + Send,
) where
    L::Operand: Plain,
{
    packed.fill::<L>(depth, matrix.len() / depth.max(1), |first, width, values| {
        for start in (0..depth).step_by(ROWS) {
            let end = depth.min(start + ROWS);
            for column in 0..width {
                let scale = scale(first + column);
                let from = &matrix[(first + column) * depth..][start..end];
                let to = &mut values[place::<L>(start) + column * L::STEP..];
                if L::STEP == 1 {
                    for (to, from) in to.iter_mut().step_by(L::PANEL).zip(from) {
                        *to = L::operand(scale * from);
                    }
                } else {
                    for (k, from) in from.iter().enumerate() {
                        to[place::<L>(k)] = L::operand(scale * from);
                    }
                }
            }
        }
    });
}

/// Packs a matrix that lies as `[depth, columns]`, each row times `scale` of it.
pub(crate) fn pack_straight<L: Lanes>(
    packed: &mut Packed<L::Operand>,
    columns: usize,
    matrix: &[f32],
    scale: impl Fn(usize) -> f32 + Sync + Send,
) where
    L::Operand: Plain,
{
    packed.fill::<L>(matrix.len() / columns.max(1), columns, |first, width, values| {
        for (k, row) in matrix.chunks_exact(columns).enumerate() {
            let scale = scale(k);
            let to = values[place::<L>(k)..].iter_mut().step_by(L::STEP);
            for (to, from) in to.zip(&row[first..first + width]) {
                *to = L::operand(scale * from);
            }
        }
    });
}
