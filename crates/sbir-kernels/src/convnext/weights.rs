//! Packed weights of the network's parts, for both directions.

use super::depthwise::TAPS;
use super::norm::Affine;
use super::spec::ConvNextSpec;
use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::Lanes;
use crate::panels::pack::{Packed, pack};

/// A LayerNorm's weight and bias.
#[derive(Debug, Default)]
pub(super) struct Norm {
    weight: Buffer<f32>,
    bias: Buffer<f32>,
}

impl Norm {
    pub(super) fn set<L: Lanes>(&mut self, weight: &[f32], bias: &[f32]) {
        set_padded::<L>(&mut self.weight, weight.len(), |i| weight[i]);
        set_padded::<L>(&mut self.bias, bias.len(), |i| bias[i]);
    }

    pub(super) fn affine(&self) -> Affine {
        Affine { weight: self.weight.as_ptr(), bias: self.bias.as_ptr() }
    }
}

/// Writes a vector over channels, filled up with zeros to whole panels.
pub(super) fn set_padded<L: Lanes>(
    buffer: &mut Buffer<f32>,
    length: usize,
    value: impl Fn(usize) -> f32,
) {
    for (i, to) in buffer.at_least(length.next_multiple_of(L::PANEL)).iter_mut().enumerate() {
        *to = if i < length { value(i) } else { 0.0 };
    }
}

/// Writes depthwise taps as `[panels, 49, PANEL]`; turned by half a turn where `flip`.
fn set_taps<L: Lanes>(buffer: &mut Buffer<f32>, weight: &[f32], flip: bool) {
    let channels = weight.len() / TAPS;
    let taps = buffer.at_least(channels.next_multiple_of(L::PANEL) * TAPS);
    for (channel, weight) in weight.chunks_exact(TAPS).enumerate() {
        let panel = &mut taps[channel / L::PANEL * TAPS * L::PANEL..];
        for (tap, value) in weight.iter().enumerate() {
            let tap = if flip { TAPS - 1 - tap } else { tap };
            panel[tap * L::PANEL + channel % L::PANEL] = *value;
        }
    }
}

/// A block, for the forward pass. The layer scale is part of the projection.
#[derive(Debug)]
pub(super) struct Block<T> {
    pub(super) channels: usize,
    pub(super) taps: Buffer<f32>,
    pub(super) taps_bias: Buffer<f32>,
    pub(super) norm: Norm,
    pub(super) expand: Packed<T>,
    pub(super) expand_bias: Buffer<f32>,
    pub(super) project: Packed<T>,
    pub(super) project_bias: Buffer<f32>,
}

impl<T: Plain> Block<T> {
    pub(super) fn empty() -> Self {
        Self {
            channels: 0,
            taps: Buffer::default(),
            taps_bias: Buffer::default(),
            norm: Norm::default(),
            expand: Packed::default(),
            expand_bias: Buffer::default(),
            project: Packed::default(),
            project_bias: Buffer::default(),
        }
    }

    /// Packs a block's nine parameters.
    pub(super) fn set<L: Lanes<Operand = T>>(&mut self, parameters: &[&[f32]]) {
        let &[taps, taps_bias, norm, norm_bias, expand, expand_bias, project, project_bias, scale] =
            parameters
        else {
            unreachable!("nine parameters a block")
        };
        let channels = scale.len();
        let hidden = 4 * channels;
        self.channels = channels;
        set_taps::<L>(&mut self.taps, taps, false);
        set_padded::<L>(&mut self.taps_bias, channels, |i| taps_bias[i]);
        self.norm.set::<L>(norm, norm_bias);
        pack::<L>(&mut self.expand, channels, hidden, |k, c| expand[c * channels + k]);
        set_padded::<L>(&mut self.expand_bias, hidden, |i| expand_bias[i]);
        pack::<L>(&mut self.project, hidden, channels, |k, c| scale[c] * project[c * hidden + k]);
        set_padded::<L>(&mut self.project_bias, channels, |i| scale[i] * project_bias[i]);
    }
}

/// A block, for the backward pass.
#[derive(Debug)]
pub(super) struct BlockBack<T> {
    /// Taps turned by half a turn.
    pub(super) taps: Buffer<f32>,
    /// From the projection's output to its input, layer scale included.
    pub(super) project: Packed<T>,
    /// From the expansion's output to its input.
    pub(super) expand: Packed<T>,
}

impl<T: Plain> BlockBack<T> {
    pub(super) fn empty() -> Self {
        Self { taps: Buffer::default(), project: Packed::default(), expand: Packed::default() }
    }

    pub(super) fn set<L: Lanes<Operand = T>>(&mut self, parameters: &[&[f32]]) {
        let (taps, expand, project, scale) =
            (parameters[0], parameters[4], parameters[6], parameters[8]);
        let channels = scale.len();
        let hidden = 4 * channels;
        set_taps::<L>(&mut self.taps, taps, true);
        pack::<L>(&mut self.project, channels, hidden, |k, c| scale[k] * project[k * hidden + c]);
        pack::<L>(&mut self.expand, hidden, channels, |k, c| expand[k * channels + c]);
    }
}

/// What stands before a stage: LayerNorm, then a product over patches of 2×2 pixels; before the first, a product over
/// patches of 4×4 pixels of a picture, then LayerNorm.
#[derive(Debug)]
pub(super) struct Patch<T> {
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) norm: Norm,
    pub(super) product: Packed<T>,
    pub(super) bias: Buffer<f32>,
}

impl<T: Plain> Patch<T> {
    pub(super) fn empty() -> Self {
        Self {
            channels_in: 0,
            channels_out: 0,
            norm: Norm::default(),
            product: Packed::default(),
            bias: Buffer::default(),
        }
    }

    pub(super) fn set<L: Lanes<Operand = T>>(
        &mut self,
        spec: &ConvNextSpec,
        stage: usize,
        parameters: &[&[f32]],
    ) {
        let &[a, b, c, d] = parameters else { unreachable!("four parameters") };
        let (weight, bias, norm, norm_bias) = if stage == 0 { (a, b, c, d) } else { (c, d, a, b) };
        self.channels_out = spec.dims[stage];
        self.channels_in = if stage == 0 { 3 } else { spec.dims[stage - 1] };
        self.norm.set::<L>(norm, norm_bias);
        set_padded::<L>(&mut self.bias, self.channels_out, |i| bias[i]);
        let (channels, out) = (self.channels_in, self.channels_out);
        if stage == 0 {
            // Rows of a patch are (colour, ky, kx), as PyTorch stores the weight.
            pack::<L>(&mut self.product, 48, out, |k, c| weight[c * 48 + k]);
        } else {
            // Rows of a patch are (ky, kx, channel), channels filled up to panels.
            let padded = channels.next_multiple_of(L::PANEL);
            pack::<L>(&mut self.product, 4 * padded, out, |k, c| {
                let (tap, channel) = (k / padded, k % padded);
                if channel < channels { weight[(c * channels + channel) * 4 + tap] } else { 0.0 }
            });
        }
    }
}

/// [`Patch`], for the backward pass: from its output to its patches, columns as the forward pass's rows of a patch.
pub(super) fn set_patch_back<L: Lanes>(
    packed: &mut Packed<L::Operand>,
    patch: &Patch<L::Operand>,
    weight: &[f32],
) where
    L::Operand: Plain,
{
    let channels = patch.channels_in;
    let padded = channels.next_multiple_of(L::PANEL);
    pack::<L>(packed, patch.channels_out, 4 * padded, |k, c| {
        let (tap, channel) = (c / padded, c % padded);
        if channel < channels { weight[(k * channels + channel) * 4 + tap] } else { 0.0 }
    });
}
