//! Checkpoints: read, named, written, fetched; hostile ones refused.

// clippy.toml allows it in tests, which helpers outside of test functions do not count as.
#![allow(clippy::unwrap_used)]

mod fetch;
mod fuzz;
mod names;
mod reading;
mod refusing;
mod writing;

use std::path::{Path, PathBuf};

use sbir_encoder::weights::TensorValues;

/// A file that PyTorch wrote (scripts/parity/checkpoints.py).
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights").join(name)
}

/// The values that scripts/parity/checkpoints.py gives the tensor of that name (`known_value`).
fn known(name: &str, count: usize) -> Vec<f32> {
    let sum: usize = name.bytes().map(usize::from).sum();
    (0..count).map(|index| (((sum + index) % 17) as f32 - 8.0) / 8.0).collect()
}

fn known_tensor(name: &str, shape: &[usize]) -> TensorValues<'static> {
    TensorValues::new(name, shape, known(name, shape.iter().product()))
}

/// A list of keys and shapes (scripts/parity/checkpoints.py names).
fn key_list(name: &str) -> Vec<(String, Vec<usize>)> {
    let text = fs_err::read_to_string(golden(&format!("names/{name}.txt"))).unwrap();
    text.lines()
        .map(|line| {
            let (key, shape) = line.split_once(' ').unwrap_or((line, ""));
            let sizes = shape.split(',').filter(|size| !size.is_empty());
            (key.to_owned(), sizes.map(|size| size.parse().unwrap()).collect())
        })
        .collect()
}
