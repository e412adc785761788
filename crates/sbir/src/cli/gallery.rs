//! `sbir gallery`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sbir_gallery::{CopyOptions, VectorStore, copy, export, import, verify};
use serde::Serialize;

use super::args::{CreateArgs, GalleryArgs, GalleryCommand};
use super::failure::Failure;
use super::progress::Progress;
use super::{interrupt, output, store};

/// Photos asked for at once when listing.
const PAGE: usize = 1000;

pub(crate) fn run(args: &GalleryArgs) -> Result<(), Failure> {
    if let GalleryCommand::Copy { from, to, create } = &args.command {
        return copy_gallery(from, to, create, args.json);
    }
    let opened = match &args.command {
        GalleryCommand::Import { .. } => {
            store::open_or_create(&args.place, &CreateArgs::default())?
        }
        _ => {
            let opened = store::open(&args.place)?;
            opened.space()?;
            opened
        }
    };
    let store = &*opened.store;
    match &args.command {
        GalleryCommand::List { under } => list(store, under.as_deref(), args.json),
        GalleryCommand::Info => info(store, args.json),
        GalleryCommand::Verify { contents } => check(store, *contents, args.json),
        GalleryCommand::Compact { old } => {
            if *old {
                opened.drop_old()?;
            }
            let before = store.stats()?.bytes;
            store.compact()?;
            let after = store.stats()?.bytes;
            match (before, after) {
                (0, 0) => output::line("done"),
                _ => output::line(&format!("{before} bytes before, {after} after")),
            }
        }
        GalleryCommand::Export { out } => {
            let names = out.with_extension("jsonl");
            let count = export(store, out, &names)?;
            output::line(&format!("{count} photos in {} and {}", out.display(), names.display()))
        }
        GalleryCommand::Import { from } => {
            let names = from.with_extension("jsonl");
            let report = import(store, from, &names)?;
            output::line(&format!("{} photos added, {} replaced", report.added, report.replaced))
        }
        GalleryCommand::Copy { .. } => Ok(()),
    }
}

/// `sbir gallery copy`.
fn copy_gallery(from: &Path, to: &Path, create: &CreateArgs, json: bool) -> Result<(), Failure> {
    let stop = interrupt::install();
    let from = store::open_named(from, None)?;
    from.space()?;
    let from = from.store;
    let to = store::open_named(to, Some(create))?.store;
    let cancel = Arc::new(AtomicBool::new(false));
    let options = CopyOptions { cancel: Some(Arc::clone(&cancel)), ..CopyOptions::default() };
    let mut bar: Option<(bool, Progress)> = None;
    let mut told = 0;
    let report = copy(&*from, &*to, &options, &mut |done, total| {
        if stop.load(Ordering::Relaxed) {
            cancel.store(true, Ordering::Relaxed);
        }
        // The second pass begins anew.
        let second = done < told || bar.as_ref().is_some_and(|(second, _)| *second);
        if bar.as_ref().is_none_or(|(shown, _)| *shown != second) {
            let what = if second { "verifying" } else { "copying" };
            bar = Some((second, Progress::new(what, "photos", total)));
        }
        told = done;
        if let Some((_, bar)) = &mut bar {
            bar.set(done);
        }
    });
    drop(bar);
    let report = match report {
        Err(sbir_gallery::Error::Cancelled) => {
            let what = "stopped; what was copied is kept, the same command goes on";
            return Err(Failure::Interrupted(what.to_owned()));
        }
        report => report?,
    };
    if json {
        output::json(&report)?;
    } else {
        for problem in &report.problems {
            output::line(problem)?;
        }
        output::line(&format!(
            "{} photos: {} copied, {} there already; vectors of {} compared, least cosine {:.6}",
            report.photos, report.copied, report.present, report.compared, report.least_similarity
        ))?;
        if report.others > 0 {
            let others = report.others;
            output::note(&format!("{} has {others} photos besides these", to.name()));
        }
    }
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!("the copy in {} is not whole; run it again", to.name()).into())
    }
}

#[derive(Serialize)]
struct Row {
    id: sbir_gallery::PhotoId,
    path: String,
    size: u64,
    width: u32,
    height: u32,
}

fn list(gallery: &dyn VectorStore, under: Option<&Path>, json: bool) -> Result<(), Failure> {
    let under = under.map(store::folder).transpose()?;
    let mut after = None;
    loop {
        let page = gallery.list(under.as_deref(), after, PAGE)?;
        for photo in &page.items {
            let path = photo.display();
            if json {
                let (width, height) = (photo.width, photo.height);
                output::json(&Row { id: photo.id, path, size: photo.size, width, height })?;
            } else {
                output::line(&path)?;
            }
        }
        if page.next.is_none() {
            return Ok(());
        }
        after = page.next;
    }
}

#[derive(Serialize)]
struct Root {
    path: String,
    photos: u64,
    present: bool,
}

#[derive(Serialize)]
struct Info {
    gallery: String,
    photos: u64,
    encoder: Option<String>,
    dimension: Option<usize>,
    bytes: u64,
    roots: Vec<Root>,
}

fn info(gallery: &dyn VectorStore, json: bool) -> Result<(), Failure> {
    let (stats, roots) = (gallery.stats()?, gallery.roots()?);
    let space = stats.space;
    let report = Info {
        gallery: gallery.name(),
        photos: stats.photos,
        encoder: space.as_ref().map(|space| space.fingerprint.clone()),
        dimension: space.as_ref().map(|space| space.dimension),
        bytes: stats.bytes,
        roots: roots
            .into_iter()
            .map(|root| Root {
                path: root.path.display().to_string(),
                photos: root.photos,
                present: root.present,
            })
            .collect(),
    };
    if json {
        return output::json(&report);
    }
    output::line(&format!("gallery:  {}", report.gallery))?;
    output::line(&format!("photos:   {}", report.photos))?;
    if let (Some(encoder), Some(dimension)) = (&report.encoder, report.dimension) {
        output::line(&format!("encoder:  {encoder}, {dimension} dimensions"))?;
    }
    if report.bytes > 0 {
        output::line(&format!("on disk:  {} bytes", report.bytes))?;
    }
    for root in &report.roots {
        let missing = if root.present { "" } else { " (missing)" };
        output::line(&format!("folder:   {}, {} photos{missing}", root.path, root.photos))?;
    }
    Ok(())
}

fn check(gallery: &dyn VectorStore, contents: bool, json: bool) -> Result<(), Failure> {
    let found = verify(gallery, contents)?;
    if json {
        output::json(&found)?;
    } else {
        for problem in &found.problems {
            output::line(problem)?;
        }
        output::line(&format!(
            "{} photos, {} missing, {} changed since they were indexed, {} in the folders and not in the gallery",
            found.photos, found.missing, found.changed, found.new
        ))?;
        if found.elsewhere > 0 {
            let count = found.elsewhere;
            output::note(&format!("{count} photos lie in an object store and were not looked at"));
        }
        if found.missing + found.changed + found.new > 0 {
            output::note("`sbir index` brings the gallery up to date with its folders");
        }
    }
    if found.problems.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(
            "{} is damaged: export what can be read, or delete it and index again",
            gallery.name()
        )
        .into())
    }
}
