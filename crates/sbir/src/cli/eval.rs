//! `sbir eval`.

use std::io::Write;
use std::path::{Path, PathBuf};

use sbir_data::{Orientation, PairSet};
use sbir_encoder::PrecisionChoice;
use sbir_eval::atomic::write_atomically;
use sbir_train::{Evaluation, evaluate};
use serde::Serialize;

use super::args::EvalArgs;
use super::failure::Failure;
use super::progress::Progress;
use super::{compute, interrupt, model, output, pairs, report};

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    if args.batch_size == 0 {
        return Err(Failure::Usage("--batch-size takes at least 1".to_owned()));
    }
    if args.temp == Some(0.0) {
        return Err(Failure::Usage("--temp takes a number above 0".to_owned()));
    }
    report::check_place(&args.html)?;
    let path = model_path(args);
    let options = pairs::open_options(&args.pairs, args.seed)?;
    let dataset = pairs::open_and_tell(&args.data, &options)?;
    let set = dataset.evaluation_set()?;
    let (selected, threads) = compute::prepare(&args.compute, None)?;
    let loaded = model::load(&path, &selected.device)?;
    let encoder = pairs::adjust(loaded.encoder, args.image_size, args.line.as_ref())?;
    let encoder = compute::precise(encoder, &args.compute, &selected)?;
    let known = loaded.card.map(|card| card.trained_on).unwrap_or_default();
    let seen = if known.is_empty() { 0 } else { seen_in_training(set, &known)? };
    if seen > 0 {
        output::note(&format!(
            "warning: {seen} of {} photos were trained on by this checkpoint: the numbers say \
             little about new photos",
            set.photos.len()
        ));
    }
    let alpha = pairs::alpha(args.pairs.origin_pixels);
    let transform = pairs::transform(encoder.preprocessing(), alpha, Orientation::Ignore);
    let pictures = (set.pairs.len() + set.photos.len()) as u64;
    let mut bar = Progress::new("evaluating", "pictures", pictures);
    let mut progress = |count: usize| {
        bar.add(count as u64);
        !stop.load(std::sync::atomic::Ordering::Relaxed)
    };
    let batch_size = 3 * args.batch_size;
    let evaluation = evaluate(&encoder, &transform, set, batch_size, threads, &mut progress)?;
    drop(bar);
    let Some(evaluation) = evaluation else {
        return Err(Failure::Interrupted("stopped; nothing was written".to_owned()));
    };
    if args.json {
        output::json(&Report {
            summary: &evaluation.summary,
            data: &args.data,
            model: &path,
            split: &dataset.split,
            trained_on_photos: seen,
            precision: encoder.precision().into(),
        })?;
    } else {
        output::line(&evaluation.summary.lines())?;
    }
    let facts = vec![
        ("model".to_owned(), path.display().to_string()),
        ("split".to_owned(), dataset.split.clone()),
    ];
    report::write(&args.html, set, &evaluation, facts, args.embed_images)?;
    if let Some(path) = &args.ranks {
        write_ranks(path, set, &evaluation)?;
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: &'a sbir_eval::Summary,
    data: &'a Path,
    model: &'a Path,
    split: &'a str,
    /// Photos of the gallery that the checkpoint was trained on, as far as it tells.
    trained_on_photos: usize,
    /// What products were made in.
    precision: PrecisionChoice,
}

/// The origin's choice where no path is given; an empty one counts as none.
fn model_path(args: &EvalArgs) -> PathBuf {
    let given = args.model.as_ref().filter(|path| !path.is_empty());
    let name = if args.pairs.val_unseen { "model_unseen.pth" } else { "model_normal.pth" };
    given.map_or_else(|| Path::new("models").join(name), PathBuf::from)
}

fn seen_in_training(set: &PairSet, known: &[String]) -> Result<usize, Failure> {
    let known: std::collections::HashSet<&str> = known.iter().map(String::as_str).collect();
    let found = report::digests(set)?;
    Ok(found.iter().filter(|digest| known.contains(digest.as_str())).count())
}

/// One line per query: its sketch, its photo, the rank of that photo.
fn write_ranks(path: &Path, set: &PairSet, evaluation: &Evaluation) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        sketch: &'a str,
        photo: &'a str,
        rank: usize,
    }
    write_atomically(path, |out| {
        for (pair, &rank) in set.pairs.iter().zip(&evaluation.ranking.ranks) {
            let photo = &set.photos[pair.photo].id;
            serde_json::to_writer(&mut *out, &Line { sketch: &pair.id, photo, rank })?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}
