//! `sbir embed`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use fs_err as fs;
use sbir_data::{Orientation, SketchSource, image_batches};
use sbir_encoder::PrecisionChoice;
use sbir_eval::atomic::write_atomically;
use sbir_eval::npy::NpyWriter;
use serde::Serialize;

use super::args::EmbedArgs;
use super::failure::Failure;
use super::progress::Progress;
use super::{compute, interrupt, model, output, pairs, shards};

pub(crate) fn run(args: &EmbedArgs) -> Result<(), Failure> {
    let stop = interrupt::install();
    if args.batch_size == 0 {
        return Err(Failure::Usage("--batch-size takes at least 1".to_owned()));
    }
    let bundled = PathBuf::from("bundled");
    let model = args.model.as_ref().unwrap_or(&bundled);
    if let Some(manifest) = &args.shards.manifest {
        return shards::run(args, manifest, model);
    }
    if args.shards.shard.is_some() {
        return Err(Failure::Usage("--shard is a share of a --manifest; name one".to_owned()));
    }
    let names_path = names_path(&args.out)?;
    let mut paths = Vec::new();
    for path in &args.paths {
        expand(path, &mut paths)?;
    }
    if paths.is_empty() {
        return Err(anyhow::anyhow!(
            "no pictures in the folders given; name files or other folders"
        )
        .into());
    }
    let (selected, threads) = compute::prepare(&args.compute, None)?;
    let encoder = model::load(model, &selected.device)?.encoder;
    let encoder = pairs::adjust(encoder, args.image_size, args.line.as_ref())?;
    let encoder = compute::precise(encoder, &args.compute, &selected)?;
    let orientation = if args.no_exif { Orientation::Ignore } else { Orientation::Exif };
    let alpha = pairs::alpha(args.origin_pixels);
    let transform = pairs::transform(encoder.preprocessing(), alpha, orientation);

    let sources: Vec<SketchSource> = paths.iter().cloned().map(SketchSource::from_path).collect();
    let mut batches = image_batches(sources, &transform, args.batch_size, threads);
    if args.skip_bad {
        batches = batches.skip_bad();
    }
    let mut writer = NpyWriter::create(&args.out, encoder.width())?;
    let mut names: Vec<String> = Vec::with_capacity(paths.len());
    let mut skipped = Vec::new();
    let mut bar = Progress::new("embedding", "pictures", paths.len() as u64);
    for batch in batches {
        let batch = batch?;
        let count = batch.indices.len();
        let size = [count, batch.side, batch.side];
        writer.append(&encoder.embed(batch.images, size))?;
        names.extend(batch.indices.iter().map(|&index| paths[index].display().to_string()));
        for (index, error) in batch.failed {
            bar.suspend(|| output::note(&format!("skipped: {error}")));
            skipped.push(paths[index].display().to_string());
        }
        bar.add(args.batch_size as u64);
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted("stopped; nothing was written".to_owned()));
        }
    }
    drop(bar);
    let text = serde_json::to_string_pretty(&names)?;
    write_atomically(&names_path, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    let embedded = writer.finish()?;
    if !skipped.is_empty() {
        output::note(&format!("{} of {} files were skipped", skipped.len(), paths.len()));
    }
    let done = Done {
        embedded,
        width: encoder.width(),
        precision: encoder.precision().into(),
        skipped,
        vectors: &args.out,
        names: &names_path,
    };
    if args.json {
        output::json(&done)
    } else {
        output::line(&format!(
            "{embedded} vectors of width {} in {}",
            done.width,
            args.out.display()
        ))
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    embedded: usize,
    width: usize,
    /// What products were made in.
    precision: PrecisionChoice,
    skipped: Vec<String>,
    vectors: &'a Path,
    names: &'a Path,
}

/// `X.names.json` beside `X.npy`.
fn names_path(out: &Path) -> Result<PathBuf, Failure> {
    if out.extension().is_none_or(|extension| extension != "npy") {
        return Err(Failure::Usage(format!("--out {}: the name must end in .npy", out.display())));
    }
    Ok(out.with_extension("names.json"))
}

/// A folder stands for the files below it in name order; hidden ones are left out. Links to folders
/// are not followed, so that a loop cannot hold it up.
fn expand(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_symlink() && entry.path().is_dir() {
            continue;
        }
        expand(&entry.path(), files)?;
    }
    Ok(())
}
