//! torchvision's names (`torchvision.models.convnext`): stages and downsampling alternate in one
//! sequence, `features.0` the stem, `features.{2 s + 1}` stage s, `features.{2 s}` what precedes it.

use super::{Layer, Parameter, Part, Role, number};

pub(super) fn parse(parts: &[&str]) -> Option<Role> {
    match parts {
        ["features", features @ ..] => parse_features(features),
        ["classifier", "0", part] => Some(Role::Parameter(Parameter::HeadNorm(Part::parse(part)?))),
        ["classifier", "2", part] => Part::parse(part).map(|_| Role::Classifier),
        _ => None,
    }
}

/// Parses what follows `features.` (or `embedding_net.`).
pub(super) fn parse_features(parts: &[&str]) -> Option<Role> {
    let (&place, rest) = parts.split_first()?;
    let place = number(place).filter(|&place| place < 8)?;
    let stage = place / 2;
    let parameter = match (place % 2, rest) {
        (0, ["0", part]) if stage == 0 => Parameter::StemConv(Part::parse(part)?),
        (0, ["1", part]) if stage == 0 => Parameter::StemNorm(Part::parse(part)?),
        (0, ["0", part]) => Parameter::DownsampleNorm(stage, Part::parse(part)?),
        (0, ["1", part]) => Parameter::DownsampleConv(stage, Part::parse(part)?),
        (1, [block, "layer_scale"]) => Parameter::LayerScale(stage, number(block)?),
        (1, [block, "block", layer, part]) => {
            let layer = match *layer {
                "0" => Layer::Depthwise,
                "2" => Layer::Norm,
                "3" => Layer::Expand,
                "5" => Layer::Project,
                _ => return None,
            };
            Parameter::Block(stage, number(block)?, layer, Part::parse(part)?)
        }
        _ => return None,
    };
    Some(Role::Parameter(parameter))
}

pub(super) fn key(parameter: Parameter) -> Option<String> {
    match parameter {
        Parameter::HeadNorm(part) => Some(format!("classifier.0.{part}")),
        _ => features_key(parameter).map(|key| format!("features.{key}")),
    }
}

/// What follows `features.`; `None` for the head.
pub(super) fn features_key(parameter: Parameter) -> Option<String> {
    Some(match parameter {
        Parameter::StemConv(part) => format!("0.0.{part}"),
        Parameter::StemNorm(part) => format!("0.1.{part}"),
        Parameter::DownsampleNorm(stage, part) => format!("{}.0.{part}", 2 * stage),
        Parameter::DownsampleConv(stage, part) => format!("{}.1.{part}", 2 * stage),
        Parameter::LayerScale(stage, block) => format!("{}.{block}.layer_scale", 2 * stage + 1),
        Parameter::Block(stage, block, layer, part) => {
            let layer = match layer {
                Layer::Depthwise => 0,
                Layer::Norm => 2,
                Layer::Expand => 3,
                Layer::Project => 5,
            };
            format!("{}.{block}.block.{layer}.{part}", 2 * stage + 1)
        }
        Parameter::HeadNorm(_) | Parameter::Projection => return None,
    })
}
