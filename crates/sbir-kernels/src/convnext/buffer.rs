//! Memory that begins on a cache line.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const LINE: usize = 64;

/// A fixed number of values, all zero at first, beginning on a cache line.
pub(crate) struct Buffer<T> {
    start: NonNull<T>,
    length: usize,
}

/// Types of which all bits zero are a value, and which nothing needs to be done for when they go.
pub(crate) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for u16 {}

// SAFETY: it owns its values, as a `Vec` does.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    pub(crate) fn zeroed(length: usize) -> Self {
        let layout = Self::layout(length);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), length };
        }
        // SAFETY: the layout has a size.
        let start = unsafe { alloc_zeroed(layout) }.cast::<T>();
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, length }
    }

    /// At least `length` values; what they are is not said.
    pub(crate) fn at_least(&mut self, length: usize) -> &mut [T] {
        if self.length < length {
            *self = Self::zeroed(length);
        }
        &mut self[..length]
    }
}

impl<T> Buffer<T> {
    fn layout(length: usize) -> Layout {
        let bytes = length.checked_mul(size_of::<T>()).expect("a length that fits memory");
        Layout::from_size_align(bytes, LINE).expect("a length that fits memory")
    }
}

impl<T: Plain> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.length);
        if layout.size() > 0 {
            // SAFETY: made by `zeroed` with the same layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` values, initialised as zeros.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({})", self.length)
    }
}
