//! `sbir manifest`.

use std::time::{Duration, Instant};

use sbir_objects::{Options, Place};
use sbir_shards::{Error, ManifestOptions, write_manifest};
use serde::Serialize;

use super::args::ManifestArgs;
use super::failure::Failure;
use super::{interrupt, output, shards};

/// How often the number of photos so far is told.
const TELL_EVERY: Duration = Duration::from_secs(15);

pub(crate) fn run(args: &ManifestArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    let objects = Options { stop: Some(stop), ..Options::default() };
    let photos = Place::open(&args.photos, &objects)?;
    let (place, key) = Place::open_file(&args.out, &objects)?;
    let options = ManifestOptions { piece: args.piece, stop: Some(stop) };
    let mut told = Instant::now();
    let listed = write_manifest(&photos, (&place, &key), &options, &mut |found| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            output::note(&format!("listing: {found} photos"));
        }
    });
    let listed = match listed {
        Err(Error::Cancelled | Error::Objects(sbir_objects::Error::Stopped { .. })) => {
            return Err(Failure::Interrupted("stopped; nothing was written".to_owned()));
        }
        listed => listed?,
    };
    shards::tell_skipped(&listed.failures, listed.failed);
    shards::tell_unsupported(listed.unsupported);
    if listed.keys > 0 {
        output::note(&format!("skipped: {} objects whose keys are no paths", listed.keys));
    }
    if listed.photos == 0 {
        output::note(&format!("warning: {photos} has no photos"));
    }
    let name = place.name_of(&key);
    if args.json {
        return output::json(&Report {
            manifest: &name,
            root: photos.to_string(),
            photos: listed.photos,
            bytes: listed.bytes,
            pieces: listed.pieces,
            digest: &listed.digest,
            unsupported: listed.unsupported,
            links: listed.links,
            keys: listed.keys,
            failed: listed.failed,
        });
    }
    output::line(&format!("{} photos in {} pieces: {name}", listed.photos, listed.pieces))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    manifest: &'a str,
    root: String,
    photos: u64,
    bytes: u64,
    pieces: u64,
    digest: &'a str,
    unsupported: u64,
    links: u64,
    keys: u64,
    failed: u64,
}
