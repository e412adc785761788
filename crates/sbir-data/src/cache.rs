//! Pictures kept in memory from one epoch to the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sbir_sketch::Sketch;

use crate::error::Result;
use crate::transform::Pixels;

/// A picture before it is changed.
#[derive(Clone, Debug)]
pub(crate) enum Prepared {
    /// Decoded and resized.
    Pixels(Arc<Pixels>),
    /// Strokes to be rendered.
    Strokes(Arc<Sketch>),
    /// Decoded and resized, and the strokes that were found in it.
    Traced(Arc<Pixels>, Arc<Sketch>),
}

impl Prepared {
    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize {
        const STROKE: usize = 64;
        let strokes = |of: &Sketch| of.point_count() * 8 + of.strokes.len() * STROKE;
        match self {
            Self::Pixels(pixels) => pixels.data.len() + STROKE,
            Self::Strokes(sketch) => strokes(sketch),
            Self::Traced(pixels, sketch) => pixels.data.len() + STROKE + strokes(sketch),
        }
    }
}

/// Pictures by place, up to a number of bytes; what does not fit is made again each time.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Vec<OnceLock<Prepared>>,
    budget: usize,
    used: AtomicUsize,
}

impl Cache {
    pub(crate) fn new(slots: usize, budget: usize) -> Self {
        let slots = if budget == 0 { 0 } else { slots };
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            budget,
            used: AtomicUsize::new(0),
        }
    }

    /// The picture of a slot, which `make` makes where it is not kept.
    pub(crate) fn get(
        &self,
        slot: usize,
        make: impl FnOnce() -> Result<Prepared>,
    ) -> Result<Prepared> {
        let Some(lock) = self.slots.get(slot) else { return make() };
        if let Some(kept) = lock.get() {
            return Ok(kept.clone());
        }
        let made = make()?;
        let bytes = made.bytes();
        let fits = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.budget)
            })
            .is_ok();
        if fits && lock.set(made.clone()).is_err() {
            // Another thread made the same picture meanwhile.
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(made)
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::Error;

    fn picture(value: u8) -> Prepared {
        Prepared::Pixels(Arc::new(Pixels { channels: 1, data: vec![value; 100] }))
    }

    #[test]
    fn what_fits_is_made_once() {
        let cache = Cache::new(4, 400);
        let made = Cell::new(0);
        for _ in 0..3 {
            for slot in 0..4 {
                let make = || {
                    made.set(made.get() + 1);
                    Ok(picture(slot as u8))
                };
                let Prepared::Pixels(found) = cache.get(slot, make).unwrap() else { panic!() };
                assert_eq!(found.data[0], slot as u8);
            }
        }
        // Two of 164 bytes fit; the other two are made three times.
        assert_eq!((made.get(), cache.used()), (2 + 2 * 3, 328));
        assert!(Cache::new(4, 0).get(2, || Ok(picture(0))).is_ok());
    }

    #[test]
    fn errors_are_not_kept() {
        let cache = Cache::new(1, 1000);
        assert!(cache.get(0, || Err(Error::EmptyFile { path: "a".into() })).is_err());
        assert!(cache.get(0, || Ok(picture(1))).is_ok());
    }
}
