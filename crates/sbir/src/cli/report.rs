//! The report of an evaluation, and facts about files that reports need.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
use rayon::prelude::*;
use sbir_data::{PairSet, SketchSource};
use sbir_eval::report::{Picture, Report};
use sbir_train::Evaluation;
use sha2::{Digest, Sha256};

use super::failure::Failure;

/// Hexadecimal digits of a photo's digest.
const DIGITS: usize = 16;

/// Digest of each photo's file, in the order of the gallery.
pub(crate) fn digests(set: &PairSet) -> Result<Vec<String>, Failure> {
    set.photos
        .par_iter()
        .map(|photo| {
            let mut file = fs::File::open(&photo.path)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 16];
            loop {
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    break;
                }
                hash.update(&buffer[..length]);
            }
            let digest = hash.finalize();
            Ok(digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect())
        })
        .collect()
}
