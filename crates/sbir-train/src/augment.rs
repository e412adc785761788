//! Changing pictures a little, so that a small set teaches more.

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;
use sbir_encoder::random::uniform;
use serde::{Deserialize, Serialize};

use crate::step::HostBatch;

/// How training pictures are changed. The origin changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// Nothing.
    #[default]
    None,
    /// Each sketch is turned, scaled and moved a little, as people draw from memory; photos stay. What
    /// comes in from outside is white paper.
    Light,
}

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::None),
            "light" => Ok(Self::Light),
            _ => Err("expected none or light".to_owned()),
        }
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Light => "light",
        })
    }
}

/// Largest turn in radians, change of scale and move (as a share of the side) of [`Augmentation::Light`].
const TURN: f64 = 0.17;
const SCALE: f64 = 0.15;
const MOVE: f64 = 0.06;

/// Tells draws made here from those of stochastic depth.
const PURPOSE: u64 = 0x6175_676d;

impl Augmentation {
    /// Changes a batch in place: a function of seed, step and each pair's place in the batch.
    ///
    /// `white` is white paper after normalisation, by channel.
    pub fn apply(self, batch: &mut HostBatch, white: [f32; 3], seed: u64, step: u64) {
        if self == Self::None {
            return;
        }
        let side = batch.side;
        let image = 3 * side * side;
        batch.sketches.par_chunks_mut(image).enumerate().for_each(|(pair, pixels)| {
            let signed = |what: u64| 2.0 * uniform(seed, &[PURPOSE, step, pair as u64, what]) - 1.0;
            let (sine, cosine) = (TURN * signed(0)).sin_cos();
            let scale = 1.0 / (1.0 + SCALE * signed(1));
            let moved = [2, 3].map(|what| MOVE * side as f64 * signed(what));
            // From a place in the result to the place it comes from, about the centre.
            let map = [
                [scale * cosine, -scale * sine, moved[0]],
                [scale * sine, scale * cosine, moved[1]],
            ];
            let source = pixels.to_vec();
            for (channel, plane) in pixels.chunks_mut(side * side).enumerate() {
                let from = &source[channel * side * side..][..side * side];
                warp(from, plane, side, map, white[channel]);
            }
        });
    }
}

/// Fills `to` with what `map` finds in `from`, bilinearly; outside there is `white`.
fn warp(from: &[f32], to: &mut [f32], side: usize, map: [[f64; 3]; 2], white: f32) {
    let centre = side as f64 / 2.0;
    let limit = side as isize;
    let at = |x: isize, y: isize| {
        let inside = (0..limit).contains(&x) && (0..limit).contains(&y);
        if inside { from[y as usize * side + x as usize] } else { white }
    };
    for row in 0..side {
        for column in 0..side {
            let place = [column as f64 + 0.5 - centre, row as f64 + 0.5 - centre, 1.0];
            let [x, y] = map
                .map(|line| line.iter().zip(place).map(|(a, b)| a * b).sum::<f64>() + centre - 0.5);
            let (left, top) = (x.floor(), y.floor());
            let (right_share, low_share) = ((x - left) as f32, (y - top) as f32);
            let (left, top) = (left as isize, top as isize);
            let above = at(left, top) * (1.0 - right_share) + at(left + 1, top) * right_share;
            let below =
                at(left, top + 1) * (1.0 - right_share) + at(left + 1, top + 1) * right_share;
            to[row * side + column] = above * (1.0 - low_share) + below * low_share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(side: usize) -> Vec<f32> {
        (0..3 * side * side).map(|index| (index % 17) as f32 / 17.0).collect()
    }

    fn batch(side: usize) -> HostBatch {
        let pictures: Vec<f32> = (0..4).flat_map(|_| picture(side)).collect();
        HostBatch { sketches: pictures.clone(), photos: pictures, keys: vec![0, 1, 2, 3], side }
    }

    #[test]
    fn the_identity_changes_nothing_and_mirrors_mirror() {
        let from = picture(6);
        let mut to = vec![0.0; 36];
        warp(&from[..36], &mut to, 6, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 9.0);
        assert_eq!(to, from[..36]);
        warp(&from[..36], &mut to, 6, [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 9.0);
        for (row, mirrored) in from[..36].chunks(6).zip(to.chunks(6)) {
            assert!(row.iter().rev().eq(mirrored));
        }
        warp(&from[..36], &mut to, 6, [[1.0, 0.0, 3.0], [0.0, 1.0, 0.0]], 9.0);
        assert_eq!(to[..6], [from[3], from[4], from[5], 9.0, 9.0, 9.0]);
    }

    #[test]
    fn draws_are_a_function_of_seed_step_and_place() {
        let changed = |seed: u64, step: u64| {
            let mut batch = batch(32);
            Augmentation::Light.apply(&mut batch, [2.0; 3], seed, step);
            batch
        };
        let first = changed(1, 5);
        assert_eq!(first.sketches, changed(1, 5).sketches);
        assert_ne!(first.sketches, changed(1, 6).sketches);
        assert_ne!(first.sketches, changed(2, 5).sketches);
        assert_eq!(first.photos, batch(32).photos, "photos stay");
        let image = 3 * 32 * 32;
        assert_ne!(first.sketches[..image], first.sketches[image..2 * image]);
        let mut none = batch(32);
        Augmentation::None.apply(&mut none, [2.0; 3], 1, 5);
        assert_eq!(none.photos, batch(32).photos);
    }
}
