//! The products' inner loops: tiles of a few rows and one panel of columns, whose sums stay in registers.
//!
//! Matrices lie in panels: `[columns / PANEL, rows, PANEL]`, the last panel filled up with zeros. A row of a panel
//! is two vectors of a right operand; a left operand is read from it value by value.

use std::ops::Range;

use super::lanes::Lanes;

/// Rows of the largest tile of any instructions.
const HIGHEST: usize = 14;
/// Rows that a sum over rows takes at a time: as many of both operands' panels fit a first-level cache.
pub(crate) const SLICE: usize = 128;

/// What becomes of a tile's sums.
pub(crate) trait Finish<L: Lanes> {
    /// Takes rows `row..row + tile.len()` of panel `panel`.
    ///
    /// # Safety
    /// As whatever it writes to asks.
    unsafe fn take(&mut self, panel: usize, row: usize, tile: &[[L::Vector; 2]]);
}

/// Panels of operands: the first, and how many operands lie between two.
#[derive(Clone, Copy)]
pub(crate) struct Panels<T> {
    pub(crate) start: *const T,
    pub(crate) stride: usize,
}

impl<T> Panels<T> {
    /// The same operands by another name of their type.
    pub(crate) fn cast<U>(self) -> Panels<U> {
        Panels { start: self.start.cast(), stride: self.stride }
    }
}

/// `0..rows` in as few tiles as can be, nearly equal ones, each but for the last of an even number of rows:
/// `(first row, rows)`. `highest` is even.
#[inline(always)]
pub(crate) fn tiles(rows: usize, highest: usize) -> impl Iterator<Item = (usize, usize)> {
    let pairs = rows.div_ceil(2);
    let count = pairs.div_ceil(highest / 2).max(1);
    let (least, more) = (pairs / count, pairs % count);
    (0..count).map(move |i| {
        let first = 2 * (i * least + i.min(more));
        (first, (2 * (least + usize::from(i < more))).min(rows - first))
    })
}

/// Runs `$body` with `$M` a constant equal to `$rows`, which `$L` can hold in registers.
macro_rules! with_height {
    ($L:ty, $rows:expr, $M:ident => $body:expr) => {
        with_height!(@arms $L, $rows, $M, $body, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@arms $L:ty, $rows:expr, $M:ident, $body:expr, $($height:literal)*) => {
        match $rows {
            $($height if $height <= <$L>::HEIGHT => {
                const $M: usize = $height;
                $body
            })*
            _ => {}
        }
    };
}

/// `left · right` for some panels of `right`, handed to `finish` tile by tile.
///
/// # Shapes
/// - `left`: panels of `[.., PANEL]` operands whose first `rows` rows count, `depth` columns of them
/// - `right`: panels of `[depth / STEP, PANEL, STEP]` operands
/// - `then`: what is read after that, so that it can be fetched meanwhile
///
/// # Safety
/// All of that but `then` can be read, for `panels` of `right`; and as `finish` asks.
#[inline(always)]
pub(crate) unsafe fn product<L: Lanes, F: Finish<L>>(
    left: Panels<L::Operand>,
    right: Panels<L::Operand>,
    rows: usize,
    depth: usize,
    panels: Range<usize>,
    then: *const L::Operand,
    finish: &mut F,
) {
    // Bytes fetched with each step: over all tiles of a panel, the next panel.
    let count = rows.div_ceil(L::HEIGHT);
    let hop = (L::PANEL * L::STEP * size_of::<L::Operand>()).div_ceil(count.max(1));
    // SAFETY: as asked of the caller; a tile is no higher than `HIGHEST`.
    unsafe {
        let mut tile = [[L::splat(0.0); 2]; HIGHEST];
        for panel in panels.clone() {
            let start = right.start;
            let mut ahead = if panel + 1 < panels.end {
                start.wrapping_add((panel + 1) * right.stride)
            } else {
                then
            }
            .cast::<u8>();
            let right = start.add(panel * right.stride);
            for (row, height) in tiles(rows, L::HEIGHT) {
                let left = Panels { start: left.start.add(row * L::PANEL), ..left };
                with_height!(L, height, M => {
                    let sums = across::<L, M>(left, right, depth, ahead, hop);
                    tile.as_mut_ptr().cast::<[[L::Vector; 2]; M]>().write(sums);
                });
                ahead = ahead.wrapping_add(depth.div_ceil(L::STEP) * hop);
                finish.take(panel, row, tile.get_unchecked(..height));
            }
        }
    }
}

/// `M` rows of a product with one panel.
#[inline(always)]
unsafe fn across<L: Lanes, const M: usize>(
    left: Panels<L::Operand>,
    mut right: *const L::Operand,
    depth: usize,
    mut ahead: *const u8,
    hop: usize,
) -> [[L::Vector; 2]; M] {
    // SAFETY: as asked of `product`'s caller.
    unsafe {
        let mut sums = [[L::splat(0.0); 2]; M];
        let mut rest = depth.div_ceil(L::STEP);
        let mut panel = left.start;
        while rest > 0 {
            let steps = rest.min(L::PANEL / L::STEP);
            let mut value = panel;
            for _ in 0..steps {
                let low = L::raw(right);
                let high = L::raw(right.add(L::LANES * L::STEP));
                let mut row = 0;
                while row < M {
                    let spread = L::spread(value.add(row * L::PANEL));
                    sums[row][0] = L::dot(sums[row][0], spread, low);
                    sums[row][1] = L::dot(sums[row][1], spread, high);
                    row += 1;
                }
                L::fetch(ahead);
                ahead = ahead.wrapping_add(hop);
                value = value.add(L::STEP);
                right = right.add(L::PANEL * L::STEP);
            }
            rest -= steps;
            panel = panel.wrapping_add(left.stride);
        }
        sums
    }
}

/// Adds `leftᵀ · right` for one panel of `right`: a sum over rows.
///
/// # Shapes
/// - `left`: panels of `[rows / STEP, PANEL, STEP]` operands, of which the first `channels` columns count
/// - `right`: one panel of `[rows / STEP, PANEL, STEP]` operands
/// - `output`: `[channels, PANEL]`
///
/// # Safety
/// All of that can be read and `output` written; `rows` is a multiple of `STEP`.
#[inline(always)]
pub(crate) unsafe fn add_product_over_rows<L: Lanes>(
    left: Panels<L::Operand>,
    channels: usize,
    right: *const L::Operand,
    rows: usize,
    output: *mut f32,
) {
    // SAFETY: as asked of the caller.
    unsafe {
        let mut first = 0;
        while first < rows {
            let depth = SLICE.min(rows - first);
            let mut column = 0;
            while column < channels {
                let width = L::PANEL.min(channels - column);
                let panel = left.start.add(column / L::PANEL * left.stride + first * L::PANEL);
                for (place, height) in tiles(width, L::HEIGHT) {
                    let to = output.add((column + place) * L::PANEL);
                    with_height!(L, height, M => along::<L, M>(
                        panel.add(place * L::STEP),
                        right.add(first * L::PANEL),
                        depth / L::STEP,
                        to,
                    ));
                }
                column += width;
            }
            first += depth;
        }
    }
}

/// Adds sums over rows for `M` columns of a left operand's panel.
#[inline(always)]
unsafe fn along<L: Lanes, const M: usize>(
    mut left: *const L::Operand,
    mut right: *const L::Operand,
    steps: usize,
    output: *mut f32,
) {
    // SAFETY: as asked of `add_product_over_rows`'s caller.
    unsafe {
        let mut sums = [[L::splat(0.0); 2]; M];
        for _ in 0..steps {
            let low = L::raw(right);
            let high = L::raw(right.add(L::LANES * L::STEP));
            let mut row = 0;
            while row < M {
                let spread = L::spread(left.add(row * L::STEP));
                sums[row][0] = L::dot(sums[row][0], spread, low);
                sums[row][1] = L::dot(sums[row][1], spread, high);
                row += 1;
            }
            left = left.add(L::PANEL * L::STEP);
            right = right.add(L::PANEL * L::STEP);
        }
        let mut row = 0;
        while row < M {
            let to = output.add(row * L::PANEL);
            L::store(to, L::add(L::load(to), sums[row][0]));
            let to = to.add(L::LANES);
            L::store(to, L::add(L::load(to), sums[row][1]));
            row += 1;
        }
    }
}
