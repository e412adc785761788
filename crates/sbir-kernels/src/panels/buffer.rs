//! Memory that begins on a cache line.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A fixed number of values, all zero at first, beginning on a cache line.
pub(crate) struct Buffer<T> {
    store: Store,
    length: usize,
    values: std::marker::PhantomData<T>,
}

/// Where the values lie.
enum Store {
    Heap(Vec<Line>),
    /// Pages of their own, large ones where the system has them: a fault, and an entry of the translation cache, for 2 MB.
    Pages(MmapMut),
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;
/// From this size on, pages of their own.
const PAGES_FROM: usize = 1 << 20;

/// Types of which any bits are a value, no larger than a cache line.
///
/// # Safety
/// As said.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: any bits are a number.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}

impl<T: Plain> Buffer<T> {
    pub(crate) fn zeroed(length: usize) -> Self {
        let bytes = length.checked_mul(size_of::<T>()).expect("a length that fits memory");
        let store = if bytes < PAGES_FROM {
            Store::Heap(vec![Line([0; LINE]); bytes.div_ceil(LINE)])
        } else {
            match MmapMut::map_anon(bytes) {
                Ok(pages) => {
                    #[cfg(target_os = "linux")]
                    // Small pages do too.
                    let _ = pages.advise(memmap2::Advice::HugePage);
                    Store::Pages(pages)
                }
                Err(_) => Store::Heap(vec![Line([0; LINE]); bytes.div_ceil(LINE)]),
            }
        };
        Self { store, length, values: std::marker::PhantomData }
    }

    /// At least `length` values; what they are is not said.
    pub(crate) fn at_least(&mut self, length: usize) -> &mut [T] {
        if self.length < length {
            *self = Self::zeroed(length);
        }
        &mut self[..length]
    }
}

impl<T: Plain> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let start: *const u8 = match &self.store {
            Store::Heap(lines) => lines.as_ptr().cast(),
            Store::Pages(pages) => pages.as_ptr(),
        };
        // SAFETY: `length` values were asked for; any bits are values; lines and pages are aligned for them.
        unsafe { std::slice::from_raw_parts(start.cast(), self.length) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let start: *mut u8 = match &mut self.store {
            Store::Heap(lines) => lines.as_mut_ptr().cast(),
            Store::Pages(pages) => pages.as_mut_ptr(),
        };
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), self.length) }
    }
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({})", self.length)
    }
}
