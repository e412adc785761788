//! timm's names (`timm.models.convnext`): `stages.0.blocks.0.conv_dw.weight`.

use super::{Layer, Parameter, Part, Role, number, stage};

pub(super) fn parse(parts: &[&str]) -> Option<Role> {
    let parameter = match parts {
        ["stem", "0", part] => Parameter::StemConv(Part::parse(part)?),
        ["stem", "1", part] => Parameter::StemNorm(Part::parse(part)?),
        ["stages", s, "downsample", layer, part] => {
            let stage = stage(s).filter(|&stage| stage > 0)?;
            match *layer {
                "0" => Parameter::DownsampleNorm(stage, Part::parse(part)?),
                "1" => Parameter::DownsampleConv(stage, Part::parse(part)?),
                _ => return None,
            }
        }
        ["stages", s, "blocks", b, "gamma"] => Parameter::LayerScale(stage(s)?, number(b)?),
        ["stages", s, "blocks", b, layer @ .., part] => {
            let layer = match layer {
                ["conv_dw"] => Layer::Depthwise,
                ["norm"] => Layer::Norm,
                ["mlp", "fc1"] => Layer::Expand,
                ["mlp", "fc2"] => Layer::Project,
                _ => return None,
            };
            Parameter::Block(stage(s)?, number(b)?, layer, Part::parse(part)?)
        }
        ["head", "norm", part] => Parameter::HeadNorm(Part::parse(part)?),
        ["head", "fc", part] => return Part::parse(part).map(|_| Role::Classifier),
        _ => return None,
    };
    Some(Role::Parameter(parameter))
}

pub(super) fn key(parameter: Parameter) -> Option<String> {
    Some(match parameter {
        Parameter::StemConv(part) => format!("stem.0.{part}"),
        Parameter::StemNorm(part) => format!("stem.1.{part}"),
        Parameter::DownsampleNorm(stage, part) => format!("stages.{stage}.downsample.0.{part}"),
        Parameter::DownsampleConv(stage, part) => format!("stages.{stage}.downsample.1.{part}"),
        Parameter::LayerScale(stage, block) => format!("stages.{stage}.blocks.{block}.gamma"),
        Parameter::Block(stage, block, layer, part) => {
            let layer = match layer {
                Layer::Depthwise => "conv_dw",
                Layer::Norm => "norm",
                Layer::Expand => "mlp.fc1",
                Layer::Project => "mlp.fc2",
            };
            format!("stages.{stage}.blocks.{block}.{layer}.{part}")
        }
        Parameter::HeadNorm(part) => format!("head.norm.{part}"),
        Parameter::Projection => return None,
    })
}
