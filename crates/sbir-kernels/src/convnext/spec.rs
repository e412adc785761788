//! Shapes: parameters in network order, and planes by stage.

/// Which ConvNeXt (Liu et al., "A ConvNet for the 2020s", CVPR 2022).
#[derive(Clone, Debug, PartialEq)]
pub struct ConvNextSpec {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of each of the four stages.
    pub dims: [usize; 4],
    /// Width of the projection after the pooled features' LayerNorm; `None` for neither.
    pub projection: Option<usize>,
    /// LayerNorm's epsilon.
    pub norm_epsilon: f32,
}

/// The least side of a picture: below it no pixel is left after the last stage.
pub const MIN_SIDE: usize = 32;

/// Parameters of a block.
pub(super) const BLOCK_PARAMETERS: usize = 9;
/// Parameters of stem, and of what stands between two stages.
pub(super) const PATCH_PARAMETERS: usize = 4;

impl ConvNextSpec {
    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.projection.unwrap_or(self.dims[3])
    }

    /// Blocks in all.
    pub fn blocks(&self) -> usize {
        self.depths.iter().sum()
    }

    /// Number of values of every parameter, in the order in which a forward pass uses them: stem (weight, bias,
    /// norm's weight and bias); per stage what stands before it (norm's weight and bias, weight, bias) and its
    /// blocks (depthwise weight and bias, norm's weight and bias, expanding weight and bias, projecting weight and
    /// bias, layer scale); the head's norm and projection.
    pub fn parameter_lengths(&self) -> Vec<usize> {
        let mut lengths = Vec::new();
        for (stage, (&depth, &dim)) in self.depths.iter().zip(&self.dims).enumerate() {
            match stage {
                0 => lengths.extend([dim * 48, dim, dim, dim]),
                _ => {
                    let before = self.dims[stage - 1];
                    lengths.extend([before, before, dim * before * 4, dim]);
                }
            }
            for _ in 0..depth {
                let product = 4 * dim * dim;
                lengths.extend([49 * dim, dim, dim, dim, product, 4 * dim, product, dim, dim]);
            }
        }
        if let Some(width) = self.projection {
            let dim = self.dims[3];
            lengths.extend([dim, dim, width * dim]);
        }
        lengths
    }

    /// Place of the first parameter of what stands before `stage`.
    pub(super) fn patch_at(&self, stage: usize) -> usize {
        let blocks: usize = self.depths[..stage].iter().sum();
        stage * PATCH_PARAMETERS + blocks * BLOCK_PARAMETERS
    }

    /// Place of the first parameter of a block.
    pub(super) fn block_at(&self, stage: usize, block: usize) -> usize {
        self.patch_at(stage) + PATCH_PARAMETERS + block * BLOCK_PARAMETERS
    }

    /// Place of the first parameter of the head.
    pub(super) fn head_at(&self) -> usize {
        4 * PATCH_PARAMETERS + self.blocks() * BLOCK_PARAMETERS
    }
}

/// Height and width of a plane of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Plane {
    pub(super) fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Planes of the four stages for a picture.
    pub(super) fn of_stages(height: usize, width: usize) -> [Self; 4] {
        [4, 8, 16, 32].map(|share| Self { height: height / share, width: width / share })
    }
}
