//! What names an encoder.

use sbir_encoder::{Device, Encoder, LiteConfig, Preprocessing};
use sha2::{Digest as _, Sha256};

/// The definition: architecture, preprocessing, and each parameter's name, shape and values, in order.
fn defined(encoder: &Encoder) -> String {
    let mut text = format!(
        "{}\n{}\n",
        encoder.config(),
        serde_json::to_string(&encoder.preprocessing()).unwrap()
    )
    .into_bytes();
    for (name, shape, values) in encoder.parameters().to_values() {
        text.extend(format!("{name} {shape:?}\n").bytes());
        for value in values {
            text.extend(value.to_le_bytes());
        }
    }
    Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_fingerprint_is_a_digest_of_all_that_decides_an_embedding() {
    let made = |seed, side| {
        let config = LiteConfig::new(8, false).unwrap();
        Encoder::random(config, Preprocessing::lite(side).unwrap(), seed, 1.0, &Device::flex())
    };
    let encoder = made(1, 64);
    assert_eq!(encoder.fingerprint(), defined(&encoder));
    assert_eq!(encoder.fingerprint(), made(1, 64).fingerprint());
    assert_ne!(encoder.fingerprint(), made(2, 64).fingerprint());
    assert_ne!(encoder.fingerprint(), made(1, 96).fingerprint());
}
