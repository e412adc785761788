//! `sbir search`.

use std::io::Read as _;
use std::path::Path;

use sbir_data::{MAX_FILE_BYTES, SketchSource, Upright};
use sbir_eval::atomic::write_atomically;
use sbir_gallery::{Embedder, Hit, Photo, PhotoFiles, SearchOptions};
use serde::Serialize;

use super::args::SearchArgs;
use super::embedder::EncoderEmbedder;
use super::failure::Failure;
use super::{compute, output, store};

/// Longer side in pixels of the pictures in a `--html` page.
const THUMBNAIL: u32 = 320;

pub(crate) fn run(args: &SearchArgs) -> Result<(), Failure> {
    if args.k == 0 {
        return Err(Failure::Usage("-k takes at least 1".to_owned()));
    }
    if args.min_score.is_some_and(|score| !(-1.0..=1.0).contains(&score)) {
        return Err(Failure::Usage("--min-score takes a similarity from -1 to 1".to_owned()));
    }
    let opened = store::open(&args.place)?;
    let (selected, _) = compute::prepare_quiet(&args.compute)?;
    let embedder = EncoderEmbedder::load(&args.model, &args.compute, &selected)?;
    opened.check(&embedder)?;
    let query = embed(&embedder, &args.query)?;
    let options = SearchOptions {
        k: args.k,
        min_score: args.min_score,
        under: args.under.as_ref().map(store::folder).transpose()?,
    };
    let hits = opened.store.search(&query, &options)?;
    if let Some(html) = &args.html {
        page(html, &args.query, &hits.items)?;
    }
    let report = Report {
        // Not as paths, which serde refuses where they are not UTF-8.
        query: args.query.display().to_string(),
        gallery: opened.store.name(),
        searched: hits.searched,
        exhaustive: hits.exhaustive,
        hits: hits
            .items
            .iter()
            .enumerate()
            .map(|(index, hit)| Row {
                rank: index + 1,
                path: hit.photo.display(),
                score: hit.score,
            })
            .collect(),
    };
    if args.json {
        return output::json(&report);
    }
    for row in &report.hits {
        output::line(&format!("{:>3}  {:.4}  {}", row.rank, row.score, row.path))?;
    }
    if report.hits.is_empty() {
        output::note("nothing found");
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    hits: Vec<Row>,
    query: String,
    gallery: String,
    searched: u64,
    exhaustive: bool,
}

#[derive(Serialize)]
struct Row {
    rank: usize,
    path: String,
    score: f32,
}

/// A query's vector: strokes are rendered, pictures decoded upright.
fn embed(embedder: &EncoderEmbedder, query: &Path) -> Result<Vec<f32>, Failure> {
    let embedded = match SketchSource::from_path(query.to_owned()) {
        SketchSource::StrokeFile(path) => embedder.embed_sketch(&sbir_sketch::read_sketch(&path)?),
        _ => embedder.embed_drawing(&Upright::load(query, None)?),
    };
    embedded.map_err(|error| anyhow::anyhow!("{}: {error}", query.display()).into())
}

/// A page of the query and what was found, with small copies of the pictures inside it.
fn page(out: &Path, query: &Path, hits: &[Hit]) -> Result<(), Failure> {
    let files = store::files();
    let mut body = String::new();
    for (index, hit) in hits.iter().enumerate() {
        let shown = escape(&hit.photo.display());
        let picture = match thumbnail(&*files, &hit.photo) {
            Ok(jpeg) => format!(
                "<img alt=\"\" src=\"{}\">",
                sbir_eval::report::data_uri("image/jpeg", &jpeg)
            ),
            Err(error) => format!("<p class=\"gone\">{}</p>", escape(&error.message())),
        };
        body.push_str(&format!(
            "<figure>{picture}<figcaption><b>{}</b> {:.3}<br>{shown}</figcaption></figure>\n",
            index + 1,
            hit.score
        ));
    }
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n<style>\
         body{{font:16px/1.4 system-ui,sans-serif;margin:2rem;background:#fff;color:#222}}\
         main{{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1.5rem}}\
         figure{{margin:0}}img{{width:100%;border-radius:6px}}\
         figcaption{{font-size:.8rem;color:#666;overflow-wrap:anywhere}}\
         @media(prefers-color-scheme:dark){{body{{background:#161616;color:#ddd}}figcaption{{color:#999}}}}\
         </style>\n<h1>{title}</h1>\n<main>\n{body}</main></html>\n",
        title = escape(&query.display().to_string()),
    );
    write_atomically(out, |file| std::io::Write::write_all(file, html.as_bytes()))?;
    Ok(())
}

/// A small copy of a photo as JPEG.
fn thumbnail(files: &dyn PhotoFiles, photo: &Photo) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut file = files.open(photo.clone())?.content.into_file()?.take(MAX_FILE_BYTES);
    file.read_to_end(&mut bytes)?;
    let name = photo.location();
    Ok(Upright::decode(&name, &bytes, Some(THUMBNAIL))?.shrunk(THUMBNAIL).to_jpeg(85)?)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
