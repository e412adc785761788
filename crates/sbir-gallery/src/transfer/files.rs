//! Stores out and in: NumPy and JSON lines.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use sbir_files::names::to_hex;
use serde::{Deserialize, Serialize};

use super::{PAGE, each_page, npy};
use crate::error::{Error, Result};
use crate::store::{
    Photo, PhotoId, Record, RelPath, Space, VectorStore, bytes_to_path, is_root, name_bytes,
};

/// The longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// A photo in a line of JSON.
#[derive(Serialize, Deserialize)]
struct Line {
    root: Name,
    path: Name,
    size: u64,
    mtime_ns: i64,
    sha256: String,
    width: u32,
    height: u32,
    encoder: String,
}

/// A path: text, or where it is no UTF-8, its bytes in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes { hex: String },
}

impl Name {
    fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Bytes { hex: to_hex(bytes) },
        }
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Bytes { hex } => from_hex(&hex),
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// A file beside its place, to be renamed into it when it is whole.
fn beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    Ok(tempfile::Builder::new()
        .prefix(".sbir-export-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(named)?)
}

/// Writes the embeddings of a store as a NumPy file of f32, `[photos, dimension]`, and the photos as JSON lines in the
/// same order; each beside its place first, then renamed. Says how many there are.
///
/// # Errors
/// If the store cannot be read, changes meanwhile, or a file cannot be written.
pub fn export(store: &dyn VectorStore, npy: &Path, jsonl: &Path) -> Result<u64> {
    let (mut vectors, mut lines) = (beside(npy)?, beside(jsonl)?);
    let (mut expected, mut written) = (0, 0);
    let encoder = store.space()?.map_or_else(String::new, |space| space.fingerprint);
    {
        let vectors = RefCell::new(BufWriter::with_capacity(1 << 20, vectors.as_file_mut()));
        let mut lines = BufWriter::with_capacity(1 << 18, lines.as_file_mut());
        let mut begin = |count, space: Option<Space>| {
            let dimension = space.map_or(0, |space| space.dimension);
            expected = count;
            Ok(npy::write_header(&mut *vectors.borrow_mut(), count, dimension)?)
        };
        let mut each = |record: Record| {
            let mut vectors = vectors.borrow_mut();
            for value in &record.embedding {
                vectors.write_all(&value.to_le_bytes())?;
            }
            let line = line(&record.photo, &encoder);
            serde_json::to_writer(&mut lines, &line).map_err(std::io::Error::from)?;
            lines.write_all(b"\n")?;
            written += 1;
            Ok(())
        };
        match store.local() {
            Some(gallery) => gallery.snapshot(begin, each)?,
            None => {
                let stats = store.stats()?;
                begin(stats.photos, stats.space)?;
                each_page(store, |records| records.into_iter().try_for_each(&mut each))?;
            }
        }
        vectors.into_inner().flush()?;
        lines.flush()?;
    }
    if written != expected {
        let problem = format!("{expected} photos, but vectors of {written}");
        return Err(match store.local() {
            Some(gallery) => Error::Corrupt { path: gallery.path().into(), problem },
            None => Error::Refused {
                gallery: store.name(),
                problem: format!("{problem}: it was written to meanwhile; run it again"),
            },
        });
    }
    for (file, path) in [(vectors, npy), (lines, jsonl)] {
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
    }
    Ok(expected)
}

fn line(photo: &Photo, encoder: &str) -> Line {
    Line {
        root: Name::new(name_bytes(photo.root.as_os_str()).unwrap_or_default()),
        path: Name::new(photo.path.as_bytes()),
        size: photo.size,
        mtime_ns: photo.mtime_ns,
        sha256: to_hex(&photo.hash),
        width: photo.width,
        height: photo.height,
        encoder: encoder.into(),
    }
}

/// What an import brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Photos that were new.
    pub added: u64,
    /// Photos that took the place of one of the same root and path.
    pub replaced: u64,
}

/// Reads what [`export`] wrote; whole or not at all where the store is the local gallery.
///
/// # Errors
/// If the files do not fit each other or the store's space, or the store cannot be written.
pub fn import(store: &dyn VectorStore, npy: &Path, jsonl: &Path) -> Result<ImportReport> {
    let mut vectors = BufReader::with_capacity(1 << 20, fs_err::File::open(npy)?);
    let bad = |problem| Error::Import { path: npy.into(), line: None, problem };
    let (rows, dimension) = npy::read_header(&mut vectors).map_err(bad)?;
    if !(1..=sbir_kernels::scan::MAX_DIMENSION).contains(&dimension) {
        return Err(bad(format!("vectors of {dimension} values")));
    }
    let mut lines =
        Lines { path: jsonl, file: BufReader::new(fs_err::File::open(jsonl)?), line: 0 };
    let mut next = lines.next()?;
    let Some((_, first)) = &next else {
        if rows == 0 {
            return Ok(ImportReport::default());
        }
        return Err(lines.bad(format!("no photos, but {rows} vectors in {}", npy.display())));
    };
    let space = Space { fingerprint: first.encoder.clone(), dimension };
    store.ensure(&space)?;
    let mut row = 0;
    let mut bytes = vec![0; dimension * 4];
    let mut records = std::iter::from_fn(|| {
        let Some((number, line)) = next.take() else {
            let problem =
                || bad(format!("{rows} vectors, but {row} photos in {}", jsonl.display()));
            return (row < rows).then(|| Err(problem()));
        };
        let record = || {
            let problem =
                |problem| Error::Import { path: jsonl.into(), line: Some(number), problem };
            if row == rows {
                return Err(problem(format!(
                    "more photos than the {rows} vectors of {}",
                    npy.display()
                )));
            }
            row += 1;
            vectors.read_exact(&mut bytes).map_err(|_| bad(format!("breaks off in row {row}")))?;
            let values: Vec<_> =
                bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            if !is_sound(&values) {
                return Err(bad(format!("row {row} is no vector of finite values")));
            }
            if line.encoder != space.fingerprint {
                return Err(problem("another encoder than in the first line".into()));
            }
            let record = Record { photo: photo(line).map_err(problem)?, embedding: values };
            next = lines.next()?;
            Ok(record)
        };
        Some(record())
    });
    let (added, replaced) = match store.local() {
        Some(gallery) => gallery.writer()?.put_all(&mut records)?,
        None => put_in_batches(store, &mut records)?,
    };
    Ok(ImportReport { added, replaced })
}

/// Whether a vector can be kept as f16.
fn is_sound(values: &[f32]) -> bool {
    let halves = || values.iter().map(|value| half::f16::from_f32(*value));
    halves().all(half::f16::is_finite) && halves().any(|value| value != half::f16::ZERO)
}

fn put_in_batches(
    store: &dyn VectorStore,
    records: &mut dyn Iterator<Item = Result<Record>>,
) -> Result<(u64, u64)> {
    let (mut added, mut replaced) = (0, 0);
    loop {
        let batch = records.take(PAGE).collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            return Ok((added, replaced));
        }
        let known = super::known(store, &batch)?;
        replaced += known.iter().flatten().count() as u64;
        added += known.iter().filter(|photo| photo.is_none()).count() as u64;
        store.upsert(&batch)?;
    }
}

struct Lines<'a> {
    path: &'a Path,
    file: BufReader<fs_err::File>,
    line: usize,
}

impl Lines<'_> {
    fn bad(&self, problem: String) -> Error {
        Error::Import { path: self.path.into(), line: None, problem }
    }

    fn next(&mut self) -> Result<Option<(usize, Line)>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.line += 1;
            let length = (&mut self.file).take(MAX_LINE).read_until(b'\n', &mut bytes)?;
            if length == 0 {
                return Ok(None);
            }
            if !bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let line = serde_json::from_slice(&bytes).map_err(|error| Error::Import {
            path: self.path.into(),
            line: Some(self.line),
            problem: format!("not a photo: {error}"),
        })?;
        Ok(Some((self.line, line)))
    }
}

fn photo(line: Line) -> Result<Photo, String> {
    let root = line.root.into_bytes().ok_or("a root that is no hexadecimal")?;
    let path = line.path.into_bytes().ok_or("a path that is no hexadecimal")?;
    let root = bytes_to_path(&root);
    if !is_root(&root) {
        return Err("a root that is neither absolute nor in an object store".into());
    }
    let path = RelPath::new(path).map_err(|error| error.to_string())?;
    let hash = from_hex(&line.sha256).and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or("a sha256 that is not 64 hexadecimal digits")?;
    let (size, mtime_ns, width, height) = (line.size, line.mtime_ns, line.width, line.height);
    Ok(Photo { id: PhotoId(0), root, path, size, mtime_ns, hash, width, height })
}
