//! Datasets, splits, decoding, transforms and the prefetching loader.
