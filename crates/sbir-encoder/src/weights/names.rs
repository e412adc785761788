//! The parameters of a ConvNeXt and what each implementation calls them.
//!
//! The canonical names are this crate's own ([`Scheme::Sbir`]):
//!
//! ```text
//! stem.conv.{weight,bias}                                 [C0, 3, 4, 4]
//! stem.norm.{weight,bias}                                 [C0]
//! stages.{s}.downsample.norm.{weight,bias}      s ≥ 1     [C(s-1)]
//! stages.{s}.downsample.conv.{weight,bias}      s ≥ 1     [Cs, C(s-1), 2, 2]
//! stages.{s}.blocks.{b}.depthwise.{weight,bias}           [Cs, 1, 7, 7]
//! stages.{s}.blocks.{b}.norm.{weight,bias}                [Cs]
//! stages.{s}.blocks.{b}.expand.{weight,bias}              [4 Cs, Cs]
//! stages.{s}.blocks.{b}.project.{weight,bias}             [Cs, 4 Cs]
//! stages.{s}.blocks.{b}.layer_scale                       [Cs]
//! head.norm.{weight,bias}                                 [C3]
//! head.projection.weight                                  [D, C3]
//! ```
//!
//! One file per naming; each parses its keys into [`Parameter`]s and writes them back.

use std::fmt;
use std::str::FromStr;

use super::Error;
use super::error::shown;
pub use super::mapping::{Mapping, detect, map};

mod canonical;
mod facebookresearch;
mod open_clip;
mod timm;
mod torchvision;

/// Whose names a checkpoint uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// The canonical names of this crate.
    Sbir,
    /// torchvision: `features.1.0.block.0.weight`.
    Torchvision,
    /// The origin, torchvision's features under `embedding_net`: `embedding_net.1.0.block.0.weight`.
    Origin,
    /// timm: `stages.0.blocks.0.conv_dw.weight`.
    Timm,
    /// facebookresearch/ConvNeXt: `stages.0.0.dwconv.weight`.
    Facebookresearch,
    /// The visual tower of open_clip, timm's names and a projection:
    /// `visual.trunk.stages.0.blocks.0.conv_dw.weight`, `visual.head.proj.weight`.
    OpenClip,
    /// lukemelas/EfficientNet-PyTorch, read only: `_blocks.0._depthwise_conv.weight`.
    EfficientnetPytorch,
}

impl Scheme {
    /// Every naming of a ConvNeXt.
    pub const ALL: [Self; 6] = [
        Self::Sbir,
        Self::Torchvision,
        Self::Origin,
        Self::Timm,
        Self::Facebookresearch,
        Self::OpenClip,
    ];

    /// Parses a key without its prefix; `None` for a key that the naming does not have.
    pub(super) fn parse(self, key: &str) -> Option<Role> {
        let parts: Vec<&str> = key.split('.').collect();
        match self {
            Self::Sbir => canonical::parse(&parts),
            Self::Torchvision => torchvision::parse(&parts),
            Self::Origin => torchvision::parse_features(parts.strip_prefix(&["embedding_net"])?),
            Self::Timm => timm::parse(&parts),
            Self::Facebookresearch => facebookresearch::parse(&parts),
            Self::OpenClip => open_clip::parse(&parts),
            Self::EfficientnetPytorch => None,
        }
    }

    /// The key of a parameter, without prefix; `None` where the naming has none.
    pub(super) fn key(self, parameter: Parameter) -> Option<String> {
        match self {
            Self::Sbir => Some(parameter.to_string()),
            Self::Torchvision => torchvision::key(parameter),
            Self::Origin => {
                torchvision::features_key(parameter).map(|key| format!("embedding_net.{key}"))
            }
            Self::Timm => timm::key(parameter),
            Self::Facebookresearch => facebookresearch::key(parameter),
            Self::OpenClip => open_clip::key(parameter),
            Self::EfficientnetPytorch => None,
        }
    }

    /// What stands before every key in a whole checkpoint of this naming.
    pub(super) fn usual_prefix(self) -> &'static str {
        match self {
            Self::OpenClip => "visual.",
            _ => "",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sbir => "sbir",
            Self::Torchvision => "torchvision",
            Self::Origin => "origin",
            Self::Timm => "timm",
            Self::Facebookresearch => "facebookresearch",
            Self::OpenClip => "open_clip",
            Self::EfficientnetPytorch => "efficientnet_pytorch",
        })
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.to_string() == text)
            .ok_or_else(|| Error::UnknownScheme { text: shown(text) })
    }
}

/// A weight or a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// `weight`
    Weight,
    /// `bias`
    Bias,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "weight" => Some(Self::Weight),
            "bias" => Some(Self::Bias),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
        })
    }
}

/// A layer with weight and bias inside a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The depthwise 7×7 convolution.
    Depthwise,
    /// The LayerNorm after it.
    Norm,
    /// The pointwise layer to four times the width.
    Expand,
    /// The pointwise layer back.
    Project,
}

/// A parameter of a ConvNeXt. Stages and blocks count from 0. Displays as its canonical name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parameter {
    /// The 4×4 convolution of the stem.
    StemConv(Part),
    /// The LayerNorm of the stem.
    StemNorm(Part),
    /// The LayerNorm before stages 1 to 3.
    DownsampleNorm(usize, Part),
    /// The 2×2 convolution before stages 1 to 3.
    DownsampleConv(usize, Part),
    /// A layer of a block: stage, block, layer.
    Block(usize, usize, Layer, Part),
    /// The layer scale of a block: stage, block.
    LayerScale(usize, usize),
    /// The LayerNorm after pooling.
    HeadNorm(Part),
    /// The projection to the embedding, without bias.
    Projection,
}

/// What a key of a naming stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Parameter(Parameter),
    /// A classifier, which an encoder has no use for.
    Classifier,
}

/// A stage from its number.
fn stage(text: &str) -> Option<usize> {
    number(text).filter(|&stage| stage < 4)
}

/// A number as it is written in keys: up to three digits, no leading zero.
fn number(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=3).contains(&text.len())
        && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Translates a canonical name and shape to `scheme`, with the prefix that whole checkpoints have
/// there. Layer scales are `[C, 1, 1]` under torchvision's and the origin's names; every other shape
/// is canonical, and the values always lie in the same order.
///
/// # Errors
///
/// [`Error::NoName`] where the scheme has no such parameter: only [`Scheme::OpenClip`] and
/// [`Scheme::Sbir`] have a projection, and the origin's names have no head norm.
pub fn to_scheme(
    name: &str,
    shape: &[usize],
    scheme: Scheme,
) -> Result<(String, Vec<usize>), Error> {
    let parameter = name.parse::<Parameter>().ok();
    let key = parameter
        .and_then(|parameter| scheme.key(parameter))
        .map(|key| format!("{}{key}", scheme.usual_prefix()))
        .ok_or_else(|| Error::NoName { key: shown(name), scheme })?;
    let mut shape = shape.to_vec();
    if matches!(scheme, Scheme::Torchvision | Scheme::Origin)
        && matches!(parameter, Some(Parameter::LayerScale(..)))
    {
        shape.extend([1, 1]);
    }
    Ok((key, shape))
}

/// The canonical shape of a parameter stored as `shape`: the weight of a 1×1 convolution is that of
/// a linear layer, and a layer scale of `[C, 1, 1]` is `[C]`. The values lie in the same order.
pub(super) fn canonical_shape(parameter: Parameter, shape: &[usize]) -> Vec<usize> {
    match (parameter, shape) {
        (
            Parameter::Block(_, _, Layer::Expand | Layer::Project, Part::Weight)
            | Parameter::Projection,
            [outputs, inputs, 1, 1],
        ) => vec![*outputs, *inputs],
        (Parameter::LayerScale(..), [width, 1, 1]) => vec![*width],
        _ => shape.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_parameter() -> Vec<Parameter> {
        let mut parameters = vec![Parameter::Projection];
        for part in [Part::Weight, Part::Bias] {
            parameters.extend([
                Parameter::StemConv(part),
                Parameter::StemNorm(part),
                Parameter::HeadNorm(part),
            ]);
            for stage in 0..4 {
                if stage > 0 {
                    parameters.push(Parameter::DownsampleNorm(stage, part));
                    parameters.push(Parameter::DownsampleConv(stage, part));
                }
                for block in [0, 26] {
                    parameters.push(Parameter::LayerScale(stage, block));
                    for layer in [Layer::Depthwise, Layer::Norm, Layer::Expand, Layer::Project] {
                        parameters.push(Parameter::Block(stage, block, layer, part));
                    }
                }
            }
        }
        parameters
    }

    #[test]
    fn every_key_parses_back_to_its_parameter() {
        for scheme in Scheme::ALL {
            let mut written = 0;
            for parameter in every_parameter() {
                if let Some(key) = scheme.key(parameter) {
                    assert_eq!(scheme.parse(&key), Some(Role::Parameter(parameter)), "{key}");
                    written += 1;
                }
            }
            // All but the projection and the head norm have a name everywhere.
            assert!(written >= every_parameter().len() - 3, "{scheme}");
        }
    }

    #[test]
    fn foreign_keys_are_not_parsed() {
        for key in [
            "",
            ".",
            "weight",
            "features.0.0",
            "features.00.0.weight",
            "features.1.0.block.1.weight",
            "features.9.0.layer_scale",
            "stages.4.blocks.0.gamma",
            "stages.0.downsample.0.weight",
            "stages.0.blocks.+1.gamma",
            "stages.0.blocks.0.mlp.grn.weight",
            "stages.0.blocks.1000.gamma",
            "stem.0.running_mean",
        ] {
            for scheme in Scheme::ALL {
                assert_eq!(scheme.parse(key), None, "{key} under {scheme}");
            }
        }
    }

    #[test]
    fn names_that_a_scheme_lacks_are_errors() {
        let (key, shape) =
            to_scheme("stages.2.blocks.5.expand.weight", &[8, 2], Scheme::Origin).unwrap();
        assert_eq!((key.as_str(), shape), ("embedding_net.5.5.block.3.weight", vec![8, 2]));
        let (key, _) = to_scheme("head.projection.weight", &[4, 2], Scheme::OpenClip).unwrap();
        assert_eq!(key, "visual.head.proj.weight");
        let error = to_scheme("head.projection.weight", &[4, 2], Scheme::Torchvision).unwrap_err();
        assert_eq!(
            error.to_string(),
            "head.projection.weight has no name under torchvision; convert without it or to \
             another naming"
        );
        assert!(to_scheme("head.norm.weight", &[2], Scheme::Origin).is_err());
        assert!(to_scheme("nonsense", &[2], Scheme::Timm).is_err());
    }

    #[test]
    fn schemes_are_spelled_as_they_display() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.to_string().parse::<Scheme>().unwrap(), scheme);
        }
        assert!("pytorch".parse::<Scheme>().unwrap_err().to_string().contains("choose"));
    }

    #[test]
    fn only_layer_scales_change_shape() {
        let shape = |name, scheme| to_scheme(name, &[96], scheme).unwrap().1;
        let name = "stages.0.blocks.0.layer_scale";
        assert_eq!(shape(name, Scheme::Torchvision), [96, 1, 1]);
        assert_eq!(shape(name, Scheme::Origin), [96, 1, 1]);
        assert_eq!(shape(name, Scheme::Timm), [96]);
        assert_eq!(shape("head.norm.bias", Scheme::Torchvision), [96]);
    }
}
