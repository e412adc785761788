//! Galleries out and in: NumPy and JSON lines.

use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::writer::Put;
use super::{Gallery, ImportReport, npy, sql, vector};
use crate::error::{Error, Result};
use crate::store::{Photo, RelPath, Space, bytes_to_path, name_bytes};

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

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

pub(super) fn export(gallery: &Gallery, npy: &Path, jsonl: &Path) -> Result<u64> {
    let failed = sql::meaning(gallery.path());
    gallery.read(|connection| {
        let transaction = connection.unchecked_transaction().map_err(&failed)?;
        let space = sql::space(&transaction).map_err(&failed)?;
        let count: i64 = transaction
            .query_row("SELECT count(*) FROM photo", [], |row| row.get(0))
            .map_err(&failed)?;
        let (dimension, encoder) =
            space.map_or((0, String::new()), |space| (space.dimension, space.fingerprint));
        let (mut vectors, mut lines) = (beside(npy)?, beside(jsonl)?);
        {
            let mut vectors = BufWriter::with_capacity(1 << 20, vectors.as_file_mut());
            let mut lines = BufWriter::with_capacity(1 << 18, lines.as_file_mut());
            npy::write_header(&mut vectors, count.unsigned_abs(), dimension)?;
            let mut statement = transaction
                .prepare(&format!(
                    "SELECT {}, photo.id, vector, checksum FROM photo
                     JOIN root ON root.id = photo.root JOIN embedding ON embedding.id = photo.id
                     ORDER BY photo.id",
                    sql::PHOTO
                ))
                .map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            let mut halves = Vec::with_capacity(dimension);
            let mut written = 0;
            while let Some(row) = rows.next().map_err(&failed)? {
                let photo = sql::photo(row).map_err(&failed)?;
                halves.clear();
                vector::read(row, 8, dimension, &mut halves).map_err(&failed)?;
                for value in vector::to_floats(&halves) {
                    vectors.write_all(&value.to_le_bytes())?;
                }
                serde_json::to_writer(&mut lines, &line(&photo, &encoder))
                    .map_err(std::io::Error::from)?;
                lines.write_all(b"\n")?;
                written += 1;
            }
            if written != count {
                let problem = format!("{count} photos, but vectors of {written}");
                return Err(Error::Corrupt { path: gallery.path().into(), problem });
            }
            vectors.flush()?;
            lines.flush()?;
        }
        for (file, path) in [(vectors, npy), (lines, jsonl)] {
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(count.unsigned_abs())
    })
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

pub(super) fn import(gallery: &Gallery, npy: &Path, jsonl: &Path) -> Result<ImportReport> {
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
    let mut writer = gallery.writer()?;
    writer.ensure(&space)?;
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
            let halves = vector::to_halves(&values)
                .map_err(|_| bad(format!("row {row} is no vector of finite values")))?;
            if line.encoder != space.fingerprint {
                return Err(problem("another encoder than in the first line".into()));
            }
            let record = photo(line, halves).map_err(problem)?;
            next = lines.next()?;
            Ok(record)
        };
        Some(record())
    });
    let (added, replaced) = writer.put_all(&mut records)?;
    Ok(ImportReport { added, replaced })
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

fn photo(line: Line, halves: Vec<u16>) -> Result<(PathBuf, Put), String> {
    let root = line.root.into_bytes().ok_or("a root that is no hexadecimal")?;
    let path = line.path.into_bytes().ok_or("a path that is no hexadecimal")?;
    let root = bytes_to_path(&root);
    if !root.is_absolute() {
        return Err("a root that is not absolute".into());
    }
    let path = RelPath::new(path).map_err(|error| error.to_string())?;
    let hash = from_hex(&line.sha256).and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or("a sha256 that is not 64 hexadecimal digits")?;
    let (size, mtime_ns, width, height) = (line.size, line.mtime_ns, line.width, line.height);
    Ok((root, Put { root: 0, path, size, mtime_ns, hash, width, height, halves }))
}
