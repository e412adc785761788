//! The encoder families, as one type.

use std::fmt;
use std::str::FromStr;

use burn_tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::convnext::{self, ConvNextConfig, Pass};
use crate::lite::{self, LiteConfig};
use crate::parameters::Parameters;

/// Architecture of an encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EncoderConfig {
    /// EfficientNet-Lite0 with an embedding head.
    Lite(LiteConfig),
    /// ConvNeXt.
    ConvNext(ConvNextConfig),
}

impl EncoderConfig {
    /// Width of the embedding.
    pub fn embedding_width(&self) -> usize {
        match self {
            Self::ConvNext(config) => config.embedding_width(),
            Self::Lite(config) => config.width,
        }
    }

    /// Every parameter's canonical name and shape in network order.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::ConvNext(config) => config.parameter_shapes(),
            Self::Lite(config) => config.parameter_shapes(),
        }
    }
}

impl From<ConvNextConfig> for EncoderConfig {
    fn from(config: ConvNextConfig) -> Self {
        Self::ConvNext(config)
    }
}

impl From<LiteConfig> for EncoderConfig {
    fn from(config: LiteConfig) -> Self {
        Self::Lite(config)
    }
}

impl FromStr for EncoderConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with("efficientnet") {
            text.parse().map(Self::Lite)
        } else {
            text.parse().map(Self::ConvNext)
        }
    }
}

impl fmt::Display for EncoderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConvNext(config) => config.fmt(f),
            Self::Lite(config) => config.fmt(f),
        }
    }
}

/// Embeds a batch with Burn's operations. Options of `pass` that the family does not have are without effect.
///
/// # Shapes
/// - `images`: `[batch_size, 3, height, width]`
/// - output: `[batch_size, embedding_width]`, rows of unit length
pub fn forward(
    config: &EncoderConfig,
    parameters: &Parameters,
    images: Tensor<4>,
    pass: Pass<'_>,
) -> Tensor<2> {
    match config {
        EncoderConfig::ConvNext(config) => convnext::forward(config, parameters, images, pass),
        EncoderConfig::Lite(config) => lite::forward(config, parameters, images),
    }
}
