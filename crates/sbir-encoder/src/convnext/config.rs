//! Which ConvNeXt: depths, widths and head.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::weights::Architecture;

/// What follows the last stage and the mean over the plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Nothing: the origin's head. The embedding is the normalised mean of the last feature map.
    #[default]
    Pool,
    /// LayerNorm over the pooled features, then a linear projection without bias: the head of
    /// open_clip's ConvNeXt towers.
    Projection {
        /// Width of the embedding.
        width: usize,
    },
}

/// Architecture of a ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvNextConfig {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of each of the four stages.
    pub dims: [usize; 4],
    /// What follows the features.
    #[serde(default)]
    pub head: Head,
}

/// The published sizes: name, depths, channels.
const PRESETS: [(&str, [usize; 4], [usize; 4]); 9] = [
    ("convnext_atto", [2, 2, 6, 2], [40, 80, 160, 320]),
    ("convnext_femto", [2, 2, 6, 2], [48, 96, 192, 384]),
    ("convnext_pico", [2, 2, 6, 2], [64, 128, 256, 512]),
    ("convnext_nano", [2, 2, 8, 2], [80, 160, 320, 640]),
    ("convnext_tiny", [3, 3, 9, 3], [96, 192, 384, 768]),
    ("convnext_small", [3, 3, 27, 3], [96, 192, 384, 768]),
    ("convnext_base", [3, 3, 27, 3], [128, 256, 512, 1024]),
    ("convnext_large", [3, 3, 27, 3], [192, 384, 768, 1536]),
    ("convnext_xlarge", [3, 3, 27, 3], [256, 512, 1024, 2048]),
];

/// More blocks than this in a stage, or more channels, is taken for a mistake.
const MAX_DEPTH: usize = 64;
const MAX_DIM: usize = 8192;

impl ConvNextConfig {
    /// An architecture from its depths and widths, with the origin's head.
    ///
    /// # Errors
    /// [`Error::Architecture`] where a depth is over 64, or a width is 0 or over 8,192.
    pub fn new(depths: [usize; 4], dims: [usize; 4]) -> Result<Self, Error> {
        let config = Self { depths, dims, head: Head::Pool };
        let sane = depths.iter().all(|&depth| depth <= MAX_DEPTH)
            && dims.iter().all(|&dim| (1..=MAX_DIM).contains(&dim));
        if sane { Ok(config) } else { Err(Error::Architecture { given: config.to_string() }) }
    }

    /// The same features under another head.
    #[must_use]
    pub fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// Width of the embedding.
    pub fn embedding_width(&self) -> usize {
        match self.head {
            Head::Pool => self.dims[3],
            Head::Projection { width } => width,
        }
    }

    /// Number of blocks in all stages.
    pub fn blocks(&self) -> usize {
        self.depths.iter().sum()
    }

    /// Every parameter's canonical name and shape, in the order in which a forward pass uses them.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let projection = match self.head {
            Head::Pool => None,
            Head::Projection { width } => Some(width),
        };
        let head_norm = projection.is_some();
        let (depths, dims) = (self.depths, self.dims);
        Architecture { depths, dims, head_norm, projection }.parameters()
    }

    /// Names that [`FromStr`] knows, smallest first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, ..)| *name)
    }
}

/// Reads a published name (`convnext_small`) or `convnext:2-2-6-2:40-80-160-320`.
impl FromStr for ConvNextConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((_, depths, dims)) = PRESETS.iter().find(|(name, ..)| *name == text) {
            return Self::new(*depths, *dims);
        }
        let unknown = || Error::Architecture { given: text.to_owned() };
        let mut parts = text.strip_prefix("convnext:").ok_or_else(unknown)?.split(':');
        let mut numbers = || -> Option<[usize; 4]> {
            let list: Vec<usize> =
                parts.next()?.split('-').map(|n| n.parse().ok()).collect::<Option<_>>()?;
            list.try_into().ok()
        };
        let (depths, dims) = numbers().zip(numbers()).ok_or_else(unknown)?;
        if parts.next().is_some() { Err(unknown()) } else { Self::new(depths, dims) }
    }
}

/// The published name where there is one, else the spelled-out form; heads are not part of it.
impl fmt::Display for ConvNextConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = PRESETS.iter().find(|(_, d, w)| *d == self.depths && *w == self.dims);
        match known {
            Some((name, ..)) => f.write_str(name),
            None => {
                let join = |list: &[usize; 4]| list.map(|n| n.to_string()).join("-");
                write!(f, "convnext:{}:{}", join(&self.depths), join(&self.dims))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_spelled_out_forms_round_trip() {
        for name in ConvNextConfig::names() {
            let config: ConvNextConfig = name.parse().unwrap();
            assert_eq!(config.to_string(), name);
        }
        let narrow: ConvNextConfig = "convnext:1-1-2-1:8-16-24-32".parse().unwrap();
        assert_eq!((narrow.depths, narrow.dims), ([1, 1, 2, 1], [8, 16, 24, 32]));
        assert_eq!(narrow.to_string(), "convnext:1-1-2-1:8-16-24-32");
        let small: ConvNextConfig = "convnext:3-3-27-3:96-192-384-768".parse().unwrap();
        assert_eq!(small.to_string(), "convnext_small");
    }

    #[test]
    fn convnext_small_has_torchvisions_size() {
        let config: ConvNextConfig = "convnext_small".parse().unwrap();
        let values = |config: &ConvNextConfig| -> usize {
            config.parameter_shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
        };
        // torchvision: sum(p.numel() for p in convnext_small().features.parameters())
        assert_eq!(values(&config), 49_453_152);
        let projected = config.with_head(Head::Projection { width: 512 });
        assert_eq!(values(&projected), 49_453_152 + 2 * 768 + 512 * 768);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "resnet50",
            "convnext",
            "convnext:1-1-1:1-1-1-1",
            "convnext:1-1-1-1",
            "convnext:1-1-1-1:0-1-1-1",
            "convnext:1-1-1-999:8-8-8-8",
            "convnext:1-1-1-1:8-8-8-99999",
            "convnext:1-1-1-1:8-8-8-8:1",
        ] {
            assert!(text.parse::<ConvNextConfig>().is_err(), "{text}");
        }
    }
}
