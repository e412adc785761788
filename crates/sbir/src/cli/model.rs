//! Which encoder is meant.

use std::path::Path;

use sbir_encoder::{Device, Encoder, Error, Loaded};

/// What names the encoder that comes with the program.
pub(crate) const BUNDLED: &str = "bundled";

/// Reads a checkpoint, or the encoder that comes with the program where `path` is `bundled`.
pub(crate) fn load(path: &Path, device: &Device) -> Result<Loaded, Error> {
    if path == Path::new(BUNDLED) {
        Encoder::load_static("the bundled encoder", sbir::BUNDLED_ENCODER, device)
    } else {
        Encoder::load(path, device)
    }
}
