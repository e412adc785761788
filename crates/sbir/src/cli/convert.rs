//! `sbir convert`.

use std::path::Path;

use sbir_encoder::weights::{Scheme, Stored};
use sbir_encoder::{Card, EncoderConfig, Selected};
use serde::Serialize;

use super::args::ConvertArgs;
use super::failure::Failure;
use super::{model, output, pairs};

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
    let mut loaded = model::load(&args.input, &device)?;
    if args.image_size.is_some() {
        loaded.encoder = pairs::adjust(loaded.encoder, args.image_size, None)?;
        let preprocessing = loaded.encoder.preprocessing();
        let trained_on = loaded.card.take().map(|card| card.trained_on).unwrap_or_default();
        loaded.card = Some(Card { preprocessing, trained_on });
    }
    let encoder = &loaded.encoder;
    let names = args.names.unwrap_or(match encoder.config() {
        EncoderConfig::ConvNext(_) => Scheme::Origin,
        EncoderConfig::Lite(_) => Scheme::Sbir,
    });
    let stored = if args.half { Stored::F16 } else { Stored::F32 };
    if args.half && !extension.eq_ignore_ascii_case("safetensors") {
        return Err(Failure::Usage("--half goes with .safetensors only".to_owned()));
    }
    encoder.write_as(&args.output, names, loaded.card, stored)?;
    let done = Done {
        input: &args.input,
        output: &args.output,
        encoder: encoder.config().to_string(),
        width: encoder.width(),
        names_read: loaded.scheme.to_string(),
        names_written: names.to_string(),
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
