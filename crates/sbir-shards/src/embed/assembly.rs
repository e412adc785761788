//! Pieces whose photos come in, one after the other, in any order.

use std::sync::Arc;

use half::f16;
use sbir_gallery::Space;

use crate::error::{Error, Result};
use crate::manifest::Listed;
use crate::piece::{Made, Piece, PieceHeader, Unreadable, is_unit};

/// A piece to make.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) photos: Vec<Listed>,
}

/// Why a photo could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Gone,
    Denied,
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

    /// The piece. All photos gone, or all denied, is no state of the photos but one of their place.
    pub(super) fn finish(self, root: &str, manifest: &str, space: &Space) -> Result<Piece> {
        let all = |cause: Cause| {
            let is = |slot: &Slot| matches!(slot, Slot::Unreadable(_, found) if *found == cause);
            self.slots.iter().all(is)
        };
        for (cause, what) in [(Cause::Gone, "there"), (Cause::Denied, "ours to read")] {
            if all(cause) {
                let problem = format!(
                    "none of the {} photos of piece {} is {what}",
                    self.slots.len(),
                    self.order.number
                );
                return Err(Error::NoPhotos { root: root.to_owned(), problem });
            }
        }
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
        Ok(piece)
    }
}
