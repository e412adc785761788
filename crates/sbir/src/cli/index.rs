//! `sbir index`.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use sbir_gallery::{
    Embedder, Failure as Unreadable, IndexOptions, Phase, Snapshot, Summary, index,
};
use serde::Serialize;

use super::args::IndexArgs;
use super::embedder::EncoderEmbedder;
use super::failure::Failure;
use super::progress::Progress;
use super::{compute, interrupt, output, store};

/// Unreadable files that are listed; all are counted.
const LISTED: usize = 20;

pub(crate) fn run(args: &IndexArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    let folders = args.folders.iter().map(store::folder).collect::<Result<Vec<_>, _>>()?;
    let (selected, threads) = compute::prepare_quiet(&args.compute)?;
    let embedder = EncoderEmbedder::load(&args.model, &args.compute, &selected)?;
    let opened = store::open_or_create(&args.place, &args.create)?;
    let destination = opened.writable(&embedder, args.reembed)?;
    let cancel = Arc::new(AtomicBool::new(false));
    let options = IndexOptions {
        prune: args.prune,
        rehash: args.rehash,
        threads,
        cancel: Some(Arc::clone(&cancel)),
        ..IndexOptions::default()
    };
    let target = &*destination.store;
    output::note(&format!("gallery: {}", target.name()));
    let console = Console::new(&cancel, stop);
    let summary = index(target, &folders, &embedder, &options, &console)?;
    console.finish();
    tell(&summary, folders.len());
    if args.json {
        output::json(&Report::new(target.name(), &embedder, &summary))?;
    } else {
        output::line(&sentence(&summary.snapshot))?;
    }
    if summary.cancelled {
        return Err(Failure::Interrupted(
            "stopped; what was done is kept, the same command goes on".to_owned(),
        ));
    }
    destination.publish(args.prune)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    gallery: String,
    encoder: String,
    photos: u64,
    embedded: u64,
    unchanged: u64,
    moved: u64,
    touched: u64,
    removed: u64,
    failed: u64,
    unsupported: u64,
    seconds: f64,
    failures: Vec<String>,
    missing_roots: Vec<String>,
}

impl Report {
    fn new(gallery: String, embedder: &dyn Embedder, summary: &Summary) -> Self {
        let snapshot = &summary.snapshot;
        Self {
            gallery,
            encoder: embedder.fingerprint().to_owned(),
            photos: snapshot.done.saturating_sub(snapshot.failed),
            embedded: snapshot.embedded,
            unchanged: snapshot.unchanged,
            moved: snapshot.moved,
            touched: snapshot.touched,
            removed: snapshot.removed,
            failed: snapshot.failed,
            unsupported: snapshot.unsupported,
            seconds: snapshot.elapsed.as_secs_f64(),
            failures: summary.failures.iter().map(|failure| failure.message.clone()).collect(),
            missing_roots: summary
                .missing_roots
                .iter()
                .map(|root| root.display().to_string())
                .collect(),
        }
    }
}

fn sentence(snapshot: &Snapshot) -> String {
    let mut parts = vec![format!("{} embedded", snapshot.embedded)];
    for (count, what) in [
        (snapshot.unchanged, "unchanged"),
        (snapshot.moved, "moved or copied"),
        (snapshot.touched, "touched"),
        (snapshot.removed, "removed"),
        (snapshot.failed, "unreadable"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    format!(
        "{} photos in {:.1} s: {}",
        snapshot.done,
        snapshot.elapsed.as_secs_f64(),
        parts.join(", ")
    )
}

/// What could not be read, and what was left alone.
fn tell(summary: &Summary, folders: usize) {
    for failure in summary.failures.iter().take(LISTED) {
        output::note(&format!("skipped: {}", failure.message));
    }
    let more = summary.snapshot.failed.saturating_sub(summary.failures.len().min(LISTED) as u64);
    if more > 0 {
        output::note(&format!("skipped: {more} more"));
    }
    if summary.snapshot.unsupported > 0 {
        output::note(&format!(
            "skipped: {} AVIF files, which cannot be decoded; convert them to JPEG (avifdec, of Debian's libavif-bin, does)",
            summary.snapshot.unsupported
        ));
    }
    for root in &summary.missing_roots {
        let whole = if folders == 1 { "the folder" } else { "a folder" };
        output::note(&format!(
            "warning: {whole} {} is missing or empty; its photos stay in the gallery, --prune removes them",
            root.display()
        ));
    }
}

/// Progress on a terminal, or now and then a line.
pub(crate) struct Console<'a> {
    bar: RefCell<Option<Progress>>,
    told: RefCell<Instant>,
    cancel: &'a AtomicBool,
    stop: &'a AtomicBool,
}

impl<'a> Console<'a> {
    fn new(cancel: &'a AtomicBool, stop: &'a AtomicBool) -> Self {
        Self { bar: RefCell::default(), told: RefCell::new(Instant::now()), cancel, stop }
    }

    fn finish(&self) {
        self.bar.borrow_mut().take();
    }
}

impl sbir_gallery::Progress for Console<'_> {
    fn update(&self, snapshot: &Snapshot) {
        if self.stop.load(Ordering::Relaxed) {
            self.cancel.store(true, Ordering::Relaxed);
        }
        if snapshot.phase != Phase::Indexing {
            return;
        }
        match snapshot.total {
            Some(total) => self
                .bar
                .borrow_mut()
                .get_or_insert_with(|| Progress::new("indexing", "photos", total))
                .set(snapshot.done),
            None if self.told.borrow().elapsed() > Duration::from_secs(15) => {
                *self.told.borrow_mut() = Instant::now();
                output::note(&format!(
                    "indexing: {} photos in {}",
                    snapshot.done,
                    HumanDuration(snapshot.elapsed)
                ));
            }
            None => {}
        }
    }

    fn failed(&self, _: &Unreadable) {}
}
