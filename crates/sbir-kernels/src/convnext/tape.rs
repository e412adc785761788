//! What a backward pass needs of a forward pass.

use super::head::HeadTape;
use crate::panels::buffer::Buffer;

/// One block's.
#[derive(Debug)]
pub(super) struct BlockTape {
    /// What went in.
    pub(super) input: Buffer<f32>,
    /// What each picture's branch was multiplied with; `None` for 1.
    pub(super) scales: Option<Vec<f32>>,
    /// Pictures whose branch was computed.
    pub(super) pictures: Vec<usize>,
    /// GELU's arguments, `[panels, rows, PANEL]` operands, where they are kept.
    pub(super) kept: Option<Buffer<f32>>,
}

/// What a backward pass needs of a forward pass.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) size: [usize; 3],
    pub(super) pixels: Vec<f32>,
    /// What went into what stands before stages 1 to 3.
    pub(super) maps: Vec<Buffer<f32>>,
    pub(super) blocks: Vec<BlockTape>,
    pub(super) heads: Vec<HeadTape>,
}
