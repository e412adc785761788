//! `sbir gallery`.

use std::path::{Path, PathBuf};

use sbir_gallery::{Gallery, VectorStore, default_path};
use serde::Serialize;

use super::args::{GalleryArgs, GalleryCommand};
use super::failure::Failure;
use super::output;

/// Photos asked for at once when listing.
const PAGE: usize = 1000;

/// The gallery that is meant.
pub(crate) fn path(given: Option<&Path>) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => Ok(path.to_owned()),
        None => Ok(default_path()?),
    }
}

/// A folder as typed, absolute; it need not exist.
pub(crate) fn folder(path: impl AsRef<Path>) -> Result<PathBuf, Failure> {
    let path = path.as_ref();
    match fs_err::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(_) => Ok(std::path::absolute(path)?),
    }
}

pub(crate) fn run(args: &GalleryArgs) -> Result<(), Failure> {
    let path = path(args.place.gallery.as_deref())?;
    let gallery = match &args.command {
        GalleryCommand::Import { .. } => Gallery::open_or_create(&path)?,
        _ => Gallery::open(&path)?,
    };
    match &args.command {
        GalleryCommand::List { under } => list(&gallery, under.as_deref(), args.json),
        GalleryCommand::Info => info(&gallery, args.json),
        GalleryCommand::Verify { contents } => verify(&gallery, *contents, args.json),
        GalleryCommand::Compact => {
            let before = gallery.stats()?.bytes;
            gallery.compact()?;
            let after = gallery.stats()?.bytes;
            output::line(&format!("{before} bytes before, {after} after"))
        }
        GalleryCommand::Export { out } => {
            let names = out.with_extension("jsonl");
            let count = gallery.export(out, &names)?;
            output::line(&format!("{count} photos in {} and {}", out.display(), names.display()))
        }
        GalleryCommand::Import { from } => {
            let names = from.with_extension("jsonl");
            let report = gallery.import(from, &names)?;
            output::line(&format!("{} photos added, {} replaced", report.added, report.replaced))
        }
    }
}

#[derive(Serialize)]
struct Row {
    id: i64,
    path: String,
    size: u64,
    width: u32,
    height: u32,
}

fn list(gallery: &Gallery, under: Option<&Path>, json: bool) -> Result<(), Failure> {
    let under = under.map(folder).transpose()?;
    let mut after = None;
    loop {
        let page = gallery.list(under.as_deref(), after, PAGE)?;
        for photo in &page.items {
            let path = photo.display();
            if json {
                let (width, height) = (photo.width, photo.height);
                output::json(&Row { id: photo.id.0, path, size: photo.size, width, height })?;
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
    path: PathBuf,
    photos: u64,
    present: bool,
}

#[derive(Serialize)]
struct Info {
    gallery: PathBuf,
    photos: u64,
    encoder: Option<String>,
    dimension: Option<usize>,
    bytes: u64,
    roots: Vec<Root>,
}

fn info(gallery: &Gallery, json: bool) -> Result<(), Failure> {
    let info = gallery.info()?;
    let space = info.stats.space;
    let report = Info {
        gallery: info.path,
        photos: info.stats.photos,
        encoder: space.as_ref().map(|space| space.fingerprint.clone()),
        dimension: space.as_ref().map(|space| space.dimension),
        bytes: info.stats.bytes,
        roots: info
            .roots
            .into_iter()
            .map(|root| Root { path: root.path, photos: root.photos, present: root.present })
            .collect(),
    };
    if json {
        return output::json(&report);
    }
    output::line(&format!("gallery:  {}", report.gallery.display()))?;
    output::line(&format!("photos:   {}", report.photos))?;
    if let (Some(encoder), Some(dimension)) = (&report.encoder, report.dimension) {
        output::line(&format!("encoder:  {encoder}, {dimension} dimensions"))?;
    }
    output::line(&format!("on disk:  {} bytes", report.bytes))?;
    for root in &report.roots {
        let missing = if root.present { "" } else { " (missing)" };
        output::line(&format!(
            "folder:   {}, {} photos{missing}",
            root.path.display(),
            root.photos
        ))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Verified<'a> {
    photos: u64,
    missing: u64,
    changed: u64,
    problems: &'a [String],
}

fn verify(gallery: &Gallery, contents: bool, json: bool) -> Result<(), Failure> {
    let found = gallery.verify(contents)?;
    let report = Verified {
        photos: found.photos,
        missing: found.missing,
        changed: found.changed,
        problems: &found.problems,
    };
    if json {
        output::json(&report)?;
    } else {
        for problem in report.problems {
            output::line(problem)?;
        }
        output::line(&format!(
            "{} photos, {} missing, {} changed since they were indexed",
            report.photos, report.missing, report.changed
        ))?;
    }
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(
            "{} is damaged: export what can be read, or delete it and index again",
            gallery.path().display()
        )
        .into())
    }
}
