//! The names of the authors' code (github.com/facebookresearch/ConvNeXt, `models/convnext.py`):
//! `downsample_layers.0` is the stem, `stages.0.0.dwconv.weight`.

use super::{Layer, Parameter, Part, Role, number, stage};

pub(super) fn parse(parts: &[&str]) -> Option<Role> {
    let parameter = match parts {
        ["downsample_layers", s, layer, part] => {
            let part = Part::parse(part)?;
            match (stage(s)?, *layer) {
                (0, "0") => Parameter::StemConv(part),
                (0, "1") => Parameter::StemNorm(part),
                (stage, "0") => Parameter::DownsampleNorm(stage, part),
                (stage, "1") => Parameter::DownsampleConv(stage, part),
                _ => return None,
            }
        }
        ["stages", s, b, "gamma"] => Parameter::LayerScale(stage(s)?, number(b)?),
        ["stages", s, b, layer, part] => {
            let layer = match *layer {
                "dwconv" => Layer::Depthwise,
                "norm" => Layer::Norm,
                "pwconv1" => Layer::Expand,
                "pwconv2" => Layer::Project,
                _ => return None,
            };
            Parameter::Block(stage(s)?, number(b)?, layer, Part::parse(part)?)
        }
        ["norm", part] => Parameter::HeadNorm(Part::parse(part)?),
        ["head", part] => return Part::parse(part).map(|_| Role::Classifier),
        _ => return None,
    };
    Some(Role::Parameter(parameter))
}

pub(super) fn key(parameter: Parameter) -> Option<String> {
    Some(match parameter {
        Parameter::StemConv(part) => format!("downsample_layers.0.0.{part}"),
        Parameter::StemNorm(part) => format!("downsample_layers.0.1.{part}"),
        Parameter::DownsampleNorm(stage, part) => format!("downsample_layers.{stage}.0.{part}"),
        Parameter::DownsampleConv(stage, part) => format!("downsample_layers.{stage}.1.{part}"),
        Parameter::LayerScale(stage, block) => format!("stages.{stage}.{block}.gamma"),
        Parameter::Block(stage, block, layer, part) => {
            let layer = match layer {
                Layer::Depthwise => "dwconv",
                Layer::Norm => "norm",
                Layer::Expand => "pwconv1",
                Layer::Project => "pwconv2",
            };
            format!("stages.{stage}.{block}.{layer}.{part}")
        }
        Parameter::HeadNorm(part) => format!("norm.{part}"),
        Parameter::Projection => return None,
    })
}
