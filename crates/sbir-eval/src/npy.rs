//! Embeddings as NumPy files: float32, two dimensions, C order, little-endian.
//!
//! The format is NEP 1 (`numpy.lib.format`): a magic string, a version, the length of a header, the header (a Python
//! dictionary literal) and the values. Version 1.0 is written; 1.0, 2.0 and 3.0 are read.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::Error;
use crate::atomic::AtomicFile;

mod header;

use self::header::{HEADER_BYTES, write_header};

/// Values turned to bytes, or back, at a time.
const CHUNK: usize = 1 << 14;

/// Writes a float32 `[n, dim]` array row by row; the file appears under its name at [`finish`](Self::finish).
#[derive(Debug)]
pub struct NpyWriter {
    file: AtomicFile,
    dim: usize,
    rows: usize,
}

impl NpyWriter {
    /// Starts an array of rows of `dim` values; how many rows need not be known yet.
    ///
    /// # Errors
    /// Where `dim` is 0 or the file cannot be created.
    pub fn create(path: &Path, dim: usize) -> Result<Self, Error> {
        if dim == 0 {
            return Err(Error::ZeroDimension);
        }
        let mut file = AtomicFile::create(path)?;
        // Room for the header, whose row count is known at the end.
        file.write_all(&[0; HEADER_BYTES]).map_err(|error| file.error(error))?;
        Ok(Self { file, dim, rows: 0 })
    }

    /// Appends rows.
    ///
    /// # Shapes
    /// - `values`: `[any, dim]`, row-major
    ///
    /// # Errors
    /// Where the length is not a multiple of `dim`, or writing fails.
    pub fn append(&mut self, values: &[f32]) -> Result<(), Error> {
        if !values.len().is_multiple_of(self.dim) {
            return Err(Error::Length {
                what: "the rows",
                expected: values.len().next_multiple_of(self.dim),
                found: values.len(),
            });
        }
        let mut bytes = Vec::with_capacity(4 * CHUNK.min(values.len()));
        for values in values.chunks(CHUNK) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            self.file.write_all(&bytes).map_err(|error| self.file.error(error))?;
        }
        self.rows += values.len() / self.dim;
        Ok(())
    }

    /// Completes the header, brings the file to the disk and gives it its name. Returns the number of rows.
    ///
    /// # Errors
    /// Where writing fails, or the path cannot be sought in (a pipe).
    pub fn finish(mut self) -> Result<usize, Error> {
        let header = write_header(self.rows, self.dim);
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&header))
            .map_err(|error| self.file.error(error))?;
        self.file.commit()?;
        Ok(self.rows)
    }
}

/// A row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Values in a row.
    pub dim: usize,
    /// The values, `[rows, dim]`.
    pub values: Vec<f32>,
}

/// Reads a float32 `[n, dim]` array of at most `limit` values.
///
/// The size is checked against the file's length and the limit before memory is taken for it. Values may be anything,
/// NaN included.
///
/// # Errors
/// Where the file cannot be read, is no NumPy file, is cut short or too long, holds another type, order or number of
/// dimensions, or more than `limit` values.
pub fn read_f32(path: &Path, limit: usize) -> Result<Matrix, Error> {
    let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
    let wrong = |expected, found| Error::Npy { path: path.to_path_buf(), expected, found };

    let mut file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong("a regular file", "a folder, device or pipe".to_owned()));
    }
    let (header, start) = header::read_header(&mut file).map_err(|error| match error {
        header::HeaderError::Read(source) => unreadable(source),
        header::HeaderError::Format { expected, found } => wrong(expected, found),
    })?;
    let [rows, dim] = header.shape;

    let count = rows.checked_mul(dim).filter(|count| count.checked_mul(4).is_some());
    let Some(count) = count else {
        return Err(wrong("a shape that fits in memory", format!("({rows}, {dim})")));
    };
    if count > limit as u64 {
        return Err(Error::NpyTooLarge {
            path: PathBuf::from(path),
            found: count,
            limit: limit as u64,
        });
    }
    let held = metadata.len().saturating_sub(start);
    if held != 4 * count {
        let found = format!("{held} bytes of values for the shape ({rows}, {dim})");
        return Err(wrong("4 bytes a value", found));
    }

    let count = count as usize;
    let mut values = Vec::with_capacity(count);
    let mut bytes = vec![0; 4 * CHUNK.min(count)];
    while values.len() < count {
        let bytes = &mut bytes[..4 * CHUNK.min(count - values.len())];
        file.read_exact(bytes).map_err(unreadable)?;
        values.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    }
    Ok(Matrix { rows: rows as usize, dim: dim as usize, values })
}
