//! Pieces whose photos come in, one after the other, in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use sbir_gallery::Space;

use crate::error::Result;
use crate::manifest::Listed;
use crate::piece::{Made, Piece, PieceHeader, Unreadable, is_unit};

/// A piece to make.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) photos: Vec<Listed>,
    given_up: AtomicBool,
}

impl Order {
    pub(super) fn new(number: u64, photos: Vec<Listed>) -> Self {
        Self { number, photos, given_up: AtomicBool::new(false) }
    }

    /// Its other photos need not be read.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// Why a photo could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Gone,
    Denied,
    /// The store does not give it out, though it is there.
    Refused,
    /// Of the photo itself: its bytes are no picture, or too many.
    Other,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Made(Made, Vec<u16>),
    Unreadable(Unreadable, Cause),
}

/// A piece that is being made.
#[derive(Debug)]
pub(super) struct Assembly {
    order: Arc<Order>,
    slots: Vec<Slot>,
    left: usize,
}

impl Assembly {
    pub(super) fn new(order: Arc<Order>) -> Self {
        let slots: Vec<_> = order.photos.iter().map(|_| Slot::Empty).collect();
        Self { left: slots.len(), order, slots }
    }

    fn put(&mut self, place: usize, slot: Slot) {
        if let Some(empty) = self.slots.get_mut(place) {
            debug_assert!(matches!(empty, Slot::Empty), "a photo came twice");
            *empty = slot;
            self.left -= 1;
        }
    }

    /// Takes a photo with its vector, `[dimension]`.
    pub(super) fn made(&mut self, place: usize, made: Made, vector: &[f32]) -> Result<()> {
        let halves: Vec<u16> = vector.iter().map(|value| f16::from_f32(*value).to_bits()).collect();
        if !is_unit(&halves) {
            let (expected, found) = ("a vector of unit length".to_owned(), "another".to_owned());
            return Err(sbir_gallery::Error::BadEmbedding { expected, found }.into());
        }
        self.put(place, Slot::Made(made, halves));
        Ok(())
    }

    /// Takes a photo that could not be read.
    pub(super) fn unreadable(&mut self, place: usize, reason: String, cause: Cause) {
        let Some(listed) = self.order.photos.get(place) else { return };
        let unreadable = Unreadable { path: listed.path.clone(), reason };
        self.put(place, Slot::Unreadable(unreadable, cause));
    }

    /// Whether all its photos came.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// The number of its photos.
    pub(super) fn photos(&self) -> usize {
        self.slots.len()
    }

    /// What to say if the bytes of none of its photos could be had, which may be a state of their place, not of the
    /// photos.
    pub(super) fn nothing_had(&self) -> Option<String> {
        let cause = |slot: &Slot| match slot {
            Slot::Unreadable(_, cause) if *cause != Cause::Other => Some(*cause),
            _ => None,
        };
        let causes = self.slots.iter().map(cause).collect::<Option<Vec<_>>>()?;
        let all = |cause| causes.iter().all(|found| *found == cause);
        let what = match () {
            () if all(Cause::Gone) => "there",
            () if all(Cause::Denied) => "ours to read",
            () => "to be had",
        };
        let (photos, number) = (self.slots.len(), self.order.number);
        Some(format!("none of the {photos} photos of piece {number} is {what}"))
    }

    /// The piece.
    pub(super) fn finish(self, manifest: &str, space: &Space) -> Piece {
        let header = PieceHeader {
            manifest: manifest.to_owned(),
            number: self.order.number,
            space: space.clone(),
        };
        let mut piece =
            Piece { header, photos: Vec::new(), unreadable: Vec::new(), halves: Vec::new() };
        for slot in self.slots {
            match slot {
                Slot::Made(made, halves) => {
                    piece.photos.push(made);
                    piece.halves.extend_from_slice(&halves);
                }
                Slot::Unreadable(unreadable, _) => piece.unreadable.push(unreadable),
                Slot::Empty => {}
            }
        }
        piece
    }
}
