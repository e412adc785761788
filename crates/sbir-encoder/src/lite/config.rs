//! Which EfficientNet-Lite, and its parameters' names and shapes.

use std::fmt;
use std::str::FromStr;

use sbir_kernels::lite::{ConvKind, ConvSpec, LiteSpec};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The one size that is read: its name on the command line and in files.
const NAME: &str = "efficientnet_lite0";
/// Widest embedding.
const MAX_WIDTH: usize = 2048;
/// Width of the embedding where none is given.
const DEFAULT_WIDTH: usize = 512;

/// EfficientNet-Lite0 (Google, 2020) with an embedding head: means of the last feature map, over the plane and
/// over its quadrants where asked for, and a projection without bias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct LiteConfig {
    /// Width of the embedding.
    pub width: usize,
    /// Whether the head sees the four quadrants' means beside the whole plane's, so that it can tell what
    /// is drawn where.
    pub quadrants: bool,
}

/// As it stands in files: the name keeps it apart from other families.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    family: String,
    width: usize,
    quadrants: bool,
}

impl From<LiteConfig> for Stored {
    fn from(config: LiteConfig) -> Self {
        Self { family: NAME.to_owned(), width: config.width, quadrants: config.quadrants }
    }
}

impl TryFrom<Stored> for LiteConfig {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self, Error> {
        if stored.family != NAME {
            return Err(Error::Architecture { given: stored.family });
        }
        Self::new(stored.width, stored.quadrants)
    }
}

impl LiteConfig {
    /// Lite0 with an embedding of `width`.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a width of 0 or over 2,048.
    pub fn new(width: usize, quadrants: bool) -> Result<Self, Error> {
        let config = Self { width, quadrants };
        if (1..=MAX_WIDTH).contains(&width) {
            Ok(config)
        } else {
            Err(Error::Architecture { given: config.to_string() })
        }
    }

    /// The architecture as the kernels take it.
    pub fn spec(&self) -> LiteSpec {
        LiteSpec::lite0(self.width, self.quadrants)
    }

    /// Every parameter's canonical name and shape in network order. Each convolution has a `weight`, and the
    /// `scale` and `shift` of its frozen BatchNorm; the projection is last.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let spec = self.spec();
        let mut list = Vec::new();
        for (name, conv) in conv_names(&spec) {
            list.push((format!("{name}.weight"), weight_shape(&conv)));
            list.push((format!("{name}.scale"), vec![conv.channels_out]));
            list.push((format!("{name}.shift"), vec![conv.channels_out]));
        }
        let inputs = spec.regions() * spec.features;
        list.push(("head.projection.weight".to_owned(), vec![self.width, inputs]));
        list
    }
}

/// Every convolution with its canonical name, in network order.
pub(super) fn conv_names(spec: &LiteSpec) -> Vec<(String, ConvSpec)> {
    let mut names = vec!["stem".to_owned()];
    for (index, block) in spec.blocks.iter().enumerate() {
        if block.expansion > 1 {
            names.push(format!("blocks.{index}.expand"));
        }
        names.push(format!("blocks.{index}.depthwise"));
        names.push(format!("blocks.{index}.project"));
    }
    names.push("features".to_owned());
    names.into_iter().zip(spec.convolutions()).collect()
}

/// A weight's shape in PyTorch's order.
pub(super) fn weight_shape(conv: &ConvSpec) -> Vec<usize> {
    match conv.kind {
        ConvKind::Stem => vec![conv.channels_out, 3, 3, 3],
        ConvKind::Pointwise => vec![conv.channels_out, conv.channels_in, 1, 1],
        ConvKind::Depthwise { kernel, .. } => vec![conv.channels_out, 1, kernel, kernel],
    }
}

/// Reads `efficientnet_lite0[:WIDTH][:quadrants]`.
impl FromStr for LiteConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Architecture { given: text.to_owned() };
        let mut parts = text.split(':');
        if parts.next() != Some(NAME) {
            return Err(unknown());
        }
        let (mut width, mut quadrants) = (DEFAULT_WIDTH, false);
        for (place, part) in parts.enumerate() {
            match part {
                "quadrants" if !quadrants => quadrants = true,
                number if place == 0 => width = number.parse().map_err(|_| unknown())?,
                _ => return Err(unknown()),
            }
        }
        Self::new(width, quadrants)
    }
}

impl fmt::Display for LiteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}:{}", self.width)?;
        if self.quadrants { f.write_str(":quadrants") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nonsense_is_refused() {
        for text in ["efficientnet_lite0:512", "efficientnet_lite0:256:quadrants"] {
            assert_eq!(text.parse::<LiteConfig>().unwrap().to_string(), text);
        }
        let plain: LiteConfig = "efficientnet_lite0".parse().unwrap();
        assert_eq!(plain, LiteConfig { width: 512, quadrants: false });
        for text in [
            "efficientnet_lite1",
            "efficientnet_lite0:0",
            "efficientnet_lite0:x",
            "efficientnet_lite0:8:9",
        ] {
            assert!(text.parse::<LiteConfig>().is_err(), "{text}");
        }
        let json = serde_json::to_string(&plain).unwrap();
        assert_eq!(serde_json::from_str::<LiteConfig>(&json).unwrap(), plain);
        assert!(serde_json::from_str::<LiteConfig>(&json.replace("512", "0")).is_err());
        assert!(serde_json::from_str::<LiteConfig>(&json.replace("lite0", "lite4")).is_err());
    }

    #[test]
    fn it_has_lite0s_size() {
        let config = LiteConfig::new(512, true).unwrap();
        let values: usize = config
            .parameter_shapes()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(values, 3_328_992 + 2 * 21_008 + 512 * 5 * 1280);
    }
}
