//! This crate's own names: `stages.0.blocks.0.depthwise.weight`.

use std::fmt;
use std::str::FromStr;

use super::{Layer, Parameter, Part, Role, number, stage};

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Depthwise => "depthwise",
            Self::Norm => "norm",
            Self::Expand => "expand",
            Self::Project => "project",
        })
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StemConv(part) => write!(f, "stem.conv.{part}"),
            Self::StemNorm(part) => write!(f, "stem.norm.{part}"),
            Self::DownsampleNorm(stage, part) => write!(f, "stages.{stage}.downsample.norm.{part}"),
            Self::DownsampleConv(stage, part) => write!(f, "stages.{stage}.downsample.conv.{part}"),
            Self::Block(stage, block, layer, part) => {
                write!(f, "stages.{stage}.blocks.{block}.{layer}.{part}")
            }
            Self::LayerScale(stage, block) => {
                write!(f, "stages.{stage}.blocks.{block}.layer_scale")
            }
            Self::HeadNorm(part) => write!(f, "head.norm.{part}"),
            Self::Projection => f.write_str("head.projection.weight"),
        }
    }
}

/// A text that is no canonical name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a ConvNeXt parameter")]
pub struct NotAName;

impl FromStr for Parameter {
    type Err = NotAName;

    fn from_str(name: &str) -> Result<Self, NotAName> {
        let parts: Vec<&str> = name.split('.').collect();
        match parse(&parts) {
            Some(Role::Parameter(parameter)) => Ok(parameter),
            _ => Err(NotAName),
        }
    }
}

pub(super) fn parse(parts: &[&str]) -> Option<Role> {
    let parameter = match parts {
        ["stem", "conv", part] => Parameter::StemConv(Part::parse(part)?),
        ["stem", "norm", part] => Parameter::StemNorm(Part::parse(part)?),
        ["stages", s, "downsample", layer, part] => {
            let stage = stage(s).filter(|&stage| stage > 0)?;
            match *layer {
                "norm" => Parameter::DownsampleNorm(stage, Part::parse(part)?),
                "conv" => Parameter::DownsampleConv(stage, Part::parse(part)?),
                _ => return None,
            }
        }
        ["stages", s, "blocks", b, "layer_scale"] => Parameter::LayerScale(stage(s)?, number(b)?),
        ["stages", s, "blocks", b, layer, part] => {
            let layer = match *layer {
                "depthwise" => Layer::Depthwise,
                "norm" => Layer::Norm,
                "expand" => Layer::Expand,
                "project" => Layer::Project,
                _ => return None,
            };
            Parameter::Block(stage(s)?, number(b)?, layer, Part::parse(part)?)
        }
        ["head", "norm", part] => Parameter::HeadNorm(Part::parse(part)?),
        ["head", "projection", "weight"] => Parameter::Projection,
        _ => return None,
    };
    Some(Role::Parameter(parameter))
}
