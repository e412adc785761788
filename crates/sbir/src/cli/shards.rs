//! `sbir embed --manifest`.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::Path;

use sbir_gallery::Embedder;
use sbir_objects::{Options, Place};
use sbir_shards::{EmbedOptions, EmbedSummary, Manifest, Shard, Snapshot, embed};
use serde::Serialize;

use super::args::EmbedArgs;
use super::embedder::EncoderEmbedder;
use super::failure::Failure;
use super::progress::Progress;
use super::{compute, interrupt, output};

/// Unreadable files that are listed; all are counted.
const LISTED: usize = 20;

pub(crate) fn run(args: &EmbedArgs, manifest: &OsStr, model: &Path) -> Result<(), Failure> {
    let stop = interrupt::install();
    let objects = Options { stop: Some(stop), ..Options::default() };
    let shard = args.shards.shard.unwrap_or_default();
    // What can be wrong without a model is said before one is read.
    let out = Place::open(args.out.as_os_str(), &objects)?;
    let (place, key) = Place::open_file(manifest, &objects)?;
    let mut manifest = Manifest::open(&place, &key).map_err(stopped)?;
    // As `index` does, so that the vectors are the same: another device rounds otherwise.
    let (selected, threads) = compute::prepare_quiet(&args.compute)?;
    let embedder = EncoderEmbedder::load(model, &args.compute, &selected)?;
    let options = EmbedOptions {
        shard,
        batch: args.batch_size,
        threads,
        stop: Some(stop),
        ..EmbedOptions::default()
    };
    let console = Console::default();
    let summary =
        embed(&mut manifest, &out, &embedder, &objects, &options, &console).map_err(stopped)?;
    drop(console);
    tell_skipped(&summary.failures, summary.snapshot.failed);
    if args.json {
        output::json(&Report::new(&manifest, &out, shard, &embedder, &summary))?;
    } else {
        output::line(&sentence(&summary.snapshot, shard))?;
    }
    if summary.cancelled {
        return Err(Failure::Interrupted(
            "stopped; finished pieces are kept, the same command goes on".to_owned(),
        ));
    }
    Ok(())
}

/// A stop before there was anything to keep.
fn stopped(error: sbir_shards::Error) -> Failure {
    match error {
        sbir_shards::Error::Cancelled
        | sbir_shards::Error::Objects(sbir_objects::Error::Stopped { .. }) => {
            Failure::Interrupted("stopped".to_owned())
        }
        error => error.into(),
    }
}

fn sentence(snapshot: &Snapshot, shard: Shard) -> String {
    let mut parts = vec![format!("{} written", snapshot.written)];
    if snapshot.there > 0 {
        parts.push(format!("{} there already", snapshot.there));
    }
    let left = snapshot.pieces.saturating_sub(snapshot.written + snapshot.there);
    if left > 0 {
        parts.push(format!("{left} left"));
    }
    let unreadable = match snapshot.failed {
        0 => String::new(),
        failed => format!(", {failed} unreadable"),
    };
    format!(
        "shard {shard}: {} pieces in {:.1} s: {}; {} photos embedded{unreadable}",
        snapshot.pieces,
        snapshot.elapsed.as_secs_f64(),
        parts.join(", "),
        snapshot.embedded
    )
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    manifest: &'a str,
    digest: &'a str,
    out: String,
    shard: String,
    encoder: &'a str,
    pieces: u64,
    written: u64,
    there: u64,
    photos: u64,
    embedded: u64,
    failed: u64,
    seconds: f64,
    failures: &'a [String],
    cancelled: bool,
}

impl<'a> Report<'a> {
    fn new(
        manifest: &'a Manifest,
        out: &Place,
        shard: Shard,
        embedder: &'a dyn Embedder,
        summary: &'a EmbedSummary,
    ) -> Self {
        let snapshot = &summary.snapshot;
        Self {
            manifest: manifest.name(),
            digest: manifest.digest(),
            out: out.to_string(),
            shard: shard.to_string(),
            encoder: embedder.fingerprint(),
            pieces: snapshot.pieces,
            written: snapshot.written,
            there: snapshot.there,
            photos: snapshot.total,
            embedded: snapshot.embedded,
            failed: snapshot.failed,
            seconds: snapshot.elapsed.as_secs_f64(),
            failures: &summary.failures,
            cancelled: summary.cancelled,
        }
    }
}

/// Says what could not be read: some of it, and how many more.
pub(crate) fn tell_skipped(failures: &[String], all: u64) {
    for failure in failures.iter().take(LISTED) {
        output::note(&format!("skipped: {failure}"));
    }
    let more = all.saturating_sub(failures.len().min(LISTED) as u64);
    if more > 0 {
        output::note(&format!("skipped: {more} more"));
    }
}

/// Says how many photos no decoder here knows.
pub(crate) fn tell_unsupported(files: u64) {
    if files > 0 {
        output::note(&format!(
            "skipped: {files} AVIF files, which cannot be decoded; convert them to JPEG (avifdec, of Debian's libavif-bin, does)"
        ));
    }
}

/// Progress on a terminal, or now and then a line.
#[derive(Default)]
struct Console {
    bar: RefCell<Option<Progress>>,
}

impl sbir_shards::Progress for Console {
    fn update(&self, snapshot: &Snapshot) {
        self.bar
            .borrow_mut()
            .get_or_insert_with(|| Progress::new("embedding", "photos", snapshot.total))
            .set(snapshot.done);
    }
}
