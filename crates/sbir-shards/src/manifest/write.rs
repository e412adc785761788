//! From a tree of photos to a manifest.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _};
use std::sync::atomic::{AtomicBool, Ordering};

use sbir_files::names::to_hex;
use sbir_gallery::{NameKind, RelPath};
use sbir_objects::{Extent, Key, Place};
use sha2::{Digest as _, Sha256};

use super::{
    DEFAULT_PIECE, FORMAT, HeaderLine, LastLine, MAX_PIECE, MAX_PIECES, PhotoLine, VERSION,
};
use crate::MAX_FAILURES;
use crate::error::{Error, Result};
use crate::sort::{Item, Sorter};
use crate::text::Text;

/// How a manifest is written.
#[derive(Clone, Copy, Debug)]
pub struct ManifestOptions {
    /// The number of photos of a piece, from 1 to [`MAX_PIECE`].
    pub piece: u32,
    /// Set to true by somebody else to stop.
    pub stop: Option<&'static AtomicBool>,
}

impl Default for ManifestOptions {
    fn default() -> Self {
        Self { piece: DEFAULT_PIECE, stop: None }
    }
}

/// What was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestSummary {
    /// The number of photos.
    pub photos: u64,
    /// The bytes of all their files.
    pub bytes: u64,
    /// The number of pieces.
    pub pieces: u64,
    /// The manifest's digest, in hexadecimal digits.
    pub digest: String,
    /// AVIF files passed over, since no decoder for them is built in.
    pub unsupported: u64,
    /// Symbolic links passed over.
    pub links: u64,
    /// Keys of an object store passed over, since they are no paths.
    pub keys: u64,
    /// Folders and files that could not be listed: the first [`MAX_FAILURES`].
    pub failures: Vec<String>,
    /// How many could not be listed.
    pub failed: u64,
}

/// Lists the photos below a place, by the same rules as [`sbir_gallery::index()`], and writes the manifest: the same
/// tree gives the same bytes. Memory stays bounded; temporary files hold the list meanwhile. `progress` is told how many
/// photos were found so far.
///
/// # Errors
/// If there is no such place, there are more than [`MAX_PIECES`] pieces, or the manifest cannot be written; and if the
/// system or the store fails while it is listed, since the list would lack what is there. A folder below that is not
/// ours to list is no error: see [`ManifestSummary::failures`].
pub fn write_manifest(
    photos: &Place,
    to: (&Place, &Key),
    options: &ManifestOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<ManifestSummary> {
    if options.piece == 0 || options.piece > MAX_PIECE {
        return Err(Error::Options(format!("a piece has 1 to {MAX_PIECE} photos")));
    }
    let stopped = || match options.stop {
        Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::Cancelled),
        _ => Ok(()),
    };
    let mut summary = ManifestSummary::default();
    let mut body = Body::begin()?;
    // A walk through folders comes in order; an object store may have an order of its own.
    let mut sorter = photos.is_remote().then(Sorter::new);
    let mut listing = photos.list()?;
    for entry in listing.by_ref() {
        stopped()?;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if photos.is_remote() || error.extent() != Extent::File => {
                return Err(error.into());
            }
            Err(error) => {
                summary.failed += 1;
                if summary.failures.len() < MAX_FAILURES {
                    summary.failures.push(Error::line(&error.to_string()));
                }
                continue;
            }
        };
        match NameKind::of(entry.key.file_name()) {
            NameKind::Photo => {}
            NameKind::Unsupported => {
                summary.unsupported += 1;
                continue;
            }
            NameKind::Other => continue,
        }
        let item =
            Item { key: entry.key.into(), size: entry.stat.size, mtime_ns: entry.stat.mtime_ns };
        summary.photos += 1;
        match &mut sorter {
            Some(sorter) => sorter.push(item).map_err(Error::Temporary)?,
            None => body.push(item)?,
        }
        if summary.photos.is_multiple_of(1000) {
            progress(summary.photos);
        }
    }
    let passed_over = listing.passed_over();
    (summary.links, summary.keys) = (passed_over.links, passed_over.keys);
    if let Some(sorter) = sorter {
        for item in sorter.finish().map_err(Error::Temporary)? {
            stopped()?;
            body.push(item.map_err(Error::Temporary)?)?;
        }
    }
    (summary.photos, summary.bytes) = (body.photos, body.bytes);
    summary.pieces = summary.photos.div_ceil(u64::from(options.piece));
    if summary.pieces > MAX_PIECES {
        return Err(Error::Options(format!(
            "{} photos are more than {MAX_PIECES} pieces of {}; make the pieces larger (--piece)",
            summary.photos, options.piece
        )));
    }
    progress(summary.photos);
    let header = HeaderLine {
        format: FORMAT.to_owned(),
        version: VERSION,
        root: Text::new(photos.root().as_os_str().as_encoded_bytes()),
        photos: body.photos,
        bytes: body.bytes,
        piece: options.piece,
    };
    let (mut file, digest) = body.finish(&header).map_err(Error::Temporary)?;
    summary.digest = digest;
    stopped()?;
    to.0.upload(to.1, &mut file)?;
    Ok(summary)
}

/// The photos' lines, in a temporary file: how many they are stands above them.
struct Body {
    out: BufWriter<File>,
    photos: u64,
    bytes: u64,
}

impl Body {
    fn begin() -> Result<Self> {
        let file = tempfile::tempfile().map_err(Error::Temporary)?;
        Ok(Self { out: BufWriter::with_capacity(1 << 18, file), photos: 0, bytes: 0 })
    }

    fn push(&mut self, item: Item) -> Result<()> {
        let path = RelPath::new(item.key)?;
        self.photos += 1;
        self.bytes = self.bytes.saturating_add(item.size);
        let path = Text::new(path.as_bytes());
        let line = PhotoLine { path, size: item.size, mtime: item.mtime_ns };
        write_line(&mut self.out, &line).map_err(Error::Temporary)
    }

    /// The whole manifest, and its digest.
    fn finish(self, header: &HeaderLine) -> io::Result<(File, String)> {
        let mut body = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        body.rewind()?;
        let out = BufWriter::with_capacity(1 << 18, tempfile::tempfile()?);
        let mut out = Hashing { out, hash: Sha256::new() };
        write_line(&mut out, header)?;
        io::copy(&mut body, &mut out)?;
        let digest = to_hex(&out.hash.clone().finalize());
        write_line(&mut out, &LastLine { digest: digest.clone() })?;
        let file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, digest))
    }
}

fn write_line(to: &mut impl io::Write, line: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}

/// Hashes what it writes.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: io::Write> io::Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
