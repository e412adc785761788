//! Matrices in panels of columns as wide as two vectors, and products of them: what both encoder families are computed with.
//!
//! A row of a panel serves products as right operand (two vectors) and as left operand (value by value) alike.

pub(crate) mod buffer;
pub(crate) mod kind;
pub(crate) mod lanes;
pub(crate) mod micro;
pub(crate) mod pack;
pub(crate) mod spans;
pub(crate) mod team;
