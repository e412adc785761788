//! Find photos by drawing them: train, evaluate and use sketch-based image retrieval.
