//! How the learning rate goes through a run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Share of a run's steps in which [`Schedule::Cosine`] warms up.
const WARM_UP: f64 = 0.05;

/// How the learning rate goes. The origin's stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// As it is, throughout.
    #[default]
    Constant,
    /// Up in a line over the first twentieth of the steps, then down half a cosine to zero (Loshchilov and Hutter,
    /// "SGDR", 2017).
    Cosine,
}

impl Schedule {
    /// What the learning rate is multiplied with at `step`, from 0, of `steps` in all.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let place = (step as f64 + 0.5) / steps.max(1) as f64;
                if place < WARM_UP {
                    return place / WARM_UP;
                }
                let rest = ((place - WARM_UP) / (1.0 - WARM_UP)).min(1.0);
                (1.0 + (std::f64::consts::PI * rest).cos()) / 2.0
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::Cosine),
            _ => Err("expected constant or cosine".to_owned()),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_rises_and_falls() {
        let factors: Vec<f64> = (0..100).map(|step| Schedule::Cosine.factor(step, 100)).collect();
        let top = factors.iter().position(|factor| *factor > 0.999).unwrap();
        assert!((4..8).contains(&top));
        assert!(factors[..top].is_sorted() && factors[top..].is_sorted_by(|a, b| a >= b));
        assert!(factors[0] > 0.0 && factors[99] < 1e-3);
        // Past the end, as with an epoch more than planned, it stays at the bottom.
        assert_eq!(Schedule::Cosine.factor(500, 100), 0.0);
        assert_eq!(Schedule::Constant.factor(7, 9), 1.0);
    }
}
