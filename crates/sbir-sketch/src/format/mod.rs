//! Stroke file formats, one module each.
//!
//! Every module has a `parse` that takes the content as bytes and needs no file; [`read_sketch`](crate::read_sketch)
//! opens files and picks the module.

pub mod fscoco_json;
pub mod fscoco_npy;
pub mod json;
pub mod ndjson;
pub(crate) mod numbers;
pub mod quickdraw;
pub mod strokes_ndjson;
pub mod svg;
