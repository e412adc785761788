//! The size of a ConvNeXt, told from keys and shapes alone.

use std::collections::HashMap;

use super::names::{Layer, Parameter, Part};

/// Most blocks in a stage (27 in the largest published ConvNeXt, 30 in open_clip's).
const MAX_DEPTH: usize = 64;

/// Widest stage (3072 in open_clip's xxlarge).
const MAX_WIDTH: usize = 8192;

/// Depths, widths and head of a ConvNeXt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture {
    /// Blocks of each stage.
    pub depths: [usize; 4],
    /// Channels of each stage.
    pub dims: [usize; 4],
    /// Whether there is a LayerNorm after pooling. The origin's encoder does not use it.
    pub head_norm: bool,
    /// Width of the embedding where a projection follows.
    pub projection: Option<usize>,
}

impl Architecture {
    /// Reads depths and widths off the depthwise weights, or says what is out of range.
    pub(super) fn of(found: &HashMap<Parameter, Vec<usize>>) -> Result<Self, String> {
        let depthwise = |stage, block| {
            found.get(&Parameter::Block(stage, block, Layer::Depthwise, Part::Weight))
        };
        let mut depths = [0; 4];
        let mut dims = [0; 4];
        for stage in 0..4 {
            depths[stage] = (0..=MAX_DEPTH)
                .find(|&block| depthwise(stage, block).is_none())
                .ok_or_else(|| format!("more than {MAX_DEPTH} blocks in stage {stage}"))?;
            let shape = depthwise(stage, 0).ok_or_else(|| format!("no blocks in stage {stage}"))?;
            dims[stage] = match shape.as_slice() {
                [width, 1, 7, 7] if (1..=MAX_WIDTH).contains(width) => *width,
                _ => return Err(format!("a depthwise weight of shape {shape:?} in stage {stage}")),
            };
        }
        let projection = match found.get(&Parameter::Projection).map(Vec::as_slice) {
            None => None,
            Some(&[width, _]) if (1..=MAX_WIDTH).contains(&width) => Some(width),
            Some(shape) => return Err(format!("a projection of shape {shape:?}")),
        };
        let head_norm = found.contains_key(&Parameter::HeadNorm(Part::Weight));
        Ok(Self { depths, dims, head_norm, projection })
    }

    /// Every parameter of this architecture, canonical name and shape, in network order: the
    /// stem, then per stage its downsampling and blocks, then the head.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        both(&mut list, Parameter::StemConv, vec![self.dims[0], 3, 4, 4]);
        both(&mut list, Parameter::StemNorm, vec![self.dims[0]]);
        for (stage, (&depth, &width)) in self.depths.iter().zip(&self.dims).enumerate() {
            if stage > 0 {
                let before = self.dims[stage - 1];
                both(&mut list, |part| Parameter::DownsampleNorm(stage, part), vec![before]);
                let weight = vec![width, before, 2, 2];
                both(&mut list, |part| Parameter::DownsampleConv(stage, part), weight);
            }
            for block in 0..depth {
                for (layer, weight) in [
                    (Layer::Depthwise, vec![width, 1, 7, 7]),
                    (Layer::Norm, vec![width]),
                    (Layer::Expand, vec![4 * width, width]),
                    (Layer::Project, vec![width, 4 * width]),
                ] {
                    both(&mut list, |part| Parameter::Block(stage, block, layer, part), weight);
                }
                list.push((Parameter::LayerScale(stage, block).to_string(), vec![width]));
            }
        }
        if self.head_norm {
            both(&mut list, Parameter::HeadNorm, vec![self.dims[3]]);
        }
        if let Some(width) = self.projection {
            list.push((Parameter::Projection.to_string(), vec![width, self.dims[3]]));
        }
        list
    }
}

/// Appends a weight and the bias of its first dimension.
fn both(
    list: &mut Vec<(String, Vec<usize>)>,
    parameter: impl Fn(Part) -> Parameter,
    weight: Vec<usize>,
) {
    let bias = vec![weight[0]];
    list.push((parameter(Part::Weight).to_string(), weight));
    list.push((parameter(Part::Bias).to_string(), bias));
}
