//! `sbir load`.

use sbir_encoder::Selected;
use sbir_gallery::Space;
use sbir_objects::{Options, Place};
use sbir_shards::{Error, Job, LoadOptions, LoadSummary, Manifest, Missing, Shard, load};
use serde::Serialize;

use super::args::{CreateArgs, LoadArgs};
use super::failure::Failure;
use super::progress::Progress;
use super::{interrupt, model, output, shards, store};

/// Pieces and commands that are listed; all are counted.
const LISTED: usize = 20;

pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    let objects = Options { stop: Some(stop), ..Options::default() };
    let place = Place::open(&args.pieces, &objects)?;
    let job = Job::read(&place)?.ok_or_else(|| Error::NoJob { place: place.to_string() })?;
    let mut manifest = match &args.manifest {
        Some(name) => {
            let (place, key) = Place::open_file(name, &objects)?;
            Some(Manifest::open(&place, &key)?)
        }
        None => None,
    };
    let expected = match &args.model {
        Some(path) => {
            let encoder = model::load(path, &Selected::cpu("asked for").device)?.encoder;
            Some(Space { fingerprint: encoder.fingerprint(), dimension: encoder.width() })
        }
        None => None,
    };
    let opened = store::open_or_create(&args.place, &CreateArgs::default())?;
    let mut bar = Progress::new("loading", "pieces", job.pieces());
    let options = LoadOptions { expected, stop: Some(stop) };
    let summary = load(&place, manifest.as_mut(), &*opened.store, &options, &mut |pieces| {
        bar.set(pieces);
    });
    drop(bar);
    let summary = match summary {
        Err(Error::Objects(sbir_objects::Error::Stopped { .. })) => return Err(interrupted()),
        summary => summary?,
    };
    shards::tell_skipped(&summary.failures, summary.failed);
    if args.json {
        output::json(&Report::new(&opened.store.name(), &place, &summary))?;
    } else {
        output::line(&format!(
            "{} photos of {} pieces in {:.1} s: {}",
            summary.photos,
            summary.loaded,
            summary.elapsed.as_secs_f64(),
            opened.store.name()
        ))?;
    }
    if summary.cancelled {
        return Err(interrupted());
    }
    if summary.lacking == 0 {
        return Ok(());
    }
    tell_missing(&place, &summary);
    Err(anyhow::anyhow!(
        "{} of {} pieces are missing or damaged; make them with the commands above and the same --model, then load again",
        summary.lacking,
        summary.job.pieces()
    )
    .into())
}

fn interrupted() -> Failure {
    Failure::Interrupted("stopped; what was loaded is kept, the same command goes on".to_owned())
}

/// Names what is missing, and the commands that make it.
fn tell_missing(place: &Place, summary: &LoadSummary) {
    for Missing { piece, damage } in summary.missing.iter().take(LISTED) {
        match damage {
            None => output::note(&format!("missing: piece {piece}")),
            Some(problem) => output::note(&format!(
                "damaged: piece {piece} ({problem}); remove piece-{piece:08}.sbir-piece"
            )),
        }
    }
    let more = summary.lacking.saturating_sub(LISTED as u64);
    if more > 0 {
        output::note(&format!("missing or damaged: {more} more"));
    }
    let shards = summary.shards();
    for shard in shards.iter().take(LISTED) {
        output::note(&format!(
            "sbir embed --manifest {} --shard {shard} --out {}",
            quoted(&summary.job.source),
            quoted(&place.to_string())
        ));
    }
    if shards.len() > LISTED {
        output::note(&format!(
            "and {} more shards of {}",
            shards.len() - LISTED,
            summary.job.shards
        ));
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:+@%=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    gallery: &'a str,
    pieces_in: String,
    encoder: &'a str,
    pieces: u64,
    loaded: u64,
    photos: u64,
    failed: u64,
    seconds: f64,
    failures: &'a [String],
    lacking: u64,
    missing: Vec<Lacking<'a>>,
}

#[derive(Serialize)]
struct Lacking<'a> {
    piece: u64,
    shard: String,
    damage: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(gallery: &'a str, place: &Place, summary: &'a LoadSummary) -> Self {
        let missing = summary.missing.iter().map(|missing| Lacking {
            piece: missing.piece,
            shard: Shard::of(missing.piece, summary.job.shards).to_string(),
            damage: missing.damage.as_deref(),
        });
        Self {
            gallery,
            pieces_in: place.to_string(),
            encoder: &summary.job.space.fingerprint,
            pieces: summary.job.pieces(),
            loaded: summary.loaded,
            photos: summary.photos,
            failed: summary.failed,
            seconds: summary.elapsed.as_secs_f64(),
            failures: &summary.failures,
            lacking: summary.lacking,
            missing: missing.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("s3://b/x-1.jsonl"), "s3://b/x-1.jsonl");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
