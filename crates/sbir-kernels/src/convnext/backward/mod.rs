//! The backward pass: from the gradient at the embeddings to that of every parameter.
//!
//! Blocks are gone through backwards, and in each the pictures in groups. Span by span of a group's rows everything is
//! computed that belongs to one row; what the gradients of weights are summed from is left in panels, and then each thread
//! makes those sums for its own panels of the weights, so that nothing is added up across threads.

mod block;
mod patch;
mod sums;

use rayon::prelude::*;

use super::depthwise::TAPS;
use super::network::Core;
use super::patch::{Pixels, STEM_DEPTH};
use super::rows::{Rows, Scratch, fixed_spans};
use super::spec::{BLOCK_PARAMETERS, ConvNextSpec, Plane};
use super::tape::{BlockTape, Tape};
use super::weights::{BlockBack, Patch, set_patch_back};
use crate::panels::buffer::{Buffer, Plain};
use crate::panels::lanes::Lanes;
use crate::panels::pack::Packed;
use crate::panels::spans::{Shared, Span};
use block::ByRows;

/// Operands of a group of pictures take about this many bytes.
const GROUP_BYTES: usize = 48 << 20;

/// Weights packed for the backward pass.
pub(super) struct Back<L: Lanes> {
    blocks: [Vec<BlockBack<L::Operand>>; 4],
    /// Of stages 1 to 3; the first one's is empty.
    patches: [Packed<L::Operand>; 4],
}

impl<L: Lanes> Back<L>
where
    L::Operand: Plain,
{
    fn new(spec: &ConvNextSpec, patches: &[Patch<L::Operand>; 4], parameters: &[&[f32]]) -> Self {
        let blocks = spec.depths.map(|depth| (0..depth).map(|_| BlockBack::empty()).collect());
        let mut back = Self { blocks, patches: std::array::from_fn(|_| Packed::default()) };
        back.set(spec, patches, parameters);
        back
    }

    pub(super) fn set(
        &mut self,
        spec: &ConvNextSpec,
        patches: &[Patch<L::Operand>; 4],
        parameters: &[&[f32]],
    ) {
        for stage in 0..4 {
            if stage > 0 {
                let weight = parameters[spec.patch_at(stage) + 2];
                set_patch_back::<L>(&mut self.patches[stage], &patches[stage], weight);
            }
            for (place, block) in self.blocks[stage].iter_mut().enumerate() {
                let at = spec.block_at(stage, place);
                block.set::<L>(&parameters[at..at + BLOCK_PARAMETERS]);
            }
        }
    }
}

/// Operands by rows of a group: memory, and how it is shared out.
struct Operands {
    values: Buffer<f32>,
    stride: usize,
}

impl Operands {
    fn by_rows<T>(&mut self) -> ByRows<T> {
        ByRows { start: Shared(self.values.as_mut_ptr().cast()), stride: self.stride }
    }
}

/// What a gradient is added to, in panels.
struct Sums {
    values: Buffer<f32>,
}

impl Sums {
    fn shared(&mut self) -> Shared<f32> {
        Shared(self.values.as_mut_ptr())
    }
}

/// What the gradients of the parameters before a stage are made of.
struct PatchSums {
    /// `[panels, depth, PANEL]`.
    weight: Sums,
    bias: Sums,
    /// `[2, panels, PANEL]`.
    norm: Vec<f32>,
}

/// Panels of one piece of work: a few pieces for every thread.
fn shares(panels: usize) -> usize {
    panels.div_ceil(2 * rayon::current_num_threads()).max(1)
}

fn add(to: &mut [f32], from: impl IntoIterator<Item = f32>) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

impl<L: Lanes> Core<L>
where
    L::Operand: Plain,
{
    /// Adds the gradients of all parameters.
    pub(super) fn pull(
        &self,
        parameters: &[&[f32]],
        tape: Tape,
        at_embeddings: &[f32],
        gradients: &mut [Vec<f32>],
    ) {
        let spec = &self.spec;
        let back = self.back.get_or_init(|| Back::new(spec, &self.patches, parameters));
        let Tape { size, pixels, mut maps, mut blocks, heads } = tape;
        let [count, height, width] = size;
        let planes = Plane::of_stages(height, width);
        let all: Vec<usize> = (0..count).collect();
        let rows = self.rows(&all, planes[3], 3);
        let stride = rows.picture_stride::<L>();
        let mut at = self.zeros(count * stride);
        for (picture, head) in heads.iter().enumerate() {
            let from = &at_embeddings[picture * spec.width()..][..spec.width()];
            let at_pooled =
                self.head.pull(head, from, spec.norm_epsilon, &mut gradients[spec.head_at()..]);
            let share = 1.0 / rows.plane.pixels() as f32;
            let panels = at[picture * stride..(picture + 1) * stride]
                .chunks_exact_mut(rows.panel_stride::<L>());
            for (panel, channels) in panels.zip(at_pooled.chunks(L::PANEL)) {
                for pixel in panel.chunks_exact_mut(L::PANEL) {
                    pixel.iter_mut().zip(channels).for_each(|(to, from)| *to = share * from);
                }
            }
        }
        for stage in (0..4).rev() {
            for place in (0..spec.depths[stage]).rev() {
                let tape = blocks.pop().expect("a tape a block");
                let first = spec.block_at(stage, place);
                let own = first..first + BLOCK_PARAMETERS;
                self.pull_block(
                    (stage, place),
                    back,
                    planes[stage],
                    &parameters[own.clone()],
                    tape,
                    &mut at,
                    &mut gradients[own],
                );
            }
            let rows = self.rows(&all, planes[stage], stage);
            let first = spec.patch_at(stage);
            let own = &mut gradients[first..first + 4];
            if stage == 0 {
                let pixels = Pixels { values: &pixels, plane: Plane { height, width } };
                self.pull_stem(pixels, rows, &mut at, own);
            } else {
                let mut input = maps.pop().expect("a map a stage");
                let before = self.rows(&all, planes[stage - 1], stage - 1);
                let mut at_input = self.zeros(count * before.picture_stride::<L>());
                self.pull_down(stage, back, rows, before, &mut input, &mut at, &mut at_input, own);
                self.give([input, std::mem::replace(&mut at, at_input)]);
            }
        }
        self.give([at]);
    }

    /// A map of zeros.
    fn zeros(&self, length: usize) -> Buffer<f32> {
        let mut buffer = self.take(length);
        buffer[..length].par_chunks_mut(1 << 16).for_each(|part| part.fill(0.0));
        buffer
    }

    fn sums(&self, length: usize) -> Sums {
        Sums { values: self.zeros(length) }
    }

    /// Memory for operands of `panels` panels of a group's rows.
    fn operands(&self, panels: usize, rows: usize) -> Operands {
        let stride = rows.next_multiple_of(2) * L::PANEL;
        let bytes = panels * stride * size_of::<L::Operand>();
        Operands { values: self.take(bytes.div_ceil(4)), stride }
    }

    /// Pictures of a group, whose rows hold `panels` panels of operands.
    fn group(&self, plane: Plane, panels: usize) -> usize {
        let bytes = plane.pixels() * panels * L::PANEL * size_of::<L::Operand>();
        (GROUP_BYTES / bytes.max(1)).max(1)
    }

    #[allow(clippy::too_many_arguments, reason = "a block's place, weights, tape and gradients")]
    fn pull_block(
        &self,
        (stage, place): (usize, usize),
        back: &Back<L>,
        plane: Plane,
        parameters: &[&[f32]],
        tape: BlockTape,
        at: &mut Buffer<f32>,
        gradients: &mut [Vec<f32>],
    ) {
        let BlockTape { mut input, scales, pictures, mut kept } = tape;
        let scales = scales.as_deref();
        let (block, back) = (&self.blocks[stage][place], &back.blocks[stage][place]);
        let channels = block.channels;
        let whole = self.rows(&pictures, plane, stage);
        let (panels, hidden_panels) = (whole.panels::<L>(), (4 * channels).div_ceil(L::PANEL));
        let at = Shared(at.as_mut_ptr());
        let input_map = Shared(input.as_mut_ptr());
        let mut expand = self.sums(hidden_panels * channels * L::PANEL);
        let mut expand_bias = self.sums(hidden_panels * L::PANEL);
        let mut project = self.sums(hidden_panels * channels * L::PANEL);
        let mut scaled_sums = self.sums(panels * L::PANEL);
        let mut taps = self.sums(panels * TAPS * L::PANEL);
        let mut taps_bias = self.sums(panels * L::PANEL);
        let mut norm = vec![0.0; 2 * panels * L::PANEL];
        let most = self.group(plane, 2 * (panels + hidden_panels)).min(pictures.len().max(1));
        let most_rows = most * plane.pixels();
        let mut normalised = self.operands(panels, most_rows);
        let mut scaled = self.operands(panels, most_rows);
        let mut hidden = self.operands(hidden_panels, most_rows);
        let mut at_hidden = self.operands(hidden_panels, most_rows);
        let mut at_filtered = self.take(most * whole.picture_stride::<L>());
        for (group, pictures) in pictures.chunks(most).enumerate() {
            let rows = Rows { pictures, ..whole };
            let kept = kept.as_mut().map(|kept| {
                let first = group * most_rows * L::PANEL;
                let start = kept.as_mut_ptr().cast::<L::Operand>().wrapping_add(first);
                (Shared(start), whole.count() * L::PANEL)
            });
            let by_rows = [&mut normalised, &mut scaled, &mut hidden, &mut at_hidden]
                .map(Operands::by_rows::<L::Operand>);
            let [normalised, scaled, hidden, at_hidden] = by_rows;
            let at_filtered = Shared(at_filtered.as_mut_ptr());
            let epsilon = self.spec.norm_epsilon;
            self.over_spans(rows, &mut norm, |span, norm_sums, scratch| {
                let tile = block::BlockTile::<L::Operand> {
                    block,
                    back,
                    rows,
                    span,
                    input: input_map,
                    at_output: at,
                    scales,
                    kept,
                    normalised,
                    scaled,
                    hidden,
                    at_hidden,
                    at_filtered,
                    norm_sums,
                    epsilon,
                    scratch,
                };
                // SAFETY: the processor was checked when the network was made; sizes are the network's own.
                unsafe { L::enter(tile) };
            });
            let count = rows.count().next_multiple_of(2);
            let (expand, expand_bias) = (expand.shared(), expand_bias.shared());
            let (project, scaled_sums) = (project.shared(), scaled_sums.shared());
            let share = shares(hidden_panels);
            let parts = hidden_panels.div_ceil(share);
            (0..2 * parts + panels).into_par_iter().for_each(|place| {
                let part = place / 2;
                let (left, right, output, sums) = if place % 2 == 0 {
                    (normalised, at_hidden, expand, Some(expand_bias))
                } else {
                    (scaled, hidden, project, None)
                };
                let own = part * share..hidden_panels.min((part + 1) * share);
                // SAFETY: as above; every panel is one work's own.
                unsafe {
                    if place < 2 * parts {
                        let (panels, rows) = (own, count);
                        L::enter(sums::OverRows {
                            left,
                            channels,
                            right,
                            panels,
                            rows,
                            output,
                            sums,
                        });
                    } else {
                        let panel = place - 2 * parts;
                        let (values, sums) = (scaled, scaled_sums);
                        L::enter(sums::ColumnSums { values, panel, rows: count, sums });
                    }
                }
            });
            (0..pictures.len() * panels).into_par_iter().for_each(|place| {
                let (picture, panel) = (place / panels, place % panels);
                let taps = &back.taps;
                // SAFETY: as above; every picture's panel is one work's own.
                unsafe {
                    L::enter(sums::AtInput {
                        rows,
                        picture,
                        panel,
                        taps,
                        at_filtered,
                        at_input: at,
                    });
                }
            });
            let (taps, bias) = (taps.shared(), taps_bias.shared());
            (0..2 * panels).into_par_iter().for_each(|place| {
                let (panel, half) = (place / 2, place % 2);
                let input = input_map;
                // SAFETY: as above; every half of a panel is one work's own.
                unsafe {
                    L::enter(sums::AtTaps { rows, panel, half, input, at_filtered, taps, bias });
                }
            });
        }
        // From panels to PyTorch's order.
        let [
            d_taps,
            d_taps_bias,
            d_norm,
            d_norm_bias,
            d_expand,
            d_expand_bias,
            d_project,
            d_project_bias,
            d_scale,
        ] = gradients
        else {
            unreachable!("nine parameters a block")
        };
        for (channel, gradient) in d_taps.chunks_exact_mut(TAPS).enumerate() {
            let panel = &taps.values[channel / L::PANEL * TAPS * L::PANEL + channel % L::PANEL..];
            add(gradient, panel.iter().step_by(L::PANEL).copied());
        }
        add(d_taps_bias, taps_bias.values.iter().copied());
        let (weight, bias) = norm.split_at(panels * L::PANEL);
        add(d_norm, weight.iter().copied());
        add(d_norm_bias, bias.iter().copied());
        add(d_expand_bias, expand_bias.values.iter().copied());
        let panel_length = channels * L::PANEL;
        d_expand.par_chunks_mut(panel_length).enumerate().for_each(|(panel, gradient)| {
            let sums = &expand.values[panel * panel_length..][..panel_length];
            for (column, gradient) in gradient.chunks_exact_mut(channels).enumerate() {
                add(gradient, sums[column..].iter().step_by(L::PANEL).copied());
            }
        });
        let (weight, project_bias, scale) = (parameters[6], parameters[7], parameters[8]);
        let length = 4 * channels;
        let sums = &project.values;
        d_project
            .par_chunks_mut(length)
            .zip(d_scale.par_iter_mut())
            .zip(d_project_bias.par_iter_mut())
            .enumerate()
            .for_each(|(channel, ((gradient, d_scale), d_bias))| {
                // The sums are without the layer scale, whose own gradient they give.
                let weight = &weight[channel * length..][..length];
                let mut along = 0.0;
                let parts = gradient.chunks_mut(L::PANEL).zip(weight.chunks(L::PANEL)).enumerate();
                for (panel, (gradient, weight)) in parts {
                    let sums = &sums[(panel * channels + channel) * L::PANEL..];
                    for ((gradient, weight), sum) in gradient.iter_mut().zip(weight).zip(sums) {
                        *gradient += scale[channel] * sum;
                        along += weight * sum;
                    }
                }
                let sum = scaled_sums.values[channel];
                *d_scale += along + project_bias[channel] * sum;
                *d_bias += scale[channel] * sum;
            });
        self.give([input, at_filtered]);
        self.give(kept);
        self.give([normalised, scaled, hidden, at_hidden].map(|operands| operands.values));
        self.give(
            [expand, expand_bias, project, scaled_sums, taps, taps_bias].map(|sums| sums.values),
        );
    }

    /// Runs `tile` for every span of `rows`, and adds up in order what each leaves in its norm sums.
    fn over_spans(
        &self,
        rows: Rows<'_>,
        norm: &mut [f32],
        tile: impl Fn(Span, Shared<f32>, &mut Scratch) + Sync,
    ) {
        let parts: Vec<Vec<f32>> = fixed_spans::<L>(rows.count(), rows.channels)
            .into_par_iter()
            .map(|span| {
                let mut sums = vec![0.0; norm.len()];
                Scratch::with(|scratch| tile(span, Shared(sums.as_mut_ptr()), scratch));
                sums
            })
            .collect();
        for part in parts {
            add(norm, part);
        }
    }

    /// Goes over a stage's rows in groups of pictures. `tile` does what belongs to a span's rows and leaves both operands of the sum over
    /// rows that gives the gradient of the product's weight, `depth` columns and as many as the stage has channels.
    fn over_patches(
        &self,
        rows: Rows<'_>,
        depth: usize,
        norm_panels: usize,
        tile: impl Fn(Rows<'_>, Span, [ByRows<L::Operand>; 2], Shared<f32>, &mut Scratch) + Sync,
    ) -> PatchSums {
        let (panels, left_panels) = (rows.panels::<L>(), depth.div_ceil(L::PANEL));
        let mut weight = self.sums(panels * depth * L::PANEL);
        let mut bias = self.sums(panels * L::PANEL);
        let mut norm = vec![0.0; 2 * norm_panels * L::PANEL];
        let most = self.group(rows.plane, panels + left_panels).min(rows.pictures.len().max(1));
        let mut left = self.operands(left_panels, most * rows.plane.pixels());
        let mut right = self.operands(panels, most * rows.plane.pixels());
        for pictures in rows.pictures.chunks(most) {
            let rows = Rows { pictures, ..rows };
            let operands = [left.by_rows(), right.by_rows()];
            self.over_spans(rows, &mut norm, |span, norm_sums, scratch| {
                tile(rows, span, operands, norm_sums, scratch);
            });
            let [left, right] = operands;
            self.over_rows(left, depth, right, panels, rows.count(), &mut weight, &mut bias);
        }
        self.give([left.values, right.values]);
        PatchSums { weight, bias, norm }
    }

    #[allow(clippy::too_many_arguments, reason = "two stages' rows, maps and gradients")]
    fn pull_down(
        &self,
        stage: usize,
        back: &Back<L>,
        rows: Rows<'_>,
        before: Rows<'_>,
        input: &mut Buffer<f32>,
        at: &mut Buffer<f32>,
        at_input: &mut Buffer<f32>,
        gradients: &mut [Vec<f32>],
    ) {
        let panels_in = before.panels::<L>();
        let depth = 4 * panels_in * L::PANEL;
        let (input, at_output, at_input) =
            (Shared(input.as_mut_ptr()), Shared(at.as_mut_ptr()), Shared(at_input.as_mut_ptr()));
        let (patch, back, plane) = (&self.patches[stage], &back.patches[stage], before.plane);
        let epsilon = self.spec.norm_epsilon;
        let sums =
            self.over_patches(rows, depth, panels_in, |rows, span, operands, sums, scratch| {
                let [normalised, at_product] = operands;
                let tile = patch::DownTile::<L::Operand> {
                    patch,
                    back,
                    rows,
                    plane,
                    span,
                    input,
                    at_output,
                    at_input,
                    normalised,
                    at_product,
                    norm_sums: sums,
                    epsilon,
                    scratch,
                };
                // SAFETY: as for blocks.
                unsafe { L::enter(tile) };
            });
        let PatchSums { weight, bias, norm } = sums;
        let [d_norm, d_norm_bias, d_weight, d_bias] = gradients else {
            unreachable!("four parameters")
        };
        add(d_norm, norm.iter().copied());
        add(d_norm_bias, norm[panels_in * L::PANEL..].iter().copied());
        add(d_bias, bias.values.iter().copied());
        let channels = before.channels;
        for (out, gradient) in d_weight.chunks_exact_mut(4 * channels).enumerate() {
            let panel = &weight.values[out / L::PANEL * depth * L::PANEL + out % L::PANEL..];
            for (place, gradient) in gradient.iter_mut().enumerate() {
                let (channel, tap) = (place / 4, place % 4);
                *gradient += panel[(tap * panels_in * L::PANEL + channel) * L::PANEL];
            }
        }
        self.give([weight.values, bias.values]);
    }

    fn pull_stem(
        &self,
        pixels: Pixels<'_>,
        rows: Rows<'_>,
        at: &mut Buffer<f32>,
        gradients: &mut [Vec<f32>],
    ) {
        let panels = rows.panels::<L>();
        let (patch, at_output) = (&self.patches[0], Shared(at.as_mut_ptr()));
        let epsilon = self.spec.norm_epsilon;
        let sums =
            self.over_patches(rows, STEM_DEPTH, panels, |rows, span, operands, sums, scratch| {
                let [patches, at_product] = operands;
                let tile = patch::StemTile::<L::Operand> {
                    patch,
                    pixels,
                    rows,
                    span,
                    at_output,
                    patches,
                    at_product,
                    norm_sums: sums,
                    epsilon,
                    scratch,
                };
                // SAFETY: as for blocks.
                unsafe { L::enter(tile) };
            });
        let PatchSums { weight, bias, norm } = sums;
        let [d_weight, d_bias, d_norm, d_norm_bias] = gradients else {
            unreachable!("four parameters")
        };
        add(d_norm, norm.iter().copied());
        add(d_norm_bias, norm[panels * L::PANEL..].iter().copied());
        add(d_bias, bias.values.iter().copied());
        for (out, gradient) in d_weight.chunks_exact_mut(STEM_DEPTH).enumerate() {
            let panel = &weight.values[out / L::PANEL * STEM_DEPTH * L::PANEL + out % L::PANEL..];
            add(gradient, panel.iter().step_by(L::PANEL).copied());
        }
        self.give([weight.values, bias.values]);
    }

    /// Adds the gradients of a product's weight and bias.
    #[allow(clippy::too_many_arguments, reason = "two operands with their sizes, two sums")]
    fn over_rows(
        &self,
        left: ByRows<L::Operand>,
        channels: usize,
        right: ByRows<L::Operand>,
        panels: usize,
        rows: usize,
        weight: &mut Sums,
        bias: &mut Sums,
    ) {
        let (output, bias) = (weight.shared(), bias.shared());
        let rows = rows.next_multiple_of(2);
        let share = shares(panels);
        (0..panels.div_ceil(share)).into_par_iter().for_each(|part| {
            let (sums, panels) = (Some(bias), part * share..panels.min((part + 1) * share));
            // SAFETY: the processor was checked when the network was made; operands are sized for the rows.
            unsafe {
                L::enter(sums::OverRows { left, channels, right, panels, rows, output, sums });
            }
        });
    }
}
