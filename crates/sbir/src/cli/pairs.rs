//! Opening data and preparing pictures as options say.

use std::path::Path;

use sbir_data::{Alpha, Dataset, Filter, HoldOut, OpenOptions, Orientation, Transform, open};
use sbir_encoder::{Encoder, Interpolation, Preprocessing};
use sbir_sketch::LineStyle;

use super::args::DataArgs;
use super::failure::Failure;
use super::output;

/// Options for [`open`] as typed.
pub(crate) fn open_options(args: &DataArgs, seed: u64) -> Result<OpenOptions, Failure> {
    Ok(OpenOptions {
        kind: args.dataset,
        unseen: args.val_unseen,
        sketches: args.sketches.unwrap_or_default(),
        holdout: hold_out(args, seed)?,
    })
}

/// What is held out where the data has no split, as typed.
pub(crate) fn hold_out(args: &DataArgs, seed: u64) -> Result<HoldOut, Failure> {
    let share = args.holdout.unwrap_or(HoldOut::SHARE);
    if share > 0.0 && share < 1.0 {
        Ok(HoldOut { seed, share })
    } else {
        Err(Failure::Usage("--holdout takes a share above 0 and below 1".to_owned()))
    }
}

/// Opens a dataset and says on standard error what was found.
pub(crate) fn open_and_tell(
    root: &Path,
    options: &OpenOptions,
) -> Result<Dataset, sbir_data::Error> {
    let dataset = open(root, options)?;
    output::note(&format!(
        "{}: {} layout, {} pairs to train on, {} to validate on ({})",
        root.display(),
        dataset.kind,
        dataset.train.len(),
        dataset.validation.len(),
        dataset.split,
    ));
    for note in &dataset.notes {
        output::note(&format!("{}: {note}", root.display()));
    }
    Ok(dataset)
}

/// The transform that an encoder's preprocessing asks for.
pub(crate) fn transform(
    preprocessing: Preprocessing,
    alpha: Alpha,
    orientation: Orientation,
) -> Transform {
    Transform {
        mean: preprocessing.mean,
        std: preprocessing.std,
        resize: match preprocessing.interpolation {
            Interpolation::Bilinear => Filter::Bilinear,
            Interpolation::Bicubic => Filter::Bicubic,
        },
        orientation,
        alpha,
        line: match preprocessing.line_width {
            Some(width) => LineStyle::Antialiased { width },
            None => LineStyle::FsCoco,
        },
        ..Transform::origin(preprocessing.image_size)
    }
}

/// Pillow's way with transparency where the origin's pixels are asked for.
pub(crate) fn alpha(origin_pixels: bool) -> Alpha {
    if origin_pixels { Alpha::OriginPixels } else { Alpha::OverWhite }
}

/// A preprocessing with what was typed put in place of what a checkpoint or the origin says.
pub(crate) fn adjusted(
    preprocessing: Preprocessing,
    image_size: Option<usize>,
    line: Option<&LineStyle>,
) -> Result<Preprocessing, Failure> {
    let mut adjusted = preprocessing;
    if let Some(image_size) = image_size {
        let checked = Preprocessing::origin(image_size);
        adjusted.image_size =
            checked.map_err(|error| Failure::Usage(error.to_string()))?.image_size;
    }
    if let Some(line) = line {
        adjusted.line_width = match line {
            LineStyle::Antialiased { width } => Some(*width),
            LineStyle::FsCoco => None,
        };
    }
    Ok(adjusted)
}

/// An encoder whose pictures are prepared as typed, else as its checkpoint says.
pub(crate) fn adjust(
    encoder: Encoder,
    image_size: Option<usize>,
    line: Option<&LineStyle>,
) -> Result<Encoder, Failure> {
    let preprocessing = adjusted(encoder.preprocessing(), image_size, line)?;
    Ok(encoder.with_preprocessing(preprocessing))
}
