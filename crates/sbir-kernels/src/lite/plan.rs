//! Which convolutions, in which order, at which sizes.

use super::depthwise::{Geometry, LANES};

/// One inverted bottleneck: expand (1×1), depthwise, project (1×1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Side of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// Step of the depthwise convolution, 1 or 2.
    pub stride: usize,
    /// Factor by which channels grow inside; 1 leaves the expanding convolution out.
    pub expansion: usize,
    /// Channels that go in.
    pub channels_in: usize,
    /// Channels that come out.
    pub channels_out: usize,
}

impl BlockSpec {
    /// Channels of the depthwise convolution.
    pub fn inner(&self) -> usize {
        self.channels_in * self.expansion
    }

    /// Whether the input is added to the output.
    pub fn residual(&self) -> bool {
        self.stride == 1 && self.channels_in == self.channels_out
    }
}

/// Architecture of an EfficientNet-Lite and of the embedding head on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteSpec {
    /// Channels of the stem, a 3×3 convolution of step 2.
    pub stem: usize,
    /// The blocks in order.
    pub blocks: Vec<BlockSpec>,
    /// Channels of the last 1×1 convolution, which is pooled.
    pub features: usize,
    /// Width of the embedding.
    pub width: usize,
    /// Whether the head also sees the means over the four quadrants, not only over the whole plane.
    pub quadrants: bool,
}

/// What a convolution does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// 3×3 of step 2 on the picture; weight `[out, 3, 3, 3]` as (out, ky, kx, colour).
    Stem,
    /// 1×1; weight `[out, in]`.
    Pointwise,
    /// One kernel per channel; weight `[kernel, kernel, channels]`.
    Depthwise {
        /// Side of the kernel.
        kernel: usize,
        /// Step.
        stride: usize,
    },
}

/// One convolution of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// What it does.
    pub kind: ConvKind,
    /// Channels that go in.
    pub channels_in: usize,
    /// Channels that come out.
    pub channels_out: usize,
}

impl ConvSpec {
    /// Number of values of the weight.
    pub fn weight_len(&self) -> usize {
        match self.kind {
            ConvKind::Stem => 27 * self.channels_out,
            ConvKind::Pointwise => self.channels_in * self.channels_out,
            ConvKind::Depthwise { kernel, .. } => kernel * kernel * self.channels_out,
        }
    }
}

impl LiteSpec {
    /// EfficientNet-Lite0 (Google, 2020): EfficientNet-B0 without squeeze-and-excitation, with ReLU6, stem and
    /// features not scaled.
    pub fn lite0(width: usize, quadrants: bool) -> Self {
        const STAGES: [[usize; 6]; 7] = [
            // repeats, kernel, stride, expansion, in, out
            [1, 3, 1, 1, 32, 16],
            [2, 3, 2, 6, 16, 24],
            [2, 5, 2, 6, 24, 40],
            [3, 3, 2, 6, 40, 80],
            [3, 5, 1, 6, 80, 112],
            [4, 5, 2, 6, 112, 192],
            [1, 3, 1, 6, 192, 320],
        ];
        let mut blocks = Vec::new();
        for [repeats, kernel, stride, expansion, channels_in, channels_out] in STAGES {
            for repeat in 0..repeats {
                let (stride, channels_in) =
                    if repeat == 0 { (stride, channels_in) } else { (1, channels_out) };
                blocks.push(BlockSpec { kernel, stride, expansion, channels_in, channels_out });
            }
        }
        Self { stem: 32, blocks, features: 1280, width, quadrants }
    }

    /// Every convolution in order: stem, then each block's, then the features'.
    pub fn convolutions(&self) -> Vec<ConvSpec> {
        let kind = ConvKind::Stem;
        let mut list = vec![ConvSpec { kind, channels_in: 3, channels_out: self.stem }];
        let kind = ConvKind::Pointwise;
        for block in &self.blocks {
            let inner = block.inner();
            if block.expansion > 1 {
                list.push(ConvSpec { kind, channels_in: block.channels_in, channels_out: inner });
            }
            let BlockSpec { kernel, stride, .. } = *block;
            let depthwise = ConvKind::Depthwise { kernel, stride };
            list.push(ConvSpec { kind: depthwise, channels_in: inner, channels_out: inner });
            list.push(ConvSpec { kind, channels_in: inner, channels_out: block.channels_out });
        }
        let last = self.blocks.last().map_or(self.stem, |block| block.channels_out);
        list.push(ConvSpec { kind, channels_in: last, channels_out: self.features });
        list
    }

    /// Planes over which the features are averaged: the whole, and the four quadrants where asked for.
    pub fn regions(&self) -> usize {
        if self.quadrants { 5 } else { 1 }
    }

    /// # Panics
    /// Where the architecture is not one that the kernels compute.
    pub(crate) fn check(&self) {
        let mut channels = self.stem;
        let first = self.blocks.first().expect("a block");
        assert!(
            first.expansion == 1 && !first.residual(),
            "the first block takes the stem as it is"
        );
        for (place, block) in self.blocks.iter().enumerate() {
            assert!(place == 0 || block.expansion > 1, "block {place} expands");
            assert_eq!(block.channels_in, channels, "channels between blocks");
            assert!(block.inner().is_multiple_of(LANES), "{} channels", block.inner());
            assert!([3, 5].contains(&block.kernel) && [1, 2].contains(&block.stride));
            channels = block.channels_out;
        }
        assert!(self.features > 0 && self.width > 0);
    }

    /// Sizes of every block's depthwise convolution for pictures of `side`, and of the last plane.
    pub(crate) fn sizes(&self, side: usize) -> (usize, Vec<Geometry>, [usize; 2]) {
        let stem = side.div_ceil(2);
        let mut input = [stem; 2];
        let geometries = self
            .blocks
            .iter()
            .map(|block| {
                let BlockSpec { kernel, stride, .. } = *block;
                let geometry = Geometry { input, channels: block.inner(), kernel, stride };
                input = geometry.output();
                geometry
            })
            .collect();
        (stem, geometries, input)
    }

    /// Range of rows (or columns) of region `index` along one axis: 0 the whole; the halves share the middle
    /// line of an odd plane.
    pub(crate) fn region(index: usize, [height, width]: [usize; 2]) -> [std::ops::Range<usize>; 2] {
        let half = |low: bool, side: usize| if low { 0..side.div_ceil(2) } else { side / 2..side };
        match index {
            0 => [0..height, 0..width],
            n => [half(n <= 2, height), half(n % 2 == 1, width)],
        }
    }
}
