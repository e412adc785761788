//! `sbir convert`.

use std::path::Path;

use sbir_encoder::{Encoder, Selected};
use serde::Serialize;

use super::args::ConvertArgs;
use super::failure::Failure;
use super::output;

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    input: &'a Path,
    output: &'a Path,
    encoder: String,
    width: usize,
    names_read: String,
    names_written: String,
    left_out: Vec<String>,
}

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let extension = args.output.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    if !["pth", "pt", "safetensors"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        return Err(Failure::Usage(format!(
            "{}: the name must end in .pth, .pt or .safetensors",
            args.output.display()
        )));
    }
    let device = Selected::cpu("weights only").device;
    let loaded = Encoder::load(&args.input, &device)?;
    let encoder = &loaded.encoder;
    encoder.write(&args.output, args.names, loaded.card)?;
    let done = Done {
        input: &args.input,
        output: &args.output,
        encoder: encoder.config().to_string(),
        width: encoder.width(),
        names_read: loaded.scheme.to_string(),
        names_written: args.names.to_string(),
        left_out: loaded.dropped,
    };
    if args.json {
        return output::json(&done);
    }
    if !done.left_out.is_empty() {
        output::note(&format!("left out: {}", done.left_out.join(", ")));
    }
    output::line(&format!(
        "{}: {} in {} names, from {} names",
        args.output.display(),
        done.encoder,
        done.names_written,
        done.names_read
    ))
}
