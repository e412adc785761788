//! Encoder families, weights in and out, device choice.
