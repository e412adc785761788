//! Cutting rows into pieces that threads share.

use super::lanes::Lanes;

/// What is worked on at a time: rows `start..start + count`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) count: usize,
}

/// A pointer that threads share. Each writes only to its own rows.
#[derive(Debug)]
pub(crate) struct Shared<T>(pub(crate) *mut T);

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

/// Cuts `rows` into spans of at most about `most` rows, as many for each of `threads`, an even number of rows each but for
/// the last.
pub(crate) fn cut<L: Lanes>(rows: usize, most: usize, threads: usize) -> Vec<Span> {
    if rows == 0 {
        return Vec::new();
    }
    let most = most.max(2 * L::HEIGHT);
    let count = threads * rows.div_ceil(most * threads);
    let height = rows.div_ceil(count).next_multiple_of(2).max(2);
    (0..rows).step_by(height).map(|start| Span { start, count: height.min(rows - start) }).collect()
}
