//! `result.html`: a row per sketch with its nearest photos, the true one outlined in red.
//!
//! The page works from the disk, without a network and without its script (which adds filters and orders). It is
//! written row by row, so its size does not bound memory; an embedded photo is written once, however many rows show it.

mod data_uri;
mod page;
mod row;
mod text;
mod url;

use std::error::Error as StdError;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::row::{Photo, RowWriter};
use crate::atomic::AtomicFile;
use crate::{Error, Ranking, Summary};

/// A picture as a `data:` address, to be held by a page: JPEG, PNG and so on by `mime`, which the caller vouches for.
#[must_use]
pub fn data_uri(mime: &'static str, bytes: &[u8]) -> String {
    data_uri::encode(mime, bytes)
}

/// A picture of the report.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// A file that a browser can show. The page names it by its path from the page's folder, or holds its bytes where
    /// [`Report::embed_images`] is set (JPEG, PNG, GIF, WebP, AVIF, BMP or SVG, at most 32 MiB).
    File(PathBuf),
    /// An SVG document. The page shows it as an image, so that nothing in it can run.
    Svg(String),
    /// An encoded picture, held by the page.
    Data {
        /// Its media type, such as `image/jpeg`.
        mime: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A sketch or photo of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name shown; any text.
    pub name: String,
    /// What it looks like.
    pub picture: Picture,
}

/// Which picture the report asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The sketch of a query, from 0. Asked for once each.
    Sketch(usize),
    /// A photo of the gallery, from 0. Asked for once each, and only where a row shows it.
    Photo(usize),
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sketch(index) => write!(formatter, "sketch {index}"),
            Self::Photo(index) => write!(formatter, "photo {index}"),
        }
    }
}

/// Finds the picture of a subject. It is called from several threads, and may decode and scale pictures.
pub type Lookup<'a> = dyn Fn(Subject) -> Result<Entry, Box<dyn StdError + Send + Sync>> + Sync + 'a;

/// An evaluation to show.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The page's title, such as `FS-COCO · normal split`.
    pub title: String,
    /// What else to say about the run, as names and values in order: checkpoint, split, date.
    pub facts: Vec<(String, String)>,
    /// The numbers at the top.
    pub summary: &'a Summary,
    /// The rows: a row shows as many photos as its query has nearest ones.
    pub ranking: &'a Ranking,
    /// Each query's own photo, as an index into the gallery.
    pub truth: &'a [usize],
    /// Whether the page holds all pictures itself, as `data:` addresses, or names their files where there are such.
    pub embed_images: bool,
}

impl Report<'_> {
    /// Writes the page to `path`: all of it, or nothing.
    ///
    /// # Errors
    /// Where the ranking, truth and summary do not fit together, `lookup` fails, a picture cannot be embedded, or the
    /// file cannot be written.
    pub fn write(&self, path: &Path, lookup: &Lookup<'_>) -> Result<(), Error> {
        self.check()?;
        let mut file = AtomicFile::create(path)?;
        let folder = url::folder_of(path).map_err(|error| file.error(error))?;
        self.write_page(&folder, &mut file, lookup)?;
        Ok(file.commit()?)
    }

    fn check(&self) -> Result<(), Error> {
        let queries = self.ranking.ranks.len();
        for (what, found) in [
            ("the report's truth indices", self.truth.len()),
            ("the report's nearest photos", self.ranking.nearest.len()),
            ("the report's similarities", self.ranking.truth_cosine.len()),
            ("the report's summary", self.summary.queries),
        ] {
            if found != queries {
                return Err(Error::Length { what, expected: queries, found });
            }
        }
        crate::metrics::check(&self.ranking.ranks, self.summary.gallery)?;
        let gallery = self.summary.gallery;
        for (query, (nearest, truth)) in self.ranking.nearest.iter().zip(self.truth).enumerate() {
            let mut shown = nearest.iter().map(|(photo, _)| photo).chain([truth]);
            if let Some(&index) = shown.find(|&&photo| photo >= gallery) {
                return Err(Error::Truth { query, index, gallery });
            }
        }
        Ok(())
    }

    fn write_page(
        &self,
        folder: &Path,
        file: &mut AtomicFile,
        lookup: &Lookup<'_>,
    ) -> Result<(), Error> {
        // Pictures asked for in parallel before they are written: this bounds how many are in memory.
        let at_once = 2 * rayon::current_num_threads();
        let shown = Shown { folder, embed_files: self.embed_images, lookup };
        let rows = RowWriter::new(self);
        put(file, &page::head(self, rows.columns()))?;
        let photos = self.write_photos(&shown, at_once, file)?;
        put(file, &page::heading(self))?;

        let queries = self.ranking.ranks.len();
        for first in (0..queries).step_by(at_once) {
            let last = queries.min(first + at_once);
            let chunk: Vec<Result<String, Error>> = (first..last)
                .into_par_iter()
                .map(|query| {
                    let (name, source) = shown.find(Subject::Sketch(query))?;
                    Ok(rows.row(query, &name, &source.into_url(), &photos))
                })
                .collect();
            // Gathered as results so that it is always the first failure that is reported.
            for row in chunk {
                put(file, &row?)?;
            }
        }
        put(file, &page::foot())
    }

    /// Finds the photos that rows show, and writes a style rule for each that the page has to hold.
    fn write_photos(
        &self,
        shown: &Shown<'_>,
        at_once: usize,
        file: &mut AtomicFile,
    ) -> Result<Vec<Option<Photo>>, Error> {
        let mut photos: Vec<Option<Photo>> = vec![None; self.summary.gallery];
        let mut used = vec![false; photos.len()];
        for (nearest, &truth) in self.ranking.nearest.iter().zip(self.truth) {
            nearest.iter().for_each(|&(photo, _)| used[photo] = true);
            used[truth] = true;
        }
        let used: Vec<usize> = (0..photos.len()).filter(|&photo| used[photo]).collect();

        put(file, "<style>")?;
        for chunk in used.chunks(at_once) {
            let found: Vec<Result<(String, Source), Error>> =
                chunk.par_iter().map(|&photo| shown.find(Subject::Photo(photo))).collect();
            for (&photo, found) in chunk.iter().zip(found) {
                let (name, source) = found?;
                photos[photo] = Some(match source {
                    Source::Path(path) => Photo { name, url: Some(path) },
                    Source::Held(data) => {
                        put(file, &format!("\n.p{photo}{{background-image:url({data})}}"))?;
                        Photo { name, url: None }
                    }
                });
            }
        }
        put(file, "</style>\n")?;
        Ok(photos)
    }
}

fn put(file: &mut AtomicFile, text: &str) -> Result<(), Error> {
    file.write_all(text.as_bytes()).map_err(|error| file.error(error).into())
}

/// Where the page gets a picture from.
enum Source {
    /// A file beside the page: its percent-encoded address.
    Path(String),
    /// The page itself: a base64 `data:` address, which needs no quotes in HTML or CSS.
    Held(String),
}

impl Source {
    fn into_url(self) -> String {
        match self {
            Self::Path(url) | Self::Held(url) => url,
        }
    }
}

/// Turns the caller's pictures into addresses.
struct Shown<'a> {
    folder: &'a Path,
    embed_files: bool,
    lookup: &'a Lookup<'a>,
}

impl Shown<'_> {
    /// The name, escaped for HTML, and the address of a subject's picture.
    fn find(&self, subject: Subject) -> Result<(String, Source), Error> {
        let failed = |reason| Error::Picture { subject: subject.to_string(), reason };
        let entry = (self.lookup)(subject).map_err(|error| failed(text::one_line(&error)))?;
        let source = match entry.picture {
            Picture::File(path) if self.embed_files => {
                Source::Held(data_uri::from_file(&path).map_err(failed)?)
            }
            Picture::File(path) => Source::Path(url::from_folder(self.folder, &path)),
            Picture::Svg(svg) => Source::Held(data_uri::encode("image/svg+xml", svg.as_bytes())),
            Picture::Data { mime, bytes } => {
                data_uri::check_mime(&mime).map_err(failed)?;
                Source::Held(data_uri::encode(&mime, &bytes))
            }
        };
        Ok((text::escape(&entry.name), source))
    }
}
